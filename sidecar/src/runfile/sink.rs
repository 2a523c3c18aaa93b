//! The run file as a sink: a bounded queue in front of one writing task.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::file::RunFile;
use crate::sink::{Batch, Done, Sink};
use crate::stats::SinkCounts;

/// Batches that may wait for the writer. A batch has a few hundred requests: some 10 MiB in all.
const QUEUE: usize = 16;

enum Job {
    Write(Batch),
    Flushed(oneshot::Sender<()>),
    Close,
}

/// Hands batches to the task that writes the run file.
pub(crate) struct RunFileSink {
    jobs: mpsc::Sender<Job>,
    counts: Arc<SinkCounts>,
}

impl RunFileSink {
    /// Starts the writing task. It ends after [`Self::close`], when it has closed the file.
    pub(crate) fn start(file: RunFile, counts: Arc<SinkCounts>) -> (Self, JoinHandle<()>) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write_all(file, queue, Arc::clone(&counts)));
        (RunFileSink { jobs, counts }, writer)
    }

    /// Lets the writer finish what it has and close the file. Rows that come later are counted as
    /// failed: connections of peers may outlive the sidecar's listener.
    pub(crate) async fn close(&self) {
        let _ = self.jobs.send(Job::Close).await;
    }
}

impl Sink for RunFileSink {
    fn take(&self, batch: Batch) -> Done<'_> {
        Box::pin(async move {
            if let Err(mpsc::error::SendError(Job::Write(batch))) =
                self.jobs.send(Job::Write(batch)).await
            {
                self.counts.rows_failed.fetch_add(rows(&batch), Relaxed);
            }
        })
    }

    fn flush(&self) -> Done<'_> {
        Box::pin(async move {
            let (flushed, done) = oneshot::channel();
            if self.jobs.send(Job::Flushed(flushed)).await.is_ok() {
                let _ = done.await;
            }
        })
    }
}

fn rows(batch: &Batch) -> u64 {
    match batch {
        Batch::Requests(rows) => rows.len() as u64,
        Batch::Samples(rows) => rows.len() as u64,
        Batch::Asides(rows) => rows.len() as u64,
    }
}

async fn write_all(mut file: RunFile, mut queue: mpsc::Receiver<Job>, counts: Arc<SinkCounts>) {
    while let Some(job) = queue.recv().await {
        let batch = match job {
            Job::Write(batch) => batch,
            Job::Flushed(flushed) => {
                // Jobs are done in order: everything before has been written.
                let _ = flushed.send(());
                continue;
            }
            Job::Close => break,
        };
        let written = match &batch {
            Batch::Requests(requests) => file.write(requests, &[]).await,
            Batch::Samples(samples) => file.write(&[], samples).await,
            Batch::Asides(asides) => file.write_asides(asides).await.map(|gone| {
                counts.requests_written.fetch_sub(gone, Relaxed);
            }),
        };
        let count = match (&written, &batch) {
            (Ok(()), Batch::Requests(_)) => Some(&counts.requests_written),
            (Ok(()), Batch::Samples(_)) => Some(&counts.samples_written),
            (Ok(()), Batch::Asides(_)) => None,
            (Err(_), _) => Some(&counts.rows_failed),
        };
        if let Some(count) = count {
            count.fetch_add(rows(&batch), Relaxed);
        }
        if let Err(error) = written {
            let error = error.to_string();
            // Said once for each new cause, counted always.
            let mut last = counts.last_error.lock();
            if *last != error {
                tracing::error!("{error}");
                *last = error;
            }
        }
    }
    if let Err(error) = file.close().await {
        tracing::error!("{error}");
    }
}
