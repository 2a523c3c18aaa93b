//! What a test tells the double to do otherwise: the release that it says it is, and how it misbehaves.
//!
//! By a variable whose name does not begin with `K6_`, nor with anything else that `run-lab` keeps from its parts.

/// Names faults, separated by commas: `release=1.8.1,hang`.
pub(crate) const VARIABLE: &str = "DOUBLE_OF_K6";

/// A line of releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Release {
    /// 1.8.1.
    One,
    /// 2.2.0.
    #[default]
    Two,
    /// One that nobody knows yet, and that behaves as 2.2.0.
    Three,
}

impl Release {
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Release::One => "1.8.1",
            Release::Two => "2.2.0",
            Release::Three => "3.0.0",
        }
    }
}

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not end when everything is over, as with an output that takes its numbers and never answers.
    Hang,
    /// It ends in the middle, as by a panic.
    Die,
    /// Its stream ends within a line, and the round goes on.
    Cut,
    /// Its stream tells nothing.
    Silent,
    /// Its stream tells durations that cannot be.
    Lie,
    /// It tells durations that are a millisecond shorter than they were.
    Short,
    /// It tells durations that are a millisecond longer than they were.
    Long,
    /// It tells that requests were over a millisecond before they were.
    Early,
    /// It tells that requests were over a millisecond after they were.
    Late,
    /// Its summary has the shape of `K6_NEW_MACHINE_READABLE_SUMMARY`.
    NewSummary,
}

const FAULTS: [(&str, Fault); 10] = [
    ("hang", Fault::Hang),
    ("die", Fault::Die),
    ("cut", Fault::Cut),
    ("silent", Fault::Silent),
    ("lie", Fault::Lie),
    ("short", Fault::Short),
    ("long", Fault::Long),
    ("early", Fault::Early),
    ("late", Fault::Late),
    ("new-summary", Fault::NewSummary),
];

/// All that is to be otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) release: Release,
    all: Vec<Fault>,
}

impl Faults {
    /// Reads what the variable says. A word that it does not know is a mistake in a test: it panics.
    pub(crate) fn read(text: &str) -> Faults {
        let mut faults = Faults::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let known = FAULTS.iter().find(|(name, _)| *name == word);
            match (word, known) {
                ("release=1.8.1", _) => faults.release = Release::One,
                ("release=2.2.0", _) => faults.release = Release::Two,
                ("release=3.0.0", _) => faults.release = Release::Three,
                (_, Some((_, fault))) => faults.all.push(*fault),
                _ => panic!("{VARIABLE}: no fault is called {word:?}"),
            }
        }
        faults
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.all.contains(&fault)
    }
}
