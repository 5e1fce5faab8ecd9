//! `silver.fact_user_engagement`: how a day of it is made in bounded memory.
//!
//! Two things about an event hang on others of the day: whether it repeats one, and when its session began. Sorting the day
//! would tell both, and would write all of it to disk and back. Instead both are found out beforehand, in passes over the few
//! columns that matter ([`duplicates`], [`sessions`]), and the day's rows then go through the SQL once, in whatever order they
//! come, and straight into files.
//!
//! What is held in memory grows with the sessions of the day and with the versions of dimensions that were valid in it. Where
//! that is too much, the users are divided into slices by a hash, and the rows go through the SQL slice by slice; the day is
//! one commit all the same.

pub mod duplicates;
mod functions;
mod passes;
mod payload;
pub mod sessions;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, TryStreamExt};
use pulselake_lake::{Replaced, ReplacedPart};
use pulselake_model::tables::LakeTable;

use self::duplicates::Duplicates;
use self::functions::{DayKnowledge, functions};
use self::passes::{DaySource, OpenIn, find_duplicates, find_sessions};
use self::sessions::Sessions;
use super::error::BatchError;
use super::fit::fit;
use super::payload_column::PayloadColumn;
use super::plan::shifted;
use super::progress::Progress;
use super::steps::{Made, StepContext};
use super::template::{CarryOver, Dialect, Parameters, render};
use crate::{QueryEngine, QueryError};

/// Users are divided no further.
const MOST_SLICES: u64 = 256;
/// Into so many times more slices, where memory was not enough.
const FINER: u64 = 4;

/// A day to be made.
#[derive(Debug)]
pub struct SilverDay<'a> {
    /// The job, the day, and what to work with.
    pub context: &'a StepContext,
    /// The template.
    pub template: &'static str,
    /// Columns of new payload fields.
    pub columns: Vec<PayloadColumn>,
    /// Rows that bronze has of the day, about.
    pub expected_rows: u64,
    /// Rows that bronze has of the day before, about.
    pub expected_rows_before: u64,
    /// Where open sessions are looked up.
    pub carry_over: CarryOver,
    /// Shows how far it is.
    pub progress: &'a Progress,
}

impl SilverDay<'_> {
    /// Makes the day, and puts it in the place of what was there.
    ///
    /// # Errors
    /// Whatever stops it; the day is then as it was.
    pub async fn make(self) -> Result<Made, BatchError> {
        let context = self.context;
        let engine = context.engine.streaming().at_one_moment();
        let source = self.source(&engine);
        self.progress.phase("looking for repeated events");
        let (duplicates, rows_in) = find_duplicates(source).await?;
        let duplicates = Arc::new(duplicates);
        let table = context.lake.table_schema(LakeTable::EngagementFacts).await?;
        let mut slices = 1;
        loop {
            let attempt = Attempt { day: &self, engine: &engine, duplicates: &duplicates, table: &table };
            let error = match attempt.run(slices).await {
                Ok((replaced, slices_used)) => return Ok(made(&replaced, rows_in, &duplicates, slices_used)),
                Err(error) => error,
            };
            if !error.is_memory() || slices >= MOST_SLICES {
                return Err(error);
            }
            slices *= FINER;
            tracing::info!(date = %context.date, slices, "a day of silver needs more memory: its users are divided");
            self.progress.begin_again();
        }
    }
}

impl<'a> SilverDay<'a> {
    fn source(&self, engine: &'a QueryEngine) -> DaySource<'a> {
        let context = self.context;
        let (date, memory_bytes) = (context.date, context.memory_bytes);
        DaySource { engine, date, expected_rows: self.expected_rows, memory_bytes }
    }
}

fn made(replaced: &Replaced, rows_in: u64, duplicates: &Duplicates, slices: u64) -> Made {
    let mut remarks = Vec::new();
    if duplicates.rows() > 0 {
        remarks.push(format!("{} repeated events left out", duplicates.rows()));
    }
    if slices > 1 {
        remarks.push(format!("users in {slices} slices"));
    }
    Made {
        rows_in,
        rows_out: replaced.rows,
        files: replaced.files,
        snapshot_id: replaced.snapshot_id,
        remark: (!remarks.is_empty()).then(|| remarks.join(", ")),
        ..Made::default()
    }
}

/// One way through the day, with so many slices.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    day: &'a SilverDay<'a>,
    engine: &'a QueryEngine,
    duplicates: &'a Arc<Duplicates>,
    table: &'a SchemaRef,
}

impl<'a> Attempt<'a> {
    async fn run(self, least_slices: u64) -> Result<(Replaced, u64), BatchError> {
        let context = self.day.context;
        self.day.progress.phase("looking for sessions");
        let (first, slices) = self.first_sessions(least_slices).await?;
        let mut first = Some(first);
        let rows = futures::stream::iter(0..slices)
            .map(move |slice| (slice, first.take()))
            .then(move |(slice, known)| self.slice(slice, slices, known))
            .try_flatten();
        let part = ReplacedPart::Day(context.date);
        let replaced = context.lake.replace_partition(LakeTable::EngagementFacts, part, rows).await?;
        Ok((replaced, slices))
    }

