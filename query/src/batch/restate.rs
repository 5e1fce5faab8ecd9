//! `pulselake batch restate`: corrects real time where batch has counted otherwise.
//!
//! For each video and minute of a day, what silver has more (or less) than gold is added to gold as one row, in one commit
//! (`pulselake_lake::Lake::append_restatement`). Both sides are taken over the same events: those that gold had taken in when
//! it was read. What it takes in later comes as its own rows, so a restatement may run beside the stream.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::NaiveDate;
use futures::{TryStreamExt, stream};
use pulselake_lake::{Lake, RestateError, RestatementBase};
use pulselake_ledger::Ledger;
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use super::error::BatchError;
use super::template::moment_text;
use crate::{QueryEngine, QueryError};

/// What differs, with the day's bounds and the condition of the taken-in events to be put in.
const DIFFERENCES: &str = include_str!("restate.sql");
/// How often it begins anew when commits of the stream come between the reads.
const ATTEMPTS: usize = 10;

/// What a restatement has added, or would add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestateReport {
    /// The day, UTC.
    pub date: NaiveDate,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// Pairs of video and minute that differed.
    pub rows: u64,
    /// What is added to each column of counts, over all rows.
    pub added: BTreeMap<String, i64>,
    /// The revision of the rows; `None` where nothing was added.
    pub revision: Option<i32>,
    /// The snapshot of gold; `None` where nothing was added.
    pub snapshot_id: Option<i64>,
}

impl RestateReport {
    /// For people.
    pub fn text(&self) -> String {
        let date = self.date;
        if self.rows == 0 {
            return format!("{date}: real time is what batch is; there is nothing to add\n");
        }
        let done = match (self.dry_run, self.revision) {
            (true, _) | (false, None) => "would be added to gold".to_owned(),
            (false, Some(revision)) => format!("added to gold as revision {revision}"),
        };
        let mut text = format!("{date}: {} rows of a video in a minute {done}\n", self.rows);
        for (column, added) in self.added.iter().filter(|(_, added)| **added != 0) {
            text.push_str(&format!("{column:<20} {added:>+15}\n"));
        }
        text
    }
}

