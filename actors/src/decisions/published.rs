//! The baseline that was published last: `dims.rt_rule_quantile_baselines`.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Date32Type, Float64Type, Int32Type, Int64Type};
use futures::TryStreamExt;
use pulselake_decision::baseline::{IMPRESSIONS_PERCENTILE, VELOCITY_PERCENTILE};
use pulselake_decision::{Baseline, Cohort, ThresholdOrigin, Thresholds};
use pulselake_lake::{Lake, LakeError};
use pulselake_model::tables::LakeTable;

const TABLE: LakeTable = LakeTable::RuleBaselines;
const DAY_US: i64 = 86_400_000_000;
const VELOCITY: &str = "velocity_30m";
const IMPRESSIONS: &str = "impressions_30m";

/// Why there is no baseline of the table.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// The table can't be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Its rows can't be used.
    #[error("{0}")]
    Rows(String),
}

/// What the table said when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Snapshot, rule version and day of the last look.
    seen: Option<(Option<i64>, String, i32)>,
    baseline: Option<(Baseline, String)>,
}

/// A row of the table, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    effective_from: i32,
    effective_to: Option<i32>,
    metric: String,
    percentile: i32,
    cohort: Option<Cohort>,
    value: f64,
    sample_size: i64,
}

impl Published {
    /// The published baseline that is in force, and where it comes from; `None` where there is none.
    pub(super) fn baseline(&self) -> Option<&(Baseline, String)> {
        self.baseline.as_ref()
    }

    /// Reads the table if it, the rules' version or the day have changed since the last look. After an error the next look
    /// reads again.
    pub(super) async fn look(
        &mut self,
        lake: &Lake,
        rule_version: &str,
        now_us: i64,
    ) -> Result<(), PublishedError> {
        let day = i32::try_from(now_us.div_euclid(DAY_US)).unwrap_or(i32::MAX);
        let view = lake.view(TABLE).await?;
        let key = (view.snapshot_id(), rule_version.to_owned(), day);
        if self.seen.as_ref() == Some(&key) {
            return Ok(());
        }
        let mut batches = view.read(&[]).await?;
        let mut rows = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            rows.extend(rows_of(&batch, rule_version)?);
        }
        let found = in_force(&rows, day)?;
        self.baseline = found.map(|(baseline, from_day)| {
            let from = chrono::DateTime::from_timestamp(i64::from(from_day) * 86_400, 0);
            let from = from.map_or_else(String::new, |moment| moment.format("%Y-%m-%d").to_string());
            (baseline, format!("{} of {from}", TABLE.full_name()))
        });
        self.seen = Some(key);
        Ok(())
    }
}

/// The baseline that was published for `rule_version` and is in force at `at_us` (microseconds), and where it comes from; `None`
/// where there is none, or no such table.
///
/// # Errors
/// When the table can't be read, or its rows contradict each other.
pub async fn published_baseline(
    lake: &Lake,
    rule_version: &str,
    at_us: i64,
) -> Result<Option<(Baseline, String)>, PublishedError> {
    if !lake.existing_tables().await?.contains(&TABLE) {
        return Ok(None);
    }
    let mut published = Published::default();
    published.look(lake, rule_version, at_us).await?;
    Ok(published.baseline)
}

/// The rows of the version in a batch.
fn rows_of(batch: &RecordBatch, rule_version: &str) -> Result<Vec<Row>, PublishedError> {
    let missing =
        |name: &str| PublishedError::Rows(format!("there is no column {name} of the expected type"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| missing(name));
    let day = |name: &str| column(name)?.as_primitive_opt::<Date32Type>().ok_or_else(|| missing(name));
    let (versions, metrics) = (text("rule_version")?, text("metric_name")?);
    let (categories, regions) = (text("cohort_category")?, text("cohort_region")?);
    let (from, to) = (day("effective_from")?, day("effective_to")?);
    let percentiles =
        column("percentile")?.as_primitive_opt::<Int32Type>().ok_or_else(|| missing("percentile"))?;
    let values = column("threshold_value")?
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(|| missing("threshold_value"))?;
    let samples =
        column("sample_size")?.as_primitive_opt::<Int64Type>().ok_or_else(|| missing("sample_size"))?;
    let mut rows = Vec::new();
    for row in (0..batch.num_rows()).filter(|&row| versions.value(row) == rule_version) {
        let cohort = match (categories.is_valid(row), regions.is_valid(row)) {
            (false, false) => None,
            (true, true) => Some(Cohort {
                category: categories.value(row).to_owned(),
                region: regions.value(row).to_owned(),
            }),
            _ => {
                return Err(PublishedError::Rows(
                    "a cohort has a category and a region, or neither".to_owned(),
                ));
            }
        };
        rows.push(Row {
            effective_from: from.value(row),
            effective_to: to.is_valid(row).then(|| to.value(row)),
            metric: metrics.value(row).to_owned(),
            percentile: percentiles.value(row),
            cohort,
            value: values.value(row),
            sample_size: samples.value(row),
        });
    }
    Ok(rows)
}

/// The baseline in force on a day (since 1970) and the day from which on it is: that of the latest day, not after this one,
/// on which rows became effective that have not ended. `effective_to` is the first day on which rows don't count any more.
fn in_force(rows: &[Row], day: i32) -> Result<Option<(Baseline, i32)>, PublishedError> {
    let counts = |row: &&Row| row.effective_from <= day && row.effective_to.is_none_or(|to| day < to);
    let Some(from_day) = rows.iter().filter(counts).map(|row| row.effective_from).max() else {
        return Ok(None);
    };
    let mut values: BTreeMap<(Option<Cohort>, &str), (f64, i64)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.effective_from == from_day).filter(counts) {
        let wanted = match row.metric.as_str() {
            VELOCITY => i32::from(VELOCITY_PERCENTILE),
            IMPRESSIONS => i32::from(IMPRESSIONS_PERCENTILE),
            _ => continue,
        };
        if row.percentile != wanted {
            continue;
        }
        if !row.value.is_finite() {
            return Err(PublishedError::Rows(format!("threshold_value of {} is {}", row.metric, row.value)));
        }
        let known = values.insert((row.cohort.clone(), row.metric.as_str()), (row.value, row.sample_size));
        if known.is_some_and(|(value, _)| value != row.value) {
            return Err(PublishedError::Rows(format!(
                "{} of one cohort, version and day has two values",
                row.metric
            )));
        }
    }
    let thresholds = |cohort: Option<&Cohort>, origin| -> Option<Thresholds> {
        let (velocity_p90, sample_size) = *values.get(&(cohort.cloned(), VELOCITY))?;
        let (impressions_p40, _) = *values.get(&(cohort.cloned(), IMPRESSIONS))?;
        let sample_size = usize::try_from(sample_size).unwrap_or(0);
        Some(Thresholds { velocity_p90, impressions_p40, sample_size, origin })
    };
    let Some(global) = thresholds(None, ThresholdOrigin::Global) else {
        return Err(PublishedError::Rows(format!(
            "the global rows lack p{VELOCITY_PERCENTILE} of {VELOCITY} or p{IMPRESSIONS_PERCENTILE} of {IMPRESSIONS}"
        )));
    };
    let names = values.keys().filter_map(|(cohort, _)| cohort.as_ref());
    let cohorts = names
        .filter_map(|cohort| Some((cohort.clone(), thresholds(Some(cohort), ThresholdOrigin::Cohort)?)))
        .collect();
    Ok(Some((Baseline::new(global, cohorts), from_day)))
}

