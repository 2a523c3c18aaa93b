//! One side of a hop as it travels: a record that a client or server span carries as attributes.
//!
//! The text form is short (one string instead of twenty attributes), readable, and versionless by
//! construction: unknown keys are skipped, missing keys are absent marks.

use std::fmt::Write as _;

use crate::entries::{HalfError, entries};
use crate::marks::{Marks, Point, Sending, Traffic};
use crate::names;
use crate::stage::Stage;

/// Which side of a hop a record was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The process that made the call.
    Client,
    /// The process that answered it.
    Server,
    /// A relay between the two: it answers the one and calls the other.
    Wire,
}

/// What a relay saw on its *far* face, the connection to the server: there the request goes out and the reply comes in.
/// Everything else in a relay's [`Half`] was seen on the *near* face, the connection to the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Far {
    /// The marks taken there.
    pub marks: Marks,
    /// Where the time of the request went while it was being passed on.
    pub sending: Sending,
    /// The request as it was passed on.
    pub outbound: Traffic,
    /// The reply as it came.
    pub inbound: Traffic,
    /// Number of the connection within the relay's process; 0 if unknown.
    pub connection: u64,
}

/// What one side of a hop knows about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half {
    /// Which side this is.
    pub side: Side,
    /// Start and end of the span on the clock of its own process, in nanoseconds. A foreign span has
    /// them in wall time: then use only their difference, and compare them only within one process.
    pub interval: (u64, u64),
    /// Start of the span by the wall, as its process told it, in nanoseconds since 1970; 0 if unknown.
    pub wall: u64,
    /// Identity of the clock the marks were read from; empty if unknown.
    pub clock: String,
    /// The marks taken. None at all for a foreign span.
    pub marks: Marks,
    /// Where the time went while the outbound message was being sent.
    pub sending: Sending,
    /// What the outbound message put on the wire.
    pub outbound: Traffic,
    /// What the inbound message put on the wire.
    pub inbound: Traffic,
    /// Number of the connection within its process, from 1; 0 if unknown.
    pub connection: u64,
    /// HTTP version seen on the wire: 11 or 20; 0 if not tapped.
    pub http: u64,
    /// How often the request was put on a connection (client side).
    pub attempts: u64,
    /// Kind of database called, where it was one: such a call has no other side (client only).
    pub database: Option<String>,
    /// The call was timed by another process than the one that it belongs to, on a clock of its own: how long the call
    /// took is known, but not when (client only).
    pub elsewhere: bool,
    /// The call streamed: it had more than one message in one direction, so only its beginning and its end are marked.
    pub streaming: bool,
    /// Injected delays, as the injector measured them, in nanoseconds.
    pub injected: Vec<(Stage, u64)>,
    /// The far face (of a relay only).
    pub far: Option<Box<Far>>,
}

/// A span attribute of a [`Half`].
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The attribute's key, one of [`crate::names`].
    pub key: &'static str,
    /// Its value.
    pub value: Value,
}

/// The value of an [`Attribute`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
}

const TRAFFIC_KEYS: [&str; 6] = ["p", "b", "w", "f", "g", "h"];

impl Half {
    /// An empty record for `side` with the given span interval.
    #[must_use]
    pub fn new(side: Side, interval: (u64, u64)) -> Self {
        Half {
            side,
            interval,
            wall: 0,
            clock: String::new(),
            marks: Marks::default(),
            sending: Sending::default(),
            outbound: Traffic::default(),
            inbound: Traffic::default(),
            connection: 0,
            http: 0,
            attempts: 0,
            database: None,
            elsewhere: false,
            streaming: false,
            injected: Vec::new(),
            far: None,
        }
    }

