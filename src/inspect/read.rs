//! Reads what the audit needs out of the tables.
//!
//! Each table is loaded once, and its ledger and its rows come from that one state: gold first, then bronze, then the
//! quarantine. The engine commits in the opposite order, so a later state has what an earlier one refers to.
//!
//! Rows are streamed. What stays in memory is about one bit for each source offset, 16 bytes for each event_id and 100
//! bytes for each (partition, video, minute): tens of millions of rows fit into less than a gigabyte.

use anyhow::Context;
use futures::TryStreamExt;
use pulselake_lake::{Lake, LakeError, TableView};
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, GoldCounts};

use super::checks::{all_checks, untrusted};
use super::dimensions;
use super::evidence::{BronzeRow, Collector, Evidence, GoldRowSeen};
use super::ledgers::Ledgers;
use super::marks::Marks;
use super::report::{AuditReport, AuditedSnapshot, Check};
use super::rows::Rows;

/// The three tables, each at one moment.
pub(crate) struct Views {
    /// The quarantine.
    pub(crate) quarantine: TableView,
    /// Bronze.
    pub(crate) bronze: TableView,
    /// Gold.
    pub(crate) gold: TableView,
}

impl Views {
    /// Loads them in the order that the module's text explains.
    pub(crate) async fn load(lake: &Lake) -> Result<Self, LakeError> {
        let gold = lake.view(LakeTable::VideoStats1Min).await?;
        let bronze = lake.view(LakeTable::RawEvents).await?;
        let quarantine = lake.view(LakeTable::InvalidEventsContent).await?;
        Ok(Self { quarantine, bronze, gold })
    }

    fn all(&self) -> [&TableView; 3] {
        [&self.quarantine, &self.bronze, &self.gold]
    }

    /// Their ledgers.
    ///
    /// # Errors
    /// When one can't be trusted.
    pub(crate) fn ledgers(&self) -> Result<Ledgers, LakeError> {
        Ok(Ledgers {
            quarantine: self.quarantine.ledger()?,
            bronze: self.bronze.ledger()?,
            gold: self.gold.ledger()?,
        })
    }
}

/// Reads the tables and makes every check. Without trusted ledgers there is nothing to compare with: then their
/// checks are the only ones.
///
/// # Errors
/// When the tables can't be read.
pub(crate) async fn audit(lake: &Lake) -> anyhow::Result<AuditReport> {
    let views = Views::load(lake).await?;
    let snapshots = views
        .all()
        .map(|view| AuditedSnapshot { table: view.table().full_name(), snapshot_id: view.snapshot_id() });
    let failures: Vec<_> = views
        .all()
        .into_iter()
        .filter_map(|view| view.ledger().err().map(|error| untrusted(view.table(), &error.to_string())))
        .flatten()
        .collect();
    if !failures.is_empty() {
        return with_dimensions(lake, snapshots.to_vec(), failures).await;
    }
    let ledgers = views.ledgers()?;
    let marks = Marks::of(&views)?;
    let evidence = gather(&views, &ledgers).await?;
    with_dimensions(lake, snapshots.to_vec(), all_checks(&ledgers, &evidence, &marks)).await
}

/// The report, with what there is to say about each entity's tables.
async fn with_dimensions(
    lake: &Lake,
    mut snapshots: Vec<AuditedSnapshot>,
    mut checks: Vec<Check>,
) -> anyhow::Result<AuditReport> {
    for entity in Entity::ALL {
        let (of_entity, found) = dimensions::audit(lake, entity).await?;
        snapshots.extend(of_entity);
        checks.extend(found);
    }
    Ok(AuditReport::new(snapshots, checks))
}

async fn gather(views: &Views, ledgers: &Ledgers) -> anyhow::Result<Evidence> {
    let mut collector = Collector::new(ledgers);
    read_gold(&views.gold, &mut collector).await?;
    read_bronze(&views.bronze, &mut collector).await?;
    read_quarantine(&views.quarantine, &mut collector).await?;
    Ok(collector.finish())
}

async fn read_bronze(view: &TableView, collector: &mut Collector) -> anyhow::Result<()> {
    let columns = [
        "event_id",
        "event_timestamp",
        "video_id",
        "event_type",
        "payload_json",
        "source_topic",
        "source_partition",
        "source_offset",
    ];
    let mut batches = view.scan(&columns, None, None).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (topics, partitions, offsets) =
            (rows.text("source_topic")?, rows.int("source_partition")?, rows.long("source_offset")?);
        let (times, videos) = (rows.timestamp("event_timestamp")?, rows.text("video_id")?);
        let ids = rows.text("event_id")?;
        let (types, payloads) = (rows.text("event_type")?, rows.text("payload_json")?);
        for row in 0..rows.len() {
            collector.bronze_row(&BronzeRow {
                topic: topics.value(row),
                partition: partitions.value(row),
                offset: offsets.value(row),
                event_timestamp_us: times.value(row),
                event_id: ids.value(row),
                video_id: videos.value(row),
                event_type: types.value(row),
                payload_json: payloads.value(row),
            });
        }
    }
    Ok(())
}

async fn read_quarantine(view: &TableView, collector: &mut Collector) -> anyhow::Result<()> {
    let columns = ["source_topic", "source_partition", "source_offset"];
    let mut batches = view.scan(&columns, None, None).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (topics, partitions, offsets) =
            (rows.text("source_topic")?, rows.int("source_partition")?, rows.long("source_offset")?);
        for row in 0..rows.len() {
            collector.quarantine_row(topics.value(row), partitions.value(row), offsets.value(row));
        }
    }
    Ok(())
}

async fn read_gold(view: &TableView, collector: &mut Collector) -> anyhow::Result<()> {
    let columns = [
        &["source_partition", "video_id", "window_start", "window_end", WATCH_TIME_COLUMN, "revision"],
        &COUNT_COLUMNS[..],
    ]
    .concat();
    let mut batches = view.scan(&columns, None, None).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let (partitions, videos) = (rows.int("source_partition")?, rows.text("video_id")?);
        let (starts, ends) = (rows.timestamp("window_start")?, rows.timestamp("window_end")?);
        let revisions = rows.int("revision")?;
        let counts = GoldCounts::of(&batch).context("gold has other columns of counts than expected")?;
        for row in 0..rows.len() {
            collector.gold_row(&GoldRowSeen {
                partition: partitions.value(row),
                video_id: videos.value(row),
                window_start_us: starts.value(row),
                window_end_us: ends.value(row),
                revision: revisions.value(row),
                counters: counts.at(row),
            });
        }
    }
    Ok(())
}
