//! The shim: a process that starts one program that is not ours, and sees to its end.
//!
//! The lab's own parts stop when their standard input closes. A database does not, so it gets a shim that
//! does: should run-lab be killed, the kernel closes the pipe, the shim notices and stops its program.
//! The shim says `listening` in the words of every other part, once the program answers.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long a program may take to stop before it is killed; shorter than the patience with its shim.
const STOP: Duration = Duration::from_secs(4);
/// How often a program that is starting is asked whether it is ready.
const ASK: Duration = Duration::from_millis(20);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// What to start, and how to know that it is ready.
#[derive(Debug, Args)]
pub struct ShimConfig {
    /// Where the program will listen; it is ready when it accepts connections there
    #[arg(long, value_name = "ADDR")]
    address: Option<SocketAddr>,
    /// Path that answers 200 once it is ready, e.g. /health; needs --address
    #[arg(long, value_name = "PATH", requires = "address")]
    health: Option<String>,
    /// What asks the program to stop
    #[arg(long, value_enum, default_value = "term")]
    stop: StopSignal,
    /// User and group to run it as, as numbers
    #[arg(long, value_name = "UID:GID", value_parser = parse_user)]
    user: Option<(u32, u32)>,
    /// A word of the command that has to succeed first, as the same user (repeatable, in order)
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    first: Vec<OsString>,
    /// Folder to remove when the program has ended
    #[arg(long, value_name = "DIR")]
    remove: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

/// Signals that ask a program to stop in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StopSignal {
    /// SIGTERM
    Term,
    /// SIGINT
    Int,
}

fn parse_user(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once(':').and_then(|(u, g)| Some((u.parse().ok()?, g.parse().ok()?)));
    parts.ok_or_else(|| format!("{text:?} is not UID:GID"))
}

/// Starts the program and stays until it has ended. The exit code is the program's own, or 128 and the signal
/// that ended it, as shells have it.
///
/// # Errors
/// If the program cannot be started or waited for.
pub fn keep(config: &ShimConfig) -> anyhow::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(watch_over(config));
    if let Some(folder) = &config.remove {
        remove(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(code(ended?))
}

/// Removes a folder in which something that the program had started may still write for a moment.
fn remove(folder: &Path) -> io::Result<()> {
    let deadline = Instant::now() + STOP;
    loop {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) if Instant::now() < deadline => std::thread::sleep(ASK),
            done => return done,
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}

async fn watch_over(config: &ShimConfig) -> anyhow::Result<ExitStatus> {
    let mut term = signal(SignalKind::terminate())?;
    let closed = stdin_closed();
    let ordered = async {
        tokio::select! { _ = closed => {} _ = term.recv() => {} }
    };
    tokio::pin!(ordered);
    if let Some(address) = config.address
        && TcpStream::connect(address).await.is_ok()
    {
        // It would be taken for the program.
        anyhow::bail!("another process listens on {address} already");
    }
    if let Some((program, arguments)) = config.first.split_first() {
        let mut first = spawn(program, arguments, config.user)?;
        let status = tokio::select! {
            status = first.wait() => status?,
            () = &mut ordered => return Ok(stop(&mut first, StopSignal::Term).await?),
        };
        anyhow::ensure!(status.success(), "{}: {status}", Path::new(program).display());
    }
    let (program, arguments) = config.command.split_first().context("no program is named")?;
    let mut child = spawn(program, arguments, config.user)?;
    let pid = child.id().unwrap_or_default();
    let ready = async {
        wait_until_ready(config.address, config.health.as_deref()).await?;
        say_ready(config.address, pid)
    };
    let running = async {
        ready.await?;
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        status = child.wait() => {
            let status = status?;
            eprintln!("{} ended by itself: {status}", Path::new(program).display());
            Ok(status)
        }
        () = &mut ordered => Ok(stop(&mut child, config.stop).await?),
        // Nobody reads what is said any more: run-lab is gone.
        _ = running => Ok(stop(&mut child, config.stop).await?),
    }
}

/// Resolves when standard input has been closed. Its reader blocks, so it has a thread of its own, which a
/// runtime would wait for at its end.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, end) = oneshot::channel();
    std::thread::spawn(move || {
        // An error is the end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    end
}

fn spawn(
    program: &OsStr,
    arguments: &[OsString],
    user: Option<(u32, u32)>,
) -> anyhow::Result<Child> {
    let log = io::stderr();
    let log = rustix::io::dup(&log)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(log).kill_on_drop(true);
    if let Some((user, group)) = user {
        // Another user may not enter the folder that this one is in.
        command.uid(user).gid(group).current_dir("/");
    }
    command.spawn().with_context(|| format!("cannot start {}", Path::new(program).display()))
}

/// Asks the program to stop, and kills it if it does not.
async fn stop(child: &mut Child, how: StopSignal) -> io::Result<ExitStatus> {
    let signal = match how {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
    };
    if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
        // It may have ended this moment.
        let _ = kill_process(pid, signal);
    }
    if let Ok(status) = tokio::time::timeout(STOP, child.wait()).await {
        return status;
    }
    child.kill().await?;
    child.wait().await
}

/// Returns when the program accepts connections, and answers 200 if there is a path to ask for.
async fn wait_until_ready(address: Option<SocketAddr>, health: Option<&str>) -> io::Result<()> {
    let Some(address) = address else { return Ok(()) };
    let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build();
    let client = client.map_err(io::Error::other)?;
    loop {
        let ready = match health {
            None => TcpStream::connect(address).await.is_ok(),
            Some(path) => {
                let reply = client.get(format!("http://{address}{path}")).send().await;
                reply.is_ok_and(|reply| reply.status() == 200)
            }
        };
        if ready {
            return Ok(());
        }
        tokio::time::sleep(ASK).await;
    }
}

fn say_ready(address: Option<SocketAddr>, pid: u32) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match address {
        Some(address) => writeln!(out, "listening {address} pid={pid}")?,
        None => writeln!(out, "listening pid={pid}")?,
    }
    out.flush()
}
