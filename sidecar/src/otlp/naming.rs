//! What the sidecar calls things of other people's systems: the peer of a call, the operation of a request.
//!
//! Names are kept for as long as the run file is: what may be secret in a URL (user, password, query) goes before.
//! A name that is cut or mended gets a hash of the whole, so that two names never become one in silence.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;

use super::attribute::Any;
use super::limits::NAME_BYTES;
use crate::span::{Names, Operation};

/// What becomes of the queries and fragments of URLs in names that other people's programs choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Queries {
    /// They may be secret, and each makes a name of its own.
    #[default]
    Dropped,
    /// Somebody asked for them.
    Kept,
}

/// What a span's attributes call the other side, best name first. The semantic conventions have renamed most of
/// these; instrumentations send what they were written for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peer<'a> {
    names: [Option<&'a [u8]>; NAMES],
    ports: [Option<u64>; NAMES],
}

const SERVICE: usize = 0;
const URL: usize = 3;
const NAMES: usize = 7;

/// The rank of a name among those of a peer.
fn rank(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"peer.service" => SERVICE,
        b"server.address" => 1,
        b"net.peer.name" => 2,
        b"url.full" | b"http.url" => URL,
        b"network.peer.address" | b"net.sock.peer.addr" | b"net.peer.ip" => 4,
        b"rpc.service" => 5,
        b"messaging.destination.name" | b"messaging.destination" => 6,
        _ => return None,
    })
}

fn port_rank(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"server.port" => 1,
        b"net.peer.port" => 2,
        b"network.peer.port" | b"net.sock.peer.port" => 4,
        _ => return None,
    })
}

impl<'a> Peer<'a> {
    /// Takes in an attribute, if it is one of these.
    pub(super) fn read(&mut self, key: &[u8], value: Any<'a>) {
        if let Some(rank) = rank(key) {
            let name = value.bytes().filter(|name| !name.is_empty());
            self.names[rank] = self.names[rank].or(name);
        } else if let Some(rank) = port_rank(key) {
            self.ports[rank] = self.ports[rank].or(value.whole());
        }
    }

    /// What the other side is called. A database is called by what it is (`system`), unless somebody named it as a
    /// service: on one machine PostgreSQL and Redis have one address.
    pub(super) fn called(&self, system: Option<&'a [u8]>) -> Option<Called<'a>> {
        let whole = |text| Some(Called { text, port: None });
        if let Some(name) = self.names[SERVICE].or(system) {
            return whole(name);
        }
        let (rank, name) =
            self.names.iter().enumerate().find_map(|(rank, name)| Some((rank, (*name)?)))?;
        match (rank, std::str::from_utf8(name)) {
            (URL, Ok(url)) => whole(authority(url).as_bytes()),
            _ => Some(Called { text: name, port: self.ports[rank] }),
        }
    }
}

/// How a span calls something, before that is made a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Called<'a> {
    text: &'a [u8],
    port: Option<u64>,
}

impl<'a> From<&'a [u8]> for Called<'a> {
    fn from(text: &'a [u8]) -> Self {
        Called { text, port: None }
    }
}

/// A name with what it was made of.
#[derive(Debug)]
struct Named {
    text: Box<[u8]>,
    port: Option<u64>,
    name: Arc<str>,
}

/// The latest names of one kind: those in one export come again and again.
#[derive(Debug, Default)]
pub(super) struct Recent {
    queries: Queries,
    names: SmallVec<[Named; LATEST]>,
    next: usize,
}

/// How many of a kind are remembered.
const LATEST: usize = 4;

/// Puts `one` among the latest, in the place of the oldest; answers where.
fn remember<T>(latest: &mut SmallVec<[T; LATEST]>, next: &mut usize, one: T) -> usize {
    if latest.len() < LATEST {
        latest.push(one);
        return latest.len() - 1;
    }
    *next = (*next + 1) % LATEST;
    latest[*next] = one;
    *next
}

impl Recent {
    pub(super) fn new(queries: Queries) -> Recent {
        Recent { queries, ..Recent::default() }
    }

