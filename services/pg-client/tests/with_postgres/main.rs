//! The users service against a real PostgreSQL, and without one.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod contract;
mod crowded;
mod database_hop;
mod pgbouncer;
mod service;

test_parts::main! {
    needs [Postgres] {
        contract::users_are_counted_by_either_protocol_and_by_the_server,
        contract::an_empty_database_is_told_from_none,
        contract::a_database_that_is_killed_is_missed_and_found_again,
        contract::seeding_makes_the_table_as_asked_and_nothing_twice,
        contract::somebody_elses_table_is_left_alone,
        crowded::a_query_that_was_given_up_is_waited_for_and_makes_no_storm,
        crowded::a_connection_that_is_given_back_is_used_by_one_that_could_not_open_its_own,
        crowded::a_database_without_a_free_connection_is_called_full_and_not_down,
        database_hop::the_database_hop_is_measured_and_not_missed_by_the_service,
        database_hop::delays_of_the_database_hop_are_found_in_their_stages,
        database_hop::a_pool_of_one_makes_others_wait_in_the_send_queue,
    }
    needs [Postgres, Pgbouncer] {
        pgbouncer::behind_a_pooler_by_transaction_every_call_is_answered_and_none_with_a_wrong_number,
    }
    needs [] {
        contract::a_question_without_one_email_is_refused_whether_there_is_a_database_or_not,
        contract::without_a_database_the_service_is_healthy_and_says_what_is_missing,
        crowded::one_looks_for_all_whether_there_is_a_database,
    }
}
