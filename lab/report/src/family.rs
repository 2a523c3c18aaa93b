//! How a family looks, in every report the same: its name, its letter, its colours.
//!
//! The colours are Okabe and Ito's, made for readers who do not tell all colours apart; yellow is
//! darkened so that it is seen on white. No report relies on colour alone.

use ledger::Family;

/// How a family is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Its name for people.
    pub name: &'static str,
    /// A name that fits where there is little room.
    pub short: &'static str,
    /// Stands for it where there is no colour.
    pub letter: char,
    /// Its colour on a page.
    pub fill: &'static str,
    /// The colour of writing on it.
    pub ink: &'static str,
    /// Its colour in a terminal, of the 256.
    pub ansi: u8,
}

/// The look of `family`.
pub(super) const fn look(family: Family) -> Look {
    let (short, letter, fill, ink, ansi) = match family {
        Family::Generator => ("load gen", 'g', "#b3a27c", "#000", 180),
        Family::Queue => ("queue", 'q', "#d55e00", "#fff", 166),
        Family::Serialization => ("serial", 's', "#0072b2", "#fff", 25),
        Family::Framing => ("framing", 'f', "#cc79a7", "#000", 175),
        Family::FlowControl => ("flow", 'c', "#e3c000", "#000", 220),
        Family::Socket => ("socket", 'k', "#56b4e9", "#000", 74),
        Family::Network => ("network", 'n', "#009e73", "#000", 36),
        Family::Delivery => ("delivery", 'd', "#9ad07a", "#000", 150),
        Family::Unseen => ("unseen", 'u', "#3b3f46", "#fff", 240),
        Family::Backend => ("backend", 'b', "#76808f", "#fff", 245),
    };
    Look { name: family.label(), short, letter, fill, ink, ansi }
}

/// The look of the family called `name` in a result; unknown ones look like the backend.
pub(super) fn named(name: &str) -> Look {
    look(Family::from_name(name).unwrap_or(Family::Backend))
}
