//! Macros and template variables of a query, expanded as Grafana does for InfluxQL.
//!
//! Variables first (the browser does it), then `$timeFilter` and `$__interval` (the server does). Rules by
//! Grafana 12's documentation: values inside a regular expression are escaped, several are joined with `|`,
//! All is its pattern as it is.

use std::collections::BTreeMap;

/// What is chosen in a variable.
#[derive(Debug, Clone)]
pub(crate) enum Chosen {
    /// A variable of one value.
    One(String),
    /// A variable of several.
    Several(Vec<String>),
    /// All, which stands for this pattern.
    All(String),
}

/// What is chosen in every variable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    chosen: BTreeMap<String, Chosen>,
    /// What people see of a choice, by its value, where that is something else.
    texts: BTreeMap<String, String>,
}

impl Selection {
    /// Chooses in `variable`.
    pub(crate) fn choose(&mut self, variable: &str, chosen: Chosen) {
        self.chosen.insert(variable.to_owned(), chosen);
    }

    /// Says what people see of the choice `value`.
    pub(crate) fn call(&mut self, value: &str, text: &str) {
        self.texts.insert(value.to_owned(), text.to_owned());
    }

    /// What people see of the choice in `variable`, if there is such a variable.
    pub(crate) fn text(&self, variable: &str) -> Option<String> {
        let text = |value: &String| self.texts.get(value).unwrap_or(value).clone();
        Some(match self.chosen.get(variable)? {
            Chosen::One(value) => text(value),
            Chosen::Several(values) => values.iter().map(text).collect::<Vec<_>>().join(" + "),
            Chosen::All(_) => "All".to_owned(),
        })
    }

    /// `title` as people see it: in place of each variable what is chosen in it.
    pub(crate) fn title(&self, title: &str) -> String {
        let mut out = title.to_owned();
        for variable in self.chosen.keys() {
            let text = self.text(variable).unwrap_or_default();
            for form in [format!("${{{variable}:text}}"), format!("${{{variable}}}")] {
                out = out.replace(&form, &text);
            }
        }
        out
    }

    /// The selections of the panels that a panel stands for: one for each choice of the variable that it is repeated by.
    pub(crate) fn repeated(&self, by: Option<&str>) -> Vec<Selection> {
        let Some(by) = by else { return vec![self.clone()] };
        let Some(Chosen::Several(choices)) = self.chosen.get(by) else {
            panic!("${by} is no list of choices that a panel could be repeated by");
        };
        let one = |choice: &String| {
            let mut selection = self.clone();
            selection.choose(by, Chosen::Several(vec![choice.clone()]));
            selection
        };
        choices.iter().map(one).collect()
    }
}

/// A time range, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A time range with the interval that a panel shows it in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    range: Range,
    interval_ms: u64,
}

/// Intervals that Grafana rounds to, in milliseconds, each with the largest that is rounded to it.
const INTERVALS: [(u64, u64); 18] = [
    (15, 10),
    (35, 20),
    (75, 50),
    (150, 100),
    (350, 200),
    (750, 500),
    (1_500, 1_000),
    (3_500, 2_000),
    (7_500, 5_000),
    (12_500, 10_000),
    (17_500, 15_000),
    (25_000, 20_000),
    (45_000, 30_000),
    (90_000, 60_000),
    (210_000, 120_000),
    (450_000, 300_000),
    (750_000, 600_000),
    (1_050_000, 900_000),
];

impl Range {
    /// Shows it in about `points`, none shorter than `least_ms`.
    pub(crate) fn with_points(self, points: u64, least_ms: u64) -> Shown {
        let exact = self.to.saturating_sub(self.from) / points;
        let rounded = INTERVALS.iter().find(|(most, _)| exact < *most);
        let interval_ms = rounded.map_or(1_200_000, |(_, interval)| *interval).max(least_ms);
        Shown { range: self, interval_ms }
    }
}

/// `query` as Grafana sends it.
///
/// # Errors
/// Names a variable that nothing was chosen for.
pub(crate) fn expand(query: &str, selection: &Selection, shown: Shown) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), query);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').ok_or("a ${ that does not end")?,
            None => rest.split_at(
                rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len()),
            ),
        };
        match name.split_once(':') {
            None if name.is_empty() => out.push('$'),
            None => out.push_str(&value(name, selection, shown)?),
            Some((name, "text")) => {
                let text = selection.text(name);
                out.push_str(&text.ok_or_else(|| format!("no variable is called {name:?}"))?);
            }
            Some((_, form)) => return Err(format!("nobody here knows the form {form:?}")),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn value(
    name: &str,
    selection: &Selection,
    Shown { range, interval_ms }: Shown,
) -> Result<String, String> {
    let length = range.to.saturating_sub(range.from);
    Ok(match name {
        "timeFilter" => format!("time >= {}ms and time <= {}ms", range.from, range.to),
        "__interval" | "interval" if interval_ms % 60_000 == 0 => {
            format!("{}m", interval_ms / 60_000)
        }
        "__interval" | "interval" if interval_ms % 1_000 == 0 => {
            format!("{}s", interval_ms / 1_000)
        }
        "__interval" | "interval" => format!("{interval_ms}ms"),
        "__interval_ms" => interval_ms.to_string(),
        "__range" => format!("{}s", length.div_ceil(1_000)),
        "__range_s" => length.div_ceil(1_000).to_string(),
        "__range_ms" => length.to_string(),
        "__from" => range.from.to_string(),
        "__to" => range.to.to_string(),
        name => match selection.chosen.get(name) {
            // Grafana takes what begins like a number for one, and does not escape it.
            Some(Chosen::One(value)) if value.starts_with(|c: char| c.is_ascii_digit()) => {
                value.clone()
            }
            Some(Chosen::One(value)) => escape(value),
            Some(Chosen::Several(values)) => {
                format!("({})", values.iter().map(|v| escape(v)).collect::<Vec<_>>().join("|"))
            }
            Some(Chosen::All(pattern)) => pattern.clone(),
            None => return Err(format!("no variable is called {name:?}")),
        },
    })
}

/// `value` inside a regular expression. The dashboards use variables nowhere else.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if "\\^$*+?.()|[]{}/".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
