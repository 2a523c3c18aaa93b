//! Lines and areas over time, on top of each other where the panel stacks them, with its limits and the markers of its
//! board.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::frame::Frame;
use crate::legend::{Entry, legend};
use crate::look::Look;
use crate::panels::expand::Range;
use crate::svg::{Anchor, FAINT, Scale, Size, Svg};

/// Width of an axis at a side.
const SIDE: f64 = 66.0;
/// Height of the axis of times.
const BELOW: f64 = 24.0;
/// Steps between marks of time that people know, in milliseconds.
const STEPS: [u64; 15] = [
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    21_600_000,
    86_400_000,
    604_800_000,
];

/// What is drawn over time beside the values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times<'a> {
    pub(crate) range: Range,
    /// When something happened that the board marks on this panel.
    pub(crate) markers: &'a [u64],
}

/// A line.
struct Line {
    name: String,
    colour: String,
    /// By time; a time without a value is a gap.
    values: Vec<(u64, Option<f64>)>,
    stacked: bool,
    right: bool,
    /// Where its foot and its top are at each time, as values.
    drawn: Vec<(u64, Option<(f64, f64)>)>,
}

/// A chart of the series in `frames`.
pub(crate) fn lines(look: Look<'_>, frames: &[Frame], times: Times<'_>, size: Size) -> String {
    let mut lines = read(look, frames);
    stack(&mut lines);
    let entry = |line: &Line| Entry {
        name: line.name.clone(),
        colour: line.colour.clone(),
        values: line.values.iter().filter_map(|(_, value)| *value).collect(),
    };
    let (beside, size) = legend(look, lines.iter().map(entry).collect(), size);
    let right = lines.iter().any(|line| line.right);
    let across = (SIDE, size.w - if right { SIDE } else { 8.0 });
    let upright = (size.h - BELOW, 8.0);
    let mut svg = Svg::new(size);
    let along = |time: u64| {
        let Range { from, to } = times.range;
        let share = (time as f64 - from as f64) / (to as f64 - from as f64);
        across.0 + share * (across.1 - across.0)
    };
    marks_of_time(&mut svg, times.range, along, size);
    for side in [false, true] {
        let of_side = || lines.iter().filter(|line| line.right == side);
        let Some(first) = of_side().next() else { continue };
        let scale = scale(look, of_side(), upright);
        svg.axis(&scale, look.unit(&first.name), across, side);
        if !side {
            limits(&mut svg, look, &first.name, &scale, across);
        }
        of_side().for_each(|line| {
            draw(&mut svg, look, line, |time, value| (along(time), scale.at(value)))
        });
    }
    for &marker in times.markers {
        let x = along(marker);
        let look = format!("stroke=\"{FAINT}\" stroke-dasharray=\"3 4\" opacity=\"0.6\"");
        svg.line((x, upright.0), (x, upright.1), &look);
    }
    format!("{}{beside}", svg.end())
}

fn read(look: Look<'_>, frames: &[Frame]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let [times, values] = frame.fields.as_slice() else { continue };
        let name = values.name.clone();
        let pairs = times.values.iter().zip(&values.values);
        lines.push(Line {
            colour: look.colour(&name, at),
            values: pairs
                .filter_map(|(time, value)| Some((time.as_u64()?, value.as_f64())))
                .collect(),
            stacked: look.property(&name, "custom.stacking")["mode"] == "normal",
            right: look.text(&name, "custom.axisPlacement") == "right",
            drawn: Vec::new(),
            name,
        });
    }
    lines
}

/// Puts each line that is stacked on those before it.
fn stack(lines: &mut [Line]) {
    let mut tops: BTreeMap<u64, f64> = BTreeMap::new();
    for line in lines {
        let place = |(time, value): &(u64, Option<f64>)| {
            let Some(value) = value else { return (*time, None) };
            if !line.stacked {
                return (*time, Some((0.0, *value)));
            }
            let top = tops.entry(*time).or_default();
            let foot = *top;
            *top += value;
            (*time, Some((foot, *top)))
        };
        line.drawn = line.values.iter().map(place).collect();
    }
}

