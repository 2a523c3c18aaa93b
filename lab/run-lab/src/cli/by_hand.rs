//! How to make load by hand for what `run-lab up` started.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::run::TestBed;
use lab_launch::{Store, Tool};

/// Has a request traced, each under a trace of its own: whether it is, is for the caller to say.
const TRACED: &str =
    r#"-H "traceparent: 00-$(tr -d - </proc/sys/kernel/random/uuid)-0000000000000001-01""#;
/// Where k6 is to push its log, behind the sidecar's address: what it says of a request there is the edge of it.
const PUSHES: &str = "/loki/api/v1/push,limit=2000,pushPeriod=500ms,level=info";

/// How to make load. Writing to a string cannot fail.
pub(super) fn how_to(
    testbed: &TestBed,
    (gateway, otlp): (&str, SocketAddr),
    scripts: &Path,
    text: &mut String,
) {
    let _ = writeln!(
        text,
        "\nask      curl -d '{{\"size\": 10}}' -H 'Content-Type: application/json' {TRACED} {gateway}/grpc/ping"
    );
    if testbed.users().is_some() {
        let ask = format!("{gateway}/rest/users/count?email=common0@example.com");
        let _ = writeln!(text, "         curl {TRACED} {ask}");
    }
    let _ = writeln!(
        text,
        "load     K6_LOG_OUTPUT=loki=http://{otlp}{PUSHES} k6 run -e GATEWAY={gateway} -e PROTOCOL=grpc -e SIZE=1000 -e RATE=100 {}",
        scripts.join("ping.js").display()
    );
    if let Some(Store { url, database, .. }) = testbed.store() {
        let own = testbed.addresses().iter().any(|(tool, _)| *tool == Tool::Influxdb);
        let secret = if own {
            ", user lab with the secret in the folder of its data (secret-of-reader: one that only reads)"
        } else {
            ""
        };
        let _ = writeln!(text, "points   {url}, database {database}{secret}");
    }
}