    /// The name, of at most [`NAME_BYTES`].
    fn get(&mut self, Called { text, port }: Called<'_>) -> &Arc<str> {
        let limit = NAME_BYTES;
        let mut all = self.names.iter();
        if let Some(at) = all.position(|known| *known.text == *text && known.port == port) {
            return &self.names[at].name;
        }
        let name: Arc<str> = match port {
            Some(port) => {
                let text = [text, b":", port.to_string().as_bytes()].concat();
                bounded(&text, limit, self.queries).into()
            }
            None => bounded(text, limit, self.queries).into(),
        };
        let named = Named { text: text.into(), port, name };
        let at = remember(&mut self.names, &mut self.next, named);
        &self.names[at].name
    }
}

/// The latest names of the spans of one export.
#[derive(Debug, Default)]
pub(super) struct RecentNames {
    operations: Recent,
    peers: Recent,
    databases: Recent,
    latest: SmallVec<[Arc<Names>; LATEST]>,
    next: usize,
}

impl RecentNames {
    pub(super) fn new(queries: Queries) -> RecentNames {
        let [operations, peers] = [queries; 2].map(Recent::new);
        RecentNames { operations, peers, ..RecentNames::default() }
    }

    /// The names of a span: of what it does (and whether that is a route), of whom it calls, and of the kind of database.
    pub(super) fn get(
        &mut self,
        operation: Option<(&[u8], bool)>,
        peer: Option<Called<'_>>,
        database: Option<&[u8]>,
    ) -> Option<Arc<Names>> {
        let operation =
            operation.map(|(text, is_route)| (self.operations.get(text.into()), is_route));
        let peer = peer.map(|called| self.peers.get(called));
        let database = database.map(|name| self.databases.get(name.into()));
        if operation.is_none() && peer.is_none() && database.is_none() {
            return None;
        }
        // A name that is remembered is one and the same wherever it is.
        let same = |known: &Option<Arc<str>>, name: Option<&Arc<str>>| match (known, name) {
            (Some(known), Some(name)) => Arc::ptr_eq(known, name),
            (known, name) => known.is_none() && name.is_none(),
        };
        let does = |known: &Option<Operation>| match (known, operation) {
            (Some(known), Some((name, is_route))) => {
                Arc::ptr_eq(&known.name, name) && known.is_route == is_route
            }
            (known, other) => known.is_none() && other.is_none(),
        };
        let known = self.latest.iter().position(|known| {
            same(&known.peer, peer) && same(&known.database, database) && does(&known.operation)
        });
        let at = known.unwrap_or_else(|| {
            let operation =
                operation.map(|(name, is_route)| Operation { name: Arc::clone(name), is_route });
            let [peer, database] = [peer, database].map(|name| name.map(Arc::clone));
            let names = Arc::new(Names { peer, database, operation });
            remember(&mut self.latest, &mut self.next, names)
        });
        Some(Arc::clone(&self.latest[at]))
    }
}

/// Host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// `text` without the user and password of a URL in it, and without its query and fragment where they are dropped.
fn discreet(text: &str, queries: Queries) -> Cow<'_, str> {
    let text = match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            match rest[..end].rfind('@') {
                Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
                None => Cow::Borrowed(text),
            }
        }
        None => Cow::Borrowed(text),
    };
    if queries == Queries::Kept {
        return text;
    }
    // A question mark after a slash begins a query; one without is somebody's punctuation.
    let Some(at) =
        text.find('/').and_then(|slash| text[slash..].find(['?', '#']).map(|mark| slash + mark))
    else {
        return text;
    };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..at]),
        Cow::Owned(mut text) => {
            text.truncate(at);
            Cow::Owned(text)
        }
    }
}

/// A name of at most `limit` bytes. One that is longer, or is not UTF-8, ends in `~` and a hash of all of it.
pub(super) fn bounded(bytes: &[u8], limit: usize, queries: Queries) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = discreet(&text, queries);
    if text.len() <= limit && std::str::from_utf8(bytes).is_ok() {
        return text.into_owned();
    }
    let hash = format!("~{:016x}", fnv(bytes));
    let mut end = limit.saturating_sub(hash.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    [&text[..end], &hash].concat()
}

