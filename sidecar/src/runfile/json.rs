//! How rows are written as JSON, a line each, for a lab that cannot open the run file: what no other crate writes.

/// A span id, as 16 hexadecimal digits: more than programs with floating-point numbers alone could read.
pub(super) mod id {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(in crate::runfile) fn serialize<S: Serializer>(id: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{id:016x}"))
    }

    pub(in crate::runfile) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// A trace id, as 32 hexadecimal digits.
pub(super) mod trace {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    use crate::runfile::trace_id::TraceId;

    pub(in crate::runfile) fn serialize<S: Serializer>(
        id: &TraceId,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(in crate::runfile) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<TraceId, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A shared text.
pub(super) mod text {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in crate::runfile) fn serialize<S: Serializer>(
        text: &Arc<str>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(in crate::runfile) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }
}

/// The times of stages: name to nanoseconds and kind, without those that are absent.
pub(super) mod stages {
    use std::collections::BTreeMap;

    use ledger::{Kind, Stage, StageSet};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(in crate::runfile) fn serialize<S: Serializer>(
        stages: &StageSet,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(
            stages.iter().map(|(stage, time)| (stage.name(), (time.ns, time.kind.name()))),
        )
    }

    pub(in crate::runfile) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<StageSet, D::Error> {
        let written = BTreeMap::<String, (i64, String)>::deserialize(from)?;
        let mut stages = StageSet::default();
        for (name, (ns, kind)) in written {
            let stage = Stage::from_name(&name).map_err(D::Error::custom)?;
            let known = Kind::from_name(&kind);
            let known = known
                .ok_or_else(|| D::Error::custom(format!("{name}: no kind is called {kind:?}")))?;
            stages.add(stage, ns, known);
        }
        Ok(stages)
    }
}

/// What a message put on the wire: payload, body, wire, frames, framing, headers; null where nobody counted.
pub(super) mod traffic {
    use ledger::Traffic;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(in crate::runfile) fn serialize<S: Serializer>(
        traffic: &Option<Traffic>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let written = traffic.map(|Traffic { payload, body, wire, frames, framing, headers }| {
            [payload, body, wire, frames, framing, headers]
        });
        written.serialize(to)
    }

    pub(in crate::runfile) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Traffic>, D::Error> {
        let read = Option::<[u64; 6]>::deserialize(from)?;
        Ok(read.map(|[payload, body, wire, frames, framing, headers]| Traffic {
            payload,
            body,
            wire,
            frames,
            framing,
            headers,
        }))
    }
}

/// Injected delays: pairs of stage and nanoseconds.
pub(super) mod delays {
    use ledger::Stage;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error};

    pub(in crate::runfile) fn serialize<S: Serializer>(
        delays: &[(Stage, u64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(delays.iter().map(|(stage, ns)| (stage.name(), ns)))
    }

    pub(in crate::runfile) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(Stage, u64)>, D::Error> {
        let written = Vec::<(String, u64)>::deserialize(from)?;
        let stage = |name: &str| Stage::from_name(name).map_err(D::Error::custom);
        written.into_iter().map(|(name, ns)| Ok((stage(&name)?, ns))).collect()
    }
}
