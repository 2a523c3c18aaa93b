//! The graphs: percentile curves, latency over time, and the blog's three graphs by payload.

use std::collections::BTreeMap;

use super::super::label::{Group, groups, protocol, setting};
use super::markup::{Table, details, escape};
use super::svg::{self, Axis, Chart, Point, Series, legend};
use crate::model::Protocol;
use crate::result::units::{payload, percent, rate, round_time, time, trimmed};
use crate::result::{CellResult, RunResult};
use crate::verdict::Status;

/// A chart with its legend and the numbers it is drawn from.
fn figure(chart: &Chart, x_name: impl Fn(f64) -> String, y_name: impl Fn(f64) -> String) -> String {
    let mut headings = vec![chart.x.label.as_str()];
    headings.extend(chart.series.iter().map(|series| series.name.as_str()));
    let mut table = Table::new(&format!("{}: {}", chart.title, chart.y.label), &headings, 1);
    let mut places: Vec<f64> =
        chart.series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for place in places {
        let mut cells = vec![escape(x_name(place))];
        cells.extend(chart.series.iter().map(|series| {
            let found = series.points.iter().find(|point| point.x == place);
            found.map_or_else(|| "–".to_owned(), |point| escape(y_name(point.y)))
        }));
        table.row(&cells);
    }
    format!(
        "<figure><figcaption><b>{}</b> <span class=\"unit\">{}</span>{}</figcaption>{}{}</figure>",
        escape(&chart.title),
        escape(&chart.y.label),
        legend(&chart.series),
        chart.svg(),
        details("The numbers", &table.finish())
    )
}

fn style(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Rest => 0,
        Protocol::Grpc => 1,
    }
}

/// The least and the largest y of all points, or 1 and 1.
fn extent(series: &[Series]) -> (f64, f64) {
    let values = || series.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    if most > 0.0 { (least.max(most / 1e6), most) } else { (1.0, 1.0) }
}

/// For each payload: how slow which share of the requests was.
pub(super) fn curves(result: &RunResult) -> String {
    let mut html = String::from("<div class=\"grid\">");
    for group in groups(result) {
        let series: Vec<Series> = lines(&group, |cell| {
            let point = |x: f64, y| Point { x, y, status: Status::Valid };
            cell.curve.iter().map(|at| point(1.0 / (1.0 - at.quantile), at.latency_us)).collect()
        });
        let (least, most) = extent(&series);
        let last = series
            .iter()
            .filter_map(|line| line.points.last())
            .map(|point| point.x)
            .fold(10.0, f64::max);
        let ticks = [
            (1.0, "min"),
            (2.0, "p50"),
            (10.0, "p90"),
            (100.0, "p99"),
            (1e3, "p99.9"),
            (1e4, "p99.99"),
            (1e5, "p99.999"),
        ];
        let x = Axis {
            label: "percentile".to_owned(),
            log: true,
            ticks: ticks
                .into_iter()
                .filter(|(at, _)| *at <= last * 1.01)
                .map(|(at, name)| (at, name.to_owned()))
                .collect(),
            range: (1.0, last),
        };
        let chart = Chart {
            title: group.title(),
            x,
            y: latency("latency", least, most),
            series,
            dodge: 0.0,
        };
        html.push_str(&figure(&chart, |at| format!("p{}", trimmed_percentile(at)), time));
    }
    html.push_str("</div>");
    html
}

/// An axis of latency from zero, on which a flat line looks flat; where the ends are far apart, one of
/// decades, on which both are seen.
fn latency(label: &str, least: f64, most: f64) -> Axis {
    if most / least > 20.0 {
        Axis::decades(&format!("{label}, logarithmic"), least, most, round_time)
    } else {
        Axis::linear(label, most, round_time)
    }
}

