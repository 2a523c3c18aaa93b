//! What a script says that a request is to carry, hop by hop from the edge inwards: the tag that `hoplab.js` writes.

use lab_model::workload::Carried;

/// Reads `REQUEST/REPLY,REQUEST/REPLY/ENVELOPE,…`, in bytes; nothing where nothing is declared.
pub(super) fn read(text: &str) -> Option<Vec<Carried>> {
    let hop = |hop: &str| {
        let bytes: Option<Vec<u64>> = hop.split('/').map(|bytes| bytes.parse().ok()).collect();
        let (request, reply, envelope) = match bytes?[..] {
            [request, reply] => (request, reply, None),
            [request, reply, envelope] => (request, reply, Some(envelope)),
            _ => return None,
        };
        Some(Carried { request: request.into(), reply: reply.into(), envelope })
    };
    if text.is_empty() { Some(Vec::new()) } else { text.split(',').map(hop).collect() }
}

/// Why what is declared of the requests of `cell` cannot be, where some say `one` and some say `other`.
pub(super) fn conflict(cell: &str, one: &str, other: &str) -> Option<String> {
    let said = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
    if [one, other].iter().any(|text| read(text).is_none()) {
        return Some(format!(
            "the tag hoplab_carries of {cell} says {}, which is not what hoplab.js writes of `carries`",
            said(if read(one).is_none() { one } else { other })
        ));
    }
    (one != other).then(|| {
        format!(
            "the script declares of some requests of {cell} that they carry {}, and of others {}: an operation has one \
             payload; give those of another size another name (tags: {{ name: … }})",
            said(one),
            said(other)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_hop_carries_is_read_from_the_edge_inwards() {
        let read = |text| {
            read(text).map(|hops| {
                let hop = |hop: Carried| (hop.request.as_u64(), hop.reply.as_u64(), hop.envelope);
                hops.into_iter().map(hop).collect::<Vec<_>>()
            })
        };
        assert_eq!(read(""), Some(vec![]));
        let both = vec![(Some(0), Some(1_000), None), (Some(1_000), Some(7), Some(20))];
        assert_eq!(read("0/1000,1000/7/20"), Some(both));
        for wrong in ["0", "0/1/2/3", "0/-1", "a/b", "0/1,", "1.5/2"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_operation_that_is_declared_in_two_ways_is_refused_by_name() {
        assert_eq!(conflict("s page", "0/1", "0/1"), None);
        let two = conflict("s page", "0/1", "").expect("a conflict");
        assert!(two.contains("s page that they carry 0/1, and of others nothing"), "{two}");
        let wrong = conflict("s page", "x", "x").expect("a conflict");
        assert!(wrong.contains("says x"), "{wrong}");
    }
}
