//! The page: it stands alone, holds what is promised, and runs nothing that comes from outside.

use lab_model::Protocol;
use lab_report::{html, write_all};

use crate::fixture::{cell, run, sample_run};

#[test]
fn the_page_needs_no_network_and_no_script() {
    let page = html(&sample_run().result());
    for outside in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn the_page_holds_answer_pictures_and_proof() {
    let result = sample_run().result();
    let page = html(&result);
    for id in [
        "answer",
        "breakdown",
        "curves",
        "payload",
        "time",
        "cells",
        "workload",
        "evidence",
        "verdicts",
        "books",
        "processes",
        "glossary",
        "environment",
        "repeat",
    ] {
        assert!(
            page.contains(&format!("<section id=\"{id}\">"))
                && page.contains(&format!("href=\"#{id}\"")),
            "{id}"
        );
    }
    for stage in ledger::Stage::ALL {
        assert!(page.contains(stage.meaning()), "{stage}");
    }
    assert!(page.contains("declared 10 B, the wire carried 100,000 B"));
    assert!(page.contains("run-lab run --plan rest-vs-grpc --out results/today"));
    assert!(page.contains("1.021×"));
}

#[test]
fn the_page_begins_with_a_waterfall_that_adds_up_or_with_what_could_not_be_seen() {
    let pair = |bytes| [Protocol::Rest, Protocol::Grpc].map(|protocol| cell(protocol, bytes));
    let result = run([pair(10), pair(100_000)].concat(), 6).result();
    let page = html(&result);
    let first = page.split("<section id=\"breakdown\">").next().unwrap();
    assert!(first.contains("<h1>gRPC is faster at 100 kB; no difference was seen at 10 B.</h1>"));
    // At 10 B no difference of the means was seen, but one of a family.
    assert_eq!(first.matches("class=\"waterfall\"").count(), 2);
    assert!(
        first.contains("no difference of the means seen, though of their parts; one of "),
        "how large it would have had to be"
    );
    assert!(first.contains("REST takes ") && first.contains("encoding and decoding"));
    let mut nothing = result.clone();
    for part in nothing.contrasts.iter_mut().flat_map(|contrast| &mut contrast.parts) {
        part.difference.together = (-1.0, 1.0);
    }
    let page = html(&nothing);
    assert_eq!(page.matches("class=\"waterfall\"").count(), 1, "none where nothing was seen");
    // Where each step ends the next begins, from one mean to the other.
    let pieces: Vec<&str> = first.split("class=\"step f-").skip(1).collect();
    assert!(pieces.len() >= 3, "{}", pieces.len());
}

#[test]
fn every_element_that_is_opened_is_closed() {
    let page = html(&sample_run().result());
    for tag in [
        "section", "div", "table", "tr", "td", "th", "details", "figure", "svg", "dl", "dd",
        "span", "p", "b", "i", "ul", "li",
    ] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn text_from_outside_is_only_text() {
    let mut fixture = sample_run();
    let evil = "<script>alert('x')</script>\"&";
    fixture.run.plan = evil.to_owned();
    fixture.run.run_id = evil.to_owned();
    fixture.run.command = evil.to_owned();
    fixture.run.environment.cpu_model = evil.to_owned();
    fixture.run.components[0].note = evil.to_owned();
    fixture.run.cells[0].rounds[0].errors.insert(evil.to_owned(), 1);
    fixture.run.cells[1].cell.id = evil.to_owned();
    for row in &mut fixture.rows {
        row.hops[0].hop = format!("{evil}→gateway").into();
    }
    let page = html(&fixture.result());
    assert!(!page.contains("<script") && !page.contains("\"&\""));
    assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;&quot;&amp;"));
}

#[test]
fn all_reports_are_written_and_a_folder_that_is_missing_is_named() {
    let result = sample_run().result();
    let dir = tempfile::tempdir().expect("a folder");
    write_all(dir.path(), &result).expect("written");
    for name in ["result.json", "report.html", "report.txt"] {
        assert!(dir.path().join(name).metadata().expect(name).len() > 1_000, "{name}");
    }
    let error = write_all(&dir.path().join("absent"), &result).expect_err("no folder").to_string();
    assert!(error.contains("absent/result.json"), "{error}");
}

#[test]
fn a_report_that_cannot_be_written_is_named_and_keeps_back_no_other() {
    let dir = tempfile::tempdir().unwrap();
    // A folder in its place cannot be replaced by a file.
    std::fs::create_dir(dir.path().join("result.json")).unwrap();
    let error = write_all(dir.path(), &sample_run().result()).unwrap_err().to_string();
    assert!(error.contains("result.json"), "{error}");
    let mut left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["report.html", "report.txt", "result.json"]);
}
