//! Graphs for each payload: percentile curves and latency over time; and what all graphs have in common.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::label::{Group, groups, protocol};
use super::markup::{Table, details};
use super::svg::{Axis, Chart, Point, Series, legend};
use lab_judge::result::units::{round_time, time, trimmed};
use lab_judge::result::{CellResult, RunResult};
use lab_model::{Protocol, Status};

/// A chart with its legend and the numbers it is drawn from.
pub(super) fn figure(
    chart: &Chart,
    x_name: impl Fn(f64) -> String,
    y_name: impl Fn(f64) -> String,
) -> Markup {
    let mut headings = vec![chart.x.label.as_str()];
    headings.extend(chart.series.iter().map(|series| series.name.as_str()));
    let mut table = Table::new(&format!("{}: {}", chart.title, chart.y.label), &headings, 1);
    let mut places: Vec<f64> =
        chart.series.iter().flat_map(|series| series.points.iter().map(|point| point.x)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for place in places {
        let mut cells = vec![x_name(place)];
        cells.extend(chart.series.iter().map(|series| {
            let found = series.points.iter().find(|point| point.x == place);
            found.map_or_else(|| "–".to_owned(), |point| y_name(point.y))
        }));
        table.row_of(&cells);
    }
    html! {
        figure {
            figcaption {
                b { (chart.title) }
                " "
                span.unit { (chart.y.label) }
                (legend(&chart.series))
            }
            (chart.svg())
            (details("The numbers", &table))
        }
    }
}

/// The style of a protocol's line.
pub(super) fn style(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Rest => 0,
        Protocol::Grpc => 1,
    }
}

/// The least and the largest y of all points, or 1 and 1.
pub(super) fn extent(series: &[Series]) -> (f64, f64) {
    let values = || series.iter().flat_map(|line| line.points.iter().map(|point| point.y));
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    if most > 0.0 { (least.max(most / 1e6), most) } else { (1.0, 1.0) }
}

/// For each payload: how slow which share of the requests was.
pub(super) fn curves(result: &RunResult) -> Markup {
    html! { div.grid { @for group in groups(result) { (curve(&group)) } } }
}

/// The percentiles that have a line of their own, by how many requests there are for each above it.
const PERCENTILES: [(f64, &str); 7] = [
    (1.0, "min"),
    (2.0, "p50"),
    (10.0, "p90"),
    (100.0, "p99"),
    (1e3, "p99.9"),
    (1e4, "p99.99"),
    (1e5, "p99.999"),
];

fn curve(group: &Group<'_>) -> Markup {
    let series: Vec<Series> = lines(group, |cell| {
        let point = |x: f64, y| Point { x, y, status: Status::Valid };
        cell.curve.iter().map(|at| point(1.0 / (1.0 - at.quantile), at.latency_us)).collect()
    });
    let (least, most) = extent(&series);
    let last = last_x(&series, 10.0);
    let seen = PERCENTILES.into_iter().filter(|(at, _)| *at <= last * 1.01);
    let x = Axis {
        label: "percentile".to_owned(),
        log: true,
        ticks: seen.map(|(at, name)| (at, name.to_owned())).collect(),
        range: (1.0, last),
    };
    let y = latency("latency", least, most);
    let chart = Chart { title: group.title(), x, y, series, dodge: 0.0 };
    figure(&chart, |at| format!("p{}", trimmed_percentile(at)), time)
}

/// The x of the last point of all, and `least` at least.
fn last_x(series: &[Series], least: f64) -> f64 {
    series.iter().filter_map(|line| line.points.last()).map(|point| point.x).fold(least, f64::max)
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
        .map(|series| Series {
            // A line of one point is not seen.
            marked: series.points.len() == 1,
            ..series
        })
        .filter(|series| !series.points.is_empty())
        .collect()
}

/// For each payload: latency second by second, mean of the rounds.
pub(super) fn over_time(result: &RunResult) -> Markup {
    html! { div.grid { @for group in groups(result) { (timeline(&group)) } } }
}

fn timeline(group: &Group<'_>) -> Markup {
    let series = lines(group, seconds);
    let last = last_x(&series, 1.0);
    let (least, most) = extent(&series);
    let mut x = Axis::linear("second of the round (planned time)", last, trimmed);
    x.range.1 = last;
    x.ticks.retain(|(at, _)| *at <= last);
    let y = latency("mean latency", least, most);
    figure(&Chart { title: group.title(), x, y, series, dodge: 0.0 }, trimmed, time)
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
