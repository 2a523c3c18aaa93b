//! From rows to results, verdicts, words and reports: everything after measuring.

mod asked;
mod compare;
mod evidence;
#[path = "../fixture/mod.rs"]
mod fixture;
mod golden;
mod measuring;
mod pages;
mod results;
mod singles;
mod terminal;
mod verdicts;
mod words;
