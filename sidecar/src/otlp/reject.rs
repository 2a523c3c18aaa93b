//! Why a span is refused, and how often each reason came up.

use std::collections::BTreeMap;

macro_rules! reasons {
    ($($reason:ident, $name:literal, $doc:literal;)*) => {
        /// Why a span was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Reason { $(#[doc = $doc] $reason,)* }

        impl Reason {
            pub(crate) const ALL: &'static [Reason] = &[$(Reason::$reason,)*];

            /// The name used in counters.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Reason::$reason => $name,)* }
            }

            /// One sentence for the sender.
            const fn meaning(self) -> &'static str {
                match self { $(Reason::$reason => $doc,)* }
            }
        }
    };
}

reasons! {
    Malformed, "malformed", "the bytes of the span are no protobuf message";
    TraceId, "trace_id", "the trace id is not 16 bytes, not all zero";
    SpanId, "span_id", "the span id is not 8 bytes, not all zero";
    ParentId, "parent_id", "the parent span id is neither empty nor 8 bytes";
    Times, "times", "the span ends before it starts, or has no times";
    TooLong, "too_long", "the span, one of its waits or delays is longer than a day";
    Attribute, "attribute", "a lab.* attribute cannot be read";
    Memory, "memory", "no memory was left for the span of a large export: send fewer at once (OTEL_BSP_MAX_EXPORT_BATCH_SIZE)";
}

/// How many spans were refused, by reason, with the first one's explanation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rejections {
    counts: [u64; Reason::ALL.len()],
    first: Option<String>,
}

impl Rejections {
    /// Counts one span; `detail` says what exactly was wrong.
    pub(crate) fn count(&mut self, reason: Reason, detail: &str) {
        self.counts[reason as usize] += 1;
        if self.first.is_none() {
            self.first = Some(match detail {
                "" => reason.meaning().to_owned(),
                detail => format!("{}: {detail}", reason.meaning()),
            });
        }
    }

    /// Adds what another count found.
    pub(crate) fn add(&mut self, other: &Rejections) {
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
    }

    /// Spans refused for any reason.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The counts by name, every reason listed.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        Reason::ALL.iter().map(|&reason| (reason.name(), self.counts[reason as usize])).collect()
    }

    /// What to tell the sender: the first refusal, and the count of each reason.
    pub(crate) fn message(&self) -> String {
        let Some(first) = &self.first else {
            return String::new();
        };
        let counts: Vec<_> = Reason::ALL
            .iter()
            .map(|&reason| (reason.name(), self.counts[reason as usize]))
            .filter(|&(_, count)| count > 0)
            .map(|(name, count)| format!("{name}={count}"))
            .collect();
        format!("{first} (spans refused: {})", counts.join(" "))
    }
}
