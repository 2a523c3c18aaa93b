//! Circles in a graph: the parts of it from each of which every other can be reached (Tarjan, 1972).

use std::collections::{BTreeMap, BTreeSet};

/// The circles of `uses`, each sorted.
pub(crate) fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut search = Search {
        uses,
        number: BTreeMap::new(),
        low: BTreeMap::new(),
        stack: Vec::new(),
        found: Vec::new(),
    };
    for file in uses.keys() {
        if !search.number.contains_key(file.as_str()) {
            search.visit(file);
        }
    }
    search.found
}

struct Search<'a> {
    uses: &'a BTreeMap<String, BTreeSet<String>>,
    number: BTreeMap<&'a str, usize>,
    low: BTreeMap<&'a str, usize>,
    stack: Vec<&'a str>,
    found: Vec<Vec<String>>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, file: &'a str) {
        let number = self.number.len();
        self.number.insert(file, number);
        self.low.insert(file, number);
        self.stack.push(file);
        for other in self.uses.get(file).into_iter().flatten() {
            if !self.number.contains_key(other.as_str()) {
                self.visit(other);
                let low = self.low[file].min(self.low[other.as_str()]);
                self.low.insert(file, low);
            } else if self.stack.contains(&other.as_str()) {
                let low = self.low[file].min(self.number[other.as_str()]);
                self.low.insert(file, low);
            }
        }
        if self.low[file] == number {
            let at = self.stack.iter().position(|other| *other == file).unwrap_or_default();
            let mut circle: Vec<String> =
                self.stack.split_off(at).into_iter().map(str::to_owned).collect();
            circle.sort();
            if circle.len() > 1 {
                self.found.push(circle);
            }
        }
    }
}
