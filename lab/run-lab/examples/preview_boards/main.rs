//! The boards without Grafana: what their panels ask is asked of a run's own points, and drawn as pages.
//!
//! It reads the files in `grafana/dashboards/` and draws what they say: places, titles, units, colours, limits, legends,
//! and what an empty panel says. It is not Grafana: sizes of letters and marks on axes are near to what Grafana does, and
//! there are no menus, tooltips or links. Each page says who drew it. A kind of panel or transformation that it does not
//! know ends it with an error.
//!
//! `cargo build --release && cargo run --release -p run-lab --example preview_boards -- RUN_DIR OUT`
//!
//! Needs the InfluxDB that the run was made with (on PATH, or `LAB_INFLUXD`), and for pictures Chromium (`--chromium`).

mod ask;
mod bars;
mod frame;
mod legend;
mod lines;
mod look;
mod number;
mod page;
#[expect(dead_code, reason = "tests look closer")]
#[path = "../../tests/dashboards/panels/mod.rs"]
mod panels;
mod svg;
mod words;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use ask::Asker;
use clap::Parser;
use panels::Influx;
use panels::board::boards;
use panels::expand::Range;
use run_lab::run::{INFLUXDB_FOLDER, opening};
use rustix::process::{Pid, Signal, kill_process};

#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of a run that was made with an InfluxDB of its own
    run: PathBuf,
    /// Folder for the pages
    out: PathBuf,
    /// Draw these boards only, by their uids
    #[arg(long, value_delimiter = ',')]
    boards: Vec<String>,
    /// Width of a page in pixels
    #[arg(long, default_value_t = 1_600)]
    width: u32,
    /// Make a picture of the top of each page, by this program
    #[arg(long, value_name = "PROGRAM")]
    chromium: Option<PathBuf>,
    /// Height of a picture in pixels
    #[arg(long, default_value_t = 1_000)]
    height: u32,
    /// The lab's program, if not the one that was built beside this one
    #[arg(long)]
    run_lab: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = &arguments.run;
    let (opening, [from, to]) = opening(folder).with_context(|| {
        format!("{} has no run file: is it the folder of a run?", folder.display())
    })?;
    let run = opening.run.with_context(|| format!("{} has no name of a run", folder.display()))?;
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("make the folder {}", arguments.out.display()))?;
    let lab = Lab::start(&arguments)?;
    let asker = Asker {
        influx: Influx::new(&lab.url, "lab"),
        run: &run,
        range: Range { from, to },
        points: u64::from(arguments.width),
    };
    for board in boards() {
        if !arguments.boards.is_empty() && !arguments.boards.contains(&board.uid) {
            continue;
        }
        let page = page::page(&board, &asker, f64::from(arguments.width)).await;
        let page = page.with_context(|| format!("draw {}", board.uid))?;
        let path = arguments.out.join(format!("{}.html", board.uid));
        std::fs::write(&path, page).with_context(|| format!("write {}", path.display()))?;
        println!("{}", path.display());
        if let Some(chromium) = &arguments.chromium {
            picture(chromium, &path, (arguments.width, arguments.height))?;
        }
    }
    Ok(())
}

/// The InfluxDB with the run's points, which `run-lab up --show` keeps running.
struct Lab {
    child: Child,
    /// Where it is, with who asks.
    url: String,
    /// What `up` writes, which nobody wants.
    _folder: tempfile::TempDir,
}

impl Lab {
    fn start(arguments: &Arguments) -> Result<Lab> {
        let program = match &arguments.run_lab {
            Some(program) => program.clone(),
            None => {
                let own = std::env::current_exe()?;
                let built =
                    own.parent().and_then(Path::parent).context("the folder of what was built")?;
                built.join("run-lab")
            }
        };
        let own = tempfile::tempdir()?;
        let mut child = Command::new(&program)
            .args(["up", "--json", "--without", "services,grafana,postgres", "--show"])
            .arg(&arguments.run)
            .arg("--out")
            .arg(own.path().join("up"))
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}; has it been built?", program.display()))?;
        let out = child.stdout.take().context("a pipe")?;
        // From here on it is stopped whatever happens.
        let mut lab = Lab { child, url: String::new(), _folder: own };
        let mut told = String::new();
        for line in BufReader::new(out).lines() {
            let line = line?;
            told.push_str(&line);
            if line == "}" {
                break;
            }
        }
        let told: serde_json::Value =
            serde_json::from_str(&told).context("run-lab up did not say where it listens")?;
        let url = told["influxdb"].as_str().context("run-lab up started no InfluxDB")?;
        let secret = arguments.run.join(INFLUXDB_FOLDER).join("secret-of-reader");
        let secret = std::fs::read_to_string(&secret)
            .with_context(|| format!("read {}", secret.display()))?;
        // Of 1.8 it is a name and its password, of 2.x a token, which goes with any name.
        let (name, password) = secret.trim().split_once(':').unwrap_or(("reader", secret.trim()));
        let mut url = reqwest::Url::parse(url)?;
        let named = url.set_username(name).and_then(|()| url.set_password(Some(password)));
        if named.is_err() {
            bail!("{url} takes no password");
        }
        lab.url = url.to_string();
        Ok(lab)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // What has ended by itself needs no end.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

/// A picture of the top of `page`, beside it.
fn picture(chromium: &Path, page: &Path, (width, height): (u32, u32)) -> Result<()> {
    let picture = std::path::absolute(page.with_extension("png"))?;
    let page = std::path::absolute(page)?;
    let done = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg(format!("--window-size={width},{height}"))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()))
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("start {}", chromium.display()))?;
    if !done.success() || !picture.exists() {
        bail!("{} made no picture of {}", chromium.display(), page.display());
    }
    println!("{}", picture.display());
    Ok(())
}
