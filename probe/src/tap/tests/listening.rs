//! A listener that is no probe: what is told of connections and exchanges whoever listens.

use std::cell::RefCell;
use std::rc::Rc;

use ledger::Side;

use super::wire::{END_STREAM, PREFACE, data, reply, request, reset};
use crate::context::SpanContext;
use crate::tap::conn::Conn;
use crate::tap::{Event, Exchange, Listener, Opening, Protocol};

/// What was told, in order.
#[derive(Debug, Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

impl Exchange for Told {
    fn tell(&self, event: Event) {
        self.note(match event {
            Event::FirstRead(_) => "first read".to_owned(),
            Event::LastRead(_) => "last read".to_owned(),
            Event::NextIo(_) => "next i/o".to_owned(),
            Event::Received(_, traffic) => format!("received {}", traffic.body),
            Event::Sent { traffic, .. } => format!("sent {}", traffic.body),
            Event::EosWritten(_) => "end written".to_owned(),
        });
    }

    fn ready(&self, _: u64) -> u64 {
        0
    }

    fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Listener for Told {
    type Exchange = Told;

    fn speaks(&mut self, protocol: Protocol) {
        self.note(format!("{protocol:?}"));
    }

    fn opened(&mut self, request: Opening) -> Option<Told> {
        request.context.filter(|context| context.sampled()).map(|_| self.clone())
    }

    fn replied(&mut self, _: &Told) {
        self.note("replied");
    }

    fn given_up(&mut self, _: &Told, _: &'static str) {
        self.note("given up");
    }
}

fn conn(side: Side) -> (Conn<Told>, Told) {
    let told = Told::default();
    (Conn::new(side, told.clone(), None), told)
}

fn write(conn: &mut Conn<Told>, bytes: &[u8]) {
    let enter = conn.enter();
    conn.wrote(enter, std::iter::once(bytes));
}

fn read(conn: &mut Conn<Told>, bytes: &[u8]) {
    conn.enter();
    conn.read(bytes);
}

fn get(context: SpanContext) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\ntraceparent: {}\r\ncontent-length: 3\r\n\r\nabc", context.header())
        .into_bytes()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn what_is_spoken_is_learnt_from_the_clients_first_bytes_on_either_side() {
    let context = SpanContext::new_root(true);
    let http2 = [PREFACE, &request(END_STREAM, 1, context)].concat();
    for (bytes, protocol) in [
        (http2, "Http2"),
        (get(context), "Http1"),
        (b"\x16\x03\x01\x02\x00".to_vec(), "Tls"),
        (b"\x16garbage".to_vec(), "Unknown"),
        (b"*1\r\n$4\r\nPING\r\n".to_vec(), "Unknown"),
    ] {
        for length in [1, 2, 3, bytes.len()] {
            for side in [Side::Client, Side::Server] {
                let (mut conn, told) = conn(side);
                for piece in bytes.chunks(length) {
                    if side == Side::Client {
                        write(&mut conn, piece)
                    } else {
                        read(&mut conn, piece)
                    }
                }
                let told = told.take();
                assert_eq!(told[0], protocol, "{side:?} {length} {told:?}");
                let followed = told.contains(&"first read".to_owned())
                    || told.contains(&"end written".to_owned());
                assert_eq!(followed, protocol.starts_with("Http"), "{side:?} {length} {told:?}");
            }
        }
    }
}

#[test]
fn both_messages_of_an_exchange_are_told_and_its_end() {
    let context = SpanContext::new_root(true);
    let (mut server, told) = conn(Side::Server);
    read(&mut server, &get(context));
    write(&mut server, OK);
    let expected = ["Http1", "first read", "last read", "last read", "received 3", "next i/o"];
    assert_eq!(told.take(), [&expected[..], &["sent 2", "end written", "replied"]].concat());

    let (mut client, told) = conn(Side::Client);
    write(&mut client, &get(context));
    read(&mut client, OK);
    let expected = ["Http1", "sent 3", "end written", "first read", "last read", "last read"];
    assert_eq!(told.take(), [&expected[..], &["received 2"]].concat());
}

#[test]
fn an_exchange_that_breaks_off_is_told_on_both_sides_and_one_that_is_over_is_not() {
    let context = SpanContext::new_root(true);
    let given_up = |told: &Told| told.take().contains(&"given up".to_owned());
    for reset_it in [false, true] {
        let (mut client, told) = conn(Side::Client);
        write(&mut client, &[PREFACE, &request(END_STREAM, 1, context)].concat());
        read(&mut client, &[reply(0, 1), data(0, 1, 5)].concat());
        if reset_it {
            read(&mut client, &reset(1))
        } else {
            drop(client)
        }
        assert!(given_up(&told));

        let (mut client, told) = conn(Side::Client);
        write(&mut client, &[PREFACE, &request(END_STREAM, 1, context)].concat());
        read(&mut client, &[reply(0, 1), data(END_STREAM, 1, 5)].concat());
        if reset_it {
            read(&mut client, &reset(1))
        } else {
            drop(client)
        }
        assert!(!given_up(&told));

        // A reply that does not wait for the rest of its request is a reply.
        let (mut server, told) = conn(Side::Server);
        read(&mut server, &[PREFACE, &request(0, 1, context)].concat());
        write(&mut server, &reply(END_STREAM, 1));
        if reset_it {
            write(&mut server, &reset(1))
        } else {
            drop(server)
        }
        assert!(!given_up(&told));
    }
}

#[test]
fn nothing_is_told_of_a_request_that_nobody_wants_to_know_of() {
    let (mut server, told) = conn(Side::Server);
    read(&mut server, &get(SpanContext::new_root(false)));
    write(&mut server, OK);
    assert_eq!(told.take(), ["Http1"]);
}
