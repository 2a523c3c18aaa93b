//! The blog's graphs by payload: mean latency, completed requests per second, drop rate.

use maud::{Markup, html};

use super::super::label::{protocol, setting};
use super::graphs::{extent, figure, style};
use super::svg::{self, Axis, Chart, Point, Series};
use lab_judge::result::units::{percent, rate, round_time, time, trimmed};
use lab_judge::result::{CellResult, RunResult, Subject};
use lab_model::Status;

/// The payloads of a run, and workloads without one, as places on an axis.
struct Payloads(Vec<Subject>);

impl Payloads {
    fn of(result: &RunResult) -> Payloads {
        let cells = result.cells.iter();
        let mut all: Vec<Subject> = cells.map(|cell| cell.factors.subject()).collect();
        all.sort_unstable();
        all.dedup();
        Payloads(all)
    }

    fn place(&self, cell: &CellResult) -> f64 {
        let subject = cell.factors.subject();
        self.0.iter().position(|known| *known == subject).unwrap_or(0) as f64
    }

    fn name(&self, place: f64) -> String {
        self.0.get(place as usize).map(Subject::to_string).unwrap_or_default()
    }

    fn axis(&self) -> Axis {
        let places = (0..self.0.len()).map(|place| place as f64);
        Axis {
            label: "payload".to_owned(),
            log: false,
            ticks: places.map(|place| (place, self.name(place))).collect(),
            range: (-0.35, self.0.len() as f64 - 0.65),
        }
    }
}

/// Mean latency, completed requests and drop rate, each by payload.
pub(super) fn by_payload(result: &RunResult) -> Markup {
    let payloads = Payloads::of(result);
    let name = |place| payloads.name(place);
    let chart = |title: &str, y: &dyn Fn(f64, f64) -> Axis, of: fn(&CellResult) -> f64| {
        let series = series(result, &|cell| (payloads.place(cell), of(cell)));
        let (least, most) = extent(&series);
        let (title, y) = (title.to_owned(), y(least, most));
        Chart { title, x: payloads.axis(), y, series, dodge: 4.0 }
    };
    let latency = chart(
        "Mean latency by payload",
        &|least, most| Axis::decades("mean latency, logarithmic", least, most, round_time),
        |cell| cell.latency_us.mean,
    );
    let asked = asked_for(result, &payloads);
    let highest = asked.points.iter().map(|point| point.y).fold(0.0, f64::max);
    let mut completed = chart(
        "Completed per second by payload",
        &|_, most| Axis::linear("successful requests/s", most.max(highest), trimmed),
        |cell| cell.load.completed_per_s,
    );
    completed.series.push(asked);
    let dropped = chart(
        "Drop rate by payload",
        // Where nothing is dropped, an axis up to all makes the line lie flat at the bottom.
        &|_, most| {
            Axis::linear("dropped over planned", if most < 0.01 { 1.0 } else { most }, percent)
        },
        |cell| cell.load.dropped_share,
    );
    html! {
        div.grid {
            (figure(&latency, name, time))
            (figure(&completed, name, rate))
            (figure(&dropped, name, percent))
        }
    }
}

/// The rate that was asked for: the most at each payload.
fn asked_for(result: &RunResult, payloads: &Payloads) -> Series {
    let mut points: Vec<Point> = Vec::new();
    for cell in &result.cells {
        let (x, y) = (payloads.place(cell), cell.factors.rate_per_s);
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
    let key = |cell: &CellResult| (cell.factors.protocol, cell.factors.subject());
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
                    style: (first + 2 * taken) % ASKED,
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
