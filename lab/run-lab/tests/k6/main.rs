//! Everything behind `--driver k6`: by the double of k6, and once more by the real one where it is (`LAB_K6` names it,
//! or PATH); where it is not, those are ignored by name, with the reason.

mod attached;
mod by_hand;
mod misbehaving;
mod program;
mod rounds;
mod testbed;
mod whole;
mod workloads;

use std::future::Future;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};
use program::Program;

/// Before the name of a test that the real one is run by.
const REAL: &str = "with_the_real_k6";

/// Runs a test on a runtime of its own. It fails by a panic.
fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

/// A test that either k6 can be run by.
fn either<F: Future<Output = ()> + 'static>(
    name: &'static str,
    test: fn(Program) -> F,
    real: &Result<Program, String>,
) -> Vec<Trial> {
    let by_double = Trial::test(name, move || {
        block_on(test(Program::double()));
        Ok(())
    });
    let real = real.clone();
    let by_real = Trial::ignorable_test(format!("{REAL}::{name}"), move || match real {
        Ok(program) => {
            block_on(test(program));
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    });
    vec![by_double, by_real]
}

/// A test of what only the double can be told to do.
fn double<F: Future<Output = ()> + 'static>(name: &'static str, test: fn() -> F) -> Vec<Trial> {
    let trial = Trial::test(name, move || {
        block_on(test());
        Ok(())
    });
    vec![trial]
}

/// All tests, each by its own name.
macro_rules! tests {
    ($real:expr; either { $($both:path),+ $(,)? } double { $($own:path),+ $(,)? }) => {
        [$(either(stringify!($both), $both, $real),)+ $(double(stringify!($own), $own),)+]
            .into_iter()
            .flatten()
            .collect()
    };
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let real = Program::real();
    if !arguments.list {
        match &real {
            Ok(program) => println!("k6: {}, {}", program.path.display(), program.said),
            Err(reason) => println!("k6: the double alone; {reason}"),
        }
    }
    let trials: Vec<Trial> = tests! {
        &real;
        either {
            rounds::every_request_is_joined_and_what_k6_measured_is_broken_down,
            rounds::an_overloaded_round_drops_and_its_books_are_k6s_own,
            rounds::k6_killed_is_named_and_what_was_measured_is_kept,
            rounds::a_halted_round_stops_k6_in_order_and_keeps_what_was_measured,
            rounds::thresholds_pass_through_and_other_failures_are_explained,
            rounds::requests_that_are_refused_or_too_slow_are_errors_in_k6s_words,
            rounds::users_are_asked_for_that_exist_and_the_seeds_count_is_right,
            rounds::a_wrong_count_and_an_answer_that_is_no_json_are_errors,
            workloads::a_workload_of_a_plan_file_is_driven_by_k6,
            attached::what_runs_already_is_driven_by_k6_and_its_latency_is_broken_down,
            by_hand::by_hand_every_sampled_request_has_its_edge_in_the_ledger,
            by_hand::by_hand_a_dead_gateway_is_no_latency_and_no_success,
        }
        double {
            misbehaving::one_that_does_not_end_is_stopped_and_named_and_what_was_measured_is_kept,
            misbehaving::one_that_dies_is_named_with_its_exit_code_and_what_was_measured_is_kept,
            misbehaving::a_stream_that_ends_within_a_line_leaves_requests_that_are_not_joined,
            misbehaving::one_that_tells_nothing_is_an_error,
            misbehaving::durations_that_cannot_be_are_refused_and_counted,
            misbehaving::the_numbers_of_1_x_are_read_as_those_of_2_x,
            whole::what_the_users_shell_and_home_say_to_k6_does_not_reach_it,
            whole::releases_are_told_apart_by_their_version_which_is_asked_once,
            whole::times_are_checked_by_containment_and_a_lie_of_a_millisecond_is_caught,
            whole::k6_writes_to_influxdb_only_if_it_is_asked_to,
            whole::a_script_of_ones_own_is_run_as_it_stands_once_a_round,
            attached::what_runs_already_is_asked_by_a_script_of_ones_own,
            workloads::a_workload_of_a_plan_file_is_driven_by_the_built_in_driver,
            workloads::a_plan_file_is_all_that_a_run_needs_for_a_workload,
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}
