//! Row ids of format version 3: a file whose entry has no first row id inherits one from its manifest, by its place in
//! it (Iceberg spec, "First Row ID Assignment"). Who moves the entry to another manifest has to write it down.

use iceberg::spec::{DataFile, DataFileBuilder, ManifestEntryRef};
use iceberg::{Error, ErrorKind, Result};

use super::ReadManifest;

/// All entries, each with its file as it has to be written into another manifest.
pub(super) fn with_inherited_row_ids(read: &ReadManifest) -> Result<Vec<(&ManifestEntryRef, DataFile)>> {
    let mut next_row_id = read.file.first_row_id.map(|first| first as i64);
    let mut result = Vec::with_capacity(read.entries.len());
    for entry in &read.entries {
        let file = entry.data_file();
        let inherits = entry.is_alive() && file.first_row_id().is_none();
        let moved = match next_row_id {
            Some(row_id) if inherits => {
                next_row_id = Some(row_id + file.record_count() as i64);
                with_first_row_id(file, read.file.partition_spec_id, row_id)?
            }
            _ => file.clone(),
        };
        result.push((entry, moved));
    }
    Ok(result)
}

fn with_first_row_id(file: &DataFile, spec_id: i32, row_id: i64) -> Result<DataFile> {
    let mut builder = DataFileBuilder::default();
    if let Some(order) = file.sort_order_id() {
        builder.sort_order_id(order);
    }
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_string())
        .file_format(file.file_format())
        .partition(file.partition().clone())
        .partition_spec_id(spec_id)
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .column_sizes(file.column_sizes().clone())
        .value_counts(file.value_counts().clone())
        .null_value_counts(file.null_value_counts().clone())
        .nan_value_counts(file.nan_value_counts().clone())
        .lower_bounds(file.lower_bounds().clone())
        .upper_bounds(file.upper_bounds().clone())
        .key_metadata(file.key_metadata().map(<[u8]>::to_vec))
        .split_offsets(file.split_offsets().map(<[i64]>::to_vec))
        .equality_ids(file.equality_ids())
        .first_row_id(Some(row_id))
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes())
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Unexpected, format!("cannot move {}: {error}", file.file_path()))
        })
}
