//! Scripts of anybody, run by the double: what they tell is k6's, and what the double cannot do ends the run by its name.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A service that answers each path in its way, a connection after the other.
fn service() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            std::thread::spawn(move || {
                let mut piece = [0; 4_096];
                while let Ok(count @ 1..) = socket.read(&mut piece) {
                    let asked = String::from_utf8_lossy(&piece[..count]).into_owned();
                    let path = asked.split(' ').nth(1).unwrap_or_default();
                    let (head, body) = match path {
                        "/moved" => ("302 Found\r\nLocation: /there?a=1", ""),
                        "/cookie" => ("200 OK\r\nSet-Cookie: a=b", ""),
                        "/missing" => ("404 Not Found", ""),
                        "/echo" => ("200 OK", asked.split("\r\n\r\n").nth(1).unwrap_or_default()),
                        _ => ("200 OK", r#"{"list":{"name":"x"}}"#),
                    };
                    let reply =
                        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    if socket.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// What a run of a script came to.
struct Ran {
    output: Output,
    points: Vec<Value>,
}

impl Ran {
    fn said(&self) -> String {
        String::from_utf8_lossy(&[&self.output.stdout[..], &self.output.stderr].concat())
            .into_owned()
    }

    /// Points of a metric.
    fn of<'a>(&'a self, metric: &'a str) -> impl Iterator<Item = &'a Value> {
        self.points.iter().filter(move |point| point["metric"] == metric)
    }

    fn tags(&self, metric: &str, tag: &str) -> Vec<String> {
        let tag = |point: &Value| point["data"]["tags"][tag].as_str().unwrap_or("-").to_owned();
        self.of(metric).map(tag).collect()
    }
}

fn run(script: &str) -> Ran {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("script.js"), script).expect("a script");
    run_in(dir.path())
}

fn run_in(dir: &Path) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_k6-double"))
        .args(["run", "--quiet", "--out", "json=stream.ndjson", "script.js"])
        .current_dir(dir)
        .env_clear()
        .env("AT", format!("http://{}", service()))
        .output()
        .expect("the double");
    let stream = std::fs::read_to_string(dir.join("stream.ndjson")).unwrap_or_default();
    let points = stream.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    Ran { points: points.filter(|line| line["type"] == "Point").collect(), output }
}

#[test]
fn a_script_has_what_k6_gives_it() {
    let ran = run(r#"
        import http, { expectedStatuses } from 'k6/http';
        import { check, group, sleep } from 'k6';
        import exec from 'k6/execution';
        import { Trend } from 'k6/metrics';
        const waits = new Trend('own_waits', true);
        export const options = {
          scenarios: {
            each: { executor: 'per-vu-iterations', vus: 2, iterations: 2, tags: { kind: 'each' }, env: { SELF: 'each' } },
            later: { executor: 'shared-iterations', vus: 3, iterations: 5, exec: 'later', startTime: '200ms' },
          },
          thresholds: { own_waits: ['max<1'], 'http_reqs{kind:each}': ['count==12'] },
          summaryTrendStats: ['p(50)', 'count'],
        };
        export const setup = () => ({ path: '/list' });
        export default function (data) {
          const reply = group('look', () => http.get(`${__ENV.AT}${data.path}`, { tags: { name: 'list' } }));
          check(reply, { 'is a list': (r) => r.json('list.name') === 'x' && r.headers['Content-Length'] === '21' });
          check(http.post(`${__ENV.AT}/echo`, { a: 'b c' }), { 'is a form': (r) => r.body === 'a=b+c' });
          http.get(`${__ENV.AT}/missing`, { responseCallback: expectedStatuses(404) });
          waits.add(exec.vu.idInTest, { self: __ENV.SELF });
        }
        export function later() { sleep(0.01); }
        export function handleSummary(data) {
          return { stdout: Object.keys(data.metrics.own_waits.values).join() + ' ' + data.metrics.iterations.values.count };
        }
    "#);
    let said = ran.said();
    // A threshold was missed: no user has a number below 1.
    assert_eq!(ran.output.status.code(), Some(99), "{said}");
    assert!(
        said.contains("count,p(50) 9") && said.contains("'own_waits' have been crossed"),
        "{said}"
    );
    assert_eq!(ran.of("own_waits").count(), 4);
    assert_eq!(ran.tags("own_waits", "self"), ["each"; 4]);
    assert_eq!(ran.tags("checks", "kind"), ["each"; 8]);
    assert!(ran.of("checks").all(|point| point["data"]["value"] == 1), "{said}");
    assert!(ran.of("http_req_failed").all(|point| point["data"]["value"] == 0), "{said}");
    let groups = ran.tags("http_req_duration", "group");
    assert_eq!(groups.iter().filter(|group| *group == "::look").count(), 4, "{groups:?}");
    // Each request is named by its script, or by its URL.
    let names = ran.tags("http_reqs", "name");
    assert_eq!(names.iter().filter(|name| *name == "list").count(), 4, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with("/missing")).count(), 4, "{names:?}");
    assert_eq!(
        ran.tags("iterations", "scenario").iter().filter(|name| *name == "later").count(),
        5
    );
}

#[test]
fn a_redirect_that_is_followed_is_a_request_and_a_failed_one_is_told() {
    let ran = run(r#"
        import http from 'k6/http';
        export default function () {
          const reply = http.get(`${__ENV.AT}/moved`);
          if (reply.url !== `${__ENV.AT}/there?a=1` || reply.status !== 200) { throw new Error(reply.url); }
          http.get(`${__ENV.AT}/missing`);
          if (http.get('http://127.0.0.1:1/').error_code !== 1212) { throw new Error('it was there'); }
        }
    "#);
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    assert_eq!(ran.tags("http_reqs", "status"), ["302", "200", "404", "0"]);
    let failed: Vec<_> = ran.of("http_req_failed").map(|point| &point["data"]["value"]).collect();
    assert_eq!(failed, [0, 0, 1, 1]);
    assert_eq!(ran.tags("http_req_failed", "error_code"), ["-", "-", "1404", "1212"]);
    assert_eq!(ran.of("iterations").count(), 1);
}

#[test]
fn a_closed_loop_goes_on_for_its_time_and_an_exception_ends_an_iteration_only() {
    let ran = run(r#"
        import { sleep } from 'k6';
        export const options = { vus: 2, duration: '1s' };
        export default function () { sleep(0.05); if (__ITER === 1) { null.x; } }
    "#);
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let count = ran.of("iterations").count();
    // Two users who sleep for 50 ms: no more than this, however few on a busy machine.
    assert!((4..=42).contains(&count), "{count}");
    assert_eq!(ran.said().matches("level=error").count(), 2, "{}", ran.said());
}

#[test]
fn what_the_double_cannot_do_ends_the_run_by_its_name() {
    let within = |line: &str| {
        format!(
            "import http from 'k6/http';\nimport exec from 'k6/execution';\nexport default function () {{ try {{ {line} }} catch (error) {{}} }}\n"
        )
    };
    for (script, code, named) in [
        // Whatever the script makes of it.
        (within("http.batch(['http://a'])"), 107, "http.batch"),
        (within("http.asyncRequest('GET', 'http://a')"), 107, "http.asyncRequest"),
        (within("http.get('https://127.0.0.1:1/')"), 107, "only http://"),
        (within("http.get(`${__ENV.AT}/cookie`)"), 107, "keep cookies"),
        (within("http.get(__ENV.AT, { jar: {} })"), 107, "the parameter jar"),
        (within("exec.scenario.progress"), 107, "exec.scenario.progress"),
        (within("exec.test.abort('enough')"), 108, "enough"),
        (
            "import ws from 'k6/ws';\nexport default function () {}\n".to_owned(),
            107,
            "no module k6/ws",
        ),
        (
            "import x from 'https://jslib.k6.io/x.js';\nexport default function () {}\n".to_owned(),
            107,
            "no module https://jslib.k6.io/x.js",
        ),
        (
            "export const options = { stages: [] };\nexport default function () {}\n".to_owned(),
            104,
            "does not know stages",
        ),
        ("export default function () {\n".to_owned(), 107, "SyntaxError"),
        ("export const other = 1;\n".to_owned(), 104, "'default' not found in exports"),
    ] {
        let ran = run(&script);
        assert_eq!(ran.output.status.code(), Some(code), "{script}{}", ran.said());
        assert!(ran.said().contains(named), "{script}{}", ran.said());
    }
}
