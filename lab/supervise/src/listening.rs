//! What a part says on its output when it is ready: where it listens.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a part says when it is ready.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    /// Where it listens, by name.
    pub(super) addresses: BTreeMap<String, SocketAddr>,
    /// The process to watch, if it is not the child itself but one that the child keeps.
    pub(super) pid: Option<u32>,
}

/// `listening 127.0.0.1:1`, `listening otlp=127.0.0.1:1 control=127.0.0.1:2`, and of a shim
/// `listening 127.0.0.1:1 pid=2` or `listening pid=2`.
pub(super) fn parse_listening(line: &str) -> Option<Listening> {
    let words = line.trim().strip_prefix("listening ")?.split_ascii_whitespace();
    let mut listening = Listening::default();
    for word in words {
        match word.split_once('=') {
            Some(("pid", pid)) => listening.pid = Some(pid.parse().ok()?),
            named => {
                let (name, address) = named.unwrap_or(("", word));
                listening.addresses.insert(name.to_owned(), address.parse().ok()?);
            }
        }
    }
    Some(listening).filter(|listening| *listening != Listening::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_names_one_address_or_several() {
        let one = parse_listening("listening 127.0.0.1:8080\n").unwrap();
        assert_eq!(one.addresses[""], "127.0.0.1:8080".parse().unwrap());
        let two = parse_listening("listening otlp=127.0.0.1:1 control=127.0.0.1:2").unwrap();
        assert_eq!(two.addresses["control"], "127.0.0.1:2".parse().unwrap());
        let kept = parse_listening("listening 127.0.0.1:1 pid=7").unwrap();
        assert_eq!((kept.pid, kept.addresses.len()), (Some(7), 1));
        assert_eq!(parse_listening("listening pid=7").unwrap().pid, Some(7));
        for line in [
            "",
            "listening",
            "listening ",
            "ready 127.0.0.1:1",
            "listening here",
            "listening pid=x",
        ] {
            assert_eq!(parse_listening(line), None, "{line}");
        }
    }
}
