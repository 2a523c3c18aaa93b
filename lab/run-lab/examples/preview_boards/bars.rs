//! Bars, on top of each other or side by side, and points on two axes: what is drawn of a table without times.

use serde_json::Value;

use crate::frame::{Field, Frame, TIME};
use crate::legend::{Entry, legend};
use crate::look::Look;
use crate::svg::{Anchor, Scale, Size, Svg, width};

/// Width of an axis on the left.
const LEFT: f64 = 62.0;
/// Height of an axis below.
const BELOW: f64 = 22.0;

/// A bar chart of the columns of `frame` but the one that names the bars.
pub(crate) fn bars(look: Look<'_>, frame: &Frame, size: Size) -> String {
    let by = look.option("xField").as_str().unwrap_or_default();
    let Some(names) = frame.field(by) else { return String::new() };
    let of_numbers = |field: &&Field| {
        field.name != by
            && !field.name.starts_with(TIME)
            && field.values.iter().all(|v| !v.is_string())
    };
    let fields: Vec<&Field> = frame.fields.iter().filter(of_numbers).collect();
    let entry = |(at, field): (usize, &&Field)| Entry {
        name: field.name.clone(),
        colour: look.colour(&field.name, at),
        values: field.values.iter().filter_map(Value::as_f64).collect(),
    };
    let entries: Vec<Entry> = fields.iter().enumerate().map(entry).collect();
    let (beside, size) = legend(look, entries.clone(), size);
    let longest = look.option("xTickLabelMaxLength").as_u64().unwrap_or(24) as usize;
    let labels: Vec<String> =
        names.values.iter().map(|value| cut(&look.shown(by, value).0, longest)).collect();
    let turned = look.option("xTickLabelRotation").as_f64().unwrap_or(0.0);
    let widest = labels.iter().map(|label| width(label)).fold(0.0, f64::max);
    let below = BELOW + widest * turned.to_radians().sin().abs();
    let mut svg = Svg::new(size);
    let stacked = look.option("stacking") == "normal";
    let height = |row: usize| {
        let values = fields.iter().filter_map(|field| field.values[row].as_f64());
        if stacked { values.sum() } else { values.fold(0.0, f64::max) }
    };
    let highest = (0..labels.len()).map(height).fold(0.0, f64::max);
    let first = fields.first().map_or("", |field| field.name.as_str());
    let highest = look.number(first, "max").unwrap_or(highest);
    let scale = Scale::round((0.0, highest), look.unit(first), (size.h - below, 8.0));
    svg.axis(&scale, look.unit(first), (LEFT, size.w), false);
    let slot = (size.w - LEFT) / labels.len().max(1) as f64;
    let part = |option: &str| look.option(option).as_f64().unwrap_or(0.8);
    let group = slot * if stacked { part("barWidth") } else { part("groupWidth") };
    for (row, label) in labels.iter().enumerate() {
        let middle = LEFT + slot * (row as f64 + 0.5);
        let mut foot = 0.0;
        for (at, (field, entry)) in fields.iter().zip(&entries).enumerate() {
            let Some(value) = field.values[row].as_f64() else { continue };
            let one = if stacked { group } else { group / fields.len() as f64 };
            let x = middle - group / 2.0 + if stacked { 0.0 } else { at as f64 * one };
            let (bottom, top) = (scale.at(foot), scale.at(foot + value));
            let w = if stacked { one } else { one * part("barWidth") };
            svg.rect((x, top), Size { w, h: bottom - top }, &entry.colour);
            foot += if stacked { value } else { 0.0 };
        }
        let anchor = if turned == 0.0 { Anchor::Middle } else { Anchor::End };
        svg.text((middle, size.h - below + 16.0), anchor, turned, label);
    }
    format!("{}{beside}", svg.end())
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest).chain(['…']).collect()
}

/// What the options call a line of points: its name, and the columns of its places.
fn lines<'a>(look: Look<'a>) -> Vec<[&'a str; 3]> {
    let of = |line: &'a Value| {
        Some([
            line["name"]["fixed"].as_str()?,
            line["x"]["matcher"]["options"].as_str()?,
            line["y"]["matcher"]["options"].as_str()?,
        ])
    };
    look.option("series").as_array().into_iter().flatten().filter_map(of).collect()
}

/// Lines through points on two axes, each as the panel's options name its columns.
pub(crate) fn points(look: Look<'_>, frame: &Frame, size: Size) -> String {
    let lines = lines(look);
    let places = |[_, x, y]: &[&str; 3]| -> Vec<(f64, f64)> {
        let (Some(x), Some(y)) = (frame.field(x), frame.field(y)) else { return Vec::new() };
        let pairs = x.values.iter().zip(&y.values);
        pairs.filter_map(|(x, y)| Some((x.as_f64()?, y.as_f64()?))).collect()
    };
    let all: Vec<Vec<(f64, f64)>> = lines.iter().map(places).collect();
    let entry = |at: usize| Entry {
        name: lines[at][0].to_owned(),
        colour: look.colour(lines[at][2], at),
        values: all[at].iter().map(|(_, y)| *y).collect(),
    };
    let entries: Vec<Entry> = (0..lines.len()).map(entry).collect();
    let (below, size) = legend(look, entries.clone(), size);
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let values = all.iter().flatten().map(of);
        (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max))
    };
    if all.iter().all(Vec::is_empty) {
        return below;
    }
    let (x_field, y_field) = (lines[0][1], lines[0][2]);
    let scale = |field: &str, ends, places| match look.text(field, "custom.scaleDistribution.type")
    {
        "log" => Scale::decades(ends, places),
        _ => Scale::round(ends, look.unit(field), places),
    };
    let bottom = size.h - 2.0 * BELOW;
    let y = scale(y_field, ends(|place| place.1), (bottom, 8.0));
    let x = scale(x_field, ends(|place| place.0), (LEFT, size.w - 24.0));
    let mut svg = Svg::new(size);
    svg.axis(&y, look.unit(y_field), (LEFT, size.w), false);
    for (value, step) in x.marks() {
        let text = crate::number::on_axis(value, step, look.unit(x_field));
        svg.text((x.at(value), bottom + 16.0), Anchor::Middle, 0.0, &text);
    }
    let label = look.text(x_field, "custom.axisLabel");
    svg.text(((LEFT + size.w) / 2.0, size.h - 6.0), Anchor::Middle, 0.0, label);
    for ((line, places), entry) in lines.iter().zip(&all).zip(&entries) {
        let drawn: Vec<_> = places.iter().map(|(a, b)| (x.at(*a), y.at(*b))).collect();
        let colour = &entry.colour;
        let dashed = look.property(line[2], "custom.lineStyle")["fill"] == "dash";
        let dash = if dashed { "stroke-dasharray=\"4 6\"" } else { "" };
        svg.path(&drawn, &format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" {dash}"));
        let radius =
            look.property(line[2], "custom.pointSize")["fixed"].as_f64().unwrap_or(6.0) / 2.0;
        drawn.iter().for_each(|place| svg.dot(*place, radius, colour));
    }
    format!("{}{below}", svg.end())
}