    /// Makes it the empty record of another span, in the place and the memory that it has.
    pub fn begin_anew(&mut self, side: Side, interval: (u64, u64)) {
        // Field by field where they are: a record is half a kilobyte, and one that is new would be moved here.
        let Half {
            side: of,
            interval: of_span,
            wall,
            clock,
            marks,
            sending,
            outbound,
            inbound,
            connection,
            http,
            attempts,
            database,
            elsewhere,
            streaming,
            injected,
            far,
        } = self;
        (*of, *of_span, *wall) = (side, interval, 0);
        marks.clear();
        *sending = Sending::default();
        *outbound = Traffic::default();
        *inbound = Traffic::default();
        (*connection, *http, *attempts) = (0, 0, 0);
        (*elsewhere, *streaming, *database, *far) = (false, false, None, None);
        clock.clear();
        injected.clear();
    }

    /// The duration of the span, in nanoseconds.
    #[must_use]
    pub fn duration(&self) -> i64 {
        self.interval.1.wrapping_sub(self.interval.0).cast_signed()
    }

    /// From the planned start of the call, or where nothing was planned from its start, until it returned to its caller.
    #[must_use]
    pub fn call(&self) -> (u64, u64) {
        let (start, end) = self.interval;
        let mark = |point| self.marks.get(point);
        let start = mark(Point::Planned).or_else(|| mark(Point::CallStart)).unwrap_or(start);
        (start, mark(Point::CallEnd).unwrap_or(end))
    }

    /// The residence of a request in a server: from the last byte of the request to the last byte of the reply, as far
    /// as the server knows.
    #[must_use]
    pub fn residence(&self) -> (u64, u64) {
        let (start, end) = self.interval;
        let mark = |point| self.marks.get(point);
        (
            mark(Point::LastRead).unwrap_or(start),
            mark(Point::LastWrite).or_else(|| mark(Point::Abandoned)).unwrap_or(end),
        )
    }

    /// Whether the connection was tapped on this side: both ends of the wire are marked.
    #[must_use]
    pub fn tapped(&self) -> bool {
        self.marks.get(Point::LastWrite).is_some() && self.marks.get(Point::LastRead).is_some()
    }

    /// The record as span attributes.
    #[must_use]
    pub fn attributes(&self) -> Vec<Attribute> {
        let text = |key, value: String| Attribute { key, value: Value::Text(value) };
        let mut all =
            vec![text(names::MARKS, self.marks_text()), text(names::WIRE, self.wire_text())];
        if !self.injected.is_empty() {
            let entries: Vec<_> =
                self.injected.iter().map(|(stage, ns)| format!("{stage}={ns}")).collect();
            all.push(text(names::INJECTED, entries.join(" ")));
        }
        all.extend(self.database.iter().map(|name| text(names::DB_SYSTEM_NAME, name.clone())));
        all
    }

