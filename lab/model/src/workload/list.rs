//! The lab's own workloads. Another one is a file in `workloads/` and a line here.

use std::sync::{Arc, LazyLock};

use super::{Workload, WorkloadError};

/// Name and text of each; the first is what a plan asks for that names none.
pub const BUILT_IN: [(&str, &str); 2] = [
    ("ping", include_str!("../../workloads/ping.toml")),
    ("users", include_str!("../../workloads/users.toml")),
];

static ALL: LazyLock<Vec<Arc<Workload>>> = LazyLock::new(|| {
    let read = |(name, text): (&str, &str)| Workload::read(name, text);
    BUILT_IN.map(|one| Arc::new(read(one).expect("a test reads every one of them"))).into()
});

impl Workload {
    /// The workload called `name` that `text` spells out.
    ///
    /// # Errors
    /// If the text is not that of a workload.
    pub fn read(name: &str, text: &str) -> Result<Workload, WorkloadError> {
        let written: Workload = toml::from_str(text)
            .map_err(|error| WorkloadError::new(name, error.to_string().trim_end()))?;
        Workload { name: name.to_owned(), ..written }.checked()
    }
}

/// All of them, in their order.
#[must_use]
pub fn all() -> &'static [Arc<Workload>] {
    &ALL
}

/// The one called `name`.
#[must_use]
pub fn built_in(name: &str) -> Option<Arc<Workload>> {
    ALL.iter().find(|workload| workload.name == name).cloned()
}

/// The first: what a plan asks for that names none, and what the probe is certified on.
#[must_use]
pub fn first() -> Arc<Workload> {
    Arc::clone(&ALL[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_workload_is_one_and_says_in_words_what_it_is() {
        for (name, text) in BUILT_IN {
            let workload = Workload::read(name, text).unwrap();
            assert!(!workload.about.is_empty() && !workload.asks.is_empty(), "{name}");
            assert!(!workload.calls.is_empty(), "{name}: what it reaches behind the gateway");
            assert_eq!(workload.payload, !workload.carries.is_empty(), "{name}: what is declared");
        }
    }

    #[test]
    fn every_file_of_workloads_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads");
        let files = std::fs::read_dir(folder).unwrap().flatten();
        let mut files: Vec<_> =
            files.map(|file| file.file_name().to_string_lossy().replace(".toml", "")).collect();
        let mut listed = BUILT_IN.map(|(name, _)| name.to_owned()).to_vec();
        files.sort_unstable();
        listed.sort_unstable();
        assert_eq!(files, listed);
    }

    #[test]
    fn the_first_has_a_payload_since_the_probe_is_certified_on_payloads() {
        assert!(first().payload && first().label().is_none());
    }
}
