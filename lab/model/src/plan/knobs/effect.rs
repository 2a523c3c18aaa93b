//! Which settings something reads: one that nothing would read is refused, for its run would look like one with it.

use std::collections::BTreeMap;

use super::{KNOBS, KnobError, written};
use crate::services::{DRIVER, Service};
use crate::{Knobs, Protocol, Workload};

/// What a cell must ask for, if a setting is to have an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anything.
    Nothing,
    /// Something by HTTP/2.
    Http2,
    /// Something of a service behind the gateway.
    Inner,
    /// A payload for this service: the gateway makes it.
    Payload(&'static str),
    /// The same by HTTP/1.1.
    RestPayload(&'static str),
    /// Something of a service that asks a database.
    Database,
}

const NOT_HTTP2: &str = "it is HTTP/2's, and rest is HTTP/1.1";
const NO_PAYLOAD: &str = "nothing asks for a payload";
const NO_USERS: &str = "nothing asks for users, or there is no database";
const NOT_REST: &str = "nothing asks for a payload by rest";
const NO_INNER: &str = "the gateway calls nothing for what is asked";
const NOT_REACHED: &str = "no request reaches that service";
const NO_PROBES: &str = "probes inject, and they are off";

impl Needs {
    /// Why a cell of this protocol and workload does not have it, if so.
    fn missing(self, protocol: Protocol, workload: &Workload) -> Option<&'static str> {
        let payload =
            |to: &str| workload.payload && reached(workload).any(|service| service.name == to);
        let inner = !workload.calls.is_empty();
        let (met, why) = match self {
            Needs::Nothing => (true, ""),
            Needs::Http2 | Needs::Inner if !inner => (false, NO_INNER),
            Needs::Inner => (true, ""),
            Needs::Http2 => (protocol == Protocol::Grpc, NOT_HTTP2),
            Needs::Payload(to) => (payload(to), NO_PAYLOAD),
            Needs::RestPayload(to) => (payload(to) && protocol == Protocol::Rest, NOT_REST),
            Needs::Database => (reached(workload).any(|service| service.database), NO_USERS),
        };
        (!met).then_some(why)
    }
}

/// The services that requests of `workload` reach.
fn reached(workload: &Workload) -> impl Iterator<Item = &'static Service> {
    workload.services().chain([Service::entry()])
}

/// The first setting that none of these reads, where each is asked for by a protocol and a workload.
///
/// # Errors
/// [`KnobError::Unread`] names it.
pub fn without_effect<'a>(
    asked: impl IntoIterator<Item = (&'a Knobs, Protocol, &'a Workload)>,
) -> Result<(), KnobError> {
    let mut unread: BTreeMap<String, Option<&'static str>> = BTreeMap::new();
    for (knobs, protocol, workload) in asked {
        for (knob, why) in settings(knobs, protocol, workload) {
            let known = unread.entry(knob).or_insert(why);
            *known = known.and(why);
        }
    }
    let found = unread.into_iter().find_map(|(knob, why)| Some((knob, why?)));
    found.map_or(Ok(()), |(knob, why)| Err(KnobError::Unread { knob, why }))
}

/// Every setting that is not as by default, with the reason for which nothing reads it here, if so.
fn settings(
    knobs: &Knobs,
    protocol: Protocol,
    workload: &Workload,
) -> Vec<(String, Option<&'static str>)> {
    let set = written(knobs);
    let set = KNOBS.iter().filter(|knob| set.contains_key(knob.name));
    let mut all: Vec<_> =
        set.map(|knob| (knob.name.to_owned(), knob.needs.missing(protocol, workload))).collect();
    all.extend(knobs.inject.keys().map(|place| {
        let process = place.split(':').next().unwrap_or_default();
        let here = process == DRIVER || reached(workload).any(|service| service.name == process);
        let why = match here {
            _ if knobs.probes_off => Some(NO_PROBES),
            false => Some(NOT_REACHED),
            true => None,
        };
        (format!("inject {place}"), why)
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::workload::{built_in, first};

    fn with(place: &str) -> Knobs {
        Knobs { inject: [(place.to_owned(), 1)].into(), ..Knobs::default() }
    }

    #[test]
    fn what_nothing_reads_is_refused_by_name() {
        let (rest, grpc) = (Protocol::Rest, Protocol::Grpc);
        let window = Knobs { stream_window: Some(1), ..Knobs::default() };
        let bug = Knobs { rest_size_bug: Some(1), ..Knobs::default() };
        let pool = Knobs { pool_size: Some(1), ..Knobs::default() };
        let (ping, users) = (first(), built_in("users").unwrap());
        let off = Knobs { probes_off: true, ..with("gateway:handler") };
        for (knobs, protocol, workload, named) in [
            (&window, rest, &ping, "stream_window would have no effect: it is HTTP/2's"),
            (
                &bug,
                grpc,
                &ping,
                "rest_size_bug would have no effect: nothing asks for a payload by rest",
            ),
            (&pool, grpc, &ping, "pool_size would have no effect: nothing asks for users"),
            (
                &with("pg-client:handler"),
                grpc,
                &ping,
                "inject pg-client:handler would have no effect",
            ),
            (&with("echo:handler"), rest, &users, "inject echo:handler would have"),
            (&off, rest, &ping, "inject gateway:handler would have no effect: probes inject"),
        ] {
            let error = without_effect([(knobs, protocol, &**workload)]).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn one_reader_among_many_is_enough() {
        let window = Knobs { stream_window: Some(1), ..Knobs::default() };
        let ping = first();
        let both = [(&window, Protocol::Rest, &*ping), (&window, Protocol::Grpc, &*ping)];
        assert_eq!(without_effect(both), Ok(()));
        let delay = with("driver:wake_up");
        assert_eq!(without_effect([(&delay, Protocol::Rest, &*ping)]), Ok(()));
    }
}
