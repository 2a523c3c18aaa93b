//! Tags, and the parts of metrics that they make.

use std::collections::BTreeMap;

use crate::metric::Metric;

/// Names and their values, in the order in which they are written.
pub(crate) type Pairs = BTreeMap<String, String>;

/// A part of a metric: the tags that its samples have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part(pub(crate) Pairs);

impl Part {
    /// Reads `TAG:VALUE,…`.
    pub(crate) fn read(text: &str) -> Option<Part> {
        let pair = |pair: &str| {
            let (tag, value) = pair.split_once(':')?;
            Some((tag.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
        };
        text.split(',').map(pair).collect::<Option<_>>().map(Part)
    }

    /// `TAG:VALUE,…`
    pub(crate) fn suffix(&self) -> String {
        let pairs = self.0.iter().map(|(tag, value)| format!("{tag}:{value}"));
        pairs.collect::<Vec<_>>().join(",")
    }

    /// What this part of `metric` is called.
    pub(crate) fn of(&self, metric: &Metric) -> String {
        format!("{}{{{}}}", metric.name(), self.suffix())
    }

    pub(crate) fn is_of(&self, tags: &Pairs) -> bool {
        self.0.iter().all(|(tag, value)| tags.get(tag) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_of_those_that_have_all_its_tags() {
        let part = Part::read("status:200, scenario:small").expect("a part");
        assert_eq!(part.of(&Metric::DURATION), "http_req_duration{scenario:small,status:200}");
        let tags = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(part.is_of(&tags(&[("a", "b"), ("scenario", "small"), ("status", "200")])));
        assert!(!part.is_of(&tags(&[("scenario", "small"), ("status", "404")])));
        assert_eq!(Part::read("scenario"), None);
    }
}
