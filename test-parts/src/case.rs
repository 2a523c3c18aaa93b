//! Tests that need parts: run as `cargo test` runs others, or ignored by name with the reason.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::part::Part;

/// Names the parts that have to be here.
const REQUIRE: &str = "LAB_REQUIRE_PARTS";
/// As of a test that `cargo test` runs itself, when it fails.
const FAILED: u8 = 101;

/// A test and the parts that it needs.
#[derive(Clone)]
pub struct Case {
    name: String,
    needs: Vec<Part>,
    body: Arc<dyn Fn() + Send + Sync>,
}

impl Case {
    /// The test `body`, which is run on a runtime of its own and fails by a panic.
    pub fn new<F: Future<Output = ()>>(
        name: &str,
        needs: &[Part],
        body: impl Fn() -> F + Send + Sync + 'static,
    ) -> Case {
        let body = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.expect("a runtime").block_on(body());
        };
        // As `rustc` writes paths; the macro puts spaces into some.
        let name = name.replace(' ', "");
        Case { name, needs: needs.to_vec(), body: Arc::new(body) }
    }

    fn into_trial(self, required: &[Part]) -> Trial {
        let refused = self.needs.iter().find_map(|part| absent(*part, required));
        let Case { name, body, .. } = self;
        match refused {
            Some(Absent::Ignored(reason)) => {
                Trial::ignorable_test(name, || Ok(Completion::ignored_with(reason)))
            }
            Some(Absent::Failed(reason)) => Trial::test(name, || Err(Failed::from(reason))),
            None => Trial::test(name, move || {
                body();
                Ok(())
            }),
        }
    }
}

/// What becomes of a test whose part is not here, and why.
enum Absent {
    Ignored(String),
    Failed(String),
}

fn absent(part: Part, required: &[Part]) -> Option<Absent> {
    match part.find() {
        Ok(Some(_)) => None,
        Ok(None) if required.contains(&part) => Some(Absent::Failed(format!(
            "{REQUIRE} names {}, which is not here: {}",
            part.name(),
            part.how_to_get()
        ))),
        Ok(None) => Some(Absent::Ignored(format!("needs {}", part.how_to_get()))),
        Err(error) => Some(Absent::Failed(error.to_string())),
    }
}

/// Runs `cases` as the command line says, which is that of every test of `cargo test`. [`crate::main!`] calls it.
#[must_use]
pub fn run(cases: Vec<Case>) -> ExitCode {
    let required = match required(&std::env::var(REQUIRE).unwrap_or_default()) {
        Ok(required) => required,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(FAILED);
        }
    };
    let mut arguments = Arguments::from_args();
    if arguments.test_threads.is_none() {
        let threads = std::env::var("RUST_TEST_THREADS").ok();
        arguments.test_threads = threads.and_then(|threads| threads.parse().ok());
    }
    if !arguments.list {
        say_which_are_here(&cases);
    }
    let trials = cases.into_iter().map(|case| case.into_trial(&required)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The parts in a list such as `influxdb,postgres`.
fn required(list: &str) -> Result<Vec<Part>, String> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            Part::ALL.into_iter().find(|part| part.name() == name).ok_or_else(|| {
                let all = Part::ALL.map(Part::name).join(", ");
                format!("{REQUIRE}={list}: there is no part {name:?}; there are {all}")
            })
        })
        .collect()
}

/// One line for each part that any of `cases` needs: what it says its version is and where it is, or how to get it.
fn say_which_are_here(cases: &[Case]) {
    for part in Part::ALL {
        if !cases.iter().any(|case| case.needs.contains(&part)) {
            continue;
        }
        match part.find() {
            Ok(Some(found)) => {
                println!("part {}: {}, {}", part.name(), found.said, found.program.display());
            }
            Ok(None) => println!("part {}: not here", part.name()),
            Err(error) => println!("part {}: {error}", part.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_parts_are_named_and_a_name_that_is_none_is_refused() {
        assert_eq!(required(""), Ok(vec![]));
        assert_eq!(required("postgres, influxdb2,"), Ok(vec![Part::Postgres, Part::Influxdb2]));
        let error = required("postgres,influx").unwrap_err();
        assert!(error.contains("\"influx\"") && error.contains("influxdb2"), "{error}");
    }
}
