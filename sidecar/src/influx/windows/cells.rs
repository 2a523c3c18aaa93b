//! The cells that were announced, and what tags their points get: bounded, whatever peers send.

use std::collections::HashMap;

use ledger::{Family, Stage, names};

use super::by_hand;
use super::tags::{LONGEST, OTHER, Tags};
use crate::runfile::RequestRow;

/// Cells that can be announced to one sidecar.
const MOST_CELLS: usize = 2_000;
/// Hops that a cell's points tell apart; later ones are [`OTHER`].
pub(super) const MOST_HOPS: usize = 32;
/// Operations that a cell's points tell apart; later ones are [`OTHER`].
pub(super) const MOST_OPERATIONS: usize = 32;
/// Load generators that a cell's points tell apart; later ones are [`OTHER`].
const MOST_GENERATORS: usize = 8;
/// Cells of requests that no run asked for; later ones are [`OTHER`].
pub(super) const MOST_BY_HAND: usize = 64;
/// Cells that a run did not announce, beside those: of a script it is known what it asks when it has asked.
pub(super) const MOST_UNANNOUNCED: usize = 200;

/// Why a cell cannot be announced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("{what} {value:?}: must be 1 to {LONGEST} bytes without control characters")]
    Tag { what: &'static str, value: String },
    #[error("cell \"none\": points of no cell are called so")]
    Reserved,
    #[error("cell {cell:?}: {MOST_CELLS} cells were announced already")]
    TooMany { cell: String },
}

/// A cell, with the columns of its windows: one for each stage of each hop that was seen.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) tags: Tags,
    hops: Vec<String>,
    /// How far from the edge each was first seen.
    depths: Vec<u32>,
    operations: Vec<String>,
    generators: Vec<String>,
    seen: Vec<bool>,
    /// No plan has it.
    unplanned: bool,
    /// Of such a cell: the first second that had a request of it, until that is written.
    began: Option<u64>,
    has_begun: bool,
}

impl Cell {
    fn new(tags: Tags) -> Cell {
        Cell {
            tags,
            hops: Vec::new(),
            depths: Vec::new(),
            operations: Vec::new(),
            generators: Vec::new(),
            seen: Vec::new(),
            unplanned: false,
            began: None,
            has_begun: false,
        }
    }

    /// Notes that a request of it was answered in `second`. Of a cell of a plan the lab says when it begins.
    pub(super) fn begins(&mut self, second: u64) {
        if self.unplanned && !self.has_begun {
            (self.began, self.has_begun) = (Some(second), true);
        }
    }

    /// The second in which it began, if that was not asked before.
    pub(super) fn take_began(&mut self) -> Option<u64> {
        self.began.take()
    }

    /// The place of `hop`, which was seen at `depth`.
    pub(super) fn hop(&mut self, hop: &str, depth: u32) -> usize {
        let at = place(&mut self.hops, hop, MOST_HOPS);
        if at == self.depths.len() {
            // Those that are not told apart are no edge: a cell has few of them, and they come first.
            self.depths.push(if at == MOST_HOPS { 1 } else { depth });
        }
        at
    }

    /// The place of what `operation` is asked for by `generator`.
    pub(super) fn operation(&mut self, operation: &str, generator: &str) -> usize {
        let generator = place(&mut self.generators, generator, MOST_GENERATORS);
        place(&mut self.operations, operation, MOST_OPERATIONS) * (MOST_GENERATORS + 1) + generator
    }

    /// The names of the operation and the load generator at that place.
    pub(super) fn operation_names(&self, at: usize) -> [&str; 2] {
        let (operation, generator) = (at / (MOST_GENERATORS + 1), at % (MOST_GENERATORS + 1));
        [self.operations.get(operation), self.generators.get(generator)]
            .map(|name| name.map_or(OTHER, String::as_str))
    }

    /// How many columns there are.
    pub(super) fn columns(&self) -> usize {
        self.hops.len() * Stage::COUNT
    }

    /// Notes that a request had the stage of `column`. From then on every window has a point of it, so that
    /// sums over its points cover the same requests as those of other stages.
    pub(super) fn saw(&mut self, column: usize) {
        if column >= self.seen.len() {
            self.seen.resize(column + 1, false);
        }
        self.seen[column] = true;
    }

