//! The dashboards as Grafana shows them, without Grafana: every query of every panel, variable and annotation,
//! expanded as Grafana does and asked of an InfluxDB.
//!
//! Shared: a test with the data of a real run includes this folder by `#[path]` and calls
//! [`every_panel_returns_rows`] or [`every_panel_but_returns_rows`].

pub(crate) mod board;
pub(crate) mod expand;
mod influxql;

use std::collections::BTreeMap;

use board::{Board, Variable, boards};
use expand::{Chosen, Range, Selection, expand};
pub(crate) use influxql::{Influx, Series};
use ledger::names::{M_CELL, M_HOP, M_PROCESS, M_REQUEST};
use serde_json::Value;

/// How many points Grafana asks of a panel about as wide as a screen.
const POINTS: u64 = 1_000;

/// What load by hand has not: a plan, rounds that ran in turn, and anybody who judges.
pub(crate) const NOT_BY_HAND: &[(&str, &str)] = &[
    ("lab-breakdown", "Which is faster: ${payload:text}"),
    ("lab-rest-vs-grpc", "Drop rate"),
    ("lab-rest-vs-grpc", "Error rate"),
    ("lab-rest-vs-grpc", "Late"),
    ("lab-rest-vs-grpc", "Requests"),
    ("lab-trust", "Worst verdict"),
    ("lab-trust", "Unaccounted"),
    ("lab-trust", "Probe, losses, bytes"),
    ("lab-trust", "What could show that the numbers are wrong"),
    ("lab-trust", "Verdict of each cell"),
    ("lab-trust", "Conservation by cell"),
    ("lab-history", "${cell}: mean latency of each run"),
    ("lab-history", "Every judged run of the cells chosen"),
];
/// What there is not where nothing tells a protocol and nobody counts bytes.
pub(crate) const NOT_WITHOUT_A_PAYLOAD: &[(&str, &str)] = &[
    ("lab-rest-vs-grpc", "Mean latency"),
    ("lab-rest-vs-grpc", "Answered per second"),
    ("lab-rest-vs-grpc", "Dropped and failed"),
    ("lab-rest-vs-grpc", "Bytes on the wire per request"),
    ("lab-rest-vs-grpc", "Bytes on the wire per request, over time"),
];

/// What the panels of all boards showed.
#[derive(Debug, Default)]
pub(crate) struct Answers(BTreeMap<(String, String), Vec<Series>>);

impl Answers {
    /// The one number that a panel shows.
    pub(crate) fn number(&self, board: &str, panel: &str) -> f64 {
        let series = self.series(board, panel);
        let numbers: Vec<f64> = series.iter().flat_map(Series::numbers).collect();
        assert_eq!(numbers.len(), 1, "{board}, {panel}: {numbers:?}");
        numbers[0]
    }

    /// Everything that a panel shows.
    pub(crate) fn series(&self, board: &str, panel: &str) -> &[Series] {
        let found = self.0.get(&(board.to_owned(), panel.to_owned()));
        found.unwrap_or_else(|| panic!("{board} has no panel {panel:?}"))
    }

