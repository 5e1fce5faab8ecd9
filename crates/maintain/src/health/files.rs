//! Data files by size and by partition.

use std::collections::HashMap;

use iceberg::spec::{DataFile, Struct, TableMetadata};
use pulselake_read::PlannedFile;
use serde::Serialize;

const MIB: u64 = 1 << 20;

/// Upper bounds of the size classes, bytes, with their names; a file of exactly a bound belongs to the next class.
const CLASSES: [(u64, &str); 5] = [
    (MIB, "under_1_mb"),
    (16 * MIB, "from_1_to_16_mb"),
    (64 * MIB, "from_16_to_64_mb"),
    (128 * MIB, "from_64_to_128_mb"),
    (u64::MAX, "over_128_mb"),
];

/// Files of about one size. Megabytes are 2^20 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SizeClass {
    /// `under_1_mb`, `from_1_to_16_mb`, `from_16_to_64_mb`, `from_64_to_128_mb`, `over_128_mb`.
    pub name: &'static str,
    /// How many.
    pub files: u64,
    /// Their size, bytes.
    pub bytes: u64,
}

/// Data files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileHealth {
    /// How many.
    pub count: u64,
    /// Their size, bytes.
    pub bytes: u64,
    /// Their average size, bytes; 0 for none.
    pub average_bytes: u64,
    /// Rows in them, those that delete files hide included.
    pub records: u64,
    /// Files by size, the smallest class first; always all five.
    pub by_size: Vec<SizeClass>,
}

/// The place of a file of this size among the size classes.
pub fn size_class(bytes: u64) -> usize {
    CLASSES.iter().position(|(bound, _)| bytes < *bound).unwrap_or(CLASSES.len() - 1)
}

impl FileHealth {
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a DataFile>) -> Self {
        let mut health = Self {
            count: 0,
            bytes: 0,
            average_bytes: 0,
            records: 0,
            by_size: CLASSES.iter().map(|(_, name)| SizeClass { name, files: 0, bytes: 0 }).collect(),
        };
        for file in files {
            let bytes = file.file_size_in_bytes();
            health.count += 1;
            health.bytes += bytes;
            health.records += file.record_count();
            let class = &mut health.by_size[size_class(bytes)];
            class.files += 1;
            class.bytes += bytes;
        }
        health.average_bytes = health.bytes.checked_div(health.count).unwrap_or(0);
        health
    }
}

/// The data files of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionFiles {
    /// The partition as a path, such as `window_start_day=2026-02-07/video_id_bucket=3`; empty for an unpartitioned
    /// table.
    pub partition: String,
    /// How many.
    pub files: u64,
    /// Their size, bytes.
    pub bytes: u64,
}

/// All partitions with data files, the one with the most first.
pub(super) fn by_partition(metadata: &TableMetadata, files: &[PlannedFile]) -> Vec<PartitionFiles> {
    let mut sums: HashMap<(i32, &Struct), (u64, u64)> = HashMap::new();
    for planned in files {
        let file = planned.data.file();
        let (count, bytes) = sums.entry((planned.data.spec_id, file.partition())).or_default();
        *count += 1;
        *bytes += file.file_size_in_bytes();
    }
    let path = |spec_id, partition: &Struct| match metadata.partition_spec_by_id(spec_id) {
        Some(spec) if !spec.is_unpartitioned() => {
            spec.partition_to_path(partition, metadata.current_schema().clone())
        }
        _ => String::new(),
    };
    let mut result: Vec<PartitionFiles> = sums
        .into_iter()
        .map(|((spec_id, partition), (count, bytes))| PartitionFiles {
            partition: path(spec_id, partition),
            files: count,
            bytes,
        })
        .collect();
    result.sort_by(|left, right| {
        right.files.cmp(&left.files).then_with(|| left.partition.cmp(&right.partition))
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_meet_without_a_gap() {
        let cases = [
            (0, "under_1_mb"),
            (MIB - 1, "under_1_mb"),
            (MIB, "from_1_to_16_mb"),
            (16 * MIB, "from_16_to_64_mb"),
            (64 * MIB, "from_64_to_128_mb"),
            (128 * MIB, "over_128_mb"),
            (u64::MAX, "over_128_mb"),
        ];
        for (bytes, name) in cases {
            assert_eq!(CLASSES[size_class(bytes)].1, name, "{bytes}");
        }
    }
}
