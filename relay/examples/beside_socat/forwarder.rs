//! What stands between who asks and who answers, as a process of its own, and what that used.

use std::fmt;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use test_parts::Port;

/// How long a forwarder may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the requests go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// Nothing.
    Direct,
    Socat,
    /// Our relay; the requests bear the flag that says that they are not sampled.
    Relay,
    /// The same where every request is sampled, and its span sent.
    Sampled,
}

impl Path {
    pub(crate) const ALL: [Path; 4] = [Path::Direct, Path::Socat, Path::Relay, Path::Sampled];
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Path::Direct => "direct",
            Path::Socat => "socat",
            Path::Relay => "relay, not sampled",
            Path::Sampled => "relay, all sampled",
        })
    }
}

/// Whether there is a socat.
pub(crate) fn socat() -> bool {
    let asked =
        Command::new("socat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// CPU time of a process with its threads and children, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// In all, by the scheduler's count.
    pub(crate) cpu_ns: u64,
    /// The kernel's part of it, in the ticks of `stat`.
    pub(crate) kernel_ns: u64,
}

impl Used {
    pub(crate) fn since(self, before: Used) -> Used {
        Used {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            kernel_ns: self.kernel_ns.saturating_sub(before.kernel_ns),
        }
    }

    fn and(self, other: Used) -> Used {
        Used { cpu_ns: self.cpu_ns + other.cpu_ns, kernel_ns: self.kernel_ns + other.kernel_ns }
    }
}

/// A forwarder that runs; nothing, if the path is direct.
pub(crate) struct Forwarder {
    path: Path,
    pub(crate) address: SocketAddr,
    child: Option<Child>,
    said: Option<Lines<BufReader<ChildStdout>>>,
}

impl Forwarder {
    /// Starts what `path` is, to a service at `to`; spans go to `spans`.
    pub(crate) fn start(path: Path, to: SocketAddr, spans: SocketAddr) -> Result<Forwarder> {
        match path {
            Path::Direct => Ok(Forwarder { path, address: to, child: None, said: None }),
            Path::Socat => Forwarder::start_socat(to),
            Path::Relay | Path::Sampled => Forwarder::start_relay(path, to, spans),
        }
    }

    fn start_socat(to: SocketAddr) -> Result<Forwarder> {
        // It cannot be asked which port it took.
        let port = Port::of_loopback()?;
        let (address, number) = (port.address, port.number());
        let child = Command::new("socat")
            .arg(format!("TCP-LISTEN:{number},bind=127.0.0.1,reuseaddr,fork,nodelay"))
            .arg(format!("TCP:{to},nodelay"))
            .spawn()
            .context("starting socat")?;
        let forwarder = Forwarder { path: Path::Socat, address, child: Some(child), said: None };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(began.elapsed() < PATIENCE, "socat does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(forwarder)
    }

    fn start_relay(path: Path, to: SocketAddr, spans: SocketAddr) -> Result<Forwarder> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["relay", "--listen", "127.0.0.1:0", "--to", &to.to_string()])
            .args(["--sidecar", &format!("http://{spans}")])
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the relay")?;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let line = lines.next().context("the relay has ended")??;
        let address = line.strip_prefix("listening ").context("it tells its address")?.parse()?;
        Ok(Forwarder { path, address, child: Some(child), said: Some(lines) })
    }

    /// What it has used so far.
    pub(crate) fn used(&self) -> Result<Used> {
        self.child.as_ref().map_or(Ok(Used::default()), |child| used(child.id()))
    }

    /// Ends it; of a relay it is known then whether it has seen the `requests` that there were, and how.
    pub(crate) fn stop(mut self, requests: u64) -> Result<()> {
        let Some(mut lines) = self.said.take() else { return Ok(()) };
        self.end();
        let line = lines.next().context("the relay says nothing in the end")??;
        let counts: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let &[seen, sampled, unmatched, lost] = &counts[..] else {
            bail!("the relay said {line:?}")
        };
        let to_sample = if self.path == Path::Sampled { requests } else { 0 };
        ensure!(seen == requests, "the relay saw {seen} of {requests} requests");
        ensure!(sampled == to_sample, "it took {sampled} for sampled, of {to_sample}");
        ensure!(unmatched == 0, "its faces saw {unmatched} differently");
        ensure!(lost == 0, "{lost} of {sampled} spans were lost: what they cost is not known");
        Ok(())
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // Children of socat that still wait for an end go with it. Whoever has gone already cannot be told.
        let children = children(child.id()).unwrap_or_default();
        for pid in children.into_iter().chain([child.id()]) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let _ = child.wait();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.end();
    }
}

/// The processes that `pid` has started.
fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("children"))?;
        found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

/// What a process, its threads and its children have used.
fn used(pid: u32) -> Result<Used> {
    /// `USER_HZ`, which is the same on every machine that Linux is built for here.
    const TICK_NS: u64 = 10_000_000;
    let mut all = Used::default();
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let ran = std::fs::read_to_string(task.join("schedstat"))?;
        let stat = std::fs::read_to_string(task.join("stat"))?;
        // The name is in brackets and may hold anything; after it the fields begin with the third.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let kernel: u64 = fields.get(12).context("a field of stat")?.parse()?;
        all = all.and(Used {
            cpu_ns: ran.split_whitespace().next().context("schedstat")?.parse()?,
            kernel_ns: kernel * TICK_NS,
        });
    }
    children(pid)?.into_iter().try_fold(all, |all, child| Ok(all.and(used(child)?)))
}
