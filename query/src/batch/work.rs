//! What each kind of job does for a day, and the SQL of those that are a query.

use chrono::NaiveDate;
use futures::StreamExt;
use pulselake_lake::{ReplacedPart, iceberg_schema};
use pulselake_model::tables::LakeTable;

use super::baselines;
use super::drift::{self, Registry};
use super::error::BatchError;
use super::fit::fit;
use super::inputs::Facts;
use super::job::Work;
use super::payload_column::PayloadColumn;
use super::plan::{Step, shifted, steps};
use super::progress::Progress;
use super::run::{Batch, Request, State};
use super::silver::SilverDay;
use super::steps::{Made, StepContext};
use super::template::{Dialect, Parameters, render};
use crate::QueryError;
use crate::engine::rows_read;

impl Batch {
    /// Makes the day.
    pub(super) async fn work(
        &self,
        step: Step,
        state: &State,
        progress: &Progress,
    ) -> Result<Made, BatchError> {
        let context = StepContext {
            job: step.job,
            date: step.date,
            engine: self.engine().clone(),
            lake: self.lake().clone(),
            memory_bytes: self.settings.day_memory_bytes,
            max_payload_columns: self.settings.max_payload_columns,
            rule_version: self.settings.rule_version.clone(),
        };
        match step.job.work {
            Work::PayloadFields => drift::run(&context).await,
            Work::Baselines { template } => baselines::run(&context, template).await,
            Work::Silver { template } => {
                let day = SilverDay {
                    template,
                    columns: self.payload_columns().await?,
                    expected_rows: state.facts.bronze_rows_of(step.date),
                    expected_rows_before: shifted(step.date, -1)
                        .map_or(0, |before| state.facts.bronze_rows_of(before)),
                    carry_over: state.facts.carry_over_of(step.date),
                    progress,
                    context: &context,
                };
                day.make().await
            }
            Work::Replace { template } => {
                let sql = render(step.job.name, template, &self.parameters(step.date, Dialect::Datafusion))?;
                self.replace(step, &sql, progress).await
            }
        }
    }

    fn parameters(&self, date: NaiveDate, dialect: Dialect) -> Parameters {
        Parameters { rule_version: self.settings.rule_version.clone(), ..Parameters::new(date, dialect) }
    }

    async fn payload_columns(&self) -> Result<Vec<PayloadColumn>, BatchError> {
        Ok(self.payload_fields().await?.columns())
    }

    /// The registry of payload fields; an empty one where no run has made it yet.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn payload_fields(&self) -> Result<Registry, BatchError> {
        Ok(Registry::of(self.lake()).await?)
    }

    async fn replace(&self, step: Step, sql: &str, progress: &Progress) -> Result<Made, BatchError> {
        let running = self.engine().plan_own(sql).await?.start().await?;
        let table = self.lake().table_schema(step.job.target).await?;
        let rows = running.rows.map(|read| {
            let batch = fit(&read?, &table)?;
            progress.add_rows(batch.num_rows());
            Ok::<_, QueryError>(batch)
        });
        let part = ReplacedPart::Day(step.date);
        let replaced = self.lake().replace_partition(step.job.target, part, rows).await?;
        Ok(Made {
            rows_in: rows_read(&running.plan),
            rows_out: replaced.rows,
            files: replaced.files,
            snapshot_id: replaced.snapshot_id,
            ..Made::default()
        })
    }

    /// The SQL of the asked jobs for the asked days, with the job and the day of each. Jobs that are no query are left out.
    ///
    /// # Errors
    /// When the lake can't be read.
    pub async fn rendered(
        &self,
        request: &Request,
        dialect: Dialect,
    ) -> Result<Vec<(Step, String)>, BatchError> {
        let facts = Facts::of_manifests(self.lake()).await?;
        let columns = self.payload_columns().await?;
        let mut found = Vec::new();
        for step in steps(&request.jobs(), request.first, request.last) {
            let Some(template) = step.job.work.template() else { continue };
            let parameters = Parameters {
                columns: columns.clone(),
                carry_over: facts.carry_over_of(step.date),
                ..self.parameters(step.date, dialect)
            };
            found.push((step, render(step.job.name, template, &parameters)?));
        }
        Ok(found)
    }

    /// The columns of a table, in its order; where it is not there yet, as it will be made.
    ///
    /// # Errors
    /// When the catalog does not answer.
    pub async fn columns_of(&self, table: LakeTable) -> Result<Vec<String>, BatchError> {
        if self.lake().existing_tables().await?.contains(&table) {
            let schema = self.lake().table_schema(table).await?;
            return Ok(schema.fields().iter().map(|field| field.name().clone()).collect());
        }
        let schema = iceberg_schema(table).map_err(|error| {
            BatchError::Defect(format!("{} can't be described: {error}", table.full_name()))
        })?;
        Ok(schema.as_struct().fields().iter().map(|field| field.name.clone()).collect())
    }
}