fn scale<'a>(look: Look<'_>, lines: impl Iterator<Item = &'a Line>, upright: (f64, f64)) -> Scale {
    let (mut low, mut high) = (f64::MAX, f64::MIN);
    let mut unit = "";
    for line in lines {
        unit = look.unit(&line.name);
        let number = |id: &str| look.number(&line.name, id);
        let tops = line.drawn.iter().filter_map(|(_, place)| place.map(|(_, top)| top));
        for value in tops.chain(number("custom.axisSoftMin")).chain(number("custom.axisSoftMax")) {
            (low, high) = (low.min(value), high.max(value));
        }
        low = number("min").unwrap_or(low);
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    Scale::round((low, high), unit, upright)
}

/// Times at which a clock is looked at.
fn marks_of_time(svg: &mut Svg, range: Range, along: impl Fn(u64) -> f64, size: Size) {
    let length = range.to - range.from;
    let most = ((size.w / 110.0) as u64).max(1);
    let step = STEPS.into_iter().find(|step| length / step <= most).unwrap_or(604_800_000);
    let first = range.from.next_multiple_of(step);
    let mut time = first;
    while time <= range.to {
        // As dates are written: 2026-11-26T07:28:22.000000Z.
        let text = ledger::date::rfc3339(time * 1_000_000);
        let text = match step {
            86_400_000.. => text.get(5..10),
            60_000.. => text.get(11..16),
            _ => text.get(11..19),
        };
        svg.text((along(time), size.h - 6.0), Anchor::Middle, 0.0, text.unwrap_or_default());
        time += step;
    }
}

/// Lines at the limits, where the panel shows them.
fn limits(svg: &mut Svg, look: Look<'_>, field: &str, scale: &Scale, across: (f64, f64)) {
    if look.text(field, "custom.thresholdsStyle.mode") == "off" {
        return;
    }
    let limits = look.limits(field);
    for (at, (value, colour)) in limits.iter().enumerate() {
        let Some(value) = value else { continue };
        // Of what begins to be right the line has the colour of what is wrong below it.
        let below = at.checked_sub(1).map_or(colour, |before| &limits[before].1);
        let colour = if colour == "transparent" { below } else { colour };
        let y = scale.at(*value);
        svg.line((across.0, y), (across.1, y), &format!("stroke=\"{colour}\" stroke-width=\"1\""));
    }
}

fn draw(svg: &mut Svg, look: Look<'_>, line: &Line, place: impl Fn(u64, f64) -> (f64, f64)) {
    let Line { name, colour, drawn, .. } = line;
    let fill = look.number(name, "custom.fillOpacity").unwrap_or(0.0) / 100.0;
    let stroke = look.number(name, "custom.lineWidth").unwrap_or(1.0);
    let dash = match look.property(name, "custom.lineStyle")["dash"].as_array().map(Vec::as_slice) {
        Some([on, off]) => format!("stroke-dasharray=\"{on} {off}\""),
        _ => String::new(),
    };
    for part in drawn.split(|(_, place)| place.is_none()) {
        let known = || part.iter().filter_map(|(time, ends)| ends.map(|ends| (*time, ends)));
        let tops: Vec<_> = known().map(|(time, (_, top))| place(time, top)).collect();
        if let [alone] = tops[..] {
            svg.dot(alone, 2.0, colour);
            continue;
        }
        if fill > 0.0 {
            let feet = known().map(|(time, (foot, _))| place(time, foot));
            let area: Vec<_> =
                tops.iter().copied().chain(feet.collect::<Vec<_>>().into_iter().rev()).collect();
            svg.path(&area, &format!("fill=\"{colour}\" fill-opacity=\"{fill}\" stroke=\"none\""));
        }
        if stroke > 0.0 {
            let look =
                format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{stroke}\" {dash}");
            svg.path(&tops, &look);
        }
    }
}

/// The values of a column of times, in milliseconds.
pub(crate) fn milliseconds(values: &[Value]) -> Vec<u64> {
    values.iter().filter_map(Value::as_u64).collect()
}
