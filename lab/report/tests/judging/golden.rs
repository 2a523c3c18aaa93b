//! A whole result of a seeded run, to the last digit: what is moved or renamed must not change a number.
//!
//! Where a change of numbers is meant, `UPDATE_EXPECT=1 cargo test --test judging golden` writes the file anew, and the
//! difference is read before it is committed.

use expect_test::expect_file;

use crate::fixture::sample_run;

#[test]
fn the_result_of_a_seeded_run_is_the_same() {
    expect_file!["golden/result.json"].assert_eq(&lab_report::json(&sample_run().result()));
}

#[test]
fn the_page_of_a_seeded_run_says_the_same() {
    expect_file!["golden/page.txt"].assert_eq(&words(&lab_report::html(&sample_run().result())));
}

/// What a page says, without how it is marked up: a line for each piece of text.
fn words(page: &str) -> String {
    let body = page.split_once("</style>").map_or(page, |(_, body)| body);
    let texts =
        body.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text.trim());
    texts.filter(|text| !text.is_empty()).map(|text| format!("{}\n", read(text))).collect()
}

/// A text as a browser shows it, however its characters are spelled.
fn read(text: &str) -> String {
    let spelled = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    spelled.iter().fold(text.to_owned(), |text, (as_written, is)| text.replace(as_written, is))
}
