//! The users service: asks PostgreSQL how many users have an e-mail, by REST and by gRPC, on one
//! address; and fills the database that it asks ([`seed`]).
//!
//! It starts and serves without a database, and answers 503 while there is none.

mod availability;
mod command;
mod config;
mod connections;
mod failure;
mod fill;
mod seed;
mod statements;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lab_proto::v1::users_server::UsersServer;
use probe::{Probe, Routes, Service, ServiceArgs, SetupError};

pub use command::PgClientCommand;
pub use config::{DatabaseUrl, DatabaseUrlError, PgClientConfig, SeedConfig};
pub use seed::{SeedError, SeedStep, Seeded, seed};

use connections::Pool;
use users::Users;

impl Service for PgClientConfig {
    const NAME: &'static str = "pg-client";
    const ONE_RUNTIME: bool = true;

    fn listen(&self) -> SocketAddr {
        self.listen
    }

    fn shared(&self) -> &ServiceArgs {
        &self.service
    }

    fn routes(
        self,
        probe: Probe,
    ) -> Result<impl Fn() -> Routes + Send + Sync + 'static, SetupError> {
        let options = self.database_url.options()?;
        // One pool, whoever asks: `--pool-size 1` is one connection.
        let wait = Duration::from_secs(self.pool_wait.into());
        let users = Arc::new(Users::new(&probe, options, Pool { size: self.pool_size, wait }));
        Ok(move || {
            Routes::new()
                .get("/users/count?email=E", users::rest)
                .get("/statements", statements::rest)
                .with_state(Arc::clone(&users))
                .grpc(UsersServer::new(users::Grpc(Arc::clone(&users))))
        })
    }
}
