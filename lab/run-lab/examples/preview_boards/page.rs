//! A board as a page: its panels where Grafana puts them, and who drew it.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use crate::ask::{Asked, Asker};
use crate::bars;
use crate::frame::{Frame, transform};
use crate::lines::{self, Times};
use crate::look::Look;
use crate::panels::board::Board;
use crate::svg::{Size, escape};
use crate::words;

/// Columns of Grafana's grid.
const COLUMNS: f64 = 24.0;
/// Height of a row of it, and between two.
const ROW: f64 = 30.0;
const GAP: f64 = 8.0;
/// At the sides of the page.
const MARGIN: f64 = 16.0;
/// What is above the panels: the board's name, what was chosen, who drew this.
const HEAD: f64 = 92.0;
/// What a panel's frame takes of its height: its title, and its edges.
const FRAME: Size = Size { w: 18.0, h: 50.0 };

const STYLE: &str = "
body{margin:0;background:#111217;color:#ccccdc;font:12px Inter,'DejaVu Sans',sans-serif;position:relative}
header{position:absolute;left:16px;right:16px;top:8px}h1{font-size:18px;font-weight:500;margin:0 0 6px}
header p{margin:0 0 6px}.drawn{color:#ffb357}.chosen span{background:#181b1f;border:1px solid #33353d;
padding:2px 8px;margin-right:8px;border-radius:2px}.chosen em{color:#9a9aa8;font-style:normal;margin-right:6px}
section{position:absolute;background:#181b1f;border:1px solid #26282f;border-radius:2px;box-sizing:border-box;
overflow:hidden}section.row{background:none;border:none;line-height:30px;color:#9a9aa8;font-size:14px}
section.row b{color:#ccccdc;font-weight:500}
h2{font-size:14px;font-weight:500;margin:0;padding:0 8px;height:32px;line-height:32px;white-space:nowrap}
.body{position:absolute;left:8px;top:32px;right:8px;bottom:8px;display:flex;flex-wrap:wrap;align-content:flex-start}
svg{display:block;flex:none}svg text{fill:#9a9aa8;font-size:12px}
.legend{overflow:hidden;line-height:20px}.legend.beside{margin-left:8px}
.legend i{display:inline-block;width:14px;height:4px;border-radius:2px;vertical-align:middle;margin-right:6px}
.legend b{font-weight:400}.legend span{display:inline-block;margin-right:16px}
.legend.beside span{display:block}table{border-collapse:collapse;width:100%}
th{font-weight:500;color:#6e9fff;text-align:left}.legend td{border-top:1px solid #26282f;white-space:nowrap}
.number{text-align:right}.rows td,.rows th{border-bottom:1px solid #26282f;border-right:1px solid #26282f;
padding:7px 8px;line-height:20px}.rows td.lit{color:#111217;font-weight:500}
.gauge{display:flex;align-items:center;gap:8px}.gauge span{flex:1;background:#22252b;height:18px}
.gauge i{display:block;height:18px}.values{display:flex;gap:8px;width:100%;height:100%}
.value{flex:1;display:flex;align-items:center;justify-content:space-evenly;line-height:1.2;white-space:nowrap;
overflow:hidden}.value span{color:#ccccdc}.value strong{font-weight:500}
.empty{width:100%;height:100%;display:flex;align-items:center;justify-content:center;text-align:center;
color:#9a9aa8;font-size:14px}
";

/// Where a panel is, in pixels.
struct Place {
    left: f64,
    top: f64,
    size: Size,
}

/// The page of `board`, so wide.
pub(crate) async fn page(board: &Board, asker: &Asker<'_>, width: f64) -> Result<String> {
    let column = (width - 2.0 * MARGIN + GAP) / COLUMNS;
    let place = |x: f64, y: f64, w: f64, h: f64| Place {
        left: MARGIN + x * column,
        top: HEAD + y * (ROW + GAP),
        size: Size { w: w * column - GAP, h: h * (ROW + GAP) - GAP },
    };
    let (mut sections, mut lower, mut bottom) = (String::new(), 0.0, 0.0_f64);
    for json in board.json["panels"].as_array().into_iter().flatten() {
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|key| json["gridPos"][key].as_f64().unwrap_or(0.0));
        if json["type"] == "row" {
            sections.push_str(&row(json, &place(x, y + lower, w, h)));
            bottom = bottom.max(y + lower + h);
            continue;
        }
        let all = asker.panel(board, json).await?;
        // Those that a panel is repeated as share its width, and have more rows where they are many.
        let most = json["maxPerRow"].as_u64().unwrap_or(4).max(1) as usize;
        let across = if json["repeat"].is_null() { 1 } else { all.len().clamp(1, most) };
        let w = w / across as f64;
        for (at, asked) in all.iter().enumerate() {
            let (right, down) = ((at % across) as f64, (at / across) as f64);
            sections.push_str(&section(
                json,
                asked,
                &place(x + right * w, y + lower + down * h, w, h),
            )?);
        }
        lower += (all.len().div_ceil(across).max(1) - 1) as f64 * h;
        bottom = bottom.max(y + lower + h);
    }
    let height = HEAD + bottom * (ROW + GAP) + MARGIN;
    let title = board.json["title"].as_str().unwrap_or_default();
    let mut chosen = String::new();
    for (name, choice) in asker.chosen(board).await {
        let _ = write!(chosen, "<span><em>{}</em>{}</span>", escape(&name), escape(&choice));
    }
    Ok(format!(
        "<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>\
         <body style=\"width:{width:.0}px;height:{height:.0}px\"><header><h1>{title}</h1>\
         <p class=drawn>Drawn from grafana/dashboards/{}.json and the points of the run by preview_boards, not by Grafana.</p>\
         <p class=chosen>{chosen}</p></header>{sections}</body>\n",
        board.uid
    ))
}

/// The heading of a row of panels; what is folded away is counted.
fn row(json: &Value, place: &Place) -> String {
    let title = json["title"].as_str().unwrap_or_default();
    let count = json["panels"].as_array().map_or(0, Vec::len);
    let (sign, count) = if json["collapsed"] == true {
        ("›", format!(" ({count} panels)"))
    } else {
        ("⌄", String::new())
    };
    let inner = format!("{sign} <b>{}</b>{count}", escape(title));
    boxed("row", &inner, place)
}

fn boxed(kind: &str, inner: &str, Place { left, top, size }: &Place) -> String {
    let Size { w, h } = size;
    format!(
        "<section class=\"{kind}\" style=\"left:{left:.1}px;top:{top:.1}px;width:{w:.1}px;height:{h:.1}px\">{inner}</section>"
    )
}

/// A panel with what it was answered.
fn section(json: &Value, asked: &Asked, place: &Place) -> Result<String> {
    let look = Look::of(json);
    let transformations = json["transformations"].as_array().map_or(&[][..], Vec::as_slice);
    let frames = transform(asked.frames.clone(), transformations)?;
    let size = Size { w: place.size.w - FRAME.w, h: place.size.h - FRAME.h };
    let some = frames
        .iter()
        .flat_map(|frame| frame.fields.iter().filter(|field| !field.name.starts_with("Time")));
    let body = if some.flat_map(|field| &field.values).all(Value::is_null) {
        format!("<div class=empty>{}</div>", escape(look.text("", "noValue")))
    } else {
        draw(json, look, frames, asked, size)?
    };
    let inner = format!("<h2>{}</h2><div class=body>{body}</div>", escape(&asked.title));
    Ok(boxed("", &inner, place))
}

fn draw(
    json: &Value,
    look: Look<'_>,
    mut frames: Vec<Frame>,
    asked: &Asked,
    size: Size,
) -> Result<String> {
    let times = Times { range: asked.range, markers: &asked.markers };
    Ok(match json["type"].as_str().unwrap_or_default() {
        "stat" => words::values(look, &frames, size),
        "table" => words::table(look, frames.swap_remove(0)),
        "barchart" => bars::bars(look, &frames[0], size),
        "xychart" => bars::points(look, &frames[0], size),
        "timeseries" => lines::lines(look, &frames, times, size),
        other => {
            anyhow::bail!("{}: the preview cannot draw a panel of the type {other}", asked.title)
        }
    })
}
