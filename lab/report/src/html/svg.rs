//! Line charts as inline SVG: small, crisp, and printed as they are shown.
//!
//! Knows nothing of latency: it draws numbers between the ticks it is given.

use std::fmt::Write as _;

use super::markup::escape;
use lab_model::Status;

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
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(format!("{}: {} over {}", self.title, self.y.label, self.x.label))
        );
        self.grid(&mut svg);
        for series in &self.series {
            self.line(&mut svg, series);
        }
        svg.push_str("</svg>");
        svg
    }

    fn at(&self, point: (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.place(point.0) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.place(point.1) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn grid(&self, svg: &mut String) {
        let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, label) in &self.y.ticks {
            let (_, y) = self.at((self.x.range.0, *value));
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 3.5,
                escape(label)
            );
        }
        for (value, label) in &self.x.ticks {
            let (x, _) = self.at((*value, self.y.range.0));
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{floor}\"/><text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                floor + 15.0,
                escape(label)
            );
        }
        let _ = write!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{floor}H{right}\"/><text class=\"x label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 8.0,
            escape(&self.x.label)
        );
    }

    fn line(&self, svg: &mut String, series: &Series) {
        let style = series.style % STYLES;
        let aside = if style.is_multiple_of(2) { -self.dodge } else { self.dodge };
        let at = |point: &Point| {
            let (x, y) = self.at((point.x, point.y));
            (x + aside, y)
        };
        let mut path = String::new();
        for (x, y) in series.points.iter().map(at) {
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        }
        let _ = write!(svg, "<path class=\"line s{style}\" d=\"{path}\"/>");
        if !series.marked {
            return;
        }
        for point in &series.points {
            svg.push_str(&mark(style, at(point), point.status));
        }
    }
}

fn mark(style: usize, (x, y): (f64, f64), status: Status) -> String {
    let class = match status {
        Status::Valid => "mark",
        Status::Suspect => "mark hollow",
        Status::Invalid => {
            return format!(
                "<path class=\"line s{style} cross\" d=\"M{:.1} {:.1}l9 9m0 -9l-9 9\"/>",
                x - 4.5,
                y - 4.5
            );
        }
    };
    if style.is_multiple_of(2) {
        format!("<circle class=\"{class} s{style}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>")
    } else {
        format!(
            "<rect class=\"{class} s{style}\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>",
            x - 3.5,
            y - 3.5
        )
    }
}

/// A line of the given style with its name, for a legend.
pub(super) fn legend(series: &[Series]) -> String {
    let mut html = String::from("<span class=\"legend\">");
    for line in series {
        let style = line.style % STYLES;
        let mark =
            if line.marked { mark(style, (13.0, 6.0), Status::Valid) } else { String::new() };
        let _ = write!(
            html,
            "<span><svg class=\"swatch\" viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"line s{style}\" \
             d=\"M0 6H26\"/>{mark}</svg>{}</span>",
            escape(&line.name)
        );
    }
    html.push_str("</span>");
    html
}
