//! Second half of a replay: what bronze has by replay and gold has not becomes correction rows.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use chrono::Utc;
use futures::TryStreamExt;
use iceberg::expr::{Predicate, Reference};
use iceberg::spec::Datum;
use pulselake_actors::gold_rows::{PartitionRows, to_batch};
use pulselake_decode::{event_id_hash, watch_time_ms};
use pulselake_lake::{Lake, TableView, TableWriter};
use pulselake_ledger::OffsetRanges;
use pulselake_model::tables::LakeTable;
use pulselake_model::{EventType, GoldRow, WindowCounters};
use pulselake_window::window_start_us;

use super::dedup::{Candidates, ReplayedEvent};
use super::{GoldReport, ReplaySettings, commit, outstanding, replayed_of, replayed_with};
use crate::inspect::rows::Rows;

/// Intervals of event time that one scan is restricted to.
const MOST_INTERVALS: usize = 32;

/// Brings gold up to bronze's replays; `None` where it is.
pub(super) async fn take(lake: &Lake, settings: &ReplaySettings) -> Result<Option<GoldReport>> {
    let topic = &settings.decode.source_topic;
    let gold = lake.view(LakeTable::VideoStats1Min).await?.ledger()?;
    let bronze = lake.view(LakeTable::RawEvents).await?;
    let Some(bronze_ledger) = bronze.ledger()? else { return Ok(None) };
    let todo = outstanding(&bronze_ledger, gold.as_ref(), topic);
    if todo.is_empty() {
        return Ok(None);
    }
    let events = read_events(&bronze, topic, &todo).await?;
    let expected: u64 = todo.values().map(OffsetRanges::len).sum();
    if events.len() as u64 != expected {
        bail!(
            "bronze's ledger names {expected} replayed records that gold does not have, the table has {} of them: run `pulselake audit`",
            events.len()
        );
    }
    let mut candidates = Candidates::new(events, settings.dedup_horizon_us);
    sight_bronze(&bronze, topic, &todo, &mut candidates).await?;

    let before = replayed_of(gold.as_ref(), topic);
    let mut after = replayed_with(&before, &todo);
    let revision = i32::try_from(-after.seq).context("more replays than revisions can number")?;
    let mut rows: BTreeMap<i32, BTreeMap<(i64, String), WindowCounters>> = BTreeMap::new();
    let mut report = GoldReport { records: expected, revision, ..GoldReport::default() };
    for (event, is_duplicate) in candidates.judged() {
        if is_duplicate {
            *after.duplicates.entry(event.partition).or_default() += 1;
            report.duplicates += 1;
            continue;
        }
        let window = (window_start_us(event.event_timestamp_us), event.video_id.clone());
        let counters = rows.entry(event.partition).or_default().entry(window).or_default();
        counters.add(event.event_type, event.watch_time_ms);
    }
    report.rows = rows.values().map(|windows| windows.len() as u64).sum();
    let files = write_rows(lake, settings, rows, revision).await?;
    let identity = gold.as_ref().unwrap_or(&bronze_ledger);
    commit(lake, LakeTable::VideoStats1Min, identity, files, (topic.clone(), after)).await?;
    Ok(Some(report))
}

async fn write_rows(
    lake: &Lake,
    settings: &ReplaySettings,
    rows: BTreeMap<i32, BTreeMap<(i64, String), WindowCounters>>,
    revision: i32,
) -> Result<Vec<iceberg::spec::DataFile>> {
    let of_partition = |windows: BTreeMap<(i64, String), WindowCounters>| -> Vec<GoldRow> {
        let row = |((start_us, video_id), counters)| GoldRow {
            video_id,
            window_start_us: start_us,
            is_correction: true,
            counters,
        };
        windows.into_iter().map(row).collect()
    };
    let rows: Vec<(i32, Vec<GoldRow>)> =
        rows.into_iter().map(|(partition, windows)| (partition, of_partition(windows))).collect();
    let parts: Vec<PartitionRows<'_>> = rows
        .iter()
        .map(|(partition, rows)| PartitionRows { partition: *partition, rows, correction_revision: revision })
        .collect();
    let batch = to_batch(&parts, Utc::now().timestamp_micros())?;
    let mut writer = TableWriter::new(lake, LakeTable::VideoStats1Min, settings.writer).await?;
    writer.write(&batch).await?;
    Ok(writer.close().await?)
}

