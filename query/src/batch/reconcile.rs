//! Real time against batch: what `gold.rt_batch_reconciliation` says of a day, and what follows from it.
//!
//! The table's rows are made by `sql/gold/rt_batch_reconciliation.sql`. The verdict is taken from their numbers, by
//! [`Status::judge`]; a row whose own status says something else is refused.

use std::fmt::{self, Write as _};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;

use super::error::BatchError;
use crate::QueryEngine;

const TABLE: &str = "gold.rt_batch_reconciliation";
/// Beyond so many times the threshold a difference is critical.
const CRITICAL_THRESHOLDS: f64 = 2.0;

/// How far apart the two are, in a word. The later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Within what was promised.
    Pass,
    /// Beyond it; somebody should look.
    Warn,
    /// So far beyond it that nothing may be built on the day.
    Crit,
}

impl Status {
    /// Of a metric whose difference (the 95th percentile of its minutes') is to be at most `threshold`. What is no number is
    /// critical.
    pub fn judge(difference: f64, threshold: f64) -> Self {
        if difference <= threshold {
            Self::Pass
        } else if difference <= CRITICAL_THRESHOLDS * threshold {
            Self::Warn
        } else {
            Self::Crit
        }
    }

    /// Its name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Crit => "CRIT",
        }
    }

    /// 0, 1 or 2, for metrics.
    pub fn as_number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One metric of a day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricDifference {
    /// Its name: a count of gold, or a rate.
    pub metric_name: String,
    /// `count` or `rate`.
    pub kind: String,
    /// What is to be thought of it.
    pub status: Status,
    /// 95th percentile of the differences of the minutes.
    pub p95_difference: f64,
    /// What that may be.
    pub threshold: f64,
    /// The largest difference of a minute.
    pub max_difference: f64,
    /// Minutes that were compared.
    pub minutes: i64,
    /// The day's sum in real time, or the rate of the sums.
    pub rt_total: f64,
    /// The same of batch.
    pub batch_total: f64,
}

/// What a day came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reconciliation {
    /// The day, UTC.
    pub date: NaiveDate,
    /// The worst of its metrics.
    pub status: Status,
    /// When it was computed.
    pub computed_at: DateTime<Utc>,
    /// Every metric, the worst first.
    pub metrics: Vec<MetricDifference>,
}

impl Reconciliation {
    /// What the table says of `date`; `None` where it says nothing: the day was not reconciled, or neither side had an event.
    ///
    /// # Errors
    /// When the table can't be read, or a row contradicts itself.
    pub async fn read(engine: &QueryEngine, date: NaiveDate) -> Result<Option<Self>, BatchError> {
        let sql = format!(
            "SELECT metric_name, kind, status, p95_difference, threshold, max_difference, minutes, rt_total, batch_total, computed_at \
             FROM {TABLE} WHERE date = DATE '{date}'"
        );
        let mut metrics = Vec::new();
        let mut computed_at = DateTime::UNIX_EPOCH;
        for batch in engine.collect(&sql).await? {
            let rows = Rows::of(&batch)?;
            for row in 0..batch.num_rows() {
                metrics.push(rows.metric(row, date)?);
                computed_at = computed_at.max(rows.computed_at(row));
            }
        }
        metrics.sort_by(|one, other| {
            other.status.cmp(&one.status).then_with(|| one.metric_name.cmp(&other.metric_name))
        });
        let worst = metrics.iter().map(|metric| metric.status).max();
        Ok(worst.map(|status| Self { date, status, computed_at, metrics }))
    }

    /// Of the newest day in the table; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn newest(engine: &QueryEngine) -> Result<Option<Self>, BatchError> {
        let sql = format!("SELECT max(date) AS date FROM {TABLE}");
        let newest = engine.collect(&sql).await?.into_iter().find_map(|batch| {
            let dates = batch.column(0).as_primitive_opt::<Date32Type>()?;
            (!dates.is_empty() && dates.is_valid(0)).then(|| dates.value_as_date(0)).flatten()
        });
        match newest {
            Some(date) => Self::read(engine, date).await,
            None => Ok(None),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {} (computed {})\n{:<18} {:<6} {:>9} {:>9} {:>9} {:>7} {:>15} {:>15}\n",
            self.date,
            self.status,
            self.computed_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "metric",
            "status",
            "p95",
            "allowed",
            "largest",
            "minutes",
            "real time",
            "batch"
        );
        for metric in &self.metrics {
            let digits = if metric.kind == "count" { 0 } else { 6 };
            // Writing to a text can't fail.
            let _ = writeln!(
                text,
                "{:<18} {:<6} {:>9.5} {:>9} {:>9.5} {:>7} {:>15.digits$} {:>15.digits$}",
                metric.metric_name,
                metric.status,
                metric.p95_difference,
                metric.threshold,
                metric.max_difference,
                metric.minutes,
                metric.rt_total,
                metric.batch_total
            );
        }
        text
    }
}

