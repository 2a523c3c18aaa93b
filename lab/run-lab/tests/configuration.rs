//! `docs/configuration.md` says of every setting what the programs say.

use expect_test::expect_file;

#[test]
fn the_page_of_settings_is_what_the_programs_say() {
    expect_file!["../../../docs/configuration.md"].assert_eq(&run_lab::cli::configuration());
}
