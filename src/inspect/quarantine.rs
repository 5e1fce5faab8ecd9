//! Reading rejected records: the newest of them, or one with its bytes.

use anyhow::{Context, bail};
use arrow::array::Array;
use futures::TryStreamExt;
use iceberg::expr::{Predicate, Reference};
use iceberg::spec::Datum;
use pulselake_lake::Lake;
use pulselake_model::tables::LakeTable;
use serde::Serialize;

use super::report::time_text;
use super::rows::Rows;

const TABLE: LakeTable = LakeTable::InvalidEventsContent;
/// Rows of one batch where the values are read too: they may be megabytes each.
pub(super) const ROWS_WITH_VALUES: usize = 64;

/// A rejected record without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RejectedRecord {
    /// `topic-partition-offset`.
    pub(crate) invalid_event_id: String,
    /// Source topic.
    pub(crate) source_topic: String,
    /// Source partition.
    pub(crate) source_partition: i32,
    /// Source offset.
    pub(crate) source_offset: i64,
    /// The version that the record states.
    pub(crate) schema_version: Option<String>,
    /// Why.
    pub(crate) error_code: String,
    /// Field and value.
    pub(crate) error_reason: String,
    /// When it was rejected, RFC 3339.
    pub(crate) ingested_at: String,
    /// The record's own time, RFC 3339.
    pub(crate) record_timestamp: Option<String>,
    #[serde(skip)]
    ingested_at_us: i64,
}

const COLUMNS: [&str; 9] = [
    "invalid_event_id",
    "source_topic",
    "source_partition",
    "source_offset",
    "schema_version",
    "error_code",
    "error_reason",
    "ingested_at",
    "record_timestamp",
];

fn records(rows: &Rows<'_>) -> anyhow::Result<Vec<RejectedRecord>> {
    let (ids, topics) = (rows.text("invalid_event_id")?, rows.text("source_topic")?);
    let (partitions, offsets) = (rows.int("source_partition")?, rows.long("source_offset")?);
    let (versions, codes) = (rows.text("schema_version")?, rows.text("error_code")?);
    let (reasons, ingested) = (rows.text("error_reason")?, rows.timestamp("ingested_at")?);
    let record_times = rows.timestamp("record_timestamp")?;
    let record = |row: usize| RejectedRecord {
        invalid_event_id: ids.value(row).to_owned(),
        source_topic: topics.value(row).to_owned(),
        source_partition: partitions.value(row),
        source_offset: offsets.value(row),
        schema_version: versions.is_valid(row).then(|| versions.value(row).to_owned()),
        error_code: codes.value(row).to_owned(),
        error_reason: reasons.value(row).to_owned(),
        ingested_at: time_text(ingested.value(row)),
        record_timestamp: record_times.is_valid(row).then(|| time_text(record_times.value(row))),
        ingested_at_us: ingested.value(row),
    };
    Ok((0..rows.len()).map(record).collect())
}

/// The newest `limit` records, of one code where it is given.
///
/// # Errors
/// When the table can't be read.
pub(crate) async fn newest(
    lake: &Lake,
    code: Option<&str>,
    limit: usize,
) -> anyhow::Result<Vec<RejectedRecord>> {
    let filter = code.map(|wanted| Reference::new("error_code").equal_to(Datum::string(wanted)));
    let mut batches = lake.view(TABLE).await?.scan(&COLUMNS, filter, None).await?;
    let mut kept: Vec<RejectedRecord> = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        kept.extend(records(&Rows(&batch))?);
        keep_newest(&mut kept, limit);
    }
    Ok(kept)
}

fn keep_newest(records: &mut Vec<RejectedRecord>, limit: usize) {
    let position = |record: &RejectedRecord| (record.source_partition, record.source_offset);
    records.sort_unstable_by(|left, right| {
        (right.ingested_at_us, position(right), &right.source_topic).cmp(&(
            left.ingested_at_us,
            position(left),
            &left.source_topic,
        ))
    });
    records.truncate(limit);
}

/// One record with its bytes.
///
/// # Errors
/// When the id is none, no record has it, or the table can't be read.
pub(crate) async fn find(lake: &Lake, id: &str) -> anyhow::Result<(RejectedRecord, Vec<u8>)> {
    let mut columns = COLUMNS.to_vec();
    columns.push("raw_value");
    let filter = by_id(id)?;
    let mut batches = lake.view(TABLE).await?.scan(&columns, Some(filter), Some(ROWS_WITH_VALUES)).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows(&batch);
        let values = rows.bytes("raw_value")?;
        let mut found = records(&rows)?.into_iter().zip(0..);
        if let Some((record, row)) = found.find(|(record, _)| record.invalid_event_id == id) {
            return Ok((record, values.value(row).to_vec()));
        }
    }
    bail!("no rejected record has the id {id:?}; `pulselake quarantine list` shows the newest")
}

/// The offset prunes files, the id itself has no statistics.
fn by_id(id: &str) -> anyhow::Result<Predicate> {
    let offset = id.rsplit('-').next().and_then(|text| text.parse::<i64>().ok());
    let offset =
        offset.with_context(|| format!("{id:?} is no id of a rejected record: topic-partition-offset"))?;
    let is_it = Reference::new("invalid_event_id").equal_to(Datum::string(id));
    Ok(is_it.and(Reference::new("source_offset").equal_to(Datum::long(offset))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, ingested_at_us: i64) -> RejectedRecord {
        RejectedRecord {
            invalid_event_id: format!("t-0-{offset}"),
            source_topic: "t".into(),
            source_partition: 0,
            source_offset: offset,
            schema_version: None,
            error_code: "NOT_UTF8".into(),
            error_reason: String::new(),
            ingested_at: time_text(ingested_at_us),
            record_timestamp: None,
            ingested_at_us,
        }
    }

    #[test]
    fn the_newest_come_first_and_the_rest_is_dropped() {
        let mut records = vec![record(1, 5), record(2, 9), record(3, 5), record(4, 1)];
        keep_newest(&mut records, 3);
        assert_eq!(records.iter().map(|kept| kept.source_offset).collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn an_id_ends_with_its_offset() {
        assert!(by_id("a-topic-with-dashes-3-17").unwrap().to_string().contains("17"));
        assert!(by_id("nothing").unwrap_err().to_string().contains("topic-partition-offset"));
    }
}
