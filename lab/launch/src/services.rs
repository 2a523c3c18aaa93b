//! The services and the sidecar: which arguments say what a cell's knobs mean.
//!
//! Which services there are, and who calls whom, is the table's to say ([`lab_model::services`]).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use lab_supervise::{Absolute, External, Part, PartError, Supervisor};
use settings::{Bandwidth, Span};
use toml::{Table, Value};

use super::Control;
use super::influxdb::Store;
use lab_model::plan::{KNOBS, written_knobs};
use lab_model::services::DRIVER;
use lab_model::{DEFAULT_USERS, Knobs, SERVICES, Service};

/// Environment variable that turns the probes of a process off.
const PROBES: &str = "LAB_PROBES";
/// What the variable that names a service's database ends in: a password is in it, so it is no argument.
const DATABASE_URL: &str = "DATABASE_URL";
/// The program whose processes are watched as the load generator when load is made by hand.
const GENERATOR: &str = "k6";
/// Loopback, on any free port.
pub const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Beginnings of variables that are settings of other programs of the lab and of those that it starts.
const SETTINGS: [&str; 6] = ["LAB_", "K6_", "OTEL_", "INFLUXDB_", "INFLUXD_", "GF_"];

/// Whether the environment variable `name` is a setting of a part. Such are not inherited: what a plan does not say
/// would change what its cells measure (k6 lets `K6_VUS` replace a script's load), and secrets are for those who are
/// to use them.
#[must_use]
pub fn withheld(name: &str) -> bool {
    let of_services = || SERVICES.iter().any(|service| name.starts_with(&service.prefix()));
    name != PROBES && (SETTINGS.iter().any(|prefix| name.starts_with(prefix)) || of_services())
}

/// Services that run.
#[derive(Debug)]
pub struct Services {
    /// Each after those that it calls.
    parts: Vec<(&'static Service, Part)>,
    /// The relays before those that others call, where their settings ask for a distance.
    ways: Vec<(&'static Service, Part)>,
    /// The settings they were started with.
    pub knobs: Knobs,
}

impl Services {
    /// Stops them: each before those that it calls.
    pub async fn stop(mut self) {
        while let Some((service, part)) = self.parts.pop() {
            // Nobody comes by it any more: whoever does is stopped.
            if let Some(at) = self.ways.iter().position(|(to, _)| *to == service) {
                self.ways.remove(at).1.stop().await;
            }
            part.stop().await;
        }
    }

    /// Every part, each after those that it calls.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|(_, part)| part)
    }

    /// The relays between them, if there are some.
    pub fn ways(&self) -> impl Iterator<Item = &Part> {
        self.ways.iter().map(|(_, part)| part)
    }

    /// Where load generators ask.
    ///
    /// # Errors
    /// If the service that they ask named no address.
    pub fn entry(&self) -> Result<SocketAddr, PartError> {
        let entry = |(service, part): &(&Service, Part)| {
            service.callers.is_empty().then(|| part.address(""))
        };
        self.parts.iter().find_map(entry).unwrap_or(Ok(ANY_PORT))
    }

    /// Where the service is that asks the database, if it runs.
    #[must_use]
    pub fn asking_database(&self) -> Option<SocketAddr> {
        let (_, part) = self.parts.iter().find(|(service, _)| service.database)?;
        part.address("").ok()
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
    knobs.inject.retain(|place, _| place.split(':').next() != Some(DRIVER));
    knobs
}

/// What services are started for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where spans go.
    pub otlp: SocketAddr,
    /// Where the service that load generators ask is to listen.
    pub listen: SocketAddr,
    /// The services that requests reach beyond that one.
    pub reached: &'a [&'static Service],
    /// The database, if there is one.
    pub database_url: Option<&'a str>,
}

/// Starts the services that requests reach, each before its callers, on any port.
///
/// # Errors
/// If one of them does not start; the others are stopped then.
pub async fn start_services(
    supervisor: &Supervisor,
    knobs: &Knobs,
    target: Target<'_>,
) -> Result<Services, PartError> {
    let mut services = Services { parts: Vec::new(), ways: Vec::new(), knobs: knobs.clone() };
    let database = target.database_url.is_some();
    for service in Service::started(target.reached, database) {
        if let Err(error) = add(supervisor, service, target, &mut services).await {
            services.stop().await;
            return Err(error);
        }
    }
    Ok(services)
}

