//! The lab's program: plans are carried out, measured, judged and shown.
//!
//! [`cli`] reads an order, [`run`] sets the parts up and has them driven, cell by cell; who watches a run sees
//! [`lab_model::event`]s and nothing else ([`progress`]). What is measured is judged by [`lab_judge`] and shown by
//! [`lab_report`].

pub mod cli;
mod programs;
pub mod progress;
pub mod run;
