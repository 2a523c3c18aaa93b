//! Marks of replies that are not ours, and of calls that end badly.

use std::time::Duration;

use ledger::{Family, Point, Stage, close};
use probe::{Call, Version};

use crate::own::{Pair, WORK};

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_were_not_made_with_json_reply_have_no_stage_of_negative_time() {
    for version in [Version::Http1, Version::Http2] {
        let mut pair = Pair::start(version).await;
        for (method, path, body, status, work) in [
            ("GET", "/html", "", 200, WORK),
            ("GET", "/empty", "", 204, Duration::ZERO),
            ("GET", "/number?n=x", "", 400, Duration::ZERO),
            ("GET", "/number?n=7", "", 200, Duration::ZERO),
            ("GET", "/users/x", "", 400, Duration::ZERO),
            ("GET", "/nowhere", "", 404, Duration::ZERO),
            ("POST", "/inside", "[1,2,3]", 200, WORK * 2),
        ] {
            // A machine that stands still in the midst of framing does not do so every time.
            let mut asked = 0;
            loop {
                let reply = pair.send(method, path, body).await.unwrap();
                assert_eq!(reply.status().as_u16(), status, "{path}");
                let (_, server, hop) = pair.hop().await;
                let books = close(&hop);
                let stages = &books.hops[0].stages;
                let told = format!("{version:?} {path}: {:?}", stages.iter().collect::<Vec<_>>());
                assert_eq!(books.hops[0].out_of_order, 0, "{told} {:?}", server.half.marks);
                let work = work.as_nanos() as i64;
                assert!(stages.get(Stage::Handler).ns >= work, "{told}");
                if stages.total_in(Family::Framing) < 10_000_000 + work / 2 {
                    break;
                }
                asked += 1;
                assert!(asked < 3, "{told}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_is_abandoned_then_and_not_over_before_it_began() {
    let mut pair = Pair::start(Version::Http2).await;
    let limit = Duration::from_millis(300);
    let call = Call { timeout: Some(limit), ..Call::root(true) };
    let request = http::Request::get("/forever").body(bytes::Bytes::new()).unwrap();
    let error = pair.client.send(request, call).await.unwrap_err();
    assert_eq!(error.status().as_u16(), 504, "{error}");
    let (client, server, hop) = pair.hop().await;
    assert!(server.half.marks.get(Point::Abandoned).is_some());
    assert!(server.half.duration() >= 200_000_000, "{:?}", server.half);
    assert_eq!(client.says("error.type").as_deref(), Some("timeout"));
    assert_eq!(server.says("error.type").as_deref(), Some("cancelled"));
    let books = close(&hop);
    for (stage, time) in books.hops[0].stages.iter() {
        assert!(time.ns >= 0, "{stage}: {time:?}");
    }
    assert!(books.hops[0].stages.get(Stage::Handler).ns >= 200_000_000);
    assert_eq!(books.hops[0].out_of_order, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_called_by_route_and_say_the_least_that_the_conventions_ask_for() {
    let mut pair = Pair::start(Version::Http1).await;
    for (path, name, status) in [
        ("/users/7", "GET /users/{id}", "200"),
        ("/number?n=7", "GET /number", "200"),
        ("/some/thing/else", "GET", "404"),
    ] {
        pair.send("GET", path, "").await.unwrap();
        let (client, server, _) = pair.hop().await;
        assert_eq!(server.name, name);
        assert_eq!(client.name, "GET", "a client's paths may be many");
        let port = pair.address.port().to_string();
        for span in [&client, &server] {
            assert_eq!(span.says("http.request.method").as_deref(), Some("GET"));
            assert_eq!(span.says("http.response.status_code").as_deref(), Some(status));
            assert_eq!(span.says("server.address").as_deref(), Some("127.0.0.1"));
            assert_eq!(span.says("server.port"), Some(port.clone()));
        }
        let route = name.strip_prefix("GET ");
        assert_eq!(server.says("http.route").as_deref(), route);
        assert_eq!(server.half.http, 11);
    }
}
