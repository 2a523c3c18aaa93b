//! A double of Grafana, for tests: it does at its start what Grafana does with what it is told, and says what came
//! of it in `double.json` in its folder of data.
//!
//! As Grafana does, it goes to its home, takes relative paths for paths from there, makes its folders, reads its
//! provisioning, and answers `/api/health`. `GRAFANA_DOUBLE` makes it fail: `exits` at once, `silent` is never
//! healthy, `dies` when the run has begun. It shows nothing and asks nobody anything; whom Grafana would ask is in the list `asks`.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use serde_json::{Value, json};

/// What keeps Grafana from asking others: the variable, the value, and what it would ask for.
const ALONE: [(&str, &str, &str); 5] = [
    ("GF_PLUGINS_PREINSTALL_DISABLED", "true", "plugins"),
    ("GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED", "true", "keys of plugins"),
    ("GF_ANALYTICS_REPORTING_ENABLED", "false", "statistics"),
    ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false", "newer versions"),
    ("GF_NEWS_NEWS_FEED_ENABLED", "false", "news"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|word| word == "-v") {
        println!("Version 12.3.0 (commit: double, branch: double)");
        return ExitCode::SUCCESS;
    }
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("grafana double: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &[String]) -> io::Result<()> {
    let fails = env::var("GRAFANA_DOUBLE").unwrap_or_default();
    if fails == "exits" {
        return Err(io::Error::other("told to exit at once"));
    }
    let own_name = Path::new(&arguments[0]).file_name().is_some_and(|name| name == "grafana");
    if own_name && arguments.get(1).is_none_or(|word| word != "server") {
        return Err(io::Error::other("the program grafana is told what to be: server"));
    }
    let home = arguments.windows(2).find(|pair| pair[0] == "--homepath").map(|pair| &pair[1]);
    let home = PathBuf::from(home.ok_or_else(|| io::Error::other("no --homepath"))?);
    env::set_current_dir(&home)?;
    let home_can_be_written = fs::File::create("double-was-here").is_ok();
    let told = |name: &str| -> io::Result<PathBuf> {
        let path = env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")))?;
        // Joining an absolute path answers that path.
        Ok(home.join(path))
    };
    let data = told("GF_PATHS_DATA")?;
    for folder in [&data, &told("GF_PATHS_LOGS")?, &told("GF_PATHS_PLUGINS")?] {
        fs::create_dir_all(folder)
            .map_err(|error| io::Error::other(format!("mkdir {}: {error}", folder.display())))?;
    }
    let provisioning = told("GF_PATHS_PROVISIONING")?;
    let sources: Vec<Value> = files(&provisioning.join("datasources"), "yaml")
        .iter()
        .map(|file| settings(file).map(|of| json!({ "uid": of.get("uid"), "url": of.get("url") })))
        .collect::<io::Result<_>>()?;
    let boards = boards(&provisioning.join("dashboards"))?;
    let first = told("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH")?;
    let asks: Vec<_> = ALONE
        .iter()
        .filter(|(name, value, _)| env::var(name).ok().as_deref() != Some(value))
        .map(|(_, _, what)| what)
        .collect();
    let report = json!({
        "folder": env::current_dir()?, "home_can_be_written": home_can_be_written,
        "datasources": sources, "boards": boards, "home_board": first.is_file(), "asks": asks,
    });
    fs::write(data.join("double.json"), report.to_string())?;
    let address = ["GF_SERVER_HTTP_ADDR", "GF_SERVER_HTTP_PORT"].map(env::var);
    let [Ok(host), Ok(port)] = address else { return Err(io::Error::other("no address")) };
    let listener = TcpListener::bind(format!("{host}:{port}"))?;
    for stream in listener.incoming() {
        // Whoever goes away before it is answered is no concern.
        let healthy = stream.and_then(|stream| answer(stream, fails != "silent")).unwrap_or(false);
        if fails == "dies" && healthy {
            die_in_the_middle(&data);
        }
    }
    Ok(())
}

/// Ends this process when the run has got as far as its run file: Grafana's data is in a folder of the run's.
fn die_in_the_middle(data: &Path) {
    let run_file = data.join("../../run.sqlite");
    std::thread::spawn(move || {
        while !run_file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::process::exit(1);
    });
}

/// The boards of every provider that is provisioned in `folder`: each has to be JSON with a uid and a title.
fn boards(folder: &Path) -> io::Result<Vec<Value>> {
    let mut boards = Vec::new();
    for provider in files(folder, "yaml") {
        let path = settings(&provider)?.remove("path").unwrap_or_default();
        for file in files(Path::new(&path), "json") {
            let board: Value = serde_json::from_str(&fs::read_to_string(&file)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
            if board["uid"].is_string() && board["title"].is_string() {
                boards.push(json!({ "uid": board["uid"], "file": file }));
            }
        }
    }
    Ok(boards)
}

/// The files in `folder` that end in `.extension`, by name; none if there is no such folder, as Grafana has it.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// Keys and values of a file of provisioning, `$VARIABLES` filled in: the part of YAML that ours are written in.
fn settings(file: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    for line in fs::read_to_string(file)?.lines() {
        let line = line.trim_start().trim_start_matches("- ").trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| io::Error::other(format!("{}: {line:?}", file.display())))?;
        let words = value.trim().split(' ').map(|word| match word.strip_prefix('$') {
            Some(name) => env::var(name).unwrap_or_default(),
            None => word.to_owned(),
        });
        settings.insert(key.to_owned(), words.collect::<Vec<_>>().join(" "));
    }
    Ok(settings)
}

/// Answers one request; says whether it was told to be healthy.
fn answer(mut stream: TcpStream, healthy: bool) -> io::Result<bool> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut line)?;
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {
        head.clear();
    }
    let status = match (line.split(' ').nth(1), healthy) {
        (Some("/api/health"), true) => "200 OK",
        (Some("/api/health"), false) => "503 Service Unavailable",
        _ => "404 Not Found",
    };
    let body = r#"{"database":"ok"}"#;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    Ok(status.starts_with("200"))
}
