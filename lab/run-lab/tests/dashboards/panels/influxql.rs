//! Asks an InfluxDB in InfluxQL, by the API that Grafana uses.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// An InfluxDB and its database.
#[derive(Debug)]
pub(crate) struct Influx {
    client: reqwest::Client,
    url: String,
    database: String,
}

/// One series of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) columns: Vec<String>,
    #[serde(default)]
    pub(crate) values: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Statement>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(default)]
    series: Vec<Series>,
    error: Option<String>,
}

impl Influx {
    pub(crate) fn new(url: &str, database: &str) -> Influx {
        let url = url.trim_end_matches('/').to_owned();
        Influx { client: reqwest::Client::new(), url, database: database.to_owned() }
    }

    /// What `query` returns.
    pub(crate) async fn ask(&self, query: &str) -> Result<Vec<Series>, String> {
        let text = |error: &dyn std::fmt::Display| format!("{}: {error}", self.url);
        let parameters = [("db", self.database.as_str()), ("epoch", "ms"), ("q", query)];
        let form =
            reqwest::Url::parse_with_params("http://form", parameters).map_err(|e| text(&e))?;
        let request = self
            .client
            .post(format!("{}/query", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
        let reply = request.send().await.map_err(|e| text(&e))?;
        let answer: Answer = reply.json().await.map_err(|e| text(&e))?;
        let mut series = Vec::new();
        for statement in answer.results {
            if let Some(error) = statement.error {
                return Err(error);
            }
            series.extend(statement.series);
        }
        answer.error.map_or(Ok(series), Err)
    }
}

impl Series {
    /// Every value but the times.
    fn cells(&self) -> impl Iterator<Item = &Value> {
        let skip = usize::from(self.columns.first().is_some_and(|name| name == "time"));
        self.values.iter().flat_map(move |row| row.iter().skip(skip))
    }

    /// Whether there is anything to show.
    pub(crate) fn has_value(&self) -> bool {
        self.cells().any(|value| !value.is_null())
    }

    /// Whether `column` has a value.
    pub(crate) fn has_value_in(&self, column: &str) -> bool {
        let at = self.columns.iter().position(|name| name == column);
        at.is_some_and(|at| self.values.iter().any(|row| !row[at].is_null()))
    }

    /// What is in `column` of the first row, the time aside.
    pub(crate) fn first(&self, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.first()?.get(at).filter(|value| !value.is_null())
    }

    /// Every number but the times.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        self.cells().filter_map(Value::as_f64).collect()
    }

    /// The numbers of the first row, less the time.
    pub(crate) fn numbers_of_first_row(&self) -> Vec<f64> {
        let row = self.values.first().map_or(&[][..], Vec::as_slice);
        row.iter().skip(1).filter_map(Value::as_f64).collect()
    }

    /// What Grafana offers of the answer to a variable's query.
    pub(crate) fn second_column(&self) -> Vec<String> {
        self.values.iter().filter_map(|row| row.get(1)?.as_str().map(str::to_owned)).collect()
    }
}
