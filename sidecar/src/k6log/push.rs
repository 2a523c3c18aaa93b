//! One push: `{"streams":[{"stream":{LABELS},"values":[["NANOSECONDS","LINE"],…]},…]}`, in JSON.
//!
//! The form is that of Loki's push API as k6 writes it: the time of each line in nanoseconds since 1970, as text.

use std::borrow::Cow;

use opentelemetry_proto::tonic::trace::v1::Span;
use serde::Deserialize;

use super::counts::Brought;
use super::line;

/// A line of k6's own that says how many it left out.
const DROPPED: &str = "k6 dropped ";

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow)]
    streams: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    stream: Labels<'a>,
    #[serde(borrow)]
    values: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Labels<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
}

/// The spans of the requests that a push tells of, and what else is in it.
///
/// # Errors
/// If it is not of that form.
pub(super) fn read(body: &[u8]) -> Result<(Vec<Span>, Brought), serde_json::Error> {
    let push: Push<'_> = serde_json::from_slice(body)?;
    let (mut spans, mut brought) = (Vec::new(), Brought::default());
    for Stream { stream: Labels { level, source }, values } in push.streams {
        for (at, text) in values {
            let Some(said) = text.strip_prefix(line::PREFIX) else {
                // Of a script's own lines none is taken for k6's.
                let own = text.strip_prefix(DROPPED).filter(|_| source != "console");
                let dropped = own.and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
                brought.dropped_by_k6 = brought.dropped_by_k6.saturating_add(dropped.unwrap_or(0));
                brought.other(&level, &text);
                continue;
            };
            match at.parse().map_err(|_| line::Wrong::Time).and_then(|at| line::read(said, at)) {
                Ok(span) => spans.push(span),
                Err(wrong) => brought.refuse(wrong.name(), || wrong.to_string()),
            }
        }
    }
    Ok((spans, brought))
}
