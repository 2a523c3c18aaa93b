//! The services and the sidecar: which arguments say what a cell's knobs mean.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use super::part::{Part, Supervisor};
use super::{Control, PartError};
use crate::model::{Knobs, PayloadSource};

/// Environment variable that turns the probes of a process off.
const PROBES: &str = "LAB_PROBES";
/// Loopback, and whatever port is free.
pub const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A gateway with the echo service behind it.
#[derive(Debug)]
pub struct Services {
    /// The echo service.
    pub echo: Part,
    /// The gateway.
    pub gateway: Part,
    /// The settings they were started with.
    pub knobs: Knobs,
}

impl Services {
    /// Stops the gateway, then the service behind it.
    pub async fn stop(self) {
        self.gateway.stop().await;
        self.echo.stop().await;
    }

    /// Whether a cell with `knobs` can be run without restarting them. Delays that the driver
    /// injects are none of theirs.
    #[must_use]
    pub fn serve(&self, knobs: &Knobs) -> bool {
        of_services(&self.knobs) == of_services(knobs)
    }
}

fn of_services(knobs: &Knobs) -> Knobs {
    let mut knobs = knobs.clone();
    knobs.inject.retain(|place, _| !place.starts_with("driver:"));
    knobs
}

/// Starts the echo service on any port and a gateway to it that listens on `listen`. `suffix` tells
/// their logs from those of another pair.
///
/// # Errors
/// If one of them does not start; the other is stopped then.
pub async fn start_services(
    supervisor: &Supervisor,
    knobs: &Knobs,
    otlp: SocketAddr,
    listen: SocketAddr,
    suffix: &str,
) -> Result<Services, PartError> {
    let env = if knobs.probes_off { vec![(PROBES, "off")] } else { Vec::new() };
    let mut arguments = common("echo", knobs, otlp, ANY_PORT);
    let echo = supervisor.start(&format!("echo{suffix}"), &arguments, &env).await?;
    arguments = common("gateway", knobs, otlp, listen);
    arguments.extend(of_gateway(knobs, echo.address("")?));
    match supervisor.start(&format!("gateway{suffix}"), &arguments, &env).await {
        Ok(gateway) => Ok(Services { echo, gateway, knobs: knobs.clone() }),
        Err(error) => {
            echo.stop().await;
            Err(error)
        }
    }
}

/// Starts the sidecar, which writes the run file at `run_file`.
///
/// # Errors
/// If it does not start or names no control address.
pub async fn start_sidecar(
    supervisor: &Supervisor,
    run_file: &Path,
) -> Result<(Part, Control), PartError> {
    let arguments = [
        "sidecar",
        "--otlp",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--stop-with-stdin",
        "--run-file",
        &run_file.to_string_lossy(),
    ];
    let sidecar = supervisor.start("sidecar", &arguments.map(str::to_owned), &[]).await?;
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

/// Arguments of the gateway alone.
fn of_gateway(knobs: &Knobs, echo: SocketAddr) -> Vec<String> {
    let mut arguments = vec!["--echo-url".to_owned(), format!("http://{echo}")];
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
            "--echo-url http://127.0.0.1:4317"
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
