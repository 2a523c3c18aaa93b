//! `run-lab plans`.

use super::{Exit, Failure, terminal};
use lab_model::plan::{self, BUILT_IN, Overrides, Plan, Size, Span};

/// Lists the built-in plans.
pub(super) fn plans() -> Result<Exit, Failure> {
    for (name, _) in BUILT_IN {
        terminal::print(format_args!("{}\n", describe(&plan::load(name, &Overrides::default())?)))?;
    }
    terminal::print("A plan of your own is a TOML file: run-lab run --plan FILE\n")?;
    Ok(Exit::Done)
}

/// A plan in a few lines.
fn describe(plan: &Plan) -> String {
    let distinct = |values: Vec<String>| {
        let mut seen: Vec<String> = Vec::new();
        values.into_iter().for_each(|value| {
            if !seen.contains(&value) {
                seen.push(value)
            }
        });
        seen.join(", ")
    };
    let cells = &plan.cells;
    let protocols = distinct(cells.iter().map(|cell| cell.protocol.name().to_owned()).collect());
    let subjects = distinct(
        cells
            .iter()
            .map(|cell| match (cell.workload.payload, cell.workload.label()) {
                (false, _) => cell.workload.asks().to_owned(),
                (true, None) => format!("payload {}", Size(cell.payload_bytes)),
                (true, Some(label)) => format!("{label} {}", Size(cell.payload_bytes)),
            })
            .collect(),
    )
    .replace(", payload", ",");
    let rates = distinct(cells.iter().map(|cell| cell.rate.to_string()).collect());
    let durations = distinct(cells.iter().map(|cell| Span(cell.duration_ns).to_string()).collect());
    let certified = if plan.certify.is_some() { ", probe certified first" } else { "" };
    format!(
        "{}\n  {}\n  {} cells: protocol {protocols}; {subjects}; {rates} requests/s\n  \
         {} x {durations} a cell, about {} s in all{certified}\n",
        plan.name,
        plan.about,
        cells.len(),
        plan.rounds,
        plan.expected_ns().div_ceil(1_000_000_000),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_plan_is_told_by_its_factors() {
        let plan = plan::load("smoke", &Overrides::default()).unwrap();
        expect![[r#"
            smoke
              Two cells of one second each: a quick look whether everything works.
              2 cells: protocol rest, grpc; payload 1kB; 100 requests/s
              1 x 1s a cell, about 3 s in all
        "#]]
        .assert_eq(&describe(&plan));
    }
}