#[cfg(test)]
mod tests {
    use pulselake_decision::VideoFacts;

    use super::*;

    fn row(from: i32, cohort: Option<&str>, metric: &str, value: f64) -> Row {
        let percentile = if metric == VELOCITY { 90 } else { 40 };
        Row {
            effective_from: from,
            effective_to: None,
            metric: metric.to_owned(),
            percentile,
            cohort: cohort.map(|category| Cohort { category: category.to_owned(), region: "de".to_owned() }),
            value,
            sample_size: 1_000,
        }
    }

    fn both(from: i32, cohort: Option<&str>, velocity: f64, impressions: f64) -> [Row; 2] {
        [row(from, cohort, VELOCITY, velocity), row(from, cohort, IMPRESSIONS, impressions)]
    }

    /// Velocity of the global thresholds, and the day that they are of.
    fn found(rows: &[Row], day: i32) -> Option<(f64, i32)> {
        in_force(rows, day).unwrap().map(|(baseline, from)| (baseline.global().velocity_p90, from))
    }

    #[test]
    fn the_latest_day_that_has_come_counts() {
        let rows = [both(10, None, 0.1, 1.0), both(12, None, 0.2, 2.0)].concat();
        let days = [9, 10, 11, 12, 99].map(|day| found(&rows, day));
        assert_eq!(days, [None, Some((0.1, 10)), Some((0.1, 10)), Some((0.2, 12)), Some((0.2, 12))]);
    }

    #[test]
    fn what_has_ended_does_not_count() {
        let mut rows = [both(10, None, 0.1, 1.0), both(12, None, 0.2, 2.0)].concat();
        for ended in &mut rows[2..] {
            ended.effective_to = Some(13);
        }
        assert_eq!([12, 13].map(|day| found(&rows, day)), [Some((0.2, 12)), Some((0.1, 10))]);
    }

    #[test]
    fn cohorts_that_are_whole_have_thresholds_of_their_own() {
        let rows = [
            both(10, None, 0.1, 1.0).to_vec(),
            both(10, Some("music"), 0.4, 4.0).to_vec(),
            vec![row(10, Some("dance"), VELOCITY, 0.9)],
            vec![Row { percentile: 50, ..row(10, None, VELOCITY, 7.0) }],
        ]
        .concat();
        let (baseline, _) = in_force(&rows, 10).unwrap().unwrap();
        let velocity = |category| {
            let video = VideoFacts { category: Some(category), region: Some("de"), ..VideoFacts::default() };
            baseline.thresholds_for(&video).velocity_p90
        };
        assert_eq!([velocity("music"), velocity("dance"), velocity("news")], [0.4, 0.1, 0.1]);
    }

    #[test]
    fn rows_that_say_two_things_or_nothing_are_refused() {
        let half = [row(10, None, VELOCITY, 0.1)];
        assert!(in_force(&half, 10).unwrap_err().to_string().contains("impressions_30m"));
        let two = [both(10, None, 0.1, 1.0), both(10, None, 0.2, 1.0)].concat();
        assert!(in_force(&two, 10).unwrap_err().to_string().contains("two values"));
        let same = [both(10, None, 0.1, 1.0), both(10, None, 0.1, 1.0)].concat();
        assert_eq!(found(&same, 10), Some((0.1, 10)), "a row that was appended twice says the same");
        let nan = both(10, None, f64::NAN, 1.0);
        assert!(in_force(&nan, 10).is_err());
    }
}
