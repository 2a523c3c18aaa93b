//! What the scripts in `k6/` do, by Node with stand-ins for k6's own modules (`stubs/`), and by the real k6 where there
//! is one: what they ask, which answers they take for right, and what they say in the end.

mod asked;
mod grammar;
mod real;
mod said;
mod world;

use asked::*;
use grammar::*;
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
    }
    plain [K6] {
        by_k6_every_script_says_that_nobody_answered,
    }
}
