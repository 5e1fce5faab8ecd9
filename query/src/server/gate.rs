//! Lets queries in, some at a time, and runs them on the threads that are for them.
//!
//! A place is given back when the query's task has really ended, not when its client has its answer: a statement that is
//! busy in a place where it can't be stopped yet still counts.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::ServeSettings;
use crate::engine::within;
use crate::output::{OutputFormat, SharedBuffer};
use crate::{QueryEngine, QueryError, QueryLimits, Summary};

/// How much longer than its own limit a query is waited for: planning can't always be interrupted.
const GRACE: Duration = Duration::from_millis(250);
/// Batches that a stream is ahead of its client.
const BATCHES_AHEAD: usize = 2;

/// The way to the engine for all requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: QueryEngine,
    working: Handle,
    limits: QueryLimits,
    max_result_bytes: usize,
    max_concurrent: usize,
    max_waiting: usize,
    running: Arc<Semaphore>,
    /// Those that run and those that wait.
    inside: Arc<Semaphore>,
}

/// A query's right to run.
#[derive(Debug)]
struct Place {
    _running: OwnedSemaphorePermit,
    _inside: OwnedSemaphorePermit,
}

/// A whole result.
#[derive(Debug)]
pub struct Answer {
    /// In the format that was asked for.
    pub bytes: Vec<u8>,
    /// What came of it.
    pub summary: Summary,
}

/// A result whose rows are still to come.
#[derive(Debug)]
pub struct Rows {
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows; an error is the last of it.
    pub batches: mpsc::Receiver<Result<RecordBatch, QueryError>>,
    /// Ends the query when dropped.
    pub task: AbortOnDropHandle<()>,
}

impl Gate {
    /// A gate before `engine`, whose queries run on the threads of `working`.
    pub fn new(engine: QueryEngine, working: Handle, settings: &ServeSettings) -> Self {
        let (max_concurrent, max_waiting) = (settings.max_concurrent.max(1), settings.max_waiting);
        let shared = Shared {
            engine,
            working,
            limits: settings.limits,
            max_result_bytes: settings.max_result_bytes,
            max_concurrent,
            max_waiting,
            running: Arc::new(Semaphore::new(max_concurrent)),
            inside: Arc::new(Semaphore::new(max_concurrent + max_waiting)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs a statement to its end. Dropping the future ends the query.
    ///
    /// # Errors
    /// Those of the query; [`QueryError::Busy`] when too many run and wait; [`QueryError::TooLarge`].
    pub async fn answer(
        &self,
        sql: String,
        format: OutputFormat,
        asked: QueryLimits,
    ) -> Result<Answer, QueryError> {
        let limits = asked.at_most(self.shared.limits);
        let limit_bytes = self.shared.max_result_bytes;
        let (engine, buffer) = (self.shared.engine.clone(), SharedBuffer::new(limit_bytes));
        let work = async move {
            let mut writer = format.writer(buffer.clone());
            let end = engine.run(&sql, limits, &mut *writer).await;
            drop(writer);
            match end {
                Ok(summary) => Ok(Answer { bytes: buffer.take(), summary }),
                Err(_) if buffer.is_full() => Err(QueryError::TooLarge { limit_bytes }),
                Err(error) => Err(error),
            }
        };
        self.on_time(limits.timeout, self.on_a_place(work)).await
    }

    /// Runs a statement whose rows are taken as they come. The place is given back when the last one was taken, or the
    /// receiver dropped. `limits` hold except that of rows.
    ///
    /// # Errors
    /// As [`Gate::answer`], as long as there are no columns yet.
    pub async fn stream(&self, sql: String) -> Result<Rows, QueryError> {
        let timeout = self.shared.limits.timeout;
        self.on_time(timeout, async {
            let place = self.place().await?;
            let engine = self.shared.engine.clone();
            let (to_client, batches) = mpsc::channel(BATCHES_AHEAD);
            let (to_caller, columns) = oneshot::channel();
            let task = self.shared.working.spawn(async move {
                let _place = place;
                let send = send_rows(&engine, &sql, to_caller, &to_client);
                if let Err(error) = within(timeout, send).await {
                    // Without a receiver nobody wants to know.
                    let _ = to_client.send(Err(error)).await;
                }
            });
            let task = AbortOnDropHandle::new(task);
            let mut rows = batches;
            match columns.await {
                Ok(schema) => Ok(Rows { schema, batches: rows, task }),
                // The error came instead of the columns.
                Err(_) => match rows.recv().await {
                    Some(Err(error)) => Err(error),
                    _ => Err(QueryError::Internal("the query ended without columns".to_owned())),
                },
            }
        })
        .await
    }

    /// Asks the engine for something smaller than a result, as one query among the others.
    ///
    /// # Errors
    /// Those of `work`, and as [`Gate::answer`].
    pub async fn ask<T, F>(&self, work: impl FnOnce(QueryEngine) -> F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let asked = work(self.shared.engine.clone());
        self.on_time(self.shared.limits.timeout, self.on_a_place(asked)).await
    }

    async fn on_a_place<T, F>(&self, work: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        let place = self.place().await?;
        let task = self.shared.working.spawn(async move {
            let _place = place;
            work.await
        });
        joined(AbortOnDropHandle::new(task).await)?
    }

    async fn place(&self) -> Result<Place, QueryError> {
        let shared = &self.shared;
        let busy = || QueryError::Busy { running: shared.max_concurrent, waiting: shared.max_waiting };
        let inside = shared.inside.clone().try_acquire_owned().map_err(|_| busy())?;
        let running = shared.running.clone().acquire_owned().await.map_err(|_| busy())?;
        Ok(Place { _running: running, _inside: inside })
    }

    /// Waiting for a place is part of a query's time.
    async fn on_time<T>(
        &self,
        timeout: Option<Duration>,
        work: impl Future<Output = Result<T, QueryError>>,
    ) -> Result<T, QueryError> {
        let Some(limit) = timeout else { return work.await };
        match within(Some(limit + GRACE), work).await {
            Err(QueryError::Timeout { .. }) => Err(QueryError::Timeout { limit }),
            end => end,
        }
    }
}

async fn send_rows(
    engine: &QueryEngine,
    sql: &str,
    to_caller: oneshot::Sender<SchemaRef>,
    to_client: &mpsc::Sender<Result<RecordBatch, QueryError>>,
) -> Result<(), QueryError> {
    let mut rows = engine.plan(sql).await?.execute(None).await?;
    if to_caller.send(rows.schema()).is_err() {
        return Ok(());
    }
    while let Some(read) = rows.next().await {
        if to_client.send(Ok(read?)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// A panic in a query is its own end, and no other's.
fn joined<T>(end: Result<T, tokio::task::JoinError>) -> Result<T, QueryError> {
    end.map_err(|error| match error.is_panic() {
        true => QueryError::Internal(format!("the query has failed: {error}; please report the statement")),
        false => QueryError::Internal("the query was stopped: the process is ending".to_owned()),
    })
}
