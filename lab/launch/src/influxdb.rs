//! InfluxDB: started on loopback with a secret of its own, set up, and known to those who write and read.
//!
//! 1.8 and 2.x differ in how they are configured and set up, and in nothing after that: both take the
//! v2 write API, k6's `/write`, and InfluxQL.

mod elsewhere;
mod generation;
mod setup;
mod store;

use std::net::SocketAddr;
use std::path::Path;

pub use generation::Generation;
pub(super) use generation::{of_program, of_server};
use setup::{set_up_one, set_up_two};
pub(super) use store::READER_TOKEN;
pub use store::Store;

use super::secret;
use lab_supervise::{Absolute, External, Part, PartError, Port, Supervisor};

/// Name of the part in logs and errors.
const PART: &str = "influxdb";
/// User, organisation, bucket and database that the lab makes.
const NAME: &str = "lab";
/// Name of the user who may only read.
const READER: &str = "reader";
/// Files of the secrets in the data folder: the owner's password, the reader's token.
const SECRET_FILE: &str = "secret";
const READER_FILE: &str = "secret-of-reader";

/// Starts the InfluxDB at `program`, which is of `generation`, on a free port of loopback. Its data is in
/// `data`: made if it is not there, used as it is otherwise.
///
/// # Errors
/// If it does not start, or cannot be set up.
pub async fn start_influxdb(
    supervisor: &Supervisor,
    program: &Path,
    generation: Generation,
    data: &Absolute,
) -> Result<(Part, Store), PartError> {
    let failed = |attempt: &'static str| {
        move |error: std::io::Error| PartError::Setup {
            part: PART.to_owned(),
            attempt: attempt.to_owned(),
            reason: error.to_string(),
        }
    };
    secret::folder(data).map_err(failed("make its data folder"))?;
    let port = Port::of_loopback().map_err(failed("find a free port"))?;
    let address = port.address;
    let kept = std::fs::read_to_string(data.join(SECRET_FILE)).ok();
    let password = match &kept {
        Some(secret) => secret.clone(),
        None => secret::make().map_err(failed("make a secret"))?,
    };
    let mut foreign = External::new(PART, program.to_owned());
    foreign.address = Some(address);
    foreign.health = Some("/health");
    foreign.env = environment(generation, address, data);
    let part = supervisor.keep(foreign).await?;
    let (bucket, token) = match generation {
        Generation::One => (format!("{NAME}/autogen"), format!("{NAME}:{password}")),
        Generation::Two => (NAME.to_owned(), password.clone()),
    };
    let mut store = Store {
        url: format!("http://{address}"),
        org: NAME.to_owned(),
        bucket,
        database: NAME.to_owned(),
        user: NAME.to_owned(),
        password,
        token,
        reader: std::fs::read_to_string(data.join(READER_FILE)).unwrap_or_default(),
    };
    if kept.is_none() {
        let set_up = match generation {
            Generation::One => set_up_one(&store).await,
            Generation::Two => set_up_two(&store).await,
        };
        let kept = set_up.and_then(|reader| {
            store.reader = reader;
            secret::keep(&data.join(SECRET_FILE), &store.password)
                .and_then(|()| secret::keep(&data.join(READER_FILE), &store.reader))
                .map_err(failed("keep its secrets"))
        });
        if let Err(error) = kept {
            part.stop().await;
            return Err(error);
        }
    }
    Ok((part, store))
}

/// What configures it: environment variables, which unlike arguments no other user can read.
fn environment(
    generation: Generation,
    address: SocketAddr,
    data: &Absolute,
) -> Vec<(&'static str, String)> {
    let inside = |name: &str| data.join(name).text();
    match generation {
        // A file of settings that is elsewhere on this machine, or in the folder that somebody is in, is not ours.
        Generation::One => vec![
            ("INFLUXDB_CONFIG_PATH", "/dev/null".to_owned()),
            ("INFLUXDB_META_DIR", inside("meta")),
            ("INFLUXDB_DATA_DIR", inside("data")),
            ("INFLUXDB_DATA_WAL_DIR", inside("wal")),
            // The port of its backup service, which nobody uses.
            ("INFLUXDB_BIND_ADDRESS", "127.0.0.1:0".to_owned()),
            ("INFLUXDB_HTTP_BIND_ADDRESS", address.to_string()),
            ("INFLUXDB_HTTP_AUTH_ENABLED", "true".to_owned()),
            ("INFLUXDB_HTTP_LOG_ENABLED", "false".to_owned()),
            ("INFLUXDB_HTTP_FLUX_ENABLED", "true".to_owned()),
            ("INFLUXDB_DATA_QUERY_LOG_ENABLED", "false".to_owned()),
            ("INFLUXDB_MONITOR_STORE_ENABLED", "false".to_owned()),
            ("INFLUXDB_REPORTING_DISABLED", "true".to_owned()),
            ("INFLUXDB_LOGGING_LEVEL", "warn".to_owned()),
        ],
        Generation::Two => vec![
            ("INFLUXD_CONFIG_PATH", data.text()),
            ("INFLUXD_HTTP_BIND_ADDRESS", address.to_string()),
            ("INFLUXD_BOLT_PATH", inside("influxd.bolt")),
            ("INFLUXD_SQLITE_PATH", inside("influxd.sqlite")),
            ("INFLUXD_ENGINE_PATH", inside("engine")),
            ("INFLUXD_REPORTING_DISABLED", "true".to_owned()),
            ("INFLUXD_LOG_LEVEL", "warn".to_owned()),
        ],
    }
}

#[cfg(test)]
mod tests;
