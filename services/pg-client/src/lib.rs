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

use std::sync::Arc;

use lab_proto::v1::users_server::UsersServer;
use probe::{MakeRoutes, Probe, Routes, Service, ServiceConfig, SetupError};

pub use command::PgClientCommand;
pub use config::{PgClientConfig, SeedConfig, Unreadable};
pub use seed::{SeedError, SeedStep, Seeded, seed};

use connections::Pool;
use users::Users;

impl Service for PgClientConfig {
    const NAME: &'static str = "pg-client";
    const PORT: u16 = 8082;
    const ONE_RUNTIME: bool = true;

    fn routes(config: ServiceConfig<Self>, probe: Probe) -> Result<MakeRoutes, SetupError> {
        let PgClientConfig { database_url, pool_size, pool_wait } = config.own;
        let options = config::connect_options(&database_url)?;
        // One pool, whoever asks: `--pool-size 1` is one connection.
        let wait = pool_wait.duration();
        let users = Arc::new(Users::new(&probe, options, Pool { size: pool_size, wait }));
        Ok(Box::new(move || {
            Routes::new()
                .get("/users/count?email=E", users::rest)
                .get("/statements", statements::rest)
                .with_state(Arc::clone(&users))
                .grpc(UsersServer::new(users::Grpc(Arc::clone(&users))))
        }))
    }
}
