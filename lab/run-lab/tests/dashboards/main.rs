//! The dashboards are whole, name only what the lab writes, and every query of them returns rows: on an InfluxDB 1.8
//! and on a 2.x.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod fixture;
mod lint;
#[path = "panels/mod.rs"]
mod panels;
mod shape;
mod words;

use std::collections::BTreeSet;

use ledger::names::{M_HOP, M_PROCESS, NO_CELL, T_GENERATOR};
use panels::board::boards;
use panels::expand::{Chosen, Range, Selection, expand};
use panels::{
    Empty, Influx, NOT_BY_HAND, NOT_WITHOUT_A_PAYLOAD, Series, Shown, empty_but,
    every_panel_but_returns_rows, every_panel_returns_rows, queries_without_rows, selection,
};
use test_parts::{InfluxDb, Part};
use words::Words;

/// What the fixture's points are shown by, but for the server and the run.
const FIXTURE: Shown<'static> =
    Shown { url: "", database: "lab", run: "", from: fixture::FROM, to: fixture::TO };

async fn every_query_returns_rows_and_the_drop_rate_is_that_of_the_load(part: Part) {
    let influxdb = InfluxDb::start(part).await;
    influxdb.write("lab", &fixture::points()).await;
    let url = influxdb.url_of_reader();
    let shown = Shown { url: &url, run: fixture::RUN, ..FIXTURE };
    let answers = every_panel_returns_rows(shown).await;
    let expected = fixture::DROPPED as f64 / fixture::PLANNED as f64;
    assert!(expected > 0.0);
    let shown = answers.number("lab-rest-vs-grpc", "Drop rate");
    assert!((shown - expected).abs() < 1e-12, "{shown} is not {expected}");

    let influx = Influx::new(&url, "lab");
    every_column_has_a_value(&influx).await;
    the_newest_run_is_offered_first(&influx).await;
    families_and_residual_add_up_to_the_latency(&influx).await;
    a_choice_of_cells_narrows_what_is_shown(&influx).await;
    a_repeated_panel_is_called_by_its_choice(&influx).await;
}

async fn what_the_sidecar_writes_by_itself_is_offered_and_shown(part: Part) {
    let influxdb = InfluxDb::start(part).await;
    influxdb.write("lab", &fixture::points_of_the_sidecar()).await;
    let url = influxdb.url_of_reader();
    let shown = Shown { url: &url, run: fixture::RUN_UP, ..FIXTURE };
    let answers = every_panel_but_returns_rows(shown, NOT_BY_HAND).await;
    // The line is the stack's height where the edge is known.
    let series = answers.series("lab-breakdown", "Latency over time");
    let line = series.iter().find(|series| series.tags.contains_key(T_GENERATOR)).expect("a line");
    assert_eq!(line.tags[T_GENERATOR], "k6");
    let stack: f64 = series
        .iter()
        .filter(|series| !series.tags.contains_key(T_GENERATOR))
        .map(|series| series.numbers_of_first_row().iter().sum::<f64>())
        .sum();
    assert!((line.numbers_of_first_row()[0] / stack - 1.0).abs() < 0.02, "{stack}");
}

async fn a_system_that_nobody_planned_is_shown_by_what_its_requests_do(part: Part) {
    let influxdb = InfluxDb::start(part).await;
    influxdb.write("lab", &fixture::points_of_a_foreign_system()).await;
    let url = influxdb.url_of_reader();
    let shown = Shown { url: &url, run: fixture::RUN_UP, ..FIXTURE };
    let exempt = [NOT_BY_HAND, NOT_WITHOUT_A_PAYLOAD].concat();
    let answers = every_panel_but_returns_rows(shown, &exempt).await;
    let each = ("lab-rest-vs-grpc", "Each cell");
    for cell in ["GET /checkout", "GET /search"] {
        let traced = answers.in_table(each, &[("cell", cell)], "traced").as_f64();
        assert!(traced > Some(0.0), "{cell}: {traced:?}");
    }
}

/// So there is no query of the sidecar's points that could not fail the test above.
async fn without_a_measurement_every_query_of_it_is_named_and_no_other(part: Part) {
    let influxdb = InfluxDb::start(part).await;
    let of_boards: BTreeSet<String> =
        boards().iter().flat_map(shape::queries).map(|(_, query)| query).collect();
    for measurement in [M_HOP, M_PROCESS] {
        let all = fixture::points_of_the_sidecar();
        let others = all.lines().filter(|line| !line.starts_with(&format!("{measurement},")));
        let database = format!("without_{measurement}");
        influxdb.make_database(&database).await;
        influxdb.write(&database, &others.collect::<Vec<_>>().join("\n")).await;
        let run = fixture::RUN_UP;
        let url = influxdb.url_of_reader();
        let shown = Shown { url: &url, database: &database, run, ..FIXTURE };
        let (_, mut empty) = queries_without_rows(shown).await;
        empty.retain(Empty::is_of_the_sidecar);
        let named: BTreeSet<_> = empty.iter().map(|empty| empty.query.as_str()).collect();
        let asks = |query: &&str| Words::of(query).measurements.contains(measurement);
        let asked: BTreeSet<_> = of_boards.iter().map(String::as_str).filter(asks).collect();
        assert!(!asked.is_empty());
        assert_eq!(named, asked, "{measurement}");
    }
}

