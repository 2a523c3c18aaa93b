//! The services and the sidecar: which arguments say what a cell's knobs mean.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use lab_supervise::{Absolute, Foreign, Part, PartError, Supervisor};

use super::Control;
use super::influxdb::Store;
use lab_model::{DEFAULT_USERS, Knobs, PayloadSource};

/// Environment variable that turns the probes of a process off.
const PROBES: &str = "LAB_PROBES";
/// Environment variable that names the users service's database: a password is in it.
const DATABASE_URL: &str = "PG_CLIENT_DATABASE_URL";
/// Subcommand and name of the users service.
const USERS: &str = "pg-client";
/// Loopback, and whatever port is free.
pub const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A gateway with the services behind it.
#[derive(Debug)]
pub struct Services {
    /// The echo service.
    pub echo: Part,
    /// The users service, where there is a database to ask.
    pub users: Option<Part>,
    /// The gateway.
    pub gateway: Part,
    /// The settings they were started with.
    pub knobs: Knobs,
}

impl Services {
    /// Stops the gateway, then the services behind it.
    pub async fn stop(self) {
        self.gateway.stop().await;
        stop_all([Some(self.echo), self.users]).await;
    }

    /// Every part, those behind the gateway first.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        [Some(&self.echo), self.users.as_ref(), Some(&self.gateway)].into_iter().flatten()
    }

    /// Whether a cell with `knobs` can be run without restarting them. Delays that the driver
    /// injects are none of theirs, nor is what the users table holds.
    #[must_use]
    pub fn serve(&self, knobs: &Knobs) -> bool {
        of_services(&self.knobs) == of_services(knobs)
    }
}

fn of_services(knobs: &Knobs) -> Knobs {
    let mut knobs = Knobs { users: None, unindexed: false, ..knobs.clone() };
    knobs.inject.retain(|place, _| !place.starts_with("driver:"));
    knobs
}

async fn stop_all(parts: [Option<Part>; 2]) {
    for part in parts.into_iter().flatten() {
        part.stop().await;
    }
}

/// What services are started for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where spans go.
    pub otlp: SocketAddr,
    /// Where the gateway is to listen.
    pub listen: SocketAddr,
    /// The database to ask for users, if there is one.
    pub database_url: Option<&'a str>,
    /// Tells their logs from those of another pair.
    pub suffix: &'a str,
}

/// Starts the services on any port and a gateway to them.
///
/// # Errors
/// If one of them does not start; the others are stopped then.
pub async fn start_services(
    supervisor: &Supervisor,
    knobs: &Knobs,
    target: Target<'_>,
) -> Result<Services, PartError> {
    let Target { otlp, listen, database_url, suffix } = target;
    let env = if knobs.probes_off { vec![(PROBES, "off")] } else { Vec::new() };
    let arguments = common("echo", knobs, otlp, ANY_PORT);
    let echo = supervisor.start(&format!("echo{suffix}"), &arguments, &env).await?;
    let users = match start_users(supervisor, knobs, target, &env, database_url).await {
        Ok(users) => users,
        Err(error) => {
            echo.stop().await;
            return Err(error);
        }
    };
    let mut arguments = common("gateway", knobs, otlp, listen);
    let started = async {
        arguments.extend(of_gateway(knobs, echo.address("")?));
        if let Some(users) = &users {
            arguments.extend(peer(USERS, users.address("")?));
        }
        supervisor.start(&format!("gateway{suffix}"), &arguments, &env).await
    };
    match started.await {
        Ok(gateway) => Ok(Services { echo, users, gateway, knobs: knobs.clone() }),
        Err(error) => {
            stop_all([Some(echo), users]).await;
            Err(error)
        }
    }
}

/// Starts the users service, if there is a database.
async fn start_users(
    supervisor: &Supervisor,
    knobs: &Knobs,
    target: Target<'_>,
    env: &[(&str, &str)],
    database_url: Option<&str>,
) -> Result<Option<Part>, PartError> {
    let Some(url) = database_url else {
        return Ok(None);
    };
    let mut arguments = common(USERS, knobs, target.otlp, ANY_PORT);
    if let Some(connections) = knobs.pool_size {
        arguments.extend(["--pool-size".to_owned(), connections.to_string()]);
    }
    let mut env = env.to_vec();
    env.push((DATABASE_URL, url));
    supervisor.start(&format!("{USERS}{}", target.suffix), &arguments, &env).await.map(Some)
}

/// Fills the users table of the database at `url` as `knobs` say. Does nothing where it is so already.
///
/// # Errors
/// If the seeding does not start or does not succeed.
pub async fn seed(supervisor: &Supervisor, knobs: &Knobs, url: &str) -> Result<(), PartError> {
    let mut seeding = Foreign::new("seed", supervisor.executable().to_owned());
    let users = knobs.users.unwrap_or(DEFAULT_USERS).to_string();
    let index = (!knobs.unindexed).to_string();
    seeding.arguments =
        [USERS, "seed", "--users", &users, "--email-index", &index].map(Into::into).into();
    seeding.env = vec![(DATABASE_URL, url.to_owned())];
    seeding.finite = true;
    supervisor.keep(seeding).await?.end().await
}