/// Fowler, Noll and Vo's hash FNV-1a: the same in every process and version, which is all that is asked of it.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(attributes: &[(&str, Any<'static>)], system: Option<&str>) -> Option<String> {
        let mut peer = Peer::default();
        for (key, value) in attributes {
            peer.read(key.as_bytes(), *value);
        }
        let called = peer.called(system.map(str::as_bytes))?;
        Some(Recent::default().get(called).to_string())
    }

    const fn text(text: &'static str) -> Any<'static> {
        Any::Text(text.as_bytes())
    }

    #[test]
    fn a_peer_has_the_first_of_its_names() {
        let all = [
            ("messaging.destination", text("orders")),
            ("rpc.service", text("shop.Stock")),
            ("network.peer.address", text("10.0.0.7")),
            ("http.url", text("http://ann:pw@stock.example:8443/a?key=s3cret")),
            ("net.peer.name", text("stock.local")),
            ("net.peer.port", Any::Int(81)),
            ("server.port", text("8081")),
            ("server.address", text("localhost")),
            ("peer.service", text("stock")),
        ];
        let expected = [
            "orders",
            "shop.Stock",
            "10.0.0.7",
            "stock.example:8443",
            "stock.local",
            "stock.local:81",
            "stock.local:81",
            "localhost:8081",
            "stock",
        ];
        for (upto, expected) in expected.into_iter().enumerate() {
            assert_eq!(peer(&all[..=upto], None).as_deref(), Some(expected));
        }
        assert_eq!(peer(&[("server.port", Any::Int(1))], None), None);
    }

    #[test]
    fn databases_of_one_machine_are_told_apart_by_what_they_are() {
        let local = [("server.address", text("localhost"))];
        assert_eq!(peer(&local, Some("postgresql")).as_deref(), Some("postgresql"));
        assert_eq!(peer(&local, Some("redis")).as_deref(), Some("redis"));
        let named = [("peer.service", text("ledger-db"))];
        assert_eq!(peer(&named, Some("redis")).as_deref(), Some("ledger-db"));
    }

    #[test]
    fn secrets_of_urls_are_not_kept() {
        for (text, expected) in [
            ("GET /search?q=secret", "GET /search"),
            ("GET http://ann:pw@shop/a#x", "GET http://shop/a"),
            ("http://shop", "http://shop"),
            ("http://ann@shop?token=1", "http://shop"),
            ("what now?", "what now?"),
            ("a@b", "a@b"),
            ("POST /users/{id}", "POST /users/{id}"),
        ] {
            assert_eq!(discreet(text, Queries::Dropped), expected);
        }
    }

    #[test]
    fn queries_are_kept_for_who_asks_and_credentials_for_nobody() {
        for (text, expected) in [
            ("GET /search?q=tea#top", "GET /search?q=tea#top"),
            ("GET http://ann:pw@shop/a?b=c@d#x", "GET http://shop/a?b=c@d#x"),
            ("http://ann@shop?token=1", "http://shop?token=1"),
        ] {
            assert_eq!(discreet(text, Queries::Kept), expected);
            assert_eq!(bounded(text.as_bytes(), 256, Queries::Kept), expected);
        }
    }

    #[test]
    fn names_that_are_cut_or_mended_stay_apart() {
        let (long, longer) = ("ü".repeat(200), "ü".repeat(201));
        let bounded = |name: &[u8], limit| bounded(name, limit, Queries::Dropped);
        let (a, b) = (bounded(long.as_bytes(), 256), bounded(longer.as_bytes(), 256));
        assert!(a != b && a.len() <= 256 && b.len() <= 256, "{a} {b}");
        assert_eq!(bounded(b"x", 256), "x");
        assert_ne!(bounded(b"a\xff", 256), bounded(b"a\xfe", 256));
    }
}
