//! Panels of words and numbers: single values, and tables.

use serde_json::Value;

use crate::frame::{Field, Frame, TIME};
use crate::look::{Look, pattern_fits};
use crate::svg::{Size, escape};

/// How wide a letter is, for its size.
const LETTER: f64 = 0.56;
/// Between values.
const GAP: f64 = 8.0;

/// Single values, as large as there is room: each the last of its column.
pub(crate) fn values(look: Look<'_>, frames: &[Frame], size: Size) -> String {
    let wanted = look.option("reduceOptions")["fields"].as_str().unwrap_or_default();
    let fields = frames.iter().flat_map(|frame| &frame.fields).filter(|field| {
        field.name != TIME && (wanted.is_empty() || pattern_fits(Some(wanted), &field.name))
    });
    let value = |field: &Field| {
        let last = field.values.iter().rfind(|value| !value.is_null()).cloned().unwrap_or_default();
        let (text, colour) = look.shown(&field.name, &last);
        (field.name.clone(), text, colour.unwrap_or_else(|| look.colour(&field.name, 0)))
    };
    let all: Vec<_> = fields.map(value).collect();
    let named = look.option("textMode") == "auto" && all.len() > 1;
    let column = match look.option("orientation").as_str() {
        Some("horizontal") => true,
        Some("vertical") => false,
        _ => size.w <= size.h,
    };
    let count = all.len().max(1) as f64;
    let gaps = GAP * (count - 1.0);
    let one = if column {
        Size { w: size.w, h: (size.h - gaps) / count }
    } else {
        Size { w: (size.w - gaps) / count, h: size.h }
    };
    let boxes =
        all.iter().map(|(name, text, colour)| value_box(named.then_some(name), text, colour, one));
    let direction = if column { "column" } else { "row" };
    format!(
        "<div class=values style=\"flex-direction:{direction}\">{}</div>",
        boxes.collect::<String>()
    )
}

/// A value in its box; where it has a name, that is beside it if the box is wide, else above.
fn value_box(name: Option<&String>, text: &str, colour: &str, size: Size) -> String {
    let padding = if size.h > 100.0 { 12.0 } else { 8.0 };
    let room = Size { w: size.w - 2.0 * padding, h: size.h - 2.0 * padding };
    let wide = size.w / size.h > 2.5;
    let fits = |text: &str, room: Size| {
        (room.w / (text.chars().count().max(1) as f64 * LETTER)).min(room.h / 1.2).max(6.0)
    };
    let (value, title) = match (name, wide) {
        (None, _) => (fits(text, room), 0.0),
        (Some(name), true) => (
            fits(text, Size { w: room.w * 0.3, ..room }),
            fits(name, Size { w: room.w * 0.6, ..room }).min(30.0),
        ),
        (Some(name), false) => (
            fits(text, Size { h: room.h * 0.6, ..room }),
            fits(name, Size { h: room.h * 0.25, ..room }).min(30.0),
        ),
    };
    let name = name.map_or_else(String::new, |name| {
        format!("<span style=\"font-size:{title:.1}px\">{}</span>", escape(name))
    });
    let direction = if wide { "row" } else { "column" };
    format!(
        "<div class=value style=\"flex-direction:{direction};color:{colour}\">{name}\
         <strong style=\"font-size:{value:.1}px\">{}</strong></div>",
        escape(text)
    )
}

/// A table, in the order that the panel wants.
pub(crate) fn table(look: Look<'_>, mut frame: Frame) -> String {
    let by = &look.option("sortBy")[0];
    frame.sort(by["displayName"].as_str().unwrap_or_default(), by["desc"] == true);
    let head = |field: &Field| {
        let width = look.number(&field.name, "custom.width");
        let width = width.map_or_else(String::new, |width| format!(" style=\"width:{width}px\""));
        format!("<th{width} class={}>{}</th>", kind(field), escape(&field.name))
    };
    let heads: String = frame.fields.iter().map(head).collect();
    let row = |row: usize| {
        let cells = frame.fields.iter().map(|field| cell(look, field, row));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let rows: String = (0..frame.rows()).map(row).collect();
    format!("<table class=rows><tr>{heads}</tr>{rows}</table>")
}

/// Numbers stand at the right.
fn kind(field: &Field) -> &'static str {
    if field.values.iter().any(Value::is_string) { "text" } else { "number" }
}

fn cell(look: Look<'_>, field: &Field, row: usize) -> String {
    let value = &field.values[row];
    let (text, colour) = look.shown(&field.name, value);
    let text = escape(&text);
    let style = look.property(&field.name, "custom.cellOptions");
    match (style["type"].as_str(), value.as_f64(), colour) {
        (Some("color-background"), _, Some(colour)) => {
            format!("<td class=lit style=\"background:{colour}\">{text}</td>")
        }
        (Some("gauge"), Some(number), _) => {
            let numbers = || field.values.iter().filter_map(Value::as_f64);
            let (low, high) = (numbers().fold(0.0, f64::min), numbers().fold(0.0, f64::max));
            let share = 100.0 * (number - low) / (high - low).max(1e-12);
            let colour = look.colour(&field.name, 0);
            format!(
                "<td><div class=gauge><span><i style=\"width:{share:.1}%;background:{colour}\"></i></span>{text}</div></td>"
            )
        }
        (_, _, Some(colour)) => {
            format!("<td class={} style=\"color:{colour}\">{text}</td>", kind(field))
        }
        _ => format!("<td class={}>{text}</td>", kind(field)),
    }
}