/// Restates a day; only says what it would do, if `dry_run`. The caller has seen to it that silver is as bronze is.
///
/// # Errors
/// When the day can't be restated now, and whatever stops reading or writing.
pub async fn restate(
    engine: &QueryEngine,
    lake: &Lake,
    date: NaiveDate,
    dry_run: bool,
) -> Result<RestateReport, BatchError> {
    for _ in 0..ATTEMPTS {
        let base = lake.begin_restatement::<QueryError>(date).await.map_err(failure)?;
        let Some(differences) = differences(engine, lake, &base).await? else { continue };
        let mut report = report_of(date, dry_run, &differences)?;
        if dry_run || report.rows == 0 {
            return Ok(report);
        }
        let rows = stream::iter(differences.into_iter().map(Ok::<_, QueryError>));
        match lake.append_restatement(&base, rows).await {
            Ok(added) => {
                report.revision = Some(added.revision);
                report.snapshot_id = added.snapshot_id;
                return Ok(report);
            }
            Err(RestateError::Moved { .. }) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Err(BatchError::Refused(format!(
        "gold has changed each of the {ATTEMPTS} times that {date} was compared: try again when real time commits less often"
    )))
}

/// The differences; `None` where gold has moved on before it was read.
async fn differences(
    engine: &QueryEngine,
    lake: &Lake,
    base: &RestatementBase,
) -> Result<Option<Vec<RecordBatch>>, BatchError> {
    let sql = query(base.date(), base.ledger())?;
    // Planning loads the tables: gold is the base's where it is so before and behind.
    let planned = engine.plan_own(&sql).await?;
    let now = lake.view(LakeTable::VideoStats1Min).await?.snapshot_id();
    if now != base.gold().snapshot_id() {
        return Ok(None);
    }
    let batches = planned.execute(None).await?.try_collect().await.map_err(QueryError::from)?;
    Ok(Some(batches))
}

fn query(date: NaiveDate, ledger: &Ledger) -> Result<String, BatchError> {
    Ok(DIFFERENCES
        .replace("{day_start}", &format!("{} UTC", moment_text(date, 0)?))
        .replace("{day_end}", &format!("{} UTC", moment_text(date, 1)?))
        .replace("{taken_in}", &taken_in(ledger)?))
}

/// The condition on silver's rows that gold has taken in.
fn taken_in(ledger: &Ledger) -> Result<String, BatchError> {
    let mut topics = ledger.topics.iter();
    let partitions = match (topics.next(), topics.next()) {
        (None, _) => return Ok("false".to_owned()),
        (Some((_, partitions)), None) => partitions,
        (Some((one, _)), Some((other, _))) => {
            return Err(BatchError::Refused(format!(
                "gold has taken in more than one topic ({one}, {other}), whose offsets silver does not tell apart: \
                 restate a lake of one topic"
            )));
        }
    };
    let cases: String = partitions
        .iter()
        .map(|(partition, entry)| format!(" WHEN {partition} THEN {}", entry.next))
        .collect();
    match cases.is_empty() {
        true => Ok("false".to_owned()),
        false => Ok(format!("source_offset < CASE source_partition{cases} ELSE 0 END")),
    }
}

fn report_of(
    date: NaiveDate,
    dry_run: bool,
    differences: &[RecordBatch],
) -> Result<RestateReport, BatchError> {
    let mut added = BTreeMap::new();
    let rows = differences.iter().map(|batch| batch.num_rows() as u64).sum();
    for name in COUNT_COLUMNS.into_iter().chain([WATCH_TIME_COLUMN]) {
        let mut sum: i64 = 0;
        for batch in differences {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            let counts = column.filter(|counts| counts.null_count() == 0).ok_or_else(|| {
                BatchError::Defect(format!("the differences have no column {name} of whole numbers"))
            })?;
            sum = counts.values().iter().fold(sum, |so_far, count| so_far.saturating_add(*count));
        }
        added.insert(name.to_owned(), sum);
    }
    Ok(RestateReport { date, dry_run, rows, added, revision: None, snapshot_id: None })
}

fn failure(error: RestateError<QueryError>) -> BatchError {
    match error {
        RestateError::Rows(source) => BatchError::Query(source),
        RestateError::Commit(source) => BatchError::from(source),
        told @ (RestateError::Refused { .. } | RestateError::Moved { .. }) => {
            BatchError::Refused(told.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use pulselake_ledger::PartitionLedger;

    use super::*;

    fn ledger(topics: &[(&str, &[(i32, i64)])]) -> Ledger {
        let mut ledger = Ledger::new("cluster", "decoder");
        for (topic, partitions) in topics {
            let entries = partitions.iter().map(|&(partition, next)| {
                (partition, PartitionLedger { next, ..PartitionLedger::default() })
            });
            ledger.topics.insert((*topic).to_owned(), entries.collect());
        }
        ledger
    }

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 2, 7).unwrap()
    }

    #[test]
    fn only_what_gold_has_taken_in_counts() {
        let sql = query(date(), &ledger(&[("t", &[(0, 17), (3, 5)])])).unwrap();
        assert!(
            sql.contains("source_offset < CASE source_partition WHEN 0 THEN 17 WHEN 3 THEN 5 ELSE 0 END"),
            "{sql}"
        );
        assert!(sql.contains("window_start < TIMESTAMP '2026-02-08 00:00:00 UTC'"), "{sql}");
        assert!(!sql.contains('{'), "{sql}");
        assert!(query(date(), &ledger(&[("t", &[])])).unwrap().contains("AND false"));
    }

    #[test]
    fn two_topics_are_refused() {
        let error = query(date(), &ledger(&[("a", &[(0, 1)]), ("b", &[(0, 1)])])).unwrap_err().to_string();
        assert!(error.contains("more than one topic (a, b)"), "{error}");
    }

    #[test]
    fn the_report_says_what_is_added() {
        let added = BTreeMap::from([("likes".to_owned(), -3), ("shares".to_owned(), 2)]);
        let report = RestateReport {
            date: date(),
            dry_run: false,
            rows: 4,
            added,
            revision: Some(2),
            snapshot_id: Some(1),
        };
        assert_eq!(
            report.text().lines().next(),
            Some("2026-02-07: 4 rows of a video in a minute added to gold as revision 2")
        );
        assert!(report.text().contains("likes                             -3"), "{}", report.text());
        let planned = RestateReport { dry_run: true, revision: None, ..report.clone() };
        assert!(planned.text().contains("would be added"), "{}", planned.text());
        assert!(RestateReport { rows: 0, ..report }.text().contains("nothing to add"));
    }
}
