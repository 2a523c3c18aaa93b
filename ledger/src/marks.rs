//! Points of a hop, and what one side of a hop measured of the messages it sent and received.
//!
//! Both sides are described by the same points: a client's outbound message is the request, a
//! server's is the reply. What a stage between two points is called is not decided here.

macro_rules! points {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        /// A named point of one side of a hop.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Point { $(#[doc = $doc] $name,)* }

        impl Point {
            /// Every point, in the order in which a request passes them on a client.
            pub const ALL: &'static [Point] = &[$(Point::$name,)*];
            /// How many points there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The two letters that stand for the point in a `lab.marks` attribute.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Point::$name => $code,)* }
            }

            /// The point that `code` stands for, if it does.
            #[must_use]
            pub fn from_code(code: &[u8]) -> Option<Point> {
                Self::from_letters(code.try_into().ok()?)
            }

            #[inline]
            pub(crate) fn from_letters(code: [u8; 2]) -> Option<Point> {
                let (known, point) = BY_CODE[place(code[0], code[1])];
                point.filter(|_| known == u16::from_le_bytes(code))
            }
        }
    };
}

points! {
    Planned = "pl", "When the load plan wanted the call to start (edge hop only).";
    CallStart = "cs", "The caller asks for the call.";
    EncodeStart = "es", "The outbound message begins to be turned into bytes.";
    EncodeEnd = "ee", "The outbound message is bytes.";
    SendBegin = "sb", "The connection begins to work on the outbound message.";
    LastWrite = "lw", "Entering the write that carries the last payload byte.";
    EosWrite = "ew", "Entering the write that carries END_STREAM, or the last byte of HTTP/1.1.";
    FirstRead = "fr", "The read that returned the first byte of the inbound message returns.";
    LastRead = "lr", "The read that returned the last payload byte of the inbound message returns.";
    NextIo = "ni", "The connection's next I/O call after `LastRead` is entered.";
    EosRead = "er", "The read that returned END_STREAM, trailers or the terminator returns.";
    DecodeStart = "ds", "The inbound bytes begin to be turned into a message.";
    DecodeEnd = "de", "The inbound bytes are a message.";
    HandlerStart = "hs", "The service's own code starts (server only).";
    HandlerEnd = "he", "The service's own code ends (server only).";
    CallEnd = "ce", "The call returns to the caller (client only).";
    Abandoned = "ab", "The request was given up before its reply was sent (server only).";
}

/// The place of two letters in [`BY_CODE`].
const fn place(first: u8, second: u8) -> usize {
    ((first as usize % 32) << 5) | (second as usize % 32)
}

/// Which point two letters stand for, and which letters do. A receiver looks up a dozen for every span.
static BY_CODE: [(u16, Option<Point>); 1_024] = {
    let mut points = [(0, None); 1_024];
    let mut at = 0;
    while at < Point::COUNT {
        let code = Point::ALL[at].code().as_bytes();
        let letters = u16::from_le_bytes([code[0], code[1]]);
        points[place(code[0], code[1])] = (letters, Some(Point::ALL[at]));
        at += 1;
    }
    points
};

/// The marks of one side of a hop, in nanoseconds of [`crate::clock`]. Any may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks([u64; Point::COUNT]);

impl Marks {
    /// The mark at `point`, if it was taken.
    #[must_use]
    pub fn get(&self, point: Point) -> Option<u64> {
        Some(self.0[point as usize]).filter(|&at| at != 0)
    }

    /// Takes the mark at `point`; zero removes it.
    pub fn set(&mut self, point: Point, at: u64) {
        self.0[point as usize] = at;
    }

    /// These marks with one more.
    #[must_use]
    pub fn with(mut self, point: Point, at: u64) -> Self {
        self.set(point, at);
        self
    }

