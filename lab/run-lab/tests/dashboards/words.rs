//! The names in a query, and which names there are.

use std::collections::BTreeSet;

use ledger::names::*;

/// A measurement, its tags and its fields.
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) tags: &'static [&'static str],
    /// In groups of those that belong together.
    pub(crate) fields: &'static [&'static [&'static str]],
}

const LATENCY: [&str; 6] = [F_COUNT, F_SUM_US, F_MEAN_US, F_P50_US, F_P99_US, F_MAX_US];
const CELL_TAGS: [&str; 4] = [T_RUN, T_CELL, T_PROTOCOL, T_PAYLOAD];

/// Everything that goes to InfluxDB.
pub(crate) const MEASUREMENTS: [Measurement; 9] = [
    Measurement {
        name: M_HOP,
        tags: &[T_RUN, T_CELL, T_PROTOCOL, T_PAYLOAD, T_HOP, T_FAMILY, T_STAGE],
        fields: &[&LATENCY, &[F_P50_BAND_US, F_P99_BAND_US]],
    },
    Measurement {
        name: M_REQUEST,
        tags: &[T_RUN, T_CELL, T_PROTOCOL, T_PAYLOAD, T_OPERATION, T_GENERATOR],
        fields: &[
            &LATENCY,
            &[
                F_RESIDUAL_SUM_US,
                F_RESIDUAL_ABS_SUM_US,
                F_INFERRED_SUM_US,
                F_WIRE_BYTES,
                F_PAYLOAD_BYTES,
                F_ERROR,
                F_UNJOINED,
                F_CUT,
                F_OUT_OF_ORDER,
                F_EDGE_ASSUMED,
                F_CONCURRENT_SUM_US,
                F_DETACHED_SUM_US,
                F_CLIPPED_SUM_US,
                F_LATE,
                F_FRAGMENTS,
                F_MESSAGES,
                F_END_TO_END_SUM_US,
                F_END_TO_END_COUNT,
            ],
        ],
    },
    Measurement {
        name: M_LOAD,
        tags: &[T_RUN, T_CELL, T_PROTOCOL, T_PAYLOAD, T_GENERATOR],
        fields: &[&[
            F_PLANNED,
            F_STARTED,
            F_DROPPED,
            F_LATE,
            F_OK,
            F_ERROR,
            F_LATENCY_SUM_US,
            F_LATENCY_COUNT,
            F_SECONDS,
            F_PLANNED_SECONDS,
        ]],
    },
    Measurement {
        name: M_PROCESS,
        tags: &[T_RUN, T_PROCESS],
        fields: &[&[
            F_CPU_CORES,
            F_RSS_BYTES,
            F_THREADS,
            F_VOLUNTARY_SWITCHES,
            F_INVOLUNTARY_SWITCHES,
            F_RUN_QUEUE_WAIT,
        ]],
    },
    Measurement {
        name: M_VERDICT,
        tags: &CELL_TAGS,
        fields: &[&[
            F_STATUS,
            F_SEVERITY,
            F_STATUS_NAME,
            F_REASONS,
            F_RESIDUAL_P50_SHARE,
            F_RESIDUAL_P99_SHARE,
            F_INFERRED_SHARE,
            F_PROBE_COST,
            F_SPANS_LOST,
            F_BYTES_DISAGREE,
        ]],
    },
    Measurement {
        name: M_EVIDENCE,
        tags: &[T_RUN, T_CELL, T_PROTOCOL, T_PAYLOAD, T_QUESTION],
        fields: &[&[F_SEVERITY, F_ANSWER, F_TEXT, F_VALUE, F_LIMIT]],
    },
    Measurement {
        name: M_RESULT,
        tags: &CELL_TAGS,
        fields: &[&[
            F_ROUNDS,
            F_MEAN_US,
            F_LOW_US,
            F_HIGH_US,
            F_P50_US,
            F_P99_US,
            F_ANSWERED_PER_S,
            F_DROPPED_SHARE,
        ]],
    },
    Measurement {
        name: M_CONTRAST,
        tags: &[T_RUN, T_PAYLOAD, T_FIRST, T_SECOND, T_FAMILY],
        fields: &[&[
            F_US,
            F_LOW_US,
            F_HIGH_US,
            F_VISIBLE_US,
            F_FOUND,
            F_PAIRS,
            F_NOISE_FLOOR_US,
            F_RATIO,
            F_RATIO_LOW,
            F_RATIO_HIGH,
            F_ANSWER,
            F_BY,
            F_FIRST_MOSTLY,
            F_SECOND_MOSTLY,
        ]],
    },
    Measurement {
        name: M_CELL,
        tags: &[T_RUN, T_CELL, T_PROTOCOL, T_PAYLOAD, T_GROUP],
        fields: &[&[F_EVENT, F_ROUND]],
    },
];