/// Starts `service`, and a relay before it where there is to be one.
async fn add(
    supervisor: &Supervisor,
    service: &'static Service,
    target: Target<'_>,
    running: &mut Services,
) -> Result<(), PartError> {
    let part = start(supervisor, service, target, running).await?;
    let at = part.address("")?;
    running.parts.push((service, part));
    if let Some((name, arguments)) = way(service, at, &running.knobs, target.otlp) {
        let relay = supervisor.start(&name, &arguments, &[]).await?;
        running.ways.push((service, relay));
    }
    Ok(())
}

/// The name of the relay before `service`, which is at `to`, and its command; nothing where `knobs` ask for none.
fn way(
    service: &Service,
    to: SocketAddr,
    knobs: &Knobs,
    otlp: SocketAddr,
) -> Option<(String, Vec<String>)> {
    let wanted = knobs.rtt.is_some() || knobs.bandwidth.is_some();
    if !wanted || service.callers.is_empty() {
        return None;
    }
    let name = format!("relay-{}", service.name);
    let mut arguments: Vec<String> =
        ["relay", "--stop-with-stdin", "--name", &name].map(str::to_owned).into();
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    option("--listen", ANY_PORT.to_string());
    option("--to", to.to_string());
    option("--rtt", Span(knobs.rtt.unwrap_or_default()).to_string());
    if let Some(bits) = knobs.bandwidth {
        option("--bandwidth", Bandwidth(bits).to_string());
    }
    if !knobs.probes_off {
        option("--sidecar", format!("http://{otlp}"));
    }
    Some((name, arguments))
}

/// Starts `service`; those that it calls are among `running`.
async fn start(
    supervisor: &Supervisor,
    service: &Service,
    target: Target<'_>,
    running: &Services,
) -> Result<Part, PartError> {
    let mut arguments = arguments(service, &running.knobs, target);
    for (called, part) in running.parts.iter().filter(|(called, _)| service.calls(called)) {
        let way = running.ways.iter().find(|(to, _)| to == called).map_or(part, |(_, way)| way);
        let at = format!("{}=http://{}", called.name, way.address("")?);
        arguments.extend(["--peer".to_owned(), at]);
    }
    let database = database_variable(service);
    let mut env = Vec::new();
    env.extend(running.knobs.probes_off.then_some((PROBES, "off")));
    env.extend(target.database_url.filter(|_| service.database).map(|url| (&*database, url)));
    supervisor.start(service.name, &arguments, &env).await
}

/// The variable that names the database of `service`.
fn database_variable(service: &Service) -> String {
    format!("{}{DATABASE_URL}", service.prefix())
}

/// Has the service that asks the database at `url` fill its users table as `knobs` say. Does nothing where it is so
/// already.
///
/// # Errors
/// If the seeding does not start or does not succeed.
pub async fn seed(supervisor: &Supervisor, knobs: &Knobs, url: &str) -> Result<(), PartError> {
    let Some(service) = SERVICES.iter().find(|service| service.database) else { return Ok(()) };
    let variable = database_variable(service);
    let mut seeding = External::new("seed", supervisor.executable().to_owned());
    let users = knobs.users.unwrap_or(DEFAULT_USERS).to_string();
    let index = (!knobs.unindexed).to_string();
    seeding.arguments =
        [service.name, "seed", "--users", &users, "--email-index", &index].map(Into::into).into();
    seeding.env = vec![(&variable, url.to_owned())];
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
    /// Whether load comes by hand: from generators that send no spans, and that nobody starts here.
    pub by_hand: bool,
    /// How long to wait for the rest of a trace, if not as long as by default.
    pub join_window: Option<Span>,
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
    if let Some(window) = collector.join_window {
        arguments.extend(["--join-window".to_owned(), window.to_string()]);
    }
    if let Some(spool) = collector.spool.filter(|_| collector.store.is_some()) {
        arguments.extend(["--spool".to_owned(), spool.text()]);
    }
    if collector.by_hand {
        let told = ["--edge", Service::entry().name, "--watch-command", GENERATOR];
        arguments.extend(told.map(str::to_owned));
    }
    let sidecar = supervisor.start("sidecar", &arguments, &env).await?;
    let control = Control::new(sidecar.address("control")?)?;
    Ok((sidecar, control))
}

