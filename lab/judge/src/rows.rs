//! Where the rows of a run come from: the run file of a lab that started its own sidecar, or a sidecar elsewhere.

use sidecar::runfile::{ProcessSample, RequestRow, RunFile, RunFileError};

/// The rows of one run. They are given one by one, for there may be millions.
pub trait Rows {
    /// What can go wrong.
    type Error;

    /// The samples of all processes.
    fn samples(&mut self) -> impl Future<Output = Result<Vec<ProcessSample>, Self::Error>>;

    /// Gives `take` every request of `cell` with its hops, in the order in which they were written.
    fn each(
        &mut self,
        cell: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> impl Future<Output = Result<(), Self::Error>>;

    /// The same without their hops.
    fn each_alone(
        &mut self,
        cell: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> impl Future<Output = Result<(), Self::Error>>;
}

impl Rows for RunFile {
    type Error = RunFileError;

    async fn samples(&mut self) -> Result<Vec<ProcessSample>, RunFileError> {
        self.read_samples().await
    }

    async fn each(
        &mut self,
        cell: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> Result<(), RunFileError> {
        self.each_request(Some(cell), |row| take(&row)).await
    }

    async fn each_alone(
        &mut self,
        cell: &str,
        take: &mut dyn FnMut(&RequestRow),
    ) -> Result<(), RunFileError> {
        self.each_request_alone(cell, |row| take(&row)).await
    }
}
