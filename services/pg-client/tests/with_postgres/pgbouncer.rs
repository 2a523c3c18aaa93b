//! Behind PgBouncer, which gives each transaction another connection of the server: never a wrong number.
//!
//! Two users services share its two connections to the server, so that each
//! finds the other's statements under the names of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use probe::Probe;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use test_parts::{Part, Port, Postgres};

use crate::service::{get, seed, start};

/// A PgBouncer in front of a server, which ends with this.
struct PgBouncer {
    child: Child,
    port: Port,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    async fn start(program: &Path, url: &str, mode: &str) -> PgBouncer {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::of_loopback().expect("a free port");
        let behind = url.rsplit_once('@').unwrap().1;
        let (address, name) = behind.split_once('/').unwrap();
        let (host, server_port) = address.rsplit_once(':').unwrap();
        let users = folder.path().join("users");
        let ini = folder.path().join("ini");
        let user = url.split("://").nth(1).unwrap().split(['@', ':']).next().unwrap();
        std::fs::write(&users, format!("\"{user}\" \"\"\n")).unwrap();
        let name = name.split('?').next().unwrap();
        let text = format!(
            "[databases]\n{name} = host={host} port={server_port} dbname={name}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n\
             default_pool_size = 2\n",
            port.number(),
            users.display()
        );
        std::fs::write(&ini, text).unwrap();
        let mut command = Command::new(program);
        // It refuses to be root.
        if rustix_is_root() {
            let open = Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path()).status();
            assert!(open.unwrap().success());
            command.args(["-u", "nobody"]);
        }
        let child = command.arg(&ini).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let number = port.number();
        let bouncer = PgBouncer { child, port, _folder: folder };
        for _ in 0..1_000 {
            if tokio::net::TcpStream::connect(("127.0.0.1", number)).await.is_ok() {
                return bouncer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("PgBouncer does not listen");
    }

    /// The same database behind it.
    fn url(&self, url: &str) -> String {
        let (before, behind) = url.rsplit_once('@').unwrap();
        let (_, name) = behind.split_once('/').unwrap();
        format!("{before}@127.0.0.1:{}/{name}", self.port.number())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rustix_is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0")
}

/// Leaves statements of other columns under the names that a driver gives its own, on whatever connections of the
/// server the pooler has.
async fn leave_statements_of_others(url: &str) {
    for _ in 0..4 {
        let options: PgConnectOptions = url.parse().unwrap();
        let options = options.extra_float_digits(None);
        let mut other = PgConnection::connect_with(&options).await.unwrap();
        for number in 1..4 {
            for statement in [
                format!("PREPARE sqlx_s_{number} (text) AS SELECT 42::int8, $1"),
                "SELECT pg_sleep(0.01)".to_owned(),
            ] {
                // Where there is one of that name already, that is as good.
                let _ = other.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await;
            }
        }
    }
}

pub(crate) async fn behind_a_pooler_by_transaction_every_call_is_answered_and_none_with_a_wrong_number()
 {
    let postgres = Postgres::start();
    seed(&postgres.url(), 1_000, true).await;
    for mode in ["transaction", "session"] {
        let bouncer = PgBouncer::start(Part::Pgbouncer.program(), &postgres.url(), mode).await;
        let url = bouncer.url(&postgres.url());
        if mode == "transaction" {
            leave_statements_of_others(&url).await;
        }
        let services = [start(&url, 1, Probe::off()).await, start(&url, 1, Probe::off()).await];
        let calls = (0..200).map(|call| {
            let service = services[call % 2];
            let (email, expected) =
                if call % 3 == 0 { ("user5@example.com", 1) } else { ("common7@example.com", 8) };
            tokio::spawn(async move {
                let path = format!("/users/count?{}", lab_proto::query_of_email(email));
                assert_eq!(get(service, &path).await, (200, json!({"count": expected})), "{email}");
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }
}