/// The command of `service`, with the options that say what `knobs` mean to it.
fn arguments(service: &Service, knobs: &Knobs, target: Target<'_>) -> Vec<String> {
    let listen = if service.callers.is_empty() { target.listen } else { ANY_PORT };
    let (listen, otlp) = (listen.to_string(), format!("http://{}", target.otlp));
    let mut arguments: Vec<String> =
        [service.name, "--listen", &listen, "--stop-with-stdin", "--otlp", &otlp]
            .map(str::to_owned)
            .into();
    let written: Table = written_knobs(knobs);
    for knob in KNOBS.iter().filter(|knob| knob.option_of.include(service)) {
        let option = || format!("--{}", knob.name.replace('_', "-"));
        match written.get(knob.name) {
            None | Some(Value::Boolean(false)) => {}
            Some(Value::Boolean(true)) => arguments.push(option()),
            Some(Value::String(word)) => arguments.extend([option(), word.clone()]),
            Some(value) => arguments.extend([option(), value.to_string()]),
        }
    }
    for (place, ns) in &knobs.inject {
        if let Some(stage) = place.strip_prefix(service.name).and_then(|at| at.strip_prefix(':')) {
            arguments.extend(["--inject".to_owned(), format!("{stage}={ns}ns")]);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, knobs: &Knobs) -> String {
        let otlp = ([127, 0, 0, 1], 4317).into();
        let target = Target { otlp, listen: ANY_PORT, reached: &[], database_url: None };
        let service = Service::named(name).unwrap();
        arguments(service, knobs, target).join(" ")
    }

    #[test]
    fn plain_knobs_need_no_options() {
        let expected =
            "gateway --listen 127.0.0.1:0 --stop-with-stdin --otlp http://127.0.0.1:4317";
        assert_eq!(of("gateway", &Knobs::default()), expected);
    }

    #[test]
    fn every_knob_becomes_an_option_of_those_who_have_it() {
        let knobs = Knobs {
            stream_window: Some(65_536),
            nagle: true,
            payload_source: lab_model::PayloadSource::PerRequest,
            rest_size_bug: Some(100_000),
            connection_per_request: true,
            worker_threads: Some(1),
            pool_size: Some(7),
            users: Some(5_000),
            inject: [("gateway:handler".to_owned(), 5), ("echo:dispatch".to_owned(), 7)].into(),
            ..Knobs::default()
        };
        let rest = |name: &str| {
            let all = of(name, &knobs);
            all.split_once(":4317 ").expect("options").1.to_owned()
        };
        let shared = "--stream-window 65536 --nagle --worker-threads 1";
        assert_eq!(rest("echo"), format!("{shared} --inject dispatch=7ns"));
        assert_eq!(rest("pg-client"), format!("{shared} --pool-size 7"));
        assert_eq!(
            rest("gateway"),
            "--stream-window 65536 --connection-per-request --nagle --payload-source per_request \
             --worker-threads 1 --rest-size-bug 100000 --inject handler=5ns"
        );
    }

    #[test]
    fn a_distance_is_a_relay_before_each_service_that_another_calls() {
        let (to, otlp) = (([127, 0, 0, 1], 81).into(), ([127, 0, 0, 1], 4317).into());
        let way = |name: &str, knobs: &Knobs| {
            let (name, words) = super::way(Service::named(name).unwrap(), to, knobs, otlp)?;
            Some(format!("{name}: {}", words.join(" ")))
        };
        let far = Knobs { rtt: Some(10_000_000), bandwidth: Some(100_000_000), ..Knobs::default() };
        assert_eq!(
            way("echo", &far).as_deref(),
            Some(
                "relay-echo: relay --stop-with-stdin --name relay-echo --listen 127.0.0.1:0 --to 127.0.0.1:81 --rtt 10ms \
                 --bandwidth 100Mbit --sidecar http://127.0.0.1:4317"
            )
        );
        assert!(way("gateway", &far).is_none(), "nobody of ours calls it");
        assert!(way("echo", &Knobs::default()).is_none());
        // No distance is one, too: what the relay itself takes is then in every arm.
        let near = Knobs { rtt: Some(0), probes_off: true, ..Knobs::default() };
        assert!(way("pg-client", &near).unwrap().ends_with("--to 127.0.0.1:81 --rtt 0s"));
    }

    #[test]
    fn settings_of_parts_are_not_inherited_and_other_variables_are() {
        for name in ["K6_VUS", "ECHO_LISTEN", "PG_CLIENT_DATABASE_URL", "OTEL_X", "LAB_K6"] {
            assert!(withheld(name), "{name}");
        }
        for service in SERVICES {
            assert!(withheld(&format!("{}LISTEN", service.prefix())));
        }
        for name in ["PATH", "HOME", "RUST_LOG", PROBES] {
            assert!(!withheld(name), "{name}");
        }
    }
}
