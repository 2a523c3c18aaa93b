//! The dashboards as Grafana shows them, without Grafana: every query of every panel, variable and annotation,
//! expanded as Grafana does and asked of an InfluxDB.
//!
//! Shared: a test with the data of a real run includes this folder by `#[path]` and calls
//! [`every_panel_returns_rows`], [`every_panel_but_returns_rows`] or [`every_panel_of_the_sidecar_returns_rows`].

pub(crate) mod board;
pub(crate) mod expand;
mod influxql;

use std::collections::BTreeMap;

use board::{Board, Variable, boards};
use expand::{Chosen, Range, Selection, expand};
pub(crate) use influxql::{Influx, Series};
use ledger::names::{M_CELL, M_LOAD, M_VERDICT};

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

/// What of a board asks: by its title or name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Variable(String),
    Annotation(String),
    Panel(String),
}

/// A query that fails or returns no value.
#[derive(Debug)]
pub(crate) struct Empty {
    board: String,
    part: Part,
    /// As it is in the file.
    pub(crate) query: String,
    why: String,
}

impl Empty {
    /// Whether there must be rows where only the sidecar writes: it asks for nothing that the lab alone tells, or
    /// nothing can be chosen without it.
    pub(crate) fn is_of_the_sidecar(&self) -> bool {
        if let Part::Variable(_) = self.part {
            return true;
        }
        let reads = |measurement: &str| self.query.contains(&format!("FROM \"{measurement}\""));
        ![M_LOAD, M_CELL, M_VERDICT].into_iter().any(reads)
    }
}

/// A run and the time for which the boards are shown, and whose points they show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    /// Address of the InfluxDB.
    pub(crate) url: &'a str,
    pub(crate) database: &'a str,
    pub(crate) run: &'a str,
    /// Milliseconds since 1970.
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Runs every query of every dashboard for the run, with All chosen in the other variables, as Grafana would.
///
/// # Panics
/// With a list of all queries that fail or return no value; the run must be offered by the variable.
pub(crate) async fn every_panel_returns_rows(shown: Shown<'_>) -> Answers {
    every_panel_but_returns_rows(shown, &[]).await
}

/// As [`every_panel_returns_rows`], but the panels in `exempt` (uid and title) must show nothing.
///
/// # Panics
/// Also if an exempt panel has rows, or is not there: then it is to be exempt no longer.
pub(crate) async fn every_panel_but_returns_rows(
    shown: Shown<'_>,
    exempt: &[(&str, &str)],
) -> Answers {
    let (answers, mut empty) = queries_without_rows(shown).await;
    for (board, panel) in exempt {
        let (all, part) = (empty.len(), Part::Panel((*panel).to_owned()));
        empty.retain(|empty| empty.board != *board || empty.part != part);
        assert!(empty.len() < all, "{board} has no panel {panel:?}, or it shows rows");
    }
    none_of(empty);
    answers
}

/// As [`every_panel_returns_rows`], with an InfluxDB that only the sidecar writes to: panels and annotations of the
/// load, of the course of a run and of verdicts may show nothing.
///
/// # Panics
/// With a list of all other queries that fail or return no value.
pub(crate) async fn every_panel_of_the_sidecar_returns_rows(shown: Shown<'_>) {
    none_of(empty_ones_of_the_sidecar(shown).await);
}

/// The queries that [`every_panel_of_the_sidecar_returns_rows`] would name.
pub(crate) async fn empty_ones_of_the_sidecar(shown: Shown<'_>) -> Vec<Empty> {
    let (_, mut empty) = queries_without_rows(shown).await;
    empty.retain(Empty::is_of_the_sidecar);
    empty
}

fn none_of(empty: Vec<Empty>) {
    let line = |Empty { board, part, why, .. }: &Empty| format!("- {board}, {part:?}: {why}");
    let lines: Vec<String> = empty.iter().map(line).collect();
    assert!(lines.is_empty(), "{} queries without rows:\n{}", lines.len(), lines.join("\n"));
}

/// Runs every query. What the panels show, and which queries fail or return no value.
pub(crate) async fn queries_without_rows(shown: Shown<'_>) -> (Answers, Vec<Empty>) {
    let influx = Influx::new(shown.url, shown.database);
    let range = Range { from: shown.from, to: shown.to };
    let (mut answers, mut empty) = (Answers::default(), Vec::new());
    for board in boards() {
        let mut asker = Asker { influx: &influx, board: &board.uid, empty: &mut empty };
        let selection = select(&mut asker, &board, shown.run, range).await;
        for (name, query) in board.annotations() {
            let part = Part::Annotation(name);
            asker.ask(&part, &query, &selection, range.with_points(POINTS, 1)).await;
        }
        for panel in board.panels() {
            let part = Part::Panel(panel.title.clone());
            let points = range.with_points(POINTS, panel.least_interval_ms);
            for target in &panel.targets {
                let series = asker.ask(&part, &target.query, &selection, points).await;
                let key = (board.uid.clone(), panel.title.clone());
                answers.0.entry(key).or_default().extend(series);
            }
        }
    }
    (answers, empty)
}

/// Chooses `run` and everything else, by the variables' own queries and in their order.
async fn select(asker: &mut Asker<'_>, board: &Board, run: &str, range: Range) -> Selection {
    let mut selection = Selection::default();
    for Variable { name, query, all } in board.variables() {
        let part = Part::Variable(name.clone());
        let series = asker.ask(&part, &query, &selection, range.with_points(POINTS, 1)).await;
        let offered: Vec<String> = series.iter().flat_map(Series::second_column).collect();
        let chosen = match all {
            Some(pattern) if pattern.is_empty() => Chosen::Several(offered),
            Some(pattern) => Chosen::All(pattern),
            None => {
                // Of an answer without rows it has been said already.
                if !series.is_empty() && !offered.iter().any(|offer| offer == run) {
                    asker.note(&part, &query, format!("no {run} in {offered:?}"));
                }
                Chosen::One(run.to_owned())
            }
        };
        selection.choose(&name, chosen);
    }
    selection
}

/// Asks for a board, and notes what returns nothing.
struct Asker<'a> {
    influx: &'a Influx,
    board: &'a str,
    empty: &'a mut Vec<Empty>,
}

impl Asker<'_> {
    async fn ask(
        &mut self,
        part: &Part,
        query: &str,
        selection: &Selection,
        shown: expand::Shown,
    ) -> Vec<Series> {
        let expanded = match expand(query, selection, shown) {
            Ok(expanded) => expanded,
            Err(error) => {
                self.note(part, query, error);
                return Vec::new();
            }
        };
        match self.influx.ask(&expanded).await {
            Ok(series) if series.iter().any(Series::has_value) => return series,
            Ok(_) => self.note(part, query, format!("no rows from\n{expanded}")),
            Err(error) => self.note(part, query, format!("{error} from\n{expanded}")),
        }
        Vec::new()
    }

    fn note(&mut self, part: &Part, query: &str, why: String) {
        let (board, query) = (self.board.to_owned(), query.to_owned());
        self.empty.push(Empty { board, part: part.clone(), query, why });
    }
}
