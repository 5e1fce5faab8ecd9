//! What the planner knows of a table: plain numbers, taken from a plan of its live files.

use std::collections::{HashMap, HashSet};

use chrono::{Datelike, NaiveDate};
use iceberg::spec::{
    DataContentType, DataFileFormat, Literal, ManifestContentType, PartitionField, PartitionSpec,
    PrimitiveLiteral, Struct, TableMetadata, Transform,
};
use pulselake_read::{LiveEntry, PlannedFile, TablePlan};

use super::policy::TablePolicy;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionFact {
    /// Its path, as people read it.
    pub name: String,
    /// Whether its spec is the table's current one: files of others are left alone, their rows may belong to several of
    /// today's partitions.
    pub is_current_spec: bool,
    /// When the time it stands for ends, microseconds since the epoch; `None` where it is not one of time.
    pub ends_at_us: Option<i64>,
}

/// A data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Index of its partition.
    pub partition: usize,
    /// Size, bytes.
    pub bytes: u64,
    /// Rows, deleted ones included.
    pub records: u64,
    /// Data sequence number.
    pub sequence_number: i64,
    /// Indices of the delete files that apply to it.
    pub deletes: Vec<usize>,
    /// Whether it is known not to be in the policy's order.
    pub needs_sorting: bool,
    /// Whether this build can read it and its deletes: files in ORC or Avro, of other writers, are left alone.
    pub is_rewritable: bool,
}

/// A delete file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeleteFact {
    /// Deletes in it.
    pub records: u64,
}

/// The data manifests of the current partition spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManifestCounts {
    /// How many.
    pub manifests: usize,
    /// Their sizes together, bytes.
    pub bytes: u64,
    /// Partitions with files.
    pub partitions: usize,
    /// Pairs of a partition and a manifest that names a file of it.
    pub pairs: usize,
}

/// Everything that the planner looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFacts {
    /// Partitions with data files.
    pub partitions: Vec<PartitionFact>,
    /// Data files.
    pub files: Vec<FileFact>,
    /// Delete files.
    pub deletes: Vec<DeleteFact>,
    /// Manifests.
    pub manifests: ManifestCounts,
}

impl TableFacts {
    /// The facts of a planned snapshot. Files and deletes have the indices that they have in `plan`.
    pub fn of_plan(plan: &TablePlan, metadata: &TableMetadata, policy: &TablePolicy) -> Self {
        let current_spec = metadata.default_partition_spec_id();
        let wanted_order = sort_order_of(metadata, policy);
        let delete_index: HashMap<*const _, usize> = plan
            .deletes
            .iter()
            .enumerate()
            .map(|(index, delete)| (std::sync::Arc::as_ptr(delete), index))
            .collect();
        let mut places: HashMap<(i32, &Struct), usize> = HashMap::new();
        let mut facts = Self::default();
        for file in &plan.files {
            let (spec_id, data) = (file.data.spec_id, file.data.file());
            let partition = *places.entry((spec_id, data.partition())).or_insert_with(|| {
                facts.partitions.push(partition_fact(metadata, spec_id, data.partition()));
                facts.partitions.len() - 1
            });
            facts.files.push(FileFact {
                partition,
                bytes: data.file_size_in_bytes(),
                records: data.record_count(),
                sequence_number: file.data.sequence_number,
                deletes: file
                    .deletes
                    .iter()
                    .filter_map(|delete| delete_index.get(&std::sync::Arc::as_ptr(delete)).copied())
                    .collect(),
                is_rewritable: is_rewritable(file),
                needs_sorting: wanted_order.is_some_and(|order| data.sort_order_id() != Some(order)),
            });
        }
        facts.deletes =
            plan.deletes.iter().map(|delete| DeleteFact { records: delete.file().record_count() }).collect();
        facts.manifests = manifest_counts(plan, current_spec);
        facts
    }
}

fn is_rewritable(file: &PlannedFile) -> bool {
    let reads = |delete: &std::sync::Arc<LiveEntry>| match delete.file().content_type() {
        DataContentType::PositionDeletes => {
            matches!(delete.file().file_format(), DataFileFormat::Parquet | DataFileFormat::Puffin)
        }
        _ => delete.file().file_format() == DataFileFormat::Parquet,
    };
    file.data.file().file_format() == DataFileFormat::Parquet && file.deletes.iter().all(reads)
}

fn manifest_counts(plan: &TablePlan, current_spec: i32) -> ManifestCounts {
    let is_counted = |content, spec_id| content == ManifestContentType::Data && spec_id == current_spec;
    let counted = plan.manifests.iter().filter(|manifest| is_counted(manifest.content, manifest.spec_id));
    let (mut partitions, mut pairs): (HashSet<&Struct>, HashSet<(&Struct, &str)>) = Default::default();
    for file in plan.files.iter().filter(|file| file.data.spec_id == current_spec) {
        debug_assert_eq!(file.data.file().content_type(), DataContentType::Data);
        let partition = file.data.file().partition();
        partitions.insert(partition);
        pairs.insert((partition, &file.data.manifest));
    }
    ManifestCounts {
        manifests: counted.clone().count(),
        bytes: counted.map(|manifest| manifest.bytes).sum(),
        partitions: partitions.len(),
        pairs: pairs.len(),
    }
}

