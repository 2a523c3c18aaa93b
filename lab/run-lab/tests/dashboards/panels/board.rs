//! The dashboards' files, as far as their queries matter.

use serde_json::Value;

/// Uid and file of every dashboard.
const FILES: [(&str, &str); 5] = [
    ("lab-breakdown", include_str!("../../../../../grafana/dashboards/lab-breakdown.json")),
    ("lab-rest-vs-grpc", include_str!("../../../../../grafana/dashboards/lab-rest-vs-grpc.json")),
    ("lab-processes", include_str!("../../../../../grafana/dashboards/lab-processes.json")),
    ("lab-trust", include_str!("../../../../../grafana/dashboards/lab-trust.json")),
    ("lab-history", include_str!("../../../../../grafana/dashboards/lab-history.json")),
];

/// A dashboard.
#[derive(Debug)]
pub(crate) struct Board {
    /// The uid that contracts promise.
    pub(crate) uid: String,
    /// The file.
    pub(crate) json: Value,
}

/// A panel that asks something.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Grafana's "min interval", in milliseconds.
    pub(crate) least_interval_ms: u64,
    pub(crate) targets: Vec<Target>,
    /// The variable for each of whose choices there is one such panel.
    pub(crate) repeat: Option<String>,
    /// What it shows where there is nothing to show.
    pub(crate) no_value: String,
    /// As it is in the file.
    pub(crate) json: Value,
}

/// One query of a panel.
#[derive(Debug)]
pub(crate) struct Target {
    /// Grafana's `refId`.
    pub(crate) name: String,
    pub(crate) query: String,
}

/// A template variable.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) query: String,
    /// What All stands for where it can be chosen: a pattern, or if empty each value that is offered.
    pub(crate) all: Option<String>,
    /// Takes a choice out of what is offered: see [`Variable::choices`].
    regex: String,
}

/// The regular expression of a variable that is offered groups (`sidecar::group`): which part is shown, which is chosen.
const OF_GROUPS: &str = r"/^\S+ (?<text>.+) = (?<value>.+)$/";

/// One choice of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What stands for it in a query.
    pub(crate) value: String,
    /// What people see.
    pub(crate) text: String,
}

impl Variable {
    /// What can be chosen of `offered`, in its order.
    pub(crate) fn choices(&self, offered: impl Iterator<Item = String>) -> Vec<Choice> {
        match self.regex.as_str() {
            "" => offered.map(|value| Choice { text: value.clone(), value }).collect(),
            OF_GROUPS => {
                let choice = |group: String| {
                    let (text, value) = group.split_once(' ')?.1.rsplit_once(" = ")?;
                    Some(Choice { value: value.to_owned(), text: text.to_owned() })
                };
                let mut choices = Vec::new();
                for choice in offered.filter_map(choice) {
                    if !choices.contains(&choice) {
                        choices.push(choice);
                    }
                }
                choices
            }
            other => panic!("${}: nobody here knows what {other} does", self.name),
        }
    }
}

/// Every dashboard.
pub(crate) fn boards() -> Vec<Board> {
    FILES
        .iter()
        .map(|(uid, text)| Board {
            uid: (*uid).to_owned(),
            json: serde_json::from_str(text).unwrap_or_else(|error| panic!("{uid}: {error}")),
        })
        .collect()
}

impl Board {
    /// The panels, those inside collapsed rows too.
    pub(crate) fn panels(&self) -> Vec<Panel> {
        let top = list(&self.json["panels"]);
        let inside = top.iter().flat_map(|panel| list(&panel["panels"]));
        let all = top.iter().chain(inside).filter(|panel| panel["type"] != "row");
        all.map(Panel::read).collect()
    }

    /// The variables that ask, in the order in which they depend on each other.
    pub(crate) fn variables(&self) -> Vec<Variable> {
        let variable = |json: &Value| Variable {
            name: text(&json["name"]),
            query: text(&json["query"]["query"]),
            all: (json["includeAll"] == true)
                .then(|| json["allValue"].as_str().unwrap_or_default().to_owned()),
            regex: text(&json["regex"]),
        };
        let all = list(&self.json["templating"]["list"]).iter();
        all.filter(|json| json["type"] == "query").map(variable).collect()
    }

    /// Names and queries of the annotations that ask the lab's InfluxDB.
    pub(crate) fn annotations(&self) -> Vec<(String, String)> {
        let all = list(&self.json["annotations"]["list"]);
        let ours = all.iter().filter(|json| json["builtIn"] != 1);
        ours.map(|json| (text(&json["name"]), text(&json["target"]["query"]))).collect()
    }
}

impl Panel {
    /// The panel that a board has as `json`.
    pub(crate) fn read(json: &Value) -> Panel {
        let target =
            |json: &Value| Target { name: text(&json["refId"]), query: text(&json["query"]) };
        let interval = text(&json["interval"]);
        let seconds = interval.strip_suffix('s').and_then(|number| number.parse::<u64>().ok());
        Panel {
            title: text(&json["title"]),
            least_interval_ms: 1_000 * seconds.unwrap_or_else(|| panic!("interval {interval:?}")),
            targets: list(&json["targets"]).iter().map(target).collect(),
            repeat: json["repeat"].as_str().map(str::to_owned),
            no_value: text(&json["fieldConfig"]["defaults"]["noValue"]),
            json: json.clone(),
        }
    }
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_else(|| panic!("{json} is no text")).to_owned()
}
