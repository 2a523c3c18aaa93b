//! What the scripts in `k6/` do, by Node with stand-ins for k6's own modules (`stubs/`), and by the real k6 where there
//! is one: what they ask, which answers they take for right, and what they say in the end.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod asked;
mod grammar;
mod imported;
mod real;
mod said;
mod world;

use asked::*;
use grammar::*;
use imported::*;
use real::*;
use said::*;

test_parts::main! {
    plain [Node] {
        the_scripts_read_and_refuse_what_the_table_of_the_grammar_says,
        every_script_is_here_and_can_be_imported,
        ping_asks_for_its_size_and_takes_what_says_so_for_answered,
        users_asks_about_those_who_are_there_and_knows_how_many,
        requests_asks_what_its_file_says_and_knows_the_right_answer,
        a_traced_request_says_in_its_headers_what_its_samples_say,
        the_warm_up_is_traced_by_nothing_and_told_apart,
        a_user_has_a_connection_before_what_it_asks_is_measured,
        the_last_line_tells_answered_of_asked_of_every_recorded_run,
        the_last_line_tells_when_failures_are_in_its_mean_and_what_it_cannot_read,
        a_summary_is_kept_where_its_user_says,
        by_hand_something_has_to_be_answered,
        every_way_to_ask_is_traced_and_told_in_one_line,
        what_became_of_a_request_is_in_its_line,
        lines_are_written_where_a_loki_takes_them_and_of_those_that_are_sampled,
        a_batch_says_that_it_is_not_traced_and_is_asked_for_as_it_was,
        a_call_by_grpc_says_what_the_scripts_own_clock_saw,
        the_double_pushes_the_lines_that_the_script_writes,
    }
    plain [K6] {
        by_k6_every_script_says_that_nobody_answered,
    }
}
