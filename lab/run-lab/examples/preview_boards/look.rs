//! How a panel says that its columns look: colours, units, texts in place of values, limits. What an override says of a
//! column goes before what is said of all.

use serde_json::Value;

use crate::number;

/// Grafana's colours by name, in its dark theme.
const NAMED: [(&str, &str); 6] = [
    ("text", "#ccccdc"),
    ("green", "#73bf69"),
    ("blue", "#5794f2"),
    ("orange", "#ff9830"),
    ("red", "#f2495c"),
    ("transparent", "transparent"),
];
/// Its classic palette, which columns are coloured by that nothing else is said of.
const PALETTE: [&str; 8] =
    ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0"];

/// The looks of a panel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    panel: &'a Value,
}

impl<'a> Look<'a> {
    pub(crate) fn of(panel: &'a Value) -> Look<'a> {
        Look { panel }
    }

    /// An option of the panel.
    pub(crate) fn option(&self, key: &str) -> &'a Value {
        &self.panel["options"][key]
    }

    /// What is said of the column `field`, such as `custom.fillOpacity`.
    pub(crate) fn property(&self, field: &str, id: &str) -> &'a Value {
        let overrides = self.panel["fieldConfig"]["overrides"].as_array();
        let of_it = overrides.into_iter().flatten().filter(|one| fits(&one["matcher"], field));
        let mut said = of_it.flat_map(|one| one["properties"].as_array().into_iter().flatten());
        let last = said.rfind(|property| property["id"] == id);
        let of_all = || {
            let defaults = &self.panel["fieldConfig"]["defaults"];
            id.split('.').fold(defaults, |value, key| &value[key])
        };
        last.map_or_else(of_all, |property| &property["value"])
    }

    pub(crate) fn number(&self, field: &str, id: &str) -> Option<f64> {
        self.property(field, id).as_f64()
    }

    pub(crate) fn text(&self, field: &str, id: &str) -> &'a str {
        self.property(field, id).as_str().unwrap_or_default()
    }

    pub(crate) fn unit(&self, field: &str) -> &'a str {
        self.text(field, "unit")
    }

    /// The colour of the column `field`, which is the one with the number `at`.
    pub(crate) fn colour(&self, field: &str, at: usize) -> String {
        let colour = self.property(field, "color");
        match (colour["fixedColor"].as_str(), colour["mode"] == "thresholds") {
            (Some(fixed), _) => named(fixed),
            // What has no number is below all limits.
            (None, true) => self.limits(field).swap_remove(0).1,
            (None, false) => PALETTE[at % PALETTE.len()].to_owned(),
        }
    }

    /// The text of `value` in the column `field`, and a colour if it has one of its own.
    pub(crate) fn shown(&self, field: &str, value: &Value) -> (String, Option<String>) {
        let plain = match value {
            Value::String(text) => text.clone(),
            other => {
                other.as_f64().map_or_else(String::new, |number| self.number_text(field, number))
            }
        };
        if value.is_null() {
            return (self.text(field, "noValue").to_owned(), None);
        }
        for mapping in self.property(field, "mappings").as_array().into_iter().flatten() {
            let options = &mapping["options"];
            let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let key = key.strip_suffix(".0").unwrap_or(&key);
            let result = match mapping["type"].as_str() {
                Some("value") => &options[key],
                Some("regex") if pattern_fits(options["pattern"].as_str(), key) => {
                    &options["result"]
                }
                _ => &Value::Null,
            };
            if let Some(text) = result["text"].as_str() {
                return (text.to_owned(), result["color"].as_str().map(named));
            }
        }
        (plain, value.as_f64().and_then(|number| self.by_limits(field, number)))
    }

    fn number_text(&self, field: &str, number: f64) -> String {
        let decimals = self.property(field, "decimals").as_u64().map(|digits| digits as usize);
        number::shown(number, self.unit(field), decimals)
    }

    /// Limits of the column with the colour of what is at least so high.
    pub(crate) fn limits(&self, field: &str) -> Vec<(Option<f64>, String)> {
        let steps = self.property(field, "thresholds")["steps"].as_array();
        let limit = |step: &Value| {
            (step["value"].as_f64(), named(step["color"].as_str().unwrap_or("text")))
        };
        steps.into_iter().flatten().map(limit).collect()
    }

    /// The colour of `number` where the limits give one.
    fn by_limits(&self, field: &str, number: f64) -> Option<String> {
        if self.property(field, "color")["mode"] != "thresholds" {
            return None;
        }
        let limits = self.limits(field);
        let mut reached =
            limits.into_iter().filter(|(least, _)| least.is_none_or(|least| number >= least));
        reached.next_back().map(|(_, colour)| colour)
    }
}

fn named(colour: &str) -> String {
    let found = NAMED.iter().find(|(name, _)| *name == colour);
    found.map_or_else(|| colour.to_owned(), |(_, hex)| (*hex).to_owned())
}

fn fits(matcher: &Value, field: &str) -> bool {
    let options = matcher["options"].as_str().unwrap_or_default();
    match matcher["id"].as_str() {
        Some("byName") => options == field,
        Some("byRegexp") => pattern_fits(Some(options), field),
        _ => false,
    }
}

/// Whether `text` fits a pattern of the few forms that the boards have: literal text, `^` before it, `$` behind it, and
/// one choice in brackets.
pub(crate) fn pattern_fits(pattern: Option<&str>, text: &str) -> bool {
    let Some(pattern) = pattern else { return false };
    let pattern = pattern.strip_prefix('/').and_then(|p| p.strip_suffix('/')).unwrap_or(pattern);
    if let Some((before, rest)) = pattern.split_once('(')
        && let Some((choices, after)) = rest.split_once(')')
    {
        let one = |choice: &str| pattern_fits(Some(&format!("{before}{choice}{after}")), text);
        return choices.split('|').any(one);
    }
    let (begins, pattern) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (ends, pattern) = pattern.strip_suffix('$').map_or((false, pattern), |rest| (true, rest));
    match (begins, ends) {
        (true, true) => text == pattern,
        (true, false) => text.starts_with(pattern),
        (false, true) => text.ends_with(pattern),
        (false, false) => text.contains(pattern),
    }
}