/// What a query names, all of it in double quotes: the dashboards leave no name bare.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// After FROM.
    pub(crate) measurements: BTreeSet<String>,
    /// After AS: names that the query makes.
    pub(crate) aliases: BTreeSet<String>,
    /// Every other name.
    pub(crate) names: BTreeSet<String>,
    /// A name and the text it is compared with.
    pub(crate) compared: Vec<(String, String)>,
    /// Words without quotes: of the language.
    pub(crate) bare: BTreeSet<String>,
    /// Variables and macros.
    pub(crate) variables: BTreeSet<String>,
}

impl Words {
    /// The words of `query`.
    pub(crate) fn of(query: &str) -> Words {
        let mut words = Words::default();
        let (mut before, mut name, mut rest) = (String::new(), String::new(), query);
        while let Some(first) = rest.chars().next() {
            let quoted = |quote: char| {
                let inside = &rest[1..];
                let end =
                    inside.find(quote).unwrap_or_else(|| panic!("{quote} does not end: {query}"));
                (&inside[..end], &inside[end + 1..])
            };
            let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            match first {
                '"' => {
                    let (word, after) = quoted('"');
                    let into = match before.as_str() {
                        "FROM" => &mut words.measurements,
                        "AS" => &mut words.aliases,
                        _ => &mut words.names,
                    };
                    into.insert(word.to_owned());
                    (name, before, rest) = (word.to_owned(), String::new(), after);
                }
                '\'' => {
                    let (text, after) = quoted('\'');
                    words.compared.push((name.clone(), text.to_owned()));
                    rest = after;
                }
                '/' if before == "=~" => {
                    let (pattern, after) = quoted('/');
                    words.variables.extend(variables(pattern));
                    (before, rest) = (String::new(), after);
                }
                '$' => {
                    let end = rest[1..].find(|c| !is_word(c)).map_or(rest.len(), |end| end + 1);
                    words.variables.insert(rest[1..end].to_owned());
                    rest = &rest[end..];
                }
                '=' if rest.starts_with("=~") => (before, rest) = ("=~".to_owned(), &rest[2..]),
                c if is_word(c) => {
                    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                    before = rest[..end].to_owned();
                    if !c.is_ascii_digit() {
                        words.bare.insert(before.clone());
                    }
                    rest = &rest[end..];
                }
                c => {
                    if !c.is_whitespace() {
                        before.clear();
                    }
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        words
    }

    /// The measurement that the query asks, the only one.
    pub(crate) fn measurement(&self) -> Result<&'static Measurement, String> {
        let [name] = self.measurements.iter().collect::<Vec<_>>()[..] else {
            return Err(format!("not one measurement: {:?}", self.measurements));
        };
        let known = MEASUREMENTS.iter().find(|m| m.name == name);
        known.ok_or_else(|| format!("no measurement is called {name:?}"))
    }
}

/// The `$names` in a pattern; the `$` that ends it is none.
fn variables(pattern: &str) -> impl Iterator<Item = String> + '_ {
    let names = pattern.split('$').skip(1);
    names.map(|n| n.trim_end_matches('/').to_owned()).filter(|name| !name.is_empty())
}