    /// Takes in one attribute of a span; attributes that are not a record's are ignored.
    ///
    /// # Errors
    /// [`HalfError`] names the attribute and the entry that is not `KEY=INTEGER`. Entries before it
    /// have been taken in.
    pub fn read(&mut self, key: &str, text: &str) -> Result<(), HalfError> {
        match key {
            names::MARKS => self.read_marks(text),
            names::WIRE => self.read_wire(text),
            names::INJECTED => {
                for entry in entries(names::INJECTED, text) {
                    let (key, ns) = entry?;
                    if let Ok(stage) = Stage::from_name(key) {
                        self.injected.push((stage, ns.unsigned_abs()));
                    }
                }
                Ok(())
            }
            names::DB_SYSTEM_NAME => {
                self.database = Some(text.to_owned());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn marks_text(&self) -> String {
        let base = self.marks.first().unwrap_or_default();
        let mut text = format!("base={base}");
        for (point, at) in self.marks.iter() {
            let _ = write!(text, " {}={}", point.code(), at.wrapping_sub(base).cast_signed());
        }
        let Sending { window_wait, socket_wait, socket_write, framing } = self.sending;
        for (key, ns) in
            [("win", window_wait), ("swt", socket_wait), ("swr", socket_write), ("frm", framing)]
        {
            if ns != 0 {
                let _ = write!(text, " {key}={ns}");
            }
        }
        text
    }

    fn read_marks(&mut self, text: &str) -> Result<(), HalfError> {
        let mut base = 0_i64;
        for entry in entries(names::MARKS, text) {
            let (key, value) = entry?;
            let ns = value.unsigned_abs();
            match key {
                "base" => base = value,
                "win" => self.sending.window_wait = ns,
                "swt" => self.sending.socket_wait = ns,
                "swr" => self.sending.socket_write = ns,
                "frm" => self.sending.framing = ns,
                code => {
                    if let Some(point) = Point::from_code(code.as_bytes()) {
                        self.marks.set(point, base.saturating_add(value).unsigned_abs());
                    }
                }
            }
        }
        Ok(())
    }

    fn wire_text(&self) -> String {
        let mut text = format!("con={} http={} try={}", self.connection, self.http, self.attempts);
        if self.streaming {
            text.push_str(" st=1");
        }
        for (prefix, traffic) in [('o', &self.outbound), ('i', &self.inbound)] {
            let Traffic { payload, body, wire, frames, framing, headers } = *traffic;
            let values = [payload, body, wire, frames, framing, headers];
            for (key, value) in TRAFFIC_KEYS.into_iter().zip(values) {
                let _ = write!(text, " {prefix}{key}={value}");
            }
        }
        text
    }

    fn read_wire(&mut self, text: &str) -> Result<(), HalfError> {
        for entry in entries(names::WIRE, text) {
            let (key, value) = entry?;
            let value = value.unsigned_abs();
            match key {
                "con" => self.connection = value,
                "http" => self.http = value,
                "try" => self.attempts = value,
                "st" => self.streaming = value != 0,
                _ => {
                    let traffic = match key.as_bytes().first() {
                        Some(b'o') => &mut self.outbound,
                        Some(b'i') => &mut self.inbound,
                        _ => continue,
                    };
                    match key.get(1..) {
                        Some("p") => traffic.payload = value,
                        Some("b") => traffic.body = value,
                        Some("w") => traffic.wire = value,
                        Some("f") => traffic.frames = value,
                        Some("g") => traffic.framing = value,
                        Some("h") => traffic.headers = value,
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_back(half: &Half) -> Half {
        let mut read = Half::new(half.side, half.interval);
        for Attribute { key, value } in half.attributes() {
            let Value::Text(text) = value else { panic!("{key} is not text") };
            read.read(key, &text).unwrap();
        }
        read
    }

    proptest! {
        #[test]
        fn a_record_survives_the_journey_as_attributes(
            marks in proptest::collection::vec(proptest::option::of(1..u64::MAX / 4), Point::COUNT),
            numbers in proptest::collection::vec(0..u64::MAX / 4, 10),
        ) {
            let mut half = Half::new(Side::Client, (1, 2));
            for (&point, at) in Point::ALL.iter().zip(&marks) {
                half.marks.set(point, at.unwrap_or(0));
            }
            half.sending = Sending {
                window_wait: numbers[0],
                socket_wait: numbers[1],
                socket_write: numbers[2],
                framing: numbers[3],
            };
            half.outbound.payload = numbers[4];
            half.inbound = Traffic { payload: numbers[5], body: numbers[6], wire: numbers[7], frames: 3, framing: 9, headers: 1 };
            half.connection = numbers[8];
            half.database = (numbers[8] % 2 == 1).then(|| "postgresql".to_owned());
            half.injected = vec![(Stage::RequestEncode, numbers[9])];
            prop_assert_eq!(read_back(&half), half);
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".{0,80}") {
            let mut half = Half::new(Side::Server, (0, 0));
            for key in [names::MARKS, names::WIRE, names::INJECTED, names::DB_SYSTEM_NAME, "other"] {
                let _ = half.read(key, &text);
            }
        }
    }

    #[test]
    fn a_malformed_entry_is_named() {
        let mut half = Half::new(Side::Server, (0, 0));
        let error = half.read(names::MARKS, "base=5 lr=ten").unwrap_err();
        assert_eq!(error.to_string(), "span attribute lab.marks: \"lr=ten\" is not KEY=INTEGER");
    }
}
