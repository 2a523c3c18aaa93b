//! Which settings something reads: one that nothing would read is refused, for its run would look like one with it.

use std::collections::BTreeMap;

use super::KnobError;
use crate::{Knobs, PayloadSource, Protocol, Workload};

const NOT_HTTP2: &str = "it is HTTP/2's, and rest is HTTP/1.1";
const NO_PAYLOAD: &str = "nothing asks for a payload";
const NO_USERS: &str = "nothing asks for users, or there is no database";
const NOT_REST: &str = "nothing asks for a payload by rest";
const NO_PROBES: &str = "probes inject, and they are off";

/// The first setting that none of these reads, where each is asked for by a protocol and a workload.
///
/// # Errors
/// [`KnobError::Unread`] names it.
pub fn without_effect<'a>(
    asked: impl IntoIterator<Item = (&'a Knobs, Protocol, Workload)>,
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

/// Every setting that is not as by default, with the reason for which nothing reads it here, if so. What all
/// services read is not among them.
fn settings(
    knobs: &Knobs,
    protocol: Protocol,
    workload: Workload,
) -> Vec<(String, Option<&'static str>)> {
    let grpc = (protocol != Protocol::Grpc).then_some(NOT_HTTP2);
    let ping = (workload != Workload::Ping).then_some(NO_PAYLOAD);
    let users = (workload != Workload::Users).then_some(NO_USERS);
    let rest_ping = ((protocol, workload) != (Protocol::Rest, Workload::Ping)).then_some(NOT_REST);
    let mut all: Vec<_> = [
        ("stream_window", knobs.stream_window.is_some(), grpc),
        ("connection_window", knobs.connection_window.is_some(), grpc),
        ("frame_size", knobs.frame_size.is_some(), grpc),
        ("payload_source", knobs.payload_source != PayloadSource::default(), ping),
        ("rest_size_bug", knobs.rest_size_bug.is_some(), rest_ping),
        ("users", knobs.users.is_some(), users),
        ("unindexed", knobs.unindexed, users),
        ("pool_size", knobs.pool_size.is_some(), users),
    ]
    .into_iter()
    .filter(|(_, set, _)| *set)
    .map(|(name, _, why)| (name.to_owned(), why))
    .collect();
    all.extend(knobs.inject.keys().map(|place| {
        let why = match place.split(':').next() {
            _ if knobs.probes_off => Some(NO_PROBES),
            Some("echo") => ping,
            Some("pg-client") => users,
            _ => None,
        };
        (format!("inject {place}"), why)
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Workload = Workload::Ping;

    fn with(place: &str) -> Knobs {
        Knobs { inject: [(place.to_owned(), 1)].into(), ..Knobs::default() }
    }

    #[test]
    fn what_nothing_reads_is_refused_by_name() {
        let (rest, grpc) = (Protocol::Rest, Protocol::Grpc);
        let window = Knobs { stream_window: Some(1), ..Knobs::default() };
        let bug = Knobs { rest_size_bug: Some(1), ..Knobs::default() };
        let pool = Knobs { pool_size: Some(1), ..Knobs::default() };
        let off = Knobs { probes_off: true, ..with("gateway:handler") };
        for (knobs, protocol, workload, named) in [
            (&window, rest, PING, "stream_window would have no effect: it is HTTP/2's"),
            (
                &bug,
                grpc,
                PING,
                "rest_size_bug would have no effect: nothing asks for a payload by rest",
            ),
            (&pool, grpc, PING, "pool_size would have no effect: nothing asks for users"),
            (
                &with("pg-client:handler"),
                grpc,
                PING,
                "inject pg-client:handler would have no effect",
            ),
            (&with("echo:handler"), rest, Workload::Users, "inject echo:handler would have"),
            (&off, rest, PING, "inject gateway:handler would have no effect: probes inject"),
        ] {
            let error = without_effect([(knobs, protocol, workload)]).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn one_reader_among_many_is_enough() {
        let window = Knobs { stream_window: Some(1), ..Knobs::default() };
        let both = [(&window, Protocol::Rest, PING), (&window, Protocol::Grpc, PING)];
        assert_eq!(without_effect(both), Ok(()));
        let delay = with("driver:wake_up");
        assert_eq!(without_effect([(&delay, Protocol::Rest, PING)]), Ok(()));
    }
}