/// The panel of late requests.
const LATE: (&str, &str) = ("lab-rest-vs-grpc", "Late");

async fn of_a_run_by_k6_everything_is_shown_but_what_was_late(part: Part) {
    let influxdb = InfluxDb::start(part).await;
    influxdb.write("lab", &fixture::points_by_k6()).await;
    let url = influxdb.url_of_reader();
    every_panel_but_returns_rows(Shown { url: &url, run: fixture::RUN, ..FIXTURE }, &[LATE]).await;
}

async fn a_panel_that_shows_rows_is_not_exempt(part: Part) {
    let influxdb = InfluxDb::start(part).await;
    influxdb.write("lab", &fixture::points()).await;
    let url = influxdb.url_of_reader();
    let shown = Shown { url: &url, run: fixture::RUN, ..FIXTURE };
    let (_, _, shows) = empty_but(shown, &[LATE]).await;
    assert_eq!(shows, [LATE]);
}

/// The query of `panel`, for the fixture's run and the cells in `cells`.
async fn shown(influx: &Influx, board: &str, panel: &str, cells: &[&str]) -> Vec<Series> {
    let mut selection = Selection::default();
    selection.choose("run", Chosen::One(fixture::RUN.to_owned()));
    for variable in ["protocol", "hop"] {
        selection.choose(variable, Chosen::All(".*".to_owned()));
    }
    let several = |choices: &[&str]| Chosen::Several(choices.iter().map(|c| (*c).into()).collect());
    selection.choose("payload", several(&["10", "1000000", NO_CELL]));
    selection.choose("process", several(&["gateway", "echo", "driver"]));
    selection.choose("cell", several(cells));
    let range = Range { from: fixture::FROM, to: fixture::TO }.with_points(1_000, 1_000);
    let board = boards().into_iter().find(|b| b.uid == board).expect("a board");
    let panel = board.panels().into_iter().find(|p| p.title == panel).expect("a panel");
    let mut series = Vec::new();
    for target in panel.targets {
        let query = expand(&target.query, &selection, range).expect("every variable");
        series.extend(influx.ask(&query).await.expect("an answer"));
    }
    series
}

/// InfluxQL answers null, and no error, to a name that is not there and to sums of whole numbers by broken ones.
async fn every_column_has_a_value(influx: &Influx) {
    for board in boards() {
        for panel in board.panels() {
            let all = shown(influx, &board.uid, &panel.title, &fixture::cells()).await;
            let all: Vec<&Series> = all.iter().filter(|series| series.has_value()).collect();
            let columns = all.iter().flat_map(|series| &series.columns);
            for column in columns.collect::<BTreeSet<_>>() {
                let some = all.iter().any(|series| series.has_value_in(column));
                // The fixture's run is not certified, and nothing of it was by hand.
                let may = column == "probe cost" || column == "time";
                assert!(some || may, "{}, {}: {column} is empty", board.uid, panel.title);
            }
        }
    }
}

async fn the_newest_run_is_offered_first(influx: &Influx) {
    let variable = boards()[0].variables().remove(0);
    let offered = influx.ask(&variable.query).await.expect("an answer");
    assert_eq!(offered[0].second_column(), [fixture::RUN, "zz-older"]);
}

async fn families_and_residual_add_up_to_the_latency(influx: &Influx) {
    let stack = shown(influx, "lab-breakdown", "Latency over time", &["rest-10B"]).await;
    let latency = shown(influx, "lab-breakdown", "Latency", &["rest-10B"]).await;
    let first = |series: &Series| series.numbers_of_first_row().iter().sum::<f64>();
    // The load generator's own line is none of the stack.
    let stacked: f64 = stack.iter().filter(|series| series.tags.is_empty()).map(first).sum();
    let mean = latency[0].numbers_of_first_row()[0];
    assert!((stacked - mean).abs() < 1e-6, "{stacked} is not {mean}");
    let bands = shown(influx, "lab-breakdown", "The slowest 1 %, over time", &["rest-10B"]).await;
    let band: f64 = bands.iter().map(first).sum();
    assert!((band - 1.1 * (mean - 1.0)).abs() < 1e-6, "{band} is not 1.1 times {mean}");
}

