//! A run's truth as Arrow rows, in the columns and the order that the tables and files have.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{
    ArrayRef, Float64Array, Int64Array, ListArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, SchemaRef};
use pulselake_decision::{Action, Metrics30m, ReasonCode};
use pulselake_generator::TruthCounts;
use pulselake_model::{ErrorCode, EventType, WindowCounters, qa};

use super::expected::ExpectedAction;
use super::run_truth::FinishedRun;

/// Rows of the counts that are made at once.
const ROWS_PER_BATCH: usize = 1 << 16;

/// `counts.parquet`: by the video's number, then by minute.
pub(super) fn counts(counts: &TruthCounts) -> impl Iterator<Item = anyhow::Result<RecordBatch>> {
    let mut rows = counts.by_video_minute.iter().peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        Some(count_rows(rows.by_ref().take(ROWS_PER_BATCH)))
    })
}

fn count_rows<'a>(
    rows: impl Iterator<Item = (&'a (u32, i64), &'a WindowCounters)>,
) -> anyhow::Result<RecordBatch> {
    let rows: Vec<_> = rows.collect();
    let videos = rows.iter().map(|((video, _), _)| format!("v_{video}"));
    let starts = rows.iter().map(|((_, minute_ms), _)| Some(minute_ms * 1_000));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(videos)), times(starts)];
    for kind in EventType::ALL {
        let values = rows.iter().map(|(_, counters)| counters.by_type[kind as usize]);
        columns.push(Arc::new(Int64Array::from_iter_values(values)));
    }
    let watched = rows.iter().map(|(_, counters)| counters.watch_time_sum_ms);
    columns.push(Arc::new(Int64Array::from_iter_values(watched)));
    batch(qa::truth_counts(), columns)
}

/// `quarantine.parquet`: by code; codes without records are left out.
pub(super) fn quarantine(counts: &TruthCounts) -> anyhow::Result<RecordBatch> {
    let mut codes: Vec<(&str, i64)> = Vec::new();
    for code in ErrorCode::ALL {
        let records = counts.malformed_by_code[code as usize];
        if records > 0 {
            codes.push((code.as_str(), whole(records)?));
        }
    }
    codes.sort_unstable();
    batch(
        qa::truth_quarantine(),
        vec![
            Arc::new(StringArray::from_iter_values(codes.iter().map(|(code, _)| code))),
            Arc::new(Int64Array::from_iter_values(codes.iter().map(|(_, records)| *records))),
        ],
    )
}

/// The row of `qa.run_manifest`.
pub(super) fn run_manifest(run: &FinishedRun) -> anyhow::Result<RecordBatch> {
    let (config, counts) = (run.config(), run.counts());
    let malformed: u64 = counts.malformed_by_code.iter().sum();
    let seed = i64::try_from(config.seed).context("the seed is beyond what a table holds: 2^63 - 1")?;
    let (first_ms, last_ms) = run.record_times_ms().unzip();
    let scenarios: Vec<String> = config.scenarios.iter().map(ToString::to_string).collect();
    let whole_of =
        |count: u64| -> anyhow::Result<ArrayRef> { Ok(Arc::new(Int64Array::from(vec![whole(count)?]))) };
    batch(
        qa::run_manifest(),
        vec![
            Arc::new(StringArray::from_iter_values([run.run_id.to_string()])),
            Arc::new(StringArray::from_iter_values([config.identity()])),
            Arc::new(Int64Array::from(vec![seed])),
            Arc::new(text_lists(&qa::run_manifest(), "scenarios", [scenarios])?),
            times([Some(config.start_ms * 1_000)]),
            times([first_ms.map(|ms| ms * 1_000)]),
            times([last_ms.map(|ms| ms * 1_000)]),
            whole_of(counts.records)?,
            whole_of(counts.events)?,
            whole_of(counts.retries)?,
            whole_of(malformed)?,
            whole_of(counts.beyond_lateness)?,
            whole_of(counts.by_video_minute.len() as u64)?,
        ],
    )
}

/// The rows of `qa.expected_actions`.
pub(super) fn expected_actions(run: &FinishedRun) -> anyhow::Result<RecordBatch> {
    let rows = &run.expected;
    let of_run = |text: String| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows.len()])) };
    let threshold = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value; rows.len()])) };
    let decisions = rows.iter().map(|row| row.decision().as_str());
    let reasons = rows.iter().map(|row| {
        let codes = row.action.as_ref().map_or(&[][..], |action| &action.reasons[..]);
        codes.iter().copied().map(ReasonCode::as_str).collect::<Vec<&str>>()
    });
    batch(
        qa::expected_actions(),
        vec![
            of_run(run.run_id.to_string()),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.scenario.as_str()))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.video_id.as_str()))),
            Arc::new(rows.iter().map(|row| Some(row.intended?.as_str())).collect::<StringArray>()),
            Arc::new(StringArray::from_iter_values(decisions)),
            Arc::new(
                rows.iter()
                    .map(|row| Some(row.action.as_ref()?.action_id.to_string()))
                    .collect::<StringArray>(),
            ),
            action_times(rows, |action| action.window_start_us),
            action_times(rows, Action::window_end_us),
            times(rows.iter().map(|row| Some(row.stretch_us?.0))),
            times(rows.iter().map(|row| Some(row.stretch_us?.1))),
            action_times(rows, |action| action.expires_at_us),
            whole_metrics(rows, |metrics| metrics.impressions),
            whole_metrics(rows, |metrics| metrics.play_start),
            metrics(rows, |metrics| metrics.velocity),
            metrics(rows, |metrics| metrics.completion_rate),
            metrics(rows, |metrics| metrics.skip_rate),
            Arc::new(text_lists(&qa::expected_actions(), "reason_codes", reasons)?),
            threshold(run.thresholds.velocity_p90),
            threshold(run.thresholds.impressions_p40),
            of_run(run.rules.version.clone()),
        ],
    )
}

fn action_times(rows: &[ExpectedAction], time_us: impl Fn(&Action) -> i64) -> ArrayRef {
    times(rows.iter().map(|row| row.action.as_ref().map(&time_us)))
}

fn whole_metrics(rows: &[ExpectedAction], value: impl Fn(&Metrics30m) -> i64) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row.metrics.as_ref().map(&value)).collect::<Int64Array>())
}

fn metrics(rows: &[ExpectedAction], value: impl Fn(&Metrics30m) -> f64) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row.metrics.as_ref().map(&value)).collect::<Float64Array>())
}

fn times(values_us: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    let values: TimestampMicrosecondArray = values_us.into_iter().collect();
    Arc::new(values.with_timezone("+00:00"))
}

/// Lists of texts as the column of the schema has them.
fn text_lists<List: IntoIterator<Item: AsRef<str>>>(
    schema: &SchemaRef,
    column: &str,
    lists: impl IntoIterator<Item = List>,
) -> anyhow::Result<ListArray> {
    let DataType::List(element) = schema.field_with_name(column).map(Field::data_type)? else {
        anyhow::bail!("column {column} holds no lists");
    };
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
    for list in lists {
        for text in list {
            builder.values().append_value(text);
        }
        builder.append(true);
    }
    Ok(builder.finish())
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> anyhow::Result<RecordBatch> {
    RecordBatch::try_new(schema, columns).context("the truth does not fit its columns")
}

fn whole(count: u64) -> anyhow::Result<i64> {
    i64::try_from(count).context("a count is beyond what a table holds: 2^63 - 1")
}