    /// The columns that were seen, with their hop, stage and family.
    pub(super) fn known(&self) -> impl Iterator<Item = (usize, &str, Stage, Family)> {
        let of = |at: usize| {
            let (hop, stage) = (at / Stage::COUNT, Stage::ALL[at % Stage::COUNT]);
            let depth = self.depths.get(hop).copied().unwrap_or(1);
            let name = self.hops.get(hop).map_or(OTHER, String::as_str);
            (at, name, stage, stage.family_at(depth))
        };
        let seen = self.seen.iter().enumerate().filter(|(_, seen)| **seen);
        seen.map(move |(at, _)| of(at))
    }
}

/// The place of `name` among `names`; from `most` of them on, that of [`OTHER`].
fn place(names: &mut Vec<String>, name: &str, most: usize) -> usize {
    if let Some(at) = names.iter().position(|known| known == name) {
        return at;
    }
    if names.len() < most {
        names.push(name.to_owned());
    } else if names.len() == most {
        names.push(OTHER.to_owned());
    }
    names.len() - 1
}

/// All cells. The first is that of requests without one.
#[derive(Debug)]
pub(super) struct Cells {
    all: Vec<Cell>,
    by_name: HashMap<String, usize>,
    /// Those that no plan has, by the name that their requests give them.
    unplanned: HashMap<String, usize>,
}

impl Cells {
    pub(super) fn new() -> Cells {
        let none = || names::NO_CELL.to_owned();
        let tags = Tags { cell: none(), protocol: none(), payload: none() };
        Cells { all: vec![Cell::new(tags)], by_name: HashMap::new(), unplanned: HashMap::new() }
    }

    /// Announces a cell; one announced again with other tags gets these from its next window on.
    pub(super) fn announce(&mut self, tags: Tags) -> Result<(), PlanError> {
        if let Some(&at) = self.by_name.get(&tags.cell)
            && self.all[at].tags == tags
        {
            return Ok(());
        }
        if self.all.len() - self.unplanned.len() > MOST_CELLS {
            return Err(PlanError::TooMany { cell: tags.cell });
        }
        self.by_name.insert(tags.cell.clone(), self.all.len());
        self.all.push(Cell::new(tags));
        Ok(())
    }

    /// The place of the cell called `name`; that of no cell, if it was not announced.
    pub(super) fn find(&self, name: &str) -> usize {
        let found = self.by_name.get(name).or_else(|| self.unplanned.get(name));
        found.copied().unwrap_or(0)
    }

    /// The place of the cell that `row` belongs to.
    pub(super) fn of(&mut self, row: &RequestRow) -> usize {
        if let Some(&at) = self.by_name.get(&*row.cell) {
            return at;
        }
        let (mut tags, most) = match (row.unasked, row.cell.is_empty()) {
            (true, true) => (by_hand::tags(row), MOST_BY_HAND),
            (false, false) => (by_hand::named(&row.cell), MOST_BY_HAND + MOST_UNANNOUNCED),
            // Of a run and of no cell, as certifications are; or somebody's who says what no run asked for.
            (false, true) | (true, false) => return 0,
        };
        if row.unasked && self.by_name.contains_key(&tags.cell) {
            tags = by_hand::beside_a_plan(tags);
        }
        if let Some(&at) = self.unplanned.get(&tags.cell) {
            return at;
        }
        if self.unplanned.len() >= most {
            tags = by_hand::other();
        }
        let all = &mut self.all;
        *self.unplanned.entry(tags.cell.clone()).or_insert_with(|| {
            all.push(Cell { unplanned: true, ..Cell::new(tags) });
            all.len() - 1
        })
    }

    /// Those of which it is to be said that they began, with the second.
    pub(super) fn take_began(&mut self) -> impl Iterator<Item = (u64, &Tags)> {
        self.all.iter_mut().filter_map(|cell| Some((cell.take_began()?, &cell.tags)))
    }

    pub(super) fn get(&self, at: usize) -> &Cell {
        &self.all[at]
    }

    pub(super) fn get_mut(&mut self, at: usize) -> &mut Cell {
        &mut self.all[at]
    }
}

/// Checks the tags of a cell.
pub(crate) fn check(tags: &Tags) -> Result<(), PlanError> {
    let Tags { cell, protocol, payload } = tags;
    for (what, value) in [("cell", cell), ("protocol", protocol), ("payload", payload)] {
        if !is_tag(value) {
            return Err(PlanError::Tag { what, value: value.chars().take(LONGEST).collect() });
        }
    }
    if cell == names::NO_CELL { Err(PlanError::Reserved) } else { Ok(()) }
}

/// Whether `text` can be a tag as it is.
pub(crate) fn is_tag(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.contains(|c: char| c.is_control() || c == '\\')
}
