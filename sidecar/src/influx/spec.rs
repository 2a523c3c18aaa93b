//! What writing to InfluxDB promises.
