//! Publishes a day's baseline for the rules in force, to count from the next day on: `dims.rt_rule_quantile_baselines`.
//!
//! Rows that were published never change, so nothing is published that could be wrong: not while the day's reconciliation is
//! CRIT or missing, and not twice for the same version of the rules and day. The sample is that of
//! `pulselake_decision::Baseline::observed`, taken from silver.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use chrono::NaiveDate;
use futures::TryStreamExt;
use pulselake_model::tables::LakeTable;

use super::error::BatchError;
use super::fit::fit;
use super::plan::shifted;
use super::reconcile::{Reconciliation, Status};
use super::steps::{Made, StepContext};
use super::template::{Dialect, Parameters, render};
use crate::{QueryEngine, QueryError};

const TABLE: LakeTable = LakeTable::RuleBaselines;

/// The step of the job; `template` is the query of the rows to publish.
///
/// # Errors
/// When the tables can't be read, or the commit fails.
pub(super) async fn run(context: &StepContext, template: &str) -> Result<Made, BatchError> {
    let (date, rule_version) = (context.date, context.rule_version.as_str());
    match Reconciliation::read(&context.engine, date).await?.map(|day| day.status) {
        None => return Ok(withheld(format!("withheld: {date} has not been reconciled"))),
        Some(Status::Crit) => {
            return Ok(withheld(format!(
                "withheld: real time and batch of {date} are CRIT apart; pulselake batch restate --date {date} corrects real time"
            )));
        }
        Some(Status::Pass | Status::Warn) => {}
    }
    let built_on = context.lake.view(TABLE).await?.snapshot_id();
    if is_published(&context.engine, date, rule_version).await? {
        return Ok(withheld(format!(
            "a baseline of {rule_version} from the day after {date} was published before"
        )));
    }
    let parameters =
        Parameters { rule_version: rule_version.to_owned(), ..Parameters::new(date, Dialect::Datafusion) };
    let sql = render(TABLE.name(), template, &parameters)?;
    let mut running = context.engine.plan_own(&sql).await?.start().await?;
    let mut batches = Vec::new();
    while let Some(batch) = running.rows.try_next().await.map_err(QueryError::from)? {
        batches.push(batch);
    }
    let rows_in = running.rows_read();
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let Some(first) = batches.first().filter(|_| rows > 0) else {
        return Ok(withheld(format!(
            "fewer than {} rows of rolling metrics: the last baseline goes on",
            pulselake_decision::baseline::MIN_GLOBAL_SAMPLE
        )));
    };
    let batch = concat_batches(&first.schema(), &batches)
        .map_err(|error| BatchError::Defect(format!("the baseline's rows don't fit together: {error}")))?;
    let table = context.lake.table_schema(TABLE).await?;
    let snapshot_id = context.lake.append_rows_on(TABLE, &fit(&batch, &table)?, built_on).await?;
    Ok(Made { rows_in, rows_out: rows as u64, files: 1, snapshot_id, ..Made::default() })
}

fn withheld(remark: String) -> Made {
    Made { remark: Some(remark), ..Made::default() }
}

async fn is_published(engine: &QueryEngine, date: NaiveDate, rule_version: &str) -> Result<bool, BatchError> {
    let Some(effective_from) = shifted(date, 1) else {
        return Err(BatchError::Refused(format!("{date} has no day after it")));
    };
    let sql = format!(
        "SELECT 1 FROM {} WHERE rule_version = '{}' AND effective_from = DATE '{effective_from}' LIMIT 1",
        TABLE.full_name(),
        rule_version.replace('\'', "''")
    );
    Ok(engine.collect(&sql).await?.iter().any(|batch| batch.num_rows() > 0))
}

#[cfg(test)]
mod tests {
    use pulselake_decision::baseline::{
        IMPRESSIONS_PERCENTILE, MIN_COHORT_SAMPLE, MIN_GLOBAL_SAMPLE, MIN_SAMPLE_IMPRESSIONS,
        VELOCITY_PERCENTILE,
    };

    use super::*;
    use crate::batch::job::find_job;

    /// SQL can't read the constants of the rules, so it has them written out.
    #[test]
    fn the_template_has_the_numbers_of_the_rules() {
        let template = find_job(TABLE.name()).and_then(|job| job.work.template()).unwrap();
        for wanted in [
            format!("impressions >= {MIN_SAMPLE_IMPRESSIONS}"),
            format!("rows_of_all >= {MIN_GLOBAL_SAMPLE}"),
            format!("THEN {MIN_GLOBAL_SAMPLE} ELSE {MIN_COHORT_SAMPLE} END"),
            format!("percentile('velocity_30m', {VELOCITY_PERCENTILE})"),
            format!("percentile('impressions_30m', {IMPRESSIONS_PERCENTILE})"),
            format!("('velocity_30m', {VELOCITY_PERCENTILE}), ('impressions_30m', {IMPRESSIONS_PERCENTILE})"),
        ] {
            assert!(template.contains(&wanted), "{wanted}");
        }
    }
}
