//! The legend of a chart: names beside or below it, with numbers where the panel wants some.

use serde_json::Value;

use crate::look::Look;
use crate::svg::{Size, escape, width};

/// A line of a legend.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) colour: String,
    /// What its numbers are of.
    pub(crate) values: Vec<f64>,
}

/// How much of a panel a legend beside a chart may take.
const WIDEST: f64 = 0.4;
/// How much one below it may take.
const HIGHEST: f64 = 0.35;
/// Height of a line.
const LINE: f64 = 22.0;

/// A legend, and the size that it leaves for the chart in `size`.
pub(crate) fn legend(look: Look<'_>, mut entries: Vec<Entry>, size: Size) -> (String, Size) {
    let options = look.option("legend");
    if options["showLegend"] != true || entries.is_empty() {
        return (String::new(), size);
    }
    let calcs: Vec<&str> =
        options["calcs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let number = |entry: &Entry, calc: &str| match calc {
        "max" => entry.values.iter().copied().reduce(f64::max),
        _ if entry.values.is_empty() => None,
        _ => Some(entry.values.iter().sum::<f64>() / entry.values.len() as f64),
    };
    if let Some(by) = options["sortBy"].as_str().map(str::to_lowercase) {
        let by = |entry: &Entry| number(entry, &by).unwrap_or(f64::MIN);
        entries.sort_by(|a, b| by(b).total_cmp(&by(a)));
    }
    let table = options["displayMode"] == "table";
    let beside = options["placement"] == "right";
    let longest = entries.iter().map(|entry| width(&entry.name)).fold(0.0, f64::max);
    let wide = longest + 34.0 + 74.0 * calcs.len() as f64;
    let whole: f64 = entries.iter().map(|entry| width(&entry.name) + 40.0).sum();
    let lines = if table { entries.len() as f64 + 1.0 } else { (whole / size.w).ceil() };
    let left = if beside {
        Size { w: size.w - wide.min(size.w * WIDEST), h: size.h }
    } else {
        Size { w: size.w, h: size.h - (lines * LINE).min(size.h * HIGHEST) }
    };
    let row = |entry: &Entry| {
        let name =
            format!("<i style=\"background:{}\"></i><b>{}</b>", entry.colour, escape(&entry.name));
        let cell = |calc: &&str| {
            let text =
                number(entry, calc).map(|number| look.shown(&entry.name, &Value::from(number)).0);
            format!("<td class=number>{}</td>", escape(&text.unwrap_or_default()))
        };
        if table {
            format!("<tr><td>{name}</td>{}</tr>", calcs.iter().map(cell).collect::<String>())
        } else {
            format!("<span>{name}</span>")
        }
    };
    let rows: String = entries.iter().map(row).collect();
    let (w, h) =
        if beside { (size.w - left.w - 8.0, size.h) } else { (size.w, size.h - left.h - 2.0) };
    let inner = if table {
        let heads = calcs.iter().map(|calc| {
            let mut letters = calc.chars();
            let first = letters.next().map(|first| first.to_uppercase().to_string());
            format!("<th class=number>{}{}</th>", first.unwrap_or_default(), letters.as_str())
        });
        format!("<table><tr><th>Name</th>{}</tr>{rows}</table>", heads.collect::<String>())
    } else {
        rows
    };
    let kind = if beside { "beside" } else { "below" };
    (
        format!(
            "<div class=\"legend {kind}\" style=\"width:{w:.0}px;height:{h:.0}px\">{inner}</div>"
        ),
        left,
    )
}
