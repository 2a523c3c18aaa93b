//! Asks what the panels of a board ask, of the points of a run.

use anyhow::{Result, anyhow};
use serde_json::Value;

use crate::frame::Frame;
use crate::lines::milliseconds;
use crate::panels::board::{Board, Panel};
use crate::panels::expand::{Range, Selection, expand};
use crate::panels::{Influx, Series, selection};

/// Whom to ask, of which run and time.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) influx: Influx,
    pub(crate) run: &'a str,
    pub(crate) range: Range,
    /// How many points fit on the page, from left to right.
    pub(crate) points: u64,
}

/// One panel, with what its queries answered.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) title: String,
    pub(crate) frames: Vec<Frame>,
    pub(crate) range: Range,
    /// When the board's markers on this panel are.
    pub(crate) markers: Vec<u64>,
}

impl Asker<'_> {
    /// What is chosen in the bar above the board, by what the bar calls it.
    pub(crate) async fn chosen(&self, board: &Board) -> Vec<(String, String)> {
        let selection = selection(&self.influx, board, self.run, self.range).await;
        let of = |variable: &Value| {
            let name = variable["name"].as_str()?;
            let label = variable["label"].as_str().unwrap_or(name).to_owned();
            match variable["type"].as_str() {
                Some("query") if variable["includeAll"] == true => Some((label, "All".to_owned())),
                Some("query") => Some((label, selection.text(name)?)),
                _ => None,
            }
        };
        let all = board.json["templating"]["list"].as_array();
        let [from, to] =
            [self.range.from, self.range.to].map(|ms| ledger::date::rfc3339(ms * 1_000_000));
        let time = ("Time".to_owned(), format!("{} to {} UTC", minutes(&from), minutes(&to)));
        all.into_iter().flatten().filter_map(of).chain([time]).collect()
    }

    /// The panels that the one in `json` stands for, each with its answers.
    pub(crate) async fn panel(&self, board: &Board, json: &Value) -> Result<Vec<Asked>> {
        let panel = Panel::read(json);
        let all = selection(&self.influx, board, self.run, self.range).await;
        let mut shown = Vec::new();
        for selection in all.repeated(panel.repeat.as_deref()) {
            let mut frames = Vec::new();
            for (at, target) in panel.targets.iter().enumerate() {
                let series = self.ask(&target.query, &selection, panel.least_interval_ms).await?;
                let json = &json["targets"][at];
                if json["resultFormat"] == "table" {
                    frames.extend(Frame::table(&series));
                } else {
                    frames.extend(Frame::time_series(
                        &series,
                        json["alias"].as_str().unwrap_or("$col"),
                    ));
                }
            }
            let title = selection.title(&panel.title);
            let markers = self.markers(board, &json["id"], &selection).await?;
            shown.push(Asked { title, frames, range: self.range, markers });
        }
        Ok(shown)
    }

    async fn ask(&self, query: &str, selection: &Selection, least_ms: u64) -> Result<Vec<Series>> {
        let shown = self.range.with_points(self.points, least_ms);
        let query =
            expand(query, selection, shown).map_err(|error| anyhow!("{error} in {query}"))?;
        self.influx.ask(&query).await.map_err(|error| anyhow!("{error} from {query}"))
    }

    /// When what the board marks on the panel `id` happened.
    async fn markers(&self, board: &Board, id: &Value, selection: &Selection) -> Result<Vec<u64>> {
        let mut times = Vec::new();
        for marks in board.json["annotations"]["list"].as_array().into_iter().flatten() {
            let here = marks["filter"]["ids"].as_array().is_some_and(|ids| ids.contains(id));
            if !here || marks["enable"] != true {
                continue;
            }
            let query = marks["target"]["query"].as_str().unwrap_or_default();
            for series in self.ask(query, selection, 1).await? {
                let column: Vec<Value> =
                    series.values.iter().filter_map(|row| row.first().cloned()).collect();
                times.extend(milliseconds(&column));
            }
        }
        Ok(times)
    }
}

/// A date as people read it, to the second.
fn minutes(date: &str) -> String {
    date.get(..19).unwrap_or(date).replace('T', " ")
}