    /// The sessions of the first slice, and into how many slices the users have to be divided so that they fit.
    async fn first_sessions(self, least_slices: u64) -> Result<(Sessions, u64), BatchError> {
        let mut slices = least_slices;
        loop {
            match self.sessions(0, slices, Some(self.day.context.memory_bytes)).await? {
                Some(sessions) => return Ok((sessions, slices)),
                None if slices >= MOST_SLICES => {
                    let bytes = self.day.context.memory_bytes;
                    let message = format!(
                        "the sessions of one of {slices} slices of users take more than {bytes} bytes"
                    );
                    return Err(QueryError::Memory(message).into());
                }
                None => slices *= FINER,
            }
        }
    }

    async fn sessions(
        self,
        slice: u64,
        slices: u64,
        most_bytes: Option<usize>,
    ) -> Result<Option<Sessions>, BatchError> {
        let before = DaySource {
            date: shifted(self.day.context.date, -1)
                .ok_or_else(|| BatchError::Refused("there is no day before the first".to_owned()))?,
            expected_rows: self.day.expected_rows_before,
            ..self.day.source(self.engine)
        };
        let open = match self.day.carry_over {
            CarryOver::Silver => OpenIn::Silver,
            CarryOver::Bronze => OpenIn::Bronze(before),
        };
        let source = self.day.source(self.engine);
        find_sessions(source, self.duplicates, open, (slice, slices), most_bytes).await
    }

    /// The rows of one slice, in the table's columns.
    async fn slice(
        self,
        slice: u64,
        slices: u64,
        known: Option<Sessions>,
    ) -> Result<impl Stream<Item = Result<RecordBatch, QueryError>> + use<'a>, QueryError> {
        let sessions = match known {
            Some(found) => found,
            // Slices are of about the same size: what fits for one does for all.
            None => self.sessions(slice, slices, None).await.map_err(as_query_error)?.unwrap_or_default(),
        };
        let knowledge = DayKnowledge {
            duplicates: self.duplicates.clone(),
            sessions: Arc::new(sessions),
            columns: self.day.columns.clone(),
            slices,
        };
        self.duplicates.begin_again();
        let engine = self.engine.with_functions(functions(&knowledge))?;
        let sql = self.sql(slice, slices)?;
        let rows = engine.plan_own(&sql).await?.execute(None).await?;
        let (table, progress) = (self.table, self.day.progress);
        Ok(rows.map(move |read| {
            let batch = fit(&read?, table)?;
            progress.add_rows(batch.num_rows());
            Ok(batch)
        }))
    }

    fn sql(self, slice: u64, slices: u64) -> Result<String, QueryError> {
        let context = self.day.context;
        let parameters = Parameters {
            columns: self.day.columns.clone(),
            carry_over: self.day.carry_over,
            has_duplicates: self.duplicates.rows() > 0,
            slice,
            slices,
            ..Parameters::new(context.date, Dialect::Datafusion)
        };
        render(context.job.name, self.day.template, &parameters)
            .map_err(|error| QueryError::Internal(error.to_string()))
    }
}

/// The passes fail as queries do.
fn as_query_error(error: BatchError) -> QueryError {
    match error {
        BatchError::Query(query) => query,
        other => QueryError::Internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::displayable;
    use pulselake_lake::{Lake, LakeSettings, OpenMode};
    use pulselake_model::Entity;

    use super::*;
    use crate::EngineSettings;
    use crate::batch::job::{SILVER, find_job};
    use crate::batch::payload_column::PayloadType;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_holds_the_days_rows() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display();
        let lake =
            LakeSettings::new(format!("sqlite://{place}/catalog.db"), format!("file://{place}/warehouse"));
        let opened = Lake::open(&lake, OpenMode::CreateIfMissing).await.unwrap();
        opened.ensure_tables(&LakeTable::OF_EVENTS).await.unwrap();
        for entity in Entity::ALL {
            opened.ensure_tables(&LakeTable::of_changes(entity)).await.unwrap();
        }
        let columns = vec![PayloadColumn {
            field: "duration_ms".to_owned(),
            column_name: "duration_ms".to_owned(),
            column_type: PayloadType::Long,
            conflict_column: Some("duration_ms_text".to_owned()),
            is_known: false,
        }];
        let knowledge = DayKnowledge {
            duplicates: Arc::default(),
            sessions: Arc::default(),
            columns: columns.clone(),
            slices: 2,
        };
        let engine =
            QueryEngine::open(&EngineSettings { threads: 2, ..EngineSettings::new(lake) }).await.unwrap();
        let engine = engine.streaming().at_one_moment().with_functions(functions(&knowledge)).unwrap();
        let parameters = Parameters {
            columns,
            has_duplicates: true,
            slices: 2,
            ..Parameters::new("2026-02-07".parse().unwrap(), Dialect::Datafusion)
        };
        let template = find_job(SILVER).unwrap().work.template().unwrap();
        let sql = render(SILVER, template, &parameters).unwrap();
        let running = engine.plan_own(&sql).await.unwrap().start().await.unwrap();
        let plan = displayable(running.plan.as_ref()).indent(false).to_string();
        assert_eq!(plan.matches("event_payload(").count(), 1, "a body is read once: {plan}");
        assert_eq!(plan.matches("HashJoinExec: mode=CollectLeft, join_type=Right").count(), 2, "{plan}");
        // Below the right sides of both joins, down to the scan of bronze.
        let (_, streamed) = plan.rsplit_once("table=dims.dim_videos_history").unwrap();
        assert!(streamed.contains("table=bronze.raw_events"), "{streamed}");
        assert!(streamed.contains("filter=[event_timestamp"), "{streamed}");
        for holding in ["Sort", "Aggregate", "Window", "Hash"] {
            assert!(!streamed.contains(holding), "{holding}: {streamed}");
        }
    }
}
