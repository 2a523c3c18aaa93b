//! The lab: plans are carried out, measured, judged and shown.
//!
//! Data flows one way: [`cli`] reads an order, [`plan`] says what to run, [`run`] sets the parts up
//! with [`launch`] and drives them with [`driver`], [`result`] computes, [`verdict`] judges,
//! [`report`] shows. Those who watch a run see [`event`]s and nothing else.

pub mod cli;
pub mod driver;
pub mod event;
pub mod k6;
pub mod launch;
pub mod model;
pub mod plan;
pub mod progress;
pub mod report;
pub mod result;
pub mod run;
pub mod verdict;
