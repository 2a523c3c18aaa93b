//! Somebody else's InfluxDB: is there a place for points, and may we write there? What is refused is told before
//! anything is measured; what is away may come back, and its points wait.

use super::Generation;
use super::setup::{NoAnswer, Setup, failed};
use super::store::Store;
use crate::launch::PartError;

impl Store {
    /// Sees to it that there is a place for points on a server of `generation`.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn prepare(&self, generation: Generation) -> Result<(), PartError> {
        let setup = Setup::new(self)?;
        match generation {
            Generation::One => self.make_database(&setup).await,
            Generation::Two => self.look_at_bucket(&setup).await,
        }
    }

    /// A 1.x server takes points only for a database that exists. Where we may not make it, somebody may have
    /// done it: a user is shown the databases that it may use.
    async fn make_database(&self, setup: &Setup) -> Result<(), PartError> {
        let quoted = self.database.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!("CREATE DATABASE \"{quoted}\"");
        let refused = match setup.query(&query, Some(self)).await {
            Ok(_) | Err(NoAnswer::Away(_)) => return Ok(()),
            Err(NoAnswer::Refused(reason)) => reason,
        };
        let shown = setup.query("SHOW DATABASES", Some(self)).await.unwrap_or_default();
        let names = shown["results"][0]["series"][0]["values"].as_array();
        if names.is_some_and(|names| names.iter().any(|row| row[0] == self.database.as_str())) {
            return Ok(());
        }
        let attempt = format!("make the database {:?}", self.database);
        Err(failed(
            &attempt,
            &format!(
                "{refused}; make it there, or name another by LAB_INFLUXDB_DATABASE, or another user by LAB_INFLUXDB_TOKEN"
            ),
        ))
    }

    /// A 2.x server has buckets, which InfluxQL cannot make: it has to be there, for those who write, and mapped to
    /// the database, for those who read.
    async fn look_at_bucket(&self, setup: &Setup) -> Result<(), PartError> {
        let attempt = format!("write to the bucket {:?} of {:?}", self.bucket, self.org);
        if let Err(NoAnswer::Refused(reason)) = setup.write_nothing(self).await {
            return Err(failed(
                &attempt,
                &format!(
                    "{reason}; make it there, or name another by LAB_INFLUXDB_BUCKET, LAB_INFLUXDB_ORG and LAB_INFLUXDB_TOKEN"
                ),
            ));
        }
        let quoted = self.database.replace('\\', "\\\\").replace('"', "\\\"");
        let query = format!("SHOW MEASUREMENTS ON \"{quoted}\" LIMIT 1");
        let reader = Store { password: self.reader.clone(), ..self.clone() };
        match setup.query(&query, Some(&reader)).await {
            Err(NoAnswer::Refused(reason)) => {
                let attempt = format!("ask the database {:?}", self.database);
                Err(failed(
                    &attempt,
                    &format!(
                        "{reason}; map it to the bucket {:?} (influx v1 dbrp create), or name another by LAB_INFLUXDB_DATABASE",
                        self.bucket
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}
