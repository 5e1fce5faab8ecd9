//! Reads the tables, and hands their rows to the comparisons.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use arrow::array::{Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use futures::TryStreamExt;
use pulselake_lake::{Lake, LakeSettings, OpenMode};
use pulselake_model::gold_counts::{COUNT_COLUMNS, WATCH_TIME_COLUMN};
use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, GoldCounts};

use super::changes::{FoundChanges, FoundRow, compared_columns};
use super::findings::Findings;
use super::offsets::OffsetCheck;
use super::sums::Sums;
use crate::load::run::content::Content;
use crate::load::run::sent::SentRecords;

/// The tables of a finished run.
pub(crate) struct Tables {
    lake: Lake,
}

impl Tables {
    pub(crate) async fn open(settings: &LakeSettings) -> anyhow::Result<Self> {
        let lake = Lake::open(settings, OpenMode::MustExist).await.context("can't open the tables")?;
        Ok(Self { lake })
    }

    /// Compares bronze and quarantine with what was sent; rows of each.
    pub(crate) async fn check_offsets(
        &self,
        sent: &SentRecords,
        findings: &mut Findings,
    ) -> anyhow::Result<(u64, u64)> {
        let mut check = OffsetCheck::of(sent);
        let columns =
            ["source_partition", "source_offset", "video_id", "user_id", "event_type", "event_timestamp"];
        self.for_each(LakeTable::RawEvents, &columns, |batch| {
            let (partitions, offsets) = place_of(batch)?;
            let videos: &StringArray = column(batch, "video_id")?;
            let users: &StringArray = column(batch, "user_id")?;
            let types: &StringArray = column(batch, "event_type")?;
            let times: &TimestampMicrosecondArray = column(batch, "event_timestamp")?;
            for row in 0..batch.num_rows() {
                let (video, user, event_type) = (videos.value(row), users.value(row), types.value(row));
                let content = Content::of_row(video, user, event_type, times.value(row));
                check.bronze(partitions.value(row), offsets.value(row), &content, findings);
            }
            Ok(())
        })
        .await?;
        let columns = ["source_partition", "source_offset", "error_code"];
        self.for_each(LakeTable::InvalidEventsContent, &columns, |batch| {
            let (partitions, offsets) = place_of(batch)?;
            let codes: &StringArray = column(batch, "error_code")?;
            for row in 0..batch.num_rows() {
                check.quarantine(partitions.value(row), offsets.value(row), codes.value(row), findings);
            }
            Ok(())
        })
        .await?;
        Ok(check.finish(findings))
    }

    /// Gold's sums.
    pub(crate) async fn sums(&self) -> anyhow::Result<Sums> {
        let mut sums = Sums::new();
        let columns = [&["video_id", "window_start", WATCH_TIME_COLUMN], &COUNT_COLUMNS[..]].concat();
        self.for_each(LakeTable::VideoStats1Min, &columns, |batch| {
            let videos: &StringArray = column(batch, "video_id")?;
            let starts: &TimestampMicrosecondArray = column(batch, "window_start")?;
            let counts =
                GoldCounts::of(batch).context("gold's columns of counts are missing, or of another type")?;
            for row in 0..batch.num_rows() {
                let key = (videos.value(row).to_owned(), starts.value(row).div_euclid(1_000));
                sums.entry(key).or_default().merge(&counts.at(row));
            }
            Ok(())
        })
        .await?;
        Ok(sums)
    }

    /// What an entity's tables hold.
    pub(crate) async fn changes(&self, entity: Entity) -> anyhow::Result<FoundChanges> {
        let key = match entity {
            Entity::Videos => "video_id",
            Entity::Users => "user_id",
        };
        let [first, second] = compared_columns(entity);
        let mut rows = Vec::new();
        self.for_each(LakeTable::Dimension(entity), &[key, "source_ts_ms", first, second], |batch| {
            let keys: &StringArray = column(batch, key)?;
            let times: &Int64Array = column(batch, "source_ts_ms")?;
            let values: [&StringArray; 2] = [column(batch, first)?, column(batch, second)?];
            rows.extend((0..batch.num_rows()).map(|row| FoundRow {
                key: keys.value(row).to_owned(),
                source_ts_ms: times.value(row),
                values: values.map(|column| column.is_valid(row).then(|| column.value(row).to_owned())),
            }));
            Ok(())
        })
        .await?;
        let versions = self.count_by(LakeTable::DimensionHistory(entity), key).await?;
        let quarantined = self.count_by(LakeTable::InvalidChanges(entity), "error_code").await?;
        Ok(FoundChanges { rows, versions, quarantined })
    }

    /// Rows of a table by the text in a column.
    async fn count_by(&self, table: LakeTable, name: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut rows = BTreeMap::new();
        self.for_each(table, &[name], |batch| {
            let texts: &StringArray = column(batch, name)?;
            for row in 0..batch.num_rows() {
                match rows.get_mut(texts.value(row)) {
                    Some(count) => *count += 1,
                    None => {
                        rows.insert(texts.value(row).to_owned(), 1);
                    }
                }
            }
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    async fn for_each(
        &self,
        table: LakeTable,
        columns: &[&str],
        mut take: impl FnMut(&RecordBatch) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let reading = || format!("can't read {}", table.full_name());
        let mut batches = self.lake.read(table, columns).await.with_context(reading)?;
        while let Some(batch) = batches.try_next().await.with_context(reading)? {
            take(&batch).with_context(reading)?;
        }
        Ok(())
    }
}

fn place_of(batch: &RecordBatch) -> anyhow::Result<(&Int32Array, &Int64Array)> {
    Ok((column(batch, "source_partition")?, column(batch, "source_offset")?))
}

fn column<'a, T: Array + 'static>(batch: &'a RecordBatch, name: &str) -> anyhow::Result<&'a T> {
    let column = batch.column_by_name(name).with_context(|| format!("there is no column {name}"))?;
    let found = column.data_type();
    column.as_any().downcast_ref().ok_or_else(|| anyhow!("column {name} came as {found}"))
}
