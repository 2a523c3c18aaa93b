//! k6, making the same requests of the same server at the same rate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use lab_drive::builtin::threads_cpu_ns;
use lab_drive::k6::Release;
use tokio::process::Command;

use crate::server::Server;

/// Time before k6 is measured: it starts, reads its script and makes its users.
const WARMUP: Duration = Duration::from_secs(3);

/// k6 and what it is to do.
pub(crate) struct K6 {
    /// The program.
    pub(crate) program: PathBuf,
    /// What it says it is.
    pub(crate) release: Release,
    /// The server.
    pub(crate) address: SocketAddr,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Seconds that are measured.
    pub(crate) seconds: u64,
}

impl K6 {
    fn script(&self) -> String {
        let (address, rate, seconds) =
            (self.address, self.rate, self.seconds + WARMUP.as_secs() + 3);
        format!(
            r#"import http from 'k6/http';
import {{ check }} from 'k6';
export const options = {{ scenarios: {{ load: {{ executor: 'constant-arrival-rate', rate: {rate}, timeUnit: '1s',
  duration: '{seconds}s', preAllocatedVUs: 50, maxVUs: 200 }} }} }};
const params = {{ headers: {{ 'Content-Type': 'application/json' }} }};
const body = JSON.stringify({{ size: 10 }});
export default function () {{
  const reply = http.post('http://{address}/rest/ping', body, params);
  check(reply, {{ 'status is 200': (r) => r.status === 200 }});
}}
export const handleSummary = () => ({{}});
"#
        )
    }

    /// Requests per CPU second, in the middle of a round: what k6 needs to start is not counted.
    pub(crate) async fn economy(&self, server: &Server) -> Result<f64> {
        let script = tempfile::Builder::new().suffix(".js").tempfile()?;
        std::fs::write(script.path(), self.script())?;
        let mut child = Command::new(&self.program)
            .args(["run", "--quiet", "--no-usage-report"])
            .args(self.release.arguments())
            .arg(script.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("k6 has ended at once")?;
        tokio::time::sleep(WARMUP).await;
        let before = (server.count().await?, threads_cpu_ns(pid).context("k6 has ended")?);
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let after = (server.count().await?, threads_cpu_ns(pid).context("k6 has ended")?);
        child.wait().await?;
        let (requests, cpu_ns) = (after.0 - before.0, after.1 - before.1);
        let planned = self.rate * self.seconds as f64;
        anyhow::ensure!(
            requests as f64 > 0.95 * planned,
            "k6 made {requests} of {planned} requests"
        );
        Ok(requests as f64 / (cpu_ns as f64 / 1e9))
    }
}