    /// The marks that were taken, in the order of [`Point::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Point, u64)> + '_ {
        Point::ALL.iter().filter_map(|&point| Some((point, self.get(point)?)))
    }

    /// The earliest mark taken.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.ends().map(|(first, _)| first)
    }

    /// The earliest and the latest mark taken, in one pass.
    #[must_use]
    pub fn ends(&self) -> Option<(u64, u64)> {
        let (mut first, mut last) = (u64::MAX, 0);
        for &at in &self.0 {
            // One that was not taken is 0, and so, less one, the largest.
            first = first.min(at.wrapping_sub(1));
            last = last.max(at);
        }
        (last != 0).then(|| (first + 1, last))
    }

    /// A time, and how long after it each mark was taken, in 32 bits; 0 of one that was not. `None` if one has no room in
    /// them.
    pub(crate) fn since(&self) -> Option<(u64, [u32; Point::COUNT])> {
        let mut since = [0; Point::COUNT];
        let Some((first, last)) = self.ends() else { return Some((0, since)) };
        let base = first - 1;
        u32::try_from(last - base).ok()?;
        for (since, &at) in since.iter_mut().zip(&self.0) {
            *since = if at == 0 { 0 } else { (at - base) as u32 };
        }
        Some((base, since))
    }

    /// Makes these the marks taken so long after `base`, as [`Self::since`] has them.
    pub(crate) fn become_after(&mut self, base: u64, since: &[u32; Point::COUNT]) {
        for (at, &since) in self.0.iter_mut().zip(since) {
            *at = if since == 0 { 0 } else { base.wrapping_add(since.into()) };
        }
    }

    /// Takes every mark back.
    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// Where the time between `SendBegin` and `LastWrite` of the outbound message went, in nanoseconds.
///
/// The four are disjoint by construction (the tap books an overlap once: socket write before socket
/// wait before window wait before framing). What they leave of the span is time in which the
/// connection worked for other messages or did not run at all: queueing, not framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sending {
    /// A stream or connection window was exhausted while bytes of this message were pending.
    pub window_wait: u64,
    /// From a refused write to the attempt that succeeded.
    pub socket_wait: u64,
    /// Inside write calls, this message's share by bytes.
    pub socket_write: u64,
    /// The connection was running between I/O calls, this message's share by bytes.
    pub framing: u64,
}

impl Sending {
    /// All four, in the order in which they stand.
    #[must_use]
    pub fn numbers(&self) -> [u64; 4] {
        let Sending { window_wait, socket_wait, socket_write, framing } = *self;
        [window_wait, socket_wait, socket_write, framing]
    }

    /// The four of [`Self::numbers`].
    pub(crate) fn from_numbers(numbers: [u64; 4]) -> Sending {
        let [window_wait, socket_wait, socket_write, framing] = numbers;
        Sending { window_wait, socket_wait, socket_write, framing }
    }

    /// All four, added up.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.window_wait + self.socket_wait + self.socket_write + self.framing
    }
}

/// What one message put on the wire, counted by the tap, in bytes.
///
/// `wire = body + framing + headers`. `payload` is what the application put into the body; the rest
/// of the body is its envelope (JSON punctuation, protobuf tags).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Application payload inside the body: `body` less the envelope that the codec reported.
    pub payload: u64,
    /// Body bytes seen on the wire: DATA or HTTP/1.1 body, less any gRPC message prefix.
    pub body: u64,
    /// Everything seen on the wire for this message.
    pub wire: u64,
    /// HTTP/2 frames (HEADERS, CONTINUATION, DATA); for HTTP/1.1 the head and each body chunk.
    pub frames: u64,
    /// Frame headers, padding, chunk sizes and gRPC message prefixes.
    pub framing: u64,
    /// Header blocks as sent, trailers included.
    pub headers: u64,
}

impl Traffic {
    /// All six, in the order in which they stand.
    #[must_use]
    pub fn numbers(&self) -> [u64; 6] {
        let Traffic { payload, body, wire, frames, framing, headers } = *self;
        [payload, body, wire, frames, framing, headers]
    }

    /// The six of [`Self::numbers`].
    pub(crate) fn from_numbers(numbers: [u64; 6]) -> Traffic {
        let [payload, body, wire, frames, framing, headers] = numbers;
        Traffic { payload, body, wire, frames, framing, headers }
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, Traffic { payload, body, wire, frames, framing, headers }: Traffic) {
        self.payload += payload;
        self.body += body;
        self.wire += wire;
        self.frames += frames;
        self.framing += framing;
        self.headers += headers;
    }
}