/// Where the sidecar writes.
#[derive(Debug, Clone, Copy)]
pub struct Collector<'a> {
    /// Name of the run, in points.
    pub run: &'a str,
    /// The run file to make.
    pub run_file: &'a Absolute,
    /// The store of points, if there is one.
    pub store: Option<&'a Store>,
    /// Where points wait while the store is away, if not beside the run file.
    pub spool: Option<&'a Absolute>,
}

/// Starts the sidecar.
///
/// # Errors
/// If it does not start or names no control address.
pub async fn start_sidecar(
    supervisor: &Supervisor,
    collector: Collector<'_>,
) -> Result<(Part, Control), PartError> {
    let arguments = [
        "sidecar",
        "--otlp",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--stop-with-stdin",
        "--run",
        collector.run,
        "--run-file",
        &collector.run_file.text(),
    ];
    let env = collector.store.map(Store::env).unwrap_or_default();
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    if let Some(spool) = collector.spool.filter(|_| collector.store.is_some()) {
        arguments.extend(["--spool".to_owned(), spool.text()]);
    }
    let sidecar = supervisor.start("sidecar", &arguments, &env).await?;
    let control = Control::new(sidecar.address("control")?)?;
    Ok((sidecar, control))
}

/// Arguments that both services take.
fn common(service: &str, knobs: &Knobs, otlp: SocketAddr, listen: SocketAddr) -> Vec<String> {
    let (listen, otlp) = (listen.to_string(), format!("http://{otlp}"));
    let mut arguments: Vec<String> =
        [service, "--listen", &listen, "--stop-with-stdin", "--otlp", &otlp]
            .map(str::to_owned)
            .into();
    for (flag, value) in [
        ("--stream-window", knobs.stream_window.map(|bytes| bytes.to_string())),
        ("--connection-window", knobs.connection_window.map(|bytes| bytes.to_string())),
        ("--frame-size", knobs.frame_size.map(|bytes| bytes.to_string())),
        ("--worker-threads", knobs.worker_threads.map(|threads| threads.to_string())),
    ] {
        if let Some(value) = value {
            arguments.extend([flag.to_owned(), value]);
        }
    }
    if knobs.nagle {
        arguments.push("--nagle".to_owned());
    }
    for (place, ns) in &knobs.inject {
        if let Some(stage) = place.strip_prefix(service).and_then(|rest| rest.strip_prefix(':')) {
            arguments.extend(["--inject".to_owned(), format!("{stage}={ns}ns")]);
        }
    }
    arguments
}

/// Arguments that tell the gateway where the service called `name` is.
fn peer(name: &str, address: SocketAddr) -> [String; 2] {
    ["--peer".to_owned(), format!("{name}=http://{address}")]
}

/// Arguments of the gateway alone.
fn of_gateway(knobs: &Knobs, echo: SocketAddr) -> Vec<String> {
    let mut arguments = peer("echo", echo).to_vec();
    if knobs.connection_per_request {
        arguments.push("--connection-per-request".to_owned());
    }
    if knobs.payload_source == PayloadSource::PerRequest {
        arguments.extend(["--payload-source", "per_request"].map(str::to_owned));
    }
    if let Some(bytes) = knobs.rest_size_bug {
        arguments.extend(["--rest-size-bug".to_owned(), bytes.to_string()]);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddr {
        ([127, 0, 0, 1], 4317).into()
    }

    #[test]
    fn plain_knobs_need_no_flags() {
        let expected =
            "gateway --listen 127.0.0.1:0 --stop-with-stdin --otlp http://127.0.0.1:4317";
        assert_eq!(common("gateway", &Knobs::default(), address(), ANY_PORT).join(" "), expected);
        assert_eq!(
            of_gateway(&Knobs::default(), address()).join(" "),
            "--peer echo=http://127.0.0.1:4317"
        );
    }

    #[test]
    fn every_knob_becomes_its_flag() {
        let knobs = Knobs {
            stream_window: Some(65_536),
            nagle: true,
            payload_source: PayloadSource::PerRequest,
            rest_size_bug: Some(100_000),
            connection_per_request: true,
            worker_threads: Some(1),
            inject: [("gateway:handler".to_owned(), 5), ("echo:dispatch".to_owned(), 7)].into(),
            ..Knobs::default()
        };
        let common = common("echo", &knobs, address(), ANY_PORT).join(" ");
        assert!(
            common.ends_with(
                "--stream-window 65536 --worker-threads 1 --nagle --inject dispatch=7ns"
            ),
            "{common}"
        );
        let own = of_gateway(&knobs, address()).join(" ");
        let expected =
            "--connection-per-request --payload-source per_request --rest-size-bug 100000";
        assert!(own.ends_with(expected), "{own}");
    }
}