async fn a_choice_of_cells_narrows_what_is_shown(influx: &Influx) {
    for cells in [&["rest-10B"][..], &["rest-10B", "grpc-1MB"]] {
        let table = shown(influx, "lab-trust", "Conservation by cell", cells).await;
        let found: Vec<_> = table.iter().map(|series| series.tags["cell"].as_str()).collect();
        let mut cells = cells.to_vec();
        cells.sort_unstable();
        assert_eq!(found, cells);
    }
}

async fn a_repeated_panel_is_called_by_its_choice(influx: &Influx) {
    let range = Range { from: fixture::FROM, to: fixture::TO };
    let all = selection(influx, &boards()[0], fixture::RUN, range).await;
    let titles = all.repeated(Some("payload"));
    let titles: Vec<_> = titles.iter().map(|one| one.title("Faster: ${payload:text}")).collect();
    assert_eq!(titles[..2], ["Faster: 10 B", "Faster: 1 MB"]);
}

fn a_repeated_panel_asks_for_one_choice_after_the_other() {
    let mut selection = Selection::default();
    selection.choose("payload", Chosen::Several(vec!["10".to_owned(), "1000".to_owned()]));
    selection.call("10", "10 B");
    selection.call("1000", "1 kB");
    let shown = Range { from: 0, to: 1 }.with_points(1, 1);
    let asked: Vec<_> = selection
        .repeated(Some("payload"))
        .iter()
        .map(|one| expand("/^$payload$/ ${payload:text}", one, shown).unwrap())
        .collect();
    assert_eq!(asked, ["/^(10)$/ 10 B", "/^(1000)$/ 1 kB"]);
}

fn queries_are_expanded_as_grafana_does() {
    let mut selection = Selection::default();
    selection.choose("run", Chosen::One("a.b/c".to_owned()));
    selection.choose("cell", Chosen::Several(vec!["x-1.5".to_owned(), "y(2)".to_owned()]));
    selection.choose("hop", Chosen::All(".*".to_owned()));
    let shown = Range { from: 60_000, to: 3_660_000 }.with_points(1_000, 1_000);
    let check = |query: &str, expected: &str| {
        assert_eq!(expand(query, &selection, shown).as_deref(), Ok(expected));
    };
    check("\"run\" =~ /^$run$/", r#""run" =~ /^a\.b\/c$/"#);
    check("/^${cell}$/ /^$hop$/", r"/^(x-1\.5|y\(2\))$/ /^.*$/");
    check("$timeFilter", "time >= 60000ms and time <= 3660000ms");
    check("time($__interval) $__interval_ms $__range", "time(5s) 5000 3600s");
    assert!(expand("$nosuch", &selection, shown).unwrap_err().contains("nosuch"));
}

test_parts::main! {
    each [Influxdb, Influxdb2] {
        every_query_returns_rows_and_the_drop_rate_is_that_of_the_load,
        what_the_sidecar_writes_by_itself_is_offered_and_shown,
        a_system_that_nobody_planned_is_shown_by_what_its_requests_do,
        without_a_measurement_every_query_of_it_is_named_and_no_other,
        of_a_run_by_k6_everything_is_shown_but_what_was_late,
        a_panel_that_shows_rows_is_not_exempt,
    }
    plain [] {
        queries_are_expanded_as_grafana_does,
        a_repeated_panel_asks_for_one_choice_after_the_other,
        shape::the_uids_are_the_five_and_the_schema_is_that_of_grafana_12,
        shape::links_lead_to_dashboards_that_exist_and_keep_time_and_variables,
        shape::queries_name_only_what_the_lab_writes,
        shape::a_family_is_named_by_its_own_stages_and_all_are_there,
        shape::every_stage_has_one_colour_and_those_of_a_family_differ,
        shape::a_protocol_has_one_colour_everywhere_and_it_is_no_familys,
        shape::what_is_stacked_begins_at_0_and_what_is_repeated_can_be,
        shape::variables_that_are_used_are_there_and_all_that_are_there_are_used,
        shape::looks_and_transformations_name_columns_that_there_are,
        shape::panels_lie_side_by_side,
        lint::the_datasource_is_a_variable_that_comes_first,
        lint::everything_is_asked_of_the_datasource_that_was_chosen,
        lint::variables_are_asked_anew_when_the_time_changes,
        lint::every_panel_says_what_it_means_in_which_unit_and_why_it_may_be_empty,
        lint::an_import_needs_nothing_but_an_influxdb,
    }
}
