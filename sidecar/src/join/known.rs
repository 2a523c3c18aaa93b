//! What the traces of a run have taught about its services: who answers whom, who is asked from outside.
//!
//! A span that is missing can only be missed by those who know that there is one. Everything here is learned from
//! traces that were closed; until it is, a trace waits out its window. Bounded: the names come from peers.

use std::collections::{HashMap, HashSet};

/// Names that are remembered, at most. Past it nothing more is learned.
const MOST: usize = 8_192;

/// A call, by the service that makes it and the name it has for the other side.
pub(super) type Call<'a> = (&'a str, &'a str);

/// What has been learned.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Calls by service and peer; whether one of them was ever answered by a span.
    calls: HashMap<Box<str>, HashMap<Box<str>, bool>>,
    /// Services that have sent SERVER spans; whether one of them ever answered a CLIENT span that was here.
    servers: HashMap<Box<str>, bool>,
    /// Services whose callers send no spans.
    edges: HashSet<Box<str>>,
    /// Services whose requests come by a relay that sends spans.
    relayed: HashSet<Box<str>>,
    /// Of the spans of foreign services that a relay passed requests on to: how many lie within what it saw, and all.
    places: HashMap<Box<str>, (u64, u64)>,
    /// The load generator sends a span of each request itself.
    generator_tells: bool,
    names: usize,
}

impl Known {
    /// Whether a call is expected to have a SERVER span: the peer has sent such in this run.
    pub(super) fn answers(&self, (service, peer): Call<'_>) -> bool {
        let answered = self.calls.get(service).and_then(|calls| calls.get(peer)).copied();
        answered.unwrap_or(false) || self.servers.contains_key(peer)
    }

    /// Whether calls like this one were never answered by a span, however long they were waited for.
    pub(super) fn is_silent(&self, (service, peer): Call<'_>) -> bool {
        let answered = self.calls.get(service).and_then(|calls| calls.get(peer)).copied();
        answered == Some(false) && !self.servers.contains_key(peer)
    }

    /// Whether the service has answered a CLIENT span that was here: then one without is missing it.
    pub(super) fn is_inner(&self, service: &str) -> bool {
        self.servers.get(service).copied().unwrap_or(false)
    }

    /// Whether the callers of the service send no spans, as far as is known.
    pub(super) fn is_edge(&self, service: &str) -> bool {
        self.edges.contains(service) && !self.is_inner(service)
    }

    /// Whether the load generator sends spans of its own.
    pub(super) fn generator_tells(&self) -> bool {
        self.generator_tells
    }

    /// A call was answered by a SERVER span of `server`, or, where a trace had waited for it, by none.
    pub(super) fn learn_call(&mut self, (service, peer): Call<'_>, server: Option<&str>) {
        if let Some(server) = server {
            self.learn_server(server, true);
        }
        let answered = server.is_some();
        if let Some(known) = self.calls.get_mut(service).and_then(|calls| calls.get_mut(peer)) {
            *known |= answered;
        } else if self.has_room() {
            self.calls.entry(service.into()).or_default().insert(peer.into(), answered);
        }
    }

    /// A service has sent a SERVER span, which did or did not answer a CLIENT span that was here.
    pub(super) fn learn_server(&mut self, service: &str, inner: bool) {
        if let Some(known) = self.servers.get_mut(service) {
            *known |= inner;
        } else if self.has_room() {
            self.servers.insert(service.into(), inner);
        }
    }

    /// A trace waited for the caller of a SERVER span of the service, and none came; or whoever started the sidecar
    /// knows that none will.
    pub(crate) fn learn_edge(&mut self, service: &str) {
        if !self.edges.contains(service) && self.has_room() {
            self.edges.insert(service.into());
        }
    }

    /// Whether the requests of the service come by a relay that sends spans, as far as is known.
    pub(super) fn is_relayed(&self, service: &str) -> bool {
        self.relayed.contains(service)
    }

    /// A relay has sent a span of a request to the service.
    pub(super) fn learn_relayed(&mut self, service: &str) {
        if !self.relayed.contains(service) && self.has_room() {
            self.relayed.insert(service.into());
        }
    }

    /// A trace waited for a relay's span of a request to the service, and none came: it may be gone.
    pub(super) fn forget_relayed(&mut self, service: &str) {
        if self.relayed.remove(service) {
            self.names = self.names.saturating_sub(1);
        }
    }

    /// Whether spans of a foreign service can be placed by the wall clock within what a relay saw: nearly all (99 %)
    /// lie there, so that the two clocks are one.
    pub(super) fn places(&self, service: &str) -> bool {
        self.places.get(service).is_some_and(|&(within, all)| within * 100 >= all * 99)
    }

    /// A span of a foreign service did or did not lie within what a relay saw.
    pub(super) fn learn_place(&mut self, service: &str, within: bool) {
        if !self.places.contains_key(service) && self.has_room() {
            self.places.insert(service.into(), (0, 0));
        }
        if let Some((inside, all)) = self.places.get_mut(service) {
            *inside += u64::from(within);
            *all += 1;
        }
    }

    /// The load generator has sent a span.
    pub(super) fn learn_generator(&mut self) {
        self.generator_tells = true;
    }

    fn has_room(&mut self) -> bool {
        let room = self.names < MOST;
        self.names += usize::from(room);
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_answered_once_is_expected_to_and_one_that_never_did_is_not() {
        let mut known = Known::default();
        let (stock, mail) = (("shop", "10.0.0.7:81"), ("shop", "mail"));
        assert!(!known.answers(stock) && !known.is_silent(stock));
        known.learn_call(stock, None);
        assert!(known.is_silent(stock));
        known.learn_call(stock, Some("stock"));
        known.learn_call(stock, None);
        assert!(known.answers(stock) && !known.is_silent(stock) && known.is_inner("stock"));
        known.learn_call(mail, None);
        assert!(known.is_silent(mail));
        known.learn_server("mail", false);
        assert!(known.answers(mail) && !known.is_silent(mail) && !known.is_inner("mail"));
        known.learn_edge("mail");
        assert!(known.is_edge("mail"));
        known.learn_call(mail, Some("mail"));
        assert!(!known.is_edge("mail"));
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let mut known = Known::default();
        for n in 0..3 * MOST {
            let name = format!("s{n}");
            known.learn_call((&name, "p"), Some(&name));
            known.learn_edge(&name);
        }
        assert!(known.calls.len() + known.servers.len() + known.edges.len() <= MOST);
    }
}
