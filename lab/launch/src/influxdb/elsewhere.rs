//! Somebody else's InfluxDB: is there a place for points, and may we write there? What is refused is told before
//! anything is measured; what is away may come back, and its points wait.

use super::Generation;
use super::setup::{NoAnswer, Setup, failed};
use super::store::Store;
use lab_supervise::PartError;

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
        if databases(setup, self).await.is_ok_and(|names| names.contains(&self.database)) {
            return Ok(());
        }
        let attempt = format!("make the database {:?}", self.database);
        let reason = format!(
            "{refused}; make it there, or name another by LAB_INFLUXDB_DATABASE, or another user by \
             LAB_INFLUXDB_TOKEN"
        );
        Err(failed(&attempt, &reason))
    }

    /// A 2.x server has buckets, which InfluxQL cannot make: it has to be there, for those who write, and mapped to
    /// the database, for those who read. A token that only writes is shown no database at all.
    async fn look_at_bucket(&self, setup: &Setup) -> Result<(), PartError> {
        if let Err(NoAnswer::Refused(reason)) = setup.write_nothing(self).await {
            let attempt = format!("write to the bucket {:?} of {:?}", self.bucket, self.org);
            let reason = format!(
                "{reason}; make it there, or name another by LAB_INFLUXDB_BUCKET, LAB_INFLUXDB_ORG \
                 and LAB_INFLUXDB_TOKEN"
            );
            return Err(failed(&attempt, &reason));
        }
        let reader = Store { password: self.reader.clone(), ..self.clone() };
        let is_to_read = self.reader != self.token;
        let reason = match databases(setup, &reader).await {
            Ok(names) if names.contains(&self.database) => return Ok(()),
            Ok(names) if names.is_empty() && !is_to_read => return Ok(()),
            Ok(names) => format!("it is not among {}", names.join(", ")),
            Err(NoAnswer::Refused(reason)) if is_to_read => reason,
            Err(_) => return Ok(()),
        };
        let attempt = format!("ask the database {:?} in InfluxQL", self.database);
        let reason = format!(
            "{reason}; map it to the bucket {:?} (influx v1 dbrp create), or name another by \
             LAB_INFLUXDB_DATABASE",
            self.bucket
        );
        Err(failed(&attempt, &reason))
    }
}

/// The databases that the server shows to who asks.
async fn databases(setup: &Setup, by: &Store) -> Result<Vec<String>, NoAnswer> {
    let shown = setup.query("SHOW DATABASES", Some(by)).await?;
    let rows = shown["results"][0]["series"][0]["values"].as_array();
    let names = rows.into_iter().flatten().filter_map(|row| row[0].as_str());
    Ok(names.map(str::to_owned).collect())
}