fn trimmed_percentile(one_in: f64) -> String {
    let text = format!("{:.3}", 100.0 * (1.0 - 1.0 / one_in));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A line for each cell of the group.
fn lines(group: &Group<'_>, points: impl Fn(&CellResult) -> Vec<Point>) -> Vec<Series> {
    group
        .cells
        .iter()
        .map(|cell| Series {
            name: protocol(cell.factors.protocol).to_owned(),
            style: style(cell.factors.protocol),
            points: points(cell),
            marked: false,
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// For each payload: latency second by second, mean of the rounds.
pub(super) fn over_time(result: &RunResult) -> String {
    let mut html = String::from("<div class=\"grid\">");
    for group in groups(result) {
        let series = lines(&group, seconds);
        let last = series
            .iter()
            .filter_map(|line| line.points.last())
            .map(|point| point.x)
            .fold(1.0, f64::max);
        let (least, most) = extent(&series);
        let mut x = Axis::linear("second of the round (planned time)", last, trimmed);
        x.range.1 = last;
        x.ticks.retain(|(at, _)| *at <= last);
        let chart = Chart {
            title: group.title(),
            x,
            y: latency("mean latency", least, most),
            series,
            dodge: 0.0,
        };
        html.push_str(&figure(&chart, trimmed, time));
    }
    html.push_str("</div>");
    html
}

fn seconds(cell: &CellResult) -> Vec<Point> {
    let mut means: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for second in &cell.timeline {
        if let Some(mean) = second.mean_us {
            let sum = means.entry(second.second).or_default();
            *sum = (sum.0 + mean, sum.1 + 1.0);
        }
    }
    means
        .into_iter()
        .map(|(second, (sum, count))| Point {
            x: second as f64,
            y: sum / count,
            status: Status::Valid,
        })
        .collect()
}

/// Mean latency, completed requests and drop rate, each by payload.
pub(super) fn by_payload(result: &RunResult) -> String {
    let mut payloads: Vec<u64> =
        result.cells.iter().map(|cell| cell.factors.payload_bytes).collect();
    payloads.sort_unstable();
    payloads.dedup();
    let place = |cell: &CellResult| {
        payloads.iter().position(|&bytes| bytes == cell.factors.payload_bytes).unwrap_or(0) as f64
    };
    let name = |at: f64| payloads.get(at as usize).map(|bytes| payload(*bytes)).unwrap_or_default();
    let x = || Axis {
        label: "payload".to_owned(),
        log: false,
        ticks: (0..payloads.len()).map(|at| (at as f64, name(at as f64))).collect(),
        range: (-0.35, payloads.len() as f64 - 0.65),
    };
    let chart = |title: &str, y: &dyn Fn(f64, f64) -> Axis, of: &dyn Fn(&CellResult) -> f64| {
        let series = series(result, &|cell| (place(cell), of(cell)));
        let (least, most) = extent(&series);
        Chart { title: title.to_owned(), x: x(), y: y(least, most), series, dodge: 4.0 }
    };
    let mut html = String::from("<div class=\"grid\">");
    let latency = chart(
        "Mean latency by payload",
        &|least, most| Axis::decades("mean latency, logarithmic", least, most, round_time),
        &|cell| cell.latency_us.mean,
    );
    html.push_str(&figure(&latency, name, time));
    let asked = result.cells.iter().map(|cell| cell.factors.rate_per_s).fold(0.0, f64::max);
    let mut completed = chart(
        "Completed per second by payload",
        &|_, most| Axis::linear("successful requests/s", most.max(asked), trimmed),
        &|cell| cell.load.completed_per_s,
    );
    completed.series.push(asked_for(result, &place));
    html.push_str(&figure(&completed, name, rate));
    let dropped = chart(
        "Drop rate by payload",
        &|_, most| {
            Axis::linear("dropped over planned", if most < 0.01 { 1.0 } else { most }, percent)
        },
        &|cell| cell.load.dropped_share,
    );
    html.push_str(&figure(&dropped, name, percent));
    html.push_str("</div>");
    html
}

/// The rate that was asked for: the most at each payload.
fn asked_for(result: &RunResult, place: &dyn Fn(&CellResult) -> f64) -> Series {
    let mut points: Vec<Point> = Vec::new();
    for cell in &result.cells {
        let (x, y) = (place(cell), cell.factors.rate_per_s);
        match points.iter_mut().find(|point| point.x == x) {
            Some(point) => point.y = point.y.max(y),
            None => points.push(Point { x, y, status: Status::Valid }),
        }
    }
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Series { name: "asked for".to_owned(), style: ASKED, points, marked: false }
}

/// The style of what was asked for, which no cell has.
const ASKED: usize = svg::STYLES - 1;

/// A line for each protocol; for each protocol and setting where one payload has several.
fn series(result: &RunResult, point: &dyn Fn(&CellResult) -> (f64, f64)) -> Vec<Series> {
    let key = |cell: &CellResult| (cell.factors.protocol, cell.factors.payload_bytes);
    let mut seen: Vec<_> = result.cells.iter().map(key).collect();
    seen.sort_unstable();
    let unique = seen.windows(2).all(|pair| pair[0] != pair[1]);
    let mut all: Vec<Series> = Vec::new();
    for cell in result.cells.iter().filter(|cell| cell.requests.started > 0) {
        let name = protocol(cell.factors.protocol);
        let set = if unique { String::new() } else { setting(result, cell) };
        let name = if set.is_empty() { name.to_owned() } else { format!("{name}, {set}") };
        let (x, y) = point(cell);
        let point = Point { x, y, status: cell.verdict.status };
        match all.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => {
                let first = style(cell.factors.protocol);
                let taken = all.iter().filter(|series| series.style % 2 == first).count();
                all.push(Series {
                    name,
                    style: first + 2 * taken,
                    points: vec![point],
                    marked: true,
                });
            }
        }
    }
    for series in &mut all {
        series.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    all
}
