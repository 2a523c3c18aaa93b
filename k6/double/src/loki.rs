//! The log pushed to a Loki, as k6 does it: in the background, every `pushPeriod`, no more than `limit` lines of one, and
//! what is left when k6 ends. What is not taken is said on the standard error and is not sent again.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::refused::{Refused, code};
use crate::time;

/// A line of the log.
struct Entry {
    /// Nanoseconds since 1970.
    at: u128,
    level: &'static str,
    source: &'static str,
    text: String,
}

/// How to push.
struct Target {
    url: String,
    limit: usize,
    period: Duration,
}

/// What pushes; gone when it has been drained.
#[derive(Debug)]
pub(crate) struct Loki(Mutex<Option<(Sender<Entry>, JoinHandle<()>)>>);

impl Loki {
    /// Begins to push as `loki=URL,limit=N,pushPeriod=SPAN,level=LEVEL` says.
    pub(crate) fn start(text: &str) -> Result<Loki, Refused> {
        let mut target = Target { url: String::new(), limit: 100, period: Duration::from_secs(1) };
        for part in text.split(',') {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key {
                "loki" => target.url = value.to_owned(),
                "limit" => target.limit = value.parse().unwrap_or(target.limit),
                "pushPeriod" => {
                    let span: settings::Span = value
                        .parse()
                        .map_err(|error| Refused::new(code::USAGE, format!("{key}: {error}")))?;
                    target.period = span.duration();
                }
                "level" => {}
                key if key.starts_with("label.") => {}
                _ => {
                    let text = format!("unknown loki config key {key}");
                    return Err(Refused::new(code::USAGE, text));
                }
            }
        }
        let (sender, come) = mpsc::channel();
        let thread = std::thread::spawn(move || take(&come, &target));
        Ok(Loki(Mutex::new(Some((sender, thread)))))
    }

    pub(crate) fn push(&self, level: &'static str, source: &'static str, text: &str) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let entry = Entry { at, level, source, text: text.to_owned() };
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sender, _)) = &*inner {
            // The thread is there until nobody can tell it anything any more.
            let _ = sender.send(entry);
        }
    }

    /// Pushes what is left, and ends.
    pub(crate) fn drain(&self) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, thread)) = inner {
            drop(sender);
            let _ = thread.join();
        }
    }
}

fn take(come: &Receiver<Entry>, target: &Target) {
    let (mut waiting, mut dropped, mut over) = (Vec::new(), 0_usize, false);
    let mut next = Instant::now() + target.period;
    while !over {
        match come.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(entry) => {
                if waiting.len() < target.limit {
                    waiting.push(entry);
                } else {
                    dropped += 1;
                }
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => over = true,
        }
        next = Instant::now() + target.period;
        if waiting.is_empty() {
            continue;
        }
        if dropped > 0 {
            let (limit, period) = (target.limit, target.period);
            let text = format!(
                "k6 dropped {dropped} log messages because they were above the limit of {limit} messages / {period:?}"
            );
            let at = waiting.last().map_or(0, |last| last.at);
            waiting.push(Entry { at, level: "warning", source: "", text });
            dropped = 0;
        }
        let body = message(&std::mem::take(&mut waiting)).to_string();
        let failed = match post(target, &body) {
            Ok((..400, _)) => continue,
            Ok((status, said)) => format!("got {status} from loki: {said}"),
            Err(error) => error.to_string(),
        };
        let at = time::coarse(SystemTime::now());
        eprintln!(
            "time=\"{at}\" level=error msg=\"Error while sending logs to loki\" error={failed:?}"
        );
    }
}

/// The lines of each level and source together.
fn message(entries: &[Entry]) -> Value {
    let mut streams: Vec<((&str, &str), Vec<Value>)> = Vec::new();
    for entry in entries {
        let labels = (entry.level, entry.source);
        let value = json!([entry.at.to_string(), entry.text]);
        match streams.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, values)) => values.push(value),
            None => streams.push((labels, vec![value])),
        }
    }
    let streams = streams.into_iter().map(|((level, source), values)| {
        let mut labels = json!({ "level": level });
        if !source.is_empty() {
            labels["source"] = source.into();
        }
        json!({ "stream": labels, "values": values })
    });
    json!({ "streams": streams.collect::<Vec<_>>() })
}

/// The status of the answer, and its body.
fn post(target: &Target, body: &str) -> io::Result<(u16, String)> {
    let rest = target.url.strip_prefix("http://").unwrap_or(&target.url);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(target.period))?;
    let length = body.len();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let said = answer.split_once("\r\n\r\n").map_or("", |(_, said)| said);
    Ok((status, said.to_owned()))
}