    /// What a table shows in `column` of the row whose `tags` are these.
    pub(crate) fn in_table(
        &self,
        (board, panel): (&str, &str),
        tags: &[(&str, &str)],
        column: &str,
    ) -> &Value {
        let series = self.series(board, panel);
        let fits = |series: &&Series| {
            tags.iter().all(|(tag, value)| series.tags.get(*tag).is_some_and(|is| is == value))
        };
        let mut found = series.iter().filter(fits).filter_map(|series| series.first(column));
        found.next().unwrap_or_else(|| panic!("{board}, {panel}: no {column:?} of {tags:?}"))
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
    /// It was answered by an error: that is never as it should be.
    failed: bool,
}

impl Empty {
    /// Whether there must be rows where only the sidecar writes: it asks for what that writes by itself, or nothing can
    /// be chosen without it.
    pub(crate) fn is_of_the_sidecar(&self) -> bool {
        if let Part::Variable(_) = self.part {
            return true;
        }
        let reads = |measurement: &str| self.query.contains(&format!("FROM \"{measurement}\""));
        [M_CELL, M_HOP, M_PROCESS, M_REQUEST].into_iter().any(reads)
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

/// As [`every_panel_returns_rows`], but the panels in `exempt` (uid and title) must show nothing, and say why.
///
/// # Panics
/// Also if an exempt panel has rows, or is not there: then it is to be exempt no longer.
pub(crate) async fn every_panel_but_returns_rows(
    shown: Shown<'_>,
    exempt: &[(&str, &str)],
) -> Answers {
    let (answers, empty, shows) = empty_but(shown, exempt).await;
    assert!(shows.is_empty(), "there are no such panels, or they show rows: {shows:?}");
    none_of(empty);
    answers
}

/// What the panels show, which queries [`every_panel_but_returns_rows`] would name, and which of the panels in `exempt`
/// show rows or are not there.
pub(crate) async fn empty_but<'e>(
    shown: Shown<'_>,
    exempt: &[(&'e str, &'e str)],
) -> (Answers, Vec<Empty>, Vec<(&'e str, &'e str)>) {
    let (answers, queries) = queries_without_rows(shown).await;
    let mut empty = panels_without_rows(&answers, queries);
    let mut shows = exempt.to_vec();
    shows.retain(|(board, panel)| {
        let (all, part) = (empty.len(), Part::Panel((*panel).to_owned()));
        empty.retain(|empty| empty.failed || empty.board != *board || empty.part != part);
        empty.len() == all
    });
    (answers, empty, shows)
}

/// Of `queries` without rows those that fail, and those whose panel shows nothing at all: one that asks several things
/// shows what there is.
fn panels_without_rows(answers: &Answers, queries: Vec<Empty>) -> Vec<Empty> {
    let shows = |empty: &Empty| match &empty.part {
        Part::Panel(title) => {
            let series = answers.0.get(&(empty.board.clone(), title.clone()));
            series.is_some_and(|series| series.iter().any(Series::has_value))
        }
        _ => false,
    };
    queries.into_iter().filter(|empty| empty.failed || !shows(empty)).collect()
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
            for selection in selection.repeated(panel.repeat.as_deref()) {
                for target in &panel.targets {
                    let series = asker.ask(&part, &target.query, &selection, points).await;
                    let key = (board.uid.clone(), panel.title.clone());
                    answers.0.entry(key).or_default().extend(series);
                }
            }
        }
    }
    (answers, empty)
}

/// What is chosen when `board` is opened with `run`: everything, in every other variable.
pub(crate) async fn selection(
    influx: &Influx,
    board: &Board,
    run: &str,
    range: Range,
) -> Selection {
    let mut empty = Vec::new();
    let mut asker = Asker { influx, board: &board.uid, empty: &mut empty };
    select(&mut asker, board, run, range).await
}

/// Chooses `run` and everything else, by the variables' own queries and in their order.
async fn select(asker: &mut Asker<'_>, board: &Board, run: &str, range: Range) -> Selection {
    let mut selection = Selection::default();
    for variable in board.variables() {
        let Variable { name, query, all, .. } = &variable;
        let part = Part::Variable(name.clone());
        let series = asker.ask(&part, query, &selection, range.with_points(POINTS, 1)).await;
        let offered = variable.choices(series.iter().flat_map(Series::second_column));
        offered.iter().for_each(|choice| selection.call(&choice.value, &choice.text));
        let mut values = offered.into_iter().map(|choice| choice.value);
        let chosen = match all {
            Some(pattern) if pattern.is_empty() => Chosen::Several(values.collect()),
            Some(pattern) => Chosen::All(pattern.clone()),
            None => {
                // Of an answer without rows it has been said already.
                if !series.is_empty() && !values.any(|value| value == run) {
                    asker.note(&part, query, format!("no {run} is offered"), false);
                }
                Chosen::One(run.to_owned())
            }
        };
        selection.choose(name, chosen);
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
                self.note(part, query, error, true);
                return Vec::new();
            }
        };
        match self.influx.ask(&expanded).await {
            Ok(series) if series.iter().any(Series::has_value) => return series,
            Ok(_) => self.note(part, query, format!("no rows from\n{expanded}"), false),
            Err(error) => self.note(part, query, format!("{error} from\n{expanded}"), true),
        }
        Vec::new()
    }

    fn note(&mut self, part: &Part, query: &str, why: String, failed: bool) {
        let (board, query) = (self.board.to_owned(), query.to_owned());
        self.empty.push(Empty { board, part: part.clone(), query, why, failed });
    }
}
