//! The dashboards as Grafana shows them, without Grafana: every query of every panel, variable and annotation,
//! expanded as Grafana does and asked of an InfluxDB.
//!
//! Shared: a test with the data of a real run includes this folder by `#[path]` and calls
//! [`every_panel_returns_rows`].

pub(crate) mod board;
pub(crate) mod expand;
mod influxql;

use std::collections::BTreeMap;

use board::{Board, Variable, boards};
use expand::{Chosen, Range, Selection, expand};
pub(crate) use influxql::{Influx, Series};

/// How many points Grafana asks of a panel about as wide as a screen.
const POINTS: u64 = 1_000;

/// What the panels of all boards showed.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<(String, String), Vec<Series>>);

impl Answers {
    /// The one number that a panel shows.
    pub(crate) fn number(&self, board: &str, panel: &str) -> f64 {
        let key = (board.to_owned(), panel.to_owned());
        let series = self.0.get(&key).unwrap_or_else(|| panic!("{board} has no panel {panel:?}"));
        let numbers: Vec<f64> = series.iter().flat_map(Series::numbers).collect();
        assert_eq!(numbers.len(), 1, "{board}, {panel}: {numbers:?}");
        numbers[0]
    }
}

/// Runs every query of every dashboard for `run`, with All chosen in the other variables, over the time
/// `from` to `to` (milliseconds since 1970), as Grafana would.
///
/// # Panics
/// With a list of all queries that fail or return no value, and if `run` is not offered by the variable.
pub(crate) async fn every_panel_returns_rows(
    url: &str,
    database: &str,
    run: &str,
    from: u64,
    to: u64,
) -> Answers {
    let influx = Influx::new(url, database);
    let range = Range { from, to };
    let (mut answers, mut empty) = (Answers::default(), Vec::new());
    for board in boards() {
        let selection = select(&influx, &board, run, range, &mut empty).await;
        for (name, query) in board.annotations() {
            ask(&influx, &query, &selection, range.with_points(POINTS, 1), &mut empty, &|| {
                format!("{}, annotation {name}", board.uid)
            })
            .await;
        }
        for panel in board.panels() {
            for target in &panel.targets {
                let range = range.with_points(POINTS, panel.least_interval_ms);
                let name = || format!("{}, {} ({})", board.uid, panel.title, target.name);
                let series =
                    ask(&influx, &target.query, &selection, range, &mut empty, &name).await;
                let key = (board.uid.clone(), panel.title.clone());
                answers.0.entry(key).or_default().extend(series);
            }
        }
    }
    assert!(empty.is_empty(), "{} queries without rows:\n{}", empty.len(), empty.join("\n"));
    answers
}

/// Chooses `run` and everything else, by the variables' own queries and in their order.
async fn select(
    influx: &Influx,
    board: &Board,
    run: &str,
    range: Range,
    empty: &mut Vec<String>,
) -> Selection {
    let mut selection = Selection::default();
    for Variable { name, query, all } in board.variables() {
        let at = || format!("{}, variable {name}", board.uid);
        let expanded = range.with_points(POINTS, 1);
        let series = ask(influx, &query, &selection, expanded, empty, &at).await;
        let offered: Vec<String> = series.iter().flat_map(Series::second_column).collect();
        let chosen = match all {
            Some(pattern) if pattern.is_empty() => Chosen::Several(offered),
            Some(pattern) => Chosen::All(pattern),
            None => {
                assert!(offered.iter().any(|o| o == run), "{}: no {run} in {offered:?}", at());
                Chosen::One(run.to_owned())
            }
        };
        selection.choose(&name, chosen);
    }
    selection
}

async fn ask(
    influx: &Influx,
    query: &str,
    selection: &Selection,
    range: expand::Shown,
    empty: &mut Vec<String>,
    name: &dyn Fn() -> String,
) -> Vec<Series> {
    let query = match expand(query, selection, range) {
        Ok(query) => query,
        Err(error) => {
            empty.push(format!("- {}: {error}", name()));
            return Vec::new();
        }
    };
    match influx.ask(&query).await {
        Ok(series) if series.iter().any(Series::has_value) => series,
        Ok(_) => {
            empty.push(format!("- {}: no rows from\n{query}", name()));
            Vec::new()
        }
        Err(error) => {
            empty.push(format!("- {}: {error} from\n{query}", name()));
            Vec::new()
        }
    }
}
