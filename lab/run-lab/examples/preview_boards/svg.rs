//! The drawing that charts have in common: a surface, a scale from values to places, marks at round numbers.

use std::fmt::Write as _;

use crate::number;

/// What is written beside charts.
pub(crate) const FAINT: &str = "#9a9aa8";
/// Lines of a chart's grid.
const GRID: &str = "#2a2c33";
/// How wide a letter of 12 pixels is, about.
pub(crate) const LETTER: f64 = 7.0;

/// A size in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) w: f64,
    pub(crate) h: f64,
}

/// A drawing.
#[derive(Debug)]
pub(crate) struct Svg(String);

/// Which side of its place a text is on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(crate) fn new(size: Size) -> Svg {
        let Size { w, h } = size;
        Svg(format!("<svg width=\"{w:.0}\" height=\"{h:.0}\" viewBox=\"0 0 {w:.0} {h:.0}\">"))
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }

    pub(crate) fn rect(&mut self, (x, y): (f64, f64), size: Size, colour: &str) {
        let Size { w, h } = size;
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.2}\" width=\"{w:.1}\" height=\"{h:.2}\" fill=\"{colour}\"/>"
        ));
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), look: &str) {
        let ((a, b), (c, d)) = (from, to);
        self.add(format_args!(
            "<line x1=\"{a:.1}\" y1=\"{b:.1}\" x2=\"{c:.1}\" y2=\"{d:.1}\" {look}/>"
        ));
    }

    /// A polygon or line through `points`.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], look: &str) {
        let mut d = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        self.add(format_args!("<path d=\"{d}\" {look}/>"));
    }

    pub(crate) fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"{colour}\"/>"
        ));
    }

    /// A text, turned by so many degrees.
    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, turned: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" \
             transform=\"rotate({turned} {x:.1} {y:.1})\">{}</text>",
            escape(text)
        ));
    }

    fn add(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(what);
    }

    /// Marks and lines across, at round values of the axis on the left; where it is `right`, marks alone.
    pub(crate) fn axis(&mut self, scale: &Scale, unit: &str, across: (f64, f64), right: bool) {
        for (value, step) in scale.marks() {
            // What is not far from 0 is what is left of a difference.
            let value = if value.abs() < 1e-9 * scale.high.abs() { 0.0 } else { value };
            let y = scale.at(value);
            let (x, anchor) =
                if right { (across.1 + 6.0, Anchor::Start) } else { (across.0 - 6.0, Anchor::End) };
            if !right {
                self.line((across.0, y), (across.1, y), &format!("stroke=\"{GRID}\""));
            }
            self.text((x, y + 4.0), anchor, 0.0, &number::on_axis(value, step, unit));
        }
    }
}

/// From values to places.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// How far its marks are apart; of a logarithmic scale they are decades.
    step: Option<f64>,
    /// The places of `low` and `high`.
    pub(crate) places: (f64, f64),
}

impl Scale {
    /// A scale of round ends, in the unit `unit`, that holds `low` and `high`.
    pub(crate) fn round((low, high): (f64, f64), unit: &str, places: (f64, f64)) -> Scale {
        let high = if high > low { high } else { low + 1.0 };
        let step = step_of(high - low, number::size_of_unit(high, unit), places);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Scale { low, high, step: Some(step), places }
    }

    /// A logarithmic scale of whole decades that holds `low` and `high`.
    pub(crate) fn decades((low, high): (f64, f64), places: (f64, f64)) -> Scale {
        let ten = |value: f64| value.max(1e-9).log10();
        let (low, high) = (10_f64.powf(ten(low).floor()), 10_f64.powf(ten(high).ceil()));
        Scale { low, high: high.max(low * 10.0), step: None, places }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let share = if self.step.is_none() {
            (value.max(1e-9) / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Round values on it, each with how far the next is.
    pub(crate) fn marks(&self) -> Vec<(f64, f64)> {
        let Some(step) = self.step else {
            let decades = (self.high / self.low).log10().round() as i32;
            return (0..=decades).map(|ten| self.low * 10_f64.powi(ten)).map(|v| (v, v)).collect();
        };
        let count = ((self.high - self.low) / step).round() as u32;
        (0..=count).map(|at| (self.low + f64::from(at) * step, step)).collect()
    }
}

/// A step, round in a unit that is so large, of which about one is in forty pixels.
fn step_of(range: f64, unit: f64, places: (f64, f64)) -> f64 {
    let count = ((places.1 - places.0).abs() / 40.0).max(2.0);
    let rough = (range / unit / count).max(1e-12);
    let ten = 10_f64.powf(rough.log10().floor());
    let fits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * ten >= rough);
    fits.unwrap_or(10.0) * ten * unit
}

/// `text` as HTML has it.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// How wide `text` is, about.
pub(crate) fn width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}
