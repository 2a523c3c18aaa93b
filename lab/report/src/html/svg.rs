//! Line charts as inline SVG: small, crisp, and printed as they are shown.
//!
//! Knows nothing of latency: it draws numbers between the ticks it is given.

use lab_model::Status;
use maud::{Markup, html};

/// One axis of a chart.
pub(super) struct Axis {
    /// What is along it.
    pub label: String,
    /// Decades instead of steps.
    pub log: bool,
    /// Where lines are drawn, and what is written there.
    pub ticks: Vec<(f64, String)>,
    /// The numbers at its two ends.
    pub range: (f64, f64),
}

impl Axis {
    /// Where `value` lies on the axis: 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| {
            if self.log { value.max(1e-9).ln() } else { value }
        };
        let (from, to) = (scale(self.range.0), scale(self.range.1));
        if to > from { ((scale(value) - from) / (to - from)).clamp(0.0, 1.0) } else { 0.5 }
    }

    /// A linear axis from 0 to a round number past `most`.
    pub(super) fn linear(label: &str, most: f64, write: impl Fn(f64) -> String) -> Axis {
        let step = step_above(most / 4.0);
        let steps = (most / step).ceil().max(1.0) as u32;
        let ticks = (0..=steps).map(|index| f64::from(index) * step).map(|at| (at, write(at)));
        Axis {
            label: label.to_owned(),
            log: false,
            ticks: ticks.collect(),
            range: (0.0, f64::from(steps) * step),
        }
    }

    /// A logarithmic axis over the decades that hold `least` to `most`; with two decades or fewer
    /// there are ticks at 2 and 5 as well.
    pub(super) fn decades(
        label: &str,
        least: f64,
        most: f64,
        write: impl Fn(f64) -> String,
    ) -> Axis {
        let (from, to) = (step_below(least), step_above(most));
        let narrow = to / from <= 200.0;
        let first = from.log10().floor() as i32;
        let last = to.log10().ceil() as i32;
        let ticks = (first..=last)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|step| (step, step * 10_f64.powi(power))))
            .filter(|&(step, at)| (narrow || step == 1.0) && at >= from * 0.999 && at <= to * 1.001)
            .map(|(_, at)| (at, write(at)));
        Axis { label: label.to_owned(), log: true, ticks: ticks.collect(), range: (from, to) }
    }
}

/// The numbers 1, 2, 5 and 10 times the power of ten just below `value`.
fn steps(value: f64) -> [f64; 4] {
    let power = 10_f64.powf(value.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power)
}

/// The next of 1, 2, 5 × 10ⁿ that is at least `value`.
fn step_above(value: f64) -> f64 {
    let steps = steps(value);
    steps.into_iter().find(|&step| step >= value * 0.999).unwrap_or(steps[3])
}

/// The next of 1, 2, 5 × 10ⁿ that is at most `value`.
fn step_below(value: f64) -> f64 {
    let steps = steps(value);
    steps.into_iter().rev().find(|&step| step <= value * 1.001).unwrap_or(steps[0])
}

/// A point of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Along the x axis.
    pub x: f64,
    /// Along the y axis.
    pub y: f64,
    /// Whether to believe it: hollow if SUSPECT, a cross if INVALID.
    pub status: Status,
}

/// A line of a chart.
pub(super) struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Picks colour, dashes and marks: 0 for REST, 1 for gRPC, then on.
    pub style: usize,
    /// Its points, from left to right.
    pub points: Vec<Point>,
    /// Draw a mark at each point.
    pub marked: bool,
}

/// A chart.
pub(super) struct Chart {
    /// What it shows.
    pub title: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Its lines.
    pub series: Vec<Series>,
    /// How far lines are moved aside, so that equal ones are both seen.
    pub dodge: f64,
}

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// How many styles the style sheet has.
pub(super) const STYLES: usize = 7;

impl Chart {
    /// The chart as an `svg` element.
    pub(super) fn svg(&self) -> Markup {
        let name = format!("{}: {} over {}", self.title, self.y.label, self.x.label);
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(name) {
                (self.grid())
                @for series in &self.series { (self.line(series)) }
            }
        }
    }

    fn at(&self, point: (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.place(point.0) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(point.1) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn grid(&self) -> Markup {
        let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        html! {
            @for (value, label) in &self.y.ticks {
                @let y = self.at((self.x.range.0, *value)).1;
                path.grid d=(format!("M{LEFT} {y:.1}H{right}")) {}
                text.y x=(tenths(LEFT - 6.0)) y=(tenths(y + 3.5)) { (label) }
            }
            @for (value, label) in &self.x.ticks {
                @let x = self.at((*value, self.y.range.0)).0;
                path.grid d=(format!("M{x:.1} {TOP}V{floor}")) {}
                text.x x=(tenths(x)) y=(tenths(floor + 15.0)) { (label) }
            }
            path.axis d=(format!("M{LEFT} {TOP}V{floor}H{right}")) {}
            text.x.label x=(tenths(f64::midpoint(LEFT, right))) y=(tenths(HEIGHT - 8.0)) {
                (self.x.label)
            }
        }
    }

    fn line(&self, series: &Series) -> Markup {
        let style = series.style % STYLES;
        let aside = if style.is_multiple_of(2) { -self.dodge } else { self.dodge };
        let at = |point: &Point| {
            let (x, y) = self.at((point.x, point.y));
            (x + aside, y)
        };
        let places = series.points.iter().map(at).map(|(x, y)| format!("{x:.1} {y:.1}"));
        let places = places.collect::<Vec<_>>().join("L");
        let path = if places.is_empty() { places } else { format!("M{places}") };
        html! {
            path class={ "line s" (style) } d=(path) {}
            @if series.marked {
                @for point in &series.points { (mark(style, at(point), point.status)) }
            }
        }
    }
}

/// A place in the picture: finer than a tenth is not seen.
fn tenths(place: f64) -> String {
    format!("{place:.1}")
}

fn mark(style: usize, (x, y): (f64, f64), status: Status) -> Markup {
    let class = match status {
        Status::Valid => "mark",
        Status::Unchecked | Status::Suspect => "mark hollow",
        Status::Invalid => {
            let cross = format!("M{:.1} {:.1}l9 9m0 -9l-9 9", x - 4.5, y - 4.5);
            return html! { path class={ "line s" (style) " cross" } d=(cross) {} };
        }
    };
    html! {
        @if style.is_multiple_of(2) {
            circle class={ (class) " s" (style) } cx=(tenths(x)) cy=(tenths(y)) r="4" {}
        } @else {
            rect class={ (class) " s" (style) } x=(tenths(x - 3.5)) y=(tenths(y - 3.5))
                width="7" height="7" {}
        }
    }
}

/// A line of the given style with its name, for a legend.
pub(super) fn legend(series: &[Series]) -> Markup {
    html! {
        span.legend {
            @for line in series {
                @let style = line.style % STYLES;
                span {
                    svg.swatch viewBox="0 0 26 12" aria-hidden="true" {
                        path class={ "line s" (style) } d="M0 6H26" {}
                        @if line.marked { (mark(style, (13.0, 6.0), Status::Valid)) }
                    }
                    (line.name)
                }
            }
        }
    }
}
