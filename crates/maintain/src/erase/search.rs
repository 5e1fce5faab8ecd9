//! Searches one Parquet file for the id: the searched columns alone, as they are on disk.
//!
//! Deletes are not applied, on purpose: a row that is deleted but still in a file is still there for whoever opens it.

use std::collections::HashSet;

use futures::StreamExt;
use iceberg::arrow::ArrowFileReader;
use iceberg::io::{FileIO, FileMetadata};
use iceberg::spec::{DataFile, DataFileFormat};
use parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ParquetRecordBatchStreamBuilder, ProjectionMask};

use super::target::Target;
use crate::janitor::MaintainError;

/// Rows that are decoded at once: bodies are about 250 B, and may be longer.
const BATCH_ROWS: usize = 4096;

/// Whether some row of the file holds the id. Stops at the first.
pub(super) async fn holds_id(
    file_io: &FileIO,
    file: &DataFile,
    target: &Target,
) -> Result<bool, MaintainError> {
    let location = file.file_path();
    let failed =
        |reason: String| MaintainError::Rows { action: "search", location: location.to_string(), reason };
    if file.file_format() != DataFileFormat::Parquet {
        return Err(failed(format!(
            "files of format {} can't be searched; rewrite it as Parquet",
            file.file_format()
        )));
    }
    let input = file_io.new_input(location).map_err(|error| failed(error.message().to_string()))?;
    let opened = input.reader().await.map_err(|error| failed(error.message().to_string()))?;
    let reader = ArrowFileReader::new(FileMetadata { size: file.file_size_in_bytes() }, opened);
    let builder =
        ParquetRecordBatchStreamBuilder::new(reader).await.map_err(|error| failed(error.to_string()))?;
    let wanted: HashSet<i32> = target.columns.iter().map(|column| column.field_id).collect();
    let roots: Vec<usize> = builder
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| id_of(field).is_some_and(|id| wanted.contains(&id)))
        .map(|(place, _)| place)
        .collect();
    if roots.is_empty() {
        let has_ids = builder.schema().fields().iter().any(|field| id_of(field).is_some());
        if has_ids {
            // Written before the table had such a column.
            return Ok(false);
        }
        return Err(failed(
            "its columns have no field ids, so the id's column can't be told; rewrite it".to_string(),
        ));
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let mut batches = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        let places: Vec<Option<usize>> = target
            .columns
            .iter()
            .map(|column| {
                batch.schema().fields().iter().position(|field| id_of(field) == Some(column.field_id))
            })
            .collect();
        let found = target.matches(&batch, &places);
        if found.true_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The Iceberg id of a column.
pub(super) fn id_of(field: &arrow::datatypes::Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}