/// Columns of a batch of the table.
struct Rows<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, BatchError> {
        let is_null = batch.columns().iter().any(|column| column.null_count() > 0);
        if is_null {
            return Err(BatchError::Defect(format!("{TABLE} has nulls")));
        }
        Ok(Self { batch })
    }

    fn text(&self, name: &str, row: usize) -> Result<String, BatchError> {
        let column = self.batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.map(|texts| texts.value(row).to_owned()).ok_or_else(|| no_column(name))
    }

    fn number(&self, name: &str, row: usize) -> Result<f64, BatchError> {
        let column = self.batch.column_by_name(name);
        let column = column.and_then(|column| column.as_primitive_opt::<Float64Type>());
        column.map(|numbers| numbers.value(row)).ok_or_else(|| no_column(name))
    }

    fn metric(&self, row: usize, date: NaiveDate) -> Result<MetricDifference, BatchError> {
        let minutes = self.batch.column_by_name("minutes");
        let minutes = minutes.and_then(|column| column.as_primitive_opt::<Int64Type>());
        let (p95_difference, threshold) =
            (self.number("p95_difference", row)?, self.number("threshold", row)?);
        let metric = MetricDifference {
            metric_name: self.text("metric_name", row)?,
            kind: self.text("kind", row)?,
            status: Status::judge(p95_difference, threshold),
            p95_difference,
            threshold,
            max_difference: self.number("max_difference", row)?,
            minutes: minutes.map(|counts| counts.value(row)).ok_or_else(|| no_column("minutes"))?,
            rt_total: self.number("rt_total", row)?,
            batch_total: self.number("batch_total", row)?,
        };
        let said = self.text("status", row)?;
        if said != metric.status.as_str() {
            return Err(BatchError::Refused(format!(
                "{TABLE} says {said} of {} on {date}, but a difference of {p95_difference} at a threshold of {threshold} is {}: \
                 make the day again with pulselake batch run --date {date} --job rt_batch_reconciliation --force",
                metric.metric_name, metric.status
            )));
        }
        Ok(metric)
    }

    fn computed_at(&self, row: usize) -> DateTime<Utc> {
        let column = self.batch.column_by_name("computed_at");
        let column = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        column
            .and_then(|moments| DateTime::from_timestamp_micros(moments.value(row)))
            .unwrap_or(DateTime::UNIX_EPOCH)
    }
}

fn no_column(name: &str) -> BatchError {
    BatchError::Defect(format!("{TABLE} has no column {name} of the expected type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_the_threshold_is_pass() {
        for difference in [0.0, 0.079, 0.08] {
            assert_eq!(Status::judge(difference, 0.08), Status::Pass, "{difference}");
        }
    }

    #[test]
    fn up_to_twice_the_threshold_is_warn() {
        for difference in [0.080_000_1, 0.12, 0.16] {
            assert_eq!(Status::judge(difference, 0.08), Status::Warn, "{difference}");
        }
    }

    #[test]
    fn beyond_twice_the_threshold_is_crit() {
        for difference in [0.160_000_1, 1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(Status::judge(difference, 0.08), Status::Crit, "{difference}");
        }
    }

    #[test]
    fn crit_is_worse_than_warn_is_worse_than_pass() {
        assert!(Status::Crit > Status::Warn && Status::Warn > Status::Pass);
        assert_eq!([Status::Pass, Status::Warn, Status::Crit].map(Status::as_number), [0, 1, 2]);
    }

    #[test]
    fn the_text_has_a_line_for_each_metric() {
        let likes = MetricDifference {
            metric_name: "likes".to_owned(),
            kind: "count".to_owned(),
            status: Status::Warn,
            p95_difference: 0.1,
            threshold: 0.08,
            max_difference: 0.5,
            minutes: 1_440,
            rt_total: 90.0,
            batch_total: 100.0,
        };
        let velocity = MetricDifference {
            metric_name: "velocity".to_owned(),
            kind: "rate".to_owned(),
            rt_total: 0.25,
            ..likes.clone()
        };
        let day = Reconciliation {
            date: NaiveDate::from_ymd_opt(2026, 2, 7).unwrap(),
            status: Status::Warn,
            computed_at: DateTime::UNIX_EPOCH,
            metrics: vec![likes, velocity],
        };
        let text = day.text();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..2], ["2026-02-07:", "WARN"]);
        assert_eq!(lines[2], ["likes", "WARN", "0.10000", "0.08", "0.50000", "1440", "90", "100"]);
        assert_eq!(lines[3][6..], ["0.250000", "100.000000"]);
    }
}
