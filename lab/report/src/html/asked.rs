//! What was asked of the system: objectives, and the limits that a change was held to.

use maud::{Markup, Render as _, html};

use super::markup::Table;
use crate::asked::value;
use crate::gate;
use lab_judge::result::{ObjectiveResult, RunResult};

/// The section.
pub(super) fn section(result: &RunResult) -> Markup {
    html! {
        @if let Some(gate) = &result.gate {
            p { b { (gate::sentence(gate)) } }
            pre { @for check in &gate.checks { (gate::line(check)) "\n" } }
        }
        @if !result.objectives.is_empty() { (objectives(&result.objectives)) }
    }
}

fn objectives(all: &[ObjectiveResult]) -> Markup {
    let headings = ["cell", "objective", "", "measured"];
    let mut table = Table::new("Objectives, over all rounds of a cell.", &headings, 3);
    for one in all {
        let met = html! {
            @if one.met { span.good { "met ✓" } } @else { span.bad { "missed ✕" } }
        };
        table.row(&[&one.cell, &one.objective, &met, &value(one)]);
    }
    table.render()
}
