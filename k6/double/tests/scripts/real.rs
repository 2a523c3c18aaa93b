//! The scripts by the k6 that is here.

use std::process::Command;

use crate::world::{World, script};

/// What k6 ends with where a threshold is not kept.
const THRESHOLDS: i32 = 99;

pub(crate) fn by_k6_every_script_says_that_nobody_answered() {
    let world = World::new();
    world.write(
        "requests.json",
        r#"[{"method":"GET","route":"/a","path":["/a"],"headers":[],"body":null,"payload_bytes":0,"weight":1,
        "answer":{"status":200,"json":[],"payload":null,"text":null},"rows":[]}]"#,
    );
    // Bound and not listening: whoever connects is refused.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    drop(taken);
    for name in ["ping.js", "users.js", "requests.js"] {
        let run = Command::new(test_parts::Part::K6.program())
            .args(["run", "--quiet", "--no-color", "--no-usage-report"])
            .arg(script(name))
            .env("GATEWAY", format!("http://{address}"))
            .env("REQUESTS", world.path("requests.json"))
            .env("RATE", "5")
            .env("DURATION", "1s")
            .env("HOME", world.path("nobody"))
            .output()
            .expect("k6 starts");
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(said.contains("no latency: none of "), "{name}: {said}");
        assert_eq!(
            run.status.code(),
            Some(THRESHOLDS),
            "{name}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
    }
}