fn of_partitions(topic: &str, todo: &BTreeMap<i32, OffsetRanges>) -> Predicate {
    Reference::new("source_topic")
        .equal_to(Datum::string(topic))
        .and(Reference::new("source_partition").is_in(todo.keys().map(|&partition| Datum::int(partition))))
}

/// The bronze rows that gold has to take.
async fn read_events(
    bronze: &TableView,
    topic: &str,
    todo: &BTreeMap<i32, OffsetRanges>,
) -> Result<Vec<ReplayedEvent>> {
    let columns = [
        "event_id",
        "event_timestamp",
        "video_id",
        "event_type",
        "payload_json",
        "source_partition",
        "source_offset",
    ];
    let lowest = todo.values().filter_map(|offsets| offsets.iter().next()).min().unwrap_or(0);
    let filter = of_partitions(topic, todo)
        .and(Reference::new("source_offset").greater_than_or_equal_to(Datum::long(lowest)));
    let mut batches = bronze.scan(&columns, Some(filter), None).await?;
    let mut events = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (partitions, offsets) = (rows.int("source_partition")?, rows.long("source_offset")?);
        let (ids, times) = (rows.text("event_id")?, rows.timestamp("event_timestamp")?);
        let (videos, types) = (rows.text("video_id")?, rows.text("event_type")?);
        let payloads = rows.text("payload_json")?;
        for row in 0..rows.len() {
            let (partition, offset) = (partitions.value(row), offsets.value(row));
            if !todo.get(&partition).is_some_and(|wanted| wanted.contains(offset)) {
                continue;
            }
            let kind = types.value(row);
            let event_type = EventType::parse(kind).with_context(|| {
                format!("bronze row {topic}-{partition}-{offset} has event_type {kind:?}")
            })?;
            events.push(ReplayedEvent {
                partition,
                offset,
                event_timestamp_us: times.value(row),
                video_id: videos.value(row).to_owned(),
                event_type,
                watch_time_ms: watch_time_ms(payloads.value(row)),
                event_id_hash: event_id_hash(ids.value(row)),
            });
        }
    }
    Ok(events)
}

/// Shows the candidates every bronze row that could make one of them a duplicate.
async fn sight_bronze(
    bronze: &TableView,
    topic: &str,
    todo: &BTreeMap<i32, OffsetRanges>,
    candidates: &mut Candidates,
) -> Result<()> {
    let intervals = candidates.intervals_us(MOST_INTERVALS);
    let time = || Reference::new("event_timestamp");
    let within = |&(from_us, to_us): &(i64, i64)| {
        time()
            .greater_than_or_equal_to(Datum::timestamptz_micros(from_us))
            .and(time().less_than_or_equal_to(Datum::timestamptz_micros(to_us)))
    };
    let Some(near) = intervals.iter().map(within).reduce(Predicate::or) else { return Ok(()) };
    let columns = ["event_id", "event_timestamp", "source_partition", "source_offset"];
    let filter = of_partitions(topic, todo).and(near);
    let mut batches = bronze.scan(&columns, Some(filter), None).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (partitions, offsets) = (rows.int("source_partition")?, rows.long("source_offset")?);
        let (ids, times) = (rows.text("event_id")?, rows.timestamp("event_timestamp")?);
        for row in 0..rows.len() {
            let partition = partitions.value(row);
            let is_of_this_replay =
                todo.get(&partition).is_some_and(|wanted| wanted.contains(offsets.value(row)));
            if !is_of_this_replay {
                candidates.sight(partition, event_id_hash(ids.value(row)), times.value(row));
            }
        }
    }
    Ok(())
}
