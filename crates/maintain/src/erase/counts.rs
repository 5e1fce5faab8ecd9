//! How many rows were erased by source partition: what an audit has to know of the gaps they leave in the offsets.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type};
use iceberg::spec::TableMetadata;

/// Table property with the rows that erasures have removed so far: JSON, topic → partition → count.
pub const ERASED_PROPERTY: &str = "pulselake.erased";

/// Rows by topic and partition. Partitions are text, as JSON wants its keys.
pub type ErasedCounts = BTreeMap<String, BTreeMap<String, u64>>;

/// The counts that a table's property holds; empty without one.
pub fn erased_so_far(metadata: &TableMetadata) -> Result<ErasedCounts, serde_json::Error> {
    metadata
        .properties()
        .get(ERASED_PROPERTY)
        .map_or_else(|| Ok(ErasedCounts::new()), |text| serde_json::from_str(text))
}

/// Adds `more` to `counts`.
pub(super) fn add_counts(counts: &mut ErasedCounts, more: &ErasedCounts) {
    for (topic, partitions) in more {
        for (partition, rows) in partitions {
            *counts.entry(topic.clone()).or_default().entry(partition.clone()).or_default() += rows;
        }
    }
}

/// Counts the rows of `batch` that `erased` marks, where the batch says where they came from.
pub(super) fn count_rows(counts: &mut ErasedCounts, batch: &RecordBatch, erased: &BooleanArray) {
    let (Some(topics), Some(partitions)) =
        (batch.column_by_name("source_topic"), batch.column_by_name("source_partition"))
    else {
        return;
    };
    let is_known = *topics.data_type() == DataType::Utf8 && *partitions.data_type() == DataType::Int32;
    if !is_known {
        return;
    }
    let (topics, partitions) = (topics.as_string::<i32>(), partitions.as_primitive::<Int32Type>());
    for row in erased.values().set_indices() {
        if topics.is_null(row) || partitions.is_null(row) {
            continue;
        }
        let of_topic = counts.entry(topics.value(row).to_string()).or_default();
        *of_topic.entry(partitions.value(row).to_string()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn rows_are_counted_where_they_came_from() {
        let schema = Schema::new(vec![
            Field::new("source_topic", DataType::Utf8, false),
            Field::new("source_partition", DataType::Int32, false),
        ]);
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![Arc::new(StringArray::from(vec!["a", "a", "b"])), Arc::new(Int32Array::from(vec![0, 3, 3]))],
        )
        .unwrap();
        let mut counts = ErasedCounts::new();
        count_rows(&mut counts, &batch, &BooleanArray::from(vec![false, true, true]));
        let mut total = counts.clone();
        add_counts(&mut total, &counts);
        assert_eq!(serde_json::to_string(&total).unwrap(), r#"{"a":{"3":2},"b":{"3":2}}"#);
    }
}
