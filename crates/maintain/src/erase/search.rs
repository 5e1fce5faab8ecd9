//! Searches one Parquet file for the id: the searched columns alone, as they are on disk.
//!
//! Deletes are not applied, on purpose: a row that is deleted but still in a file is still there for whoever opens it.
//! A file whose columns can't be told, or can't be compared, is an error: it must not pass for one without the id.

use arrow::datatypes::{DataType, Field};
use futures::StreamExt;
use iceberg::arrow::ArrowFileReader;
use iceberg::io::{FileIO, FileMetadata};
use iceberg::spec::{DataFile, DataFileFormat};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::target::Target;
use crate::janitor::MaintainError;

/// Decoded bytes of a batch, about.
const BATCH_BYTES: usize = 8 << 20;
/// Rows of a batch at most.
const MAX_BATCH_ROWS: usize = 8192;

/// Whether some row of the file holds the id. Stops at the first.
pub(super) async fn holds_id(
    file_io: &FileIO,
    file: &DataFile,
    target: &Target,
) -> Result<bool, MaintainError> {
    let found = search(file_io, file, target).await;
    found.map_err(|reason| MaintainError::Rows {
        action: "search",
        location: file.file_path().to_string(),
        reason,
    })
}

async fn search(file_io: &FileIO, file: &DataFile, target: &Target) -> Result<bool, String> {
    if file.file_format() != DataFileFormat::Parquet {
        return Err(format!("it is {}; rewrite it as Parquet", file.file_format()));
    }
    let input = file_io.new_input(file.file_path()).map_err(|error| error.message().to_string())?;
    let opened = input.reader().await.map_err(|error| error.message().to_string())?;
    let reader = ArrowFileReader::new(FileMetadata { size: file.file_size_in_bytes() }, opened);
    // The types of Parquet itself: what else a writer noted (a dictionary, say) could not be compared.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options)
        .await
        .map_err(|error| error.to_string())?;
    let fields = builder.schema().fields();
    if fields.iter().all(|field| id_of(field).is_none()) {
        return Err("its columns have no field ids, so the id's column can't be told; rewrite it".to_string());
    }
    let is_searched = |field: &Field| {
        id_of(field).is_some_and(|id| target.columns.iter().any(|column| column.field_id == id))
    };
    let roots: Vec<usize> = (0..fields.len()).filter(|place| is_searched(&fields[*place])).collect();
    for field in roots.iter().map(|place| &fields[*place]) {
        if !matches!(field.data_type(), DataType::Utf8 | DataType::Binary) {
            return Err(format!("its column {} is {}, not text", field.name(), field.data_type()));
        }
    }
    if roots.is_empty() {
        // Written before the table had such a column.
        return Ok(false);
    }
    let batch_rows = batch_rows(builder.metadata(), &roots);
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let mut batches = builder
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .build()
        .map_err(|error| error.to_string())?;
    let places: Vec<Option<usize>> = {
        let projected = batches.schema();
        let place = |id| projected.fields().iter().position(|field| id_of(field) == Some(id));
        target.columns.iter().map(|column| place(column.field_id)).collect()
    };
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| error.to_string())?;
        if target.matches(&batch, &places).true_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// So many rows that a batch stays small, also where rejected records are huge.
fn batch_rows(metadata: &ParquetMetaData, roots: &[usize]) -> usize {
    let descriptor = metadata.file_metadata().schema_descr();
    let row_bytes = metadata.row_groups().iter().map(|row_group| {
        let bytes: i64 = (0..row_group.num_columns())
            .filter(|leaf| roots.contains(&descriptor.get_column_root_idx(*leaf)))
            .map(|leaf| decoded_bytes(row_group.column(leaf)))
            .sum();
        bytes / row_group.num_rows().max(1)
    });
    let longest = row_bytes.max().unwrap_or(0).max(1) as usize;
    (BATCH_BYTES / longest).clamp(1, MAX_BATCH_ROWS)
}

/// Size of a column's values in memory, about. What a dictionary holds once is there once for each row.
fn decoded_bytes(chunk: &ColumnChunkMetaData) -> i64 {
    chunk.uncompressed_size().max(chunk.unencoded_byte_array_data_bytes().unwrap_or(0))
}

/// The Iceberg id of a column.
pub(super) fn id_of(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}