/// The id of the table's sort order, where it is the policy's: then each file says whether it has it.
pub(crate) fn sort_order_of(metadata: &TableMetadata, policy: &TablePolicy) -> Option<i32> {
    let order = metadata.default_sort_order();
    let schema = metadata.current_schema();
    let names: Option<Vec<&str>> =
        order.fields.iter().map(|field| schema.name_by_field_id(field.source_id)).collect();
    let is_the_policys = !policy.sort_by.is_empty()
        && order.fields.iter().all(|field| field.transform == Transform::Identity)
        && names.is_some_and(|names| names == policy.sort_by);
    is_the_policys.then_some(order.order_id as i32)
}

fn partition_fact(metadata: &TableMetadata, spec_id: i32, partition: &Struct) -> PartitionFact {
    let is_current_spec = spec_id == metadata.default_partition_spec_id();
    let Some(spec) = metadata.partition_spec_by_id(spec_id) else {
        return PartitionFact { name: format!("spec {spec_id}"), is_current_spec: false, ends_at_us: None };
    };
    let ends_at_us = spec.fields().iter().zip(partition.iter()).find_map(|(field, value)| {
        match value.and_then(|value| value.as_primitive_literal()) {
            Some(PrimitiveLiteral::Int(number)) => end_of(field.transform, number),
            _ => None,
        }
    });
    PartitionFact { name: path_of(spec, partition), is_current_spec, ends_at_us }
}

/// A partition's path as Iceberg writes it, `name=value/name=value`: times as people write them, anything that is not a
/// plain character in percent.
fn path_of(spec: &PartitionSpec, partition: &Struct) -> String {
    let part = |(field, value): (&PartitionField, Option<&Literal>)| {
        let text = match value.and_then(Literal::as_primitive_literal) {
            None => "null".to_string(),
            Some(PrimitiveLiteral::Int(number)) => {
                time_text(field.transform, number).unwrap_or_else(|| number.to_string())
            }
            Some(PrimitiveLiteral::Long(number)) => number.to_string(),
            Some(PrimitiveLiteral::String(text)) => text,
            Some(PrimitiveLiteral::Boolean(truth)) => truth.to_string(),
            Some(other) => format!("{other:?}"),
        };
        format!("{}={}", in_percent(&field.name), in_percent(&text))
    };
    spec.fields().iter().zip(partition.iter()).map(part).collect::<Vec<_>>().join("/")
}

fn in_percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn time_text(transform: Transform, value: i32) -> Option<String> {
    let start_us = end_of(transform, value.checked_sub(1)?)?;
    let start = chrono::DateTime::from_timestamp_micros(start_us)?;
    let format = match transform {
        Transform::Year => "%Y",
        Transform::Month => "%Y-%m",
        Transform::Day => "%Y-%m-%d",
        _ => "%Y-%m-%d-%H",
    };
    Some(start.format(format).to_string())
}

const HOUR_US: i64 = 3_600_000_000;

/// When the time that a partition value stands for ends, microseconds since the epoch.
fn end_of(transform: Transform, value: i32) -> Option<i64> {
    let next = i64::from(value) + 1;
    let first_of = |year: i64, month0: i64| {
        let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month0).ok()? + 1, 1)?;
        let epoch_days =
            i64::from(date.num_days_from_ce()) - i64::from(NaiveDate::default().num_days_from_ce());
        epoch_days.checked_mul(24 * HOUR_US)
    };
    match transform {
        Transform::Hour => next.checked_mul(HOUR_US),
        Transform::Day => next.checked_mul(24 * HOUR_US),
        Transform::Month => first_of(1970 + next.div_euclid(12), next.rem_euclid(12)),
        Transform::Year => first_of(1970 + next, 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_readable_and_safe() {
        assert_eq!(time_text(Transform::Hour, 5).unwrap(), "1970-01-01-05");
        assert_eq!(time_text(Transform::Day, -1).unwrap(), "1969-12-31");
        assert_eq!(time_text(Transform::Month, 13).unwrap(), "1971-02");
        assert_eq!(time_text(Transform::Year, 54).unwrap(), "2024");
        assert_eq!(time_text(Transform::Bucket(4), 3), None);
        assert_eq!(in_percent("../é b"), "%2E%2E%2F%C3%A9%20b");
    }

    #[test]
    fn times_end_where_the_next_begins() {
        assert_eq!(end_of(Transform::Hour, 0), Some(HOUR_US));
        assert_eq!(end_of(Transform::Day, -1), Some(0));
        // January and December 1970, and December 1969.
        assert_eq!(end_of(Transform::Month, 0), Some(31 * 24 * HOUR_US));
        assert_eq!(end_of(Transform::Month, 11), Some(365 * 24 * HOUR_US));
        assert_eq!(end_of(Transform::Month, -1), Some(0));
        assert_eq!(end_of(Transform::Year, 0), Some(365 * 24 * HOUR_US));
        assert_eq!(end_of(Transform::Bucket(16), 3), None);
    }
}
