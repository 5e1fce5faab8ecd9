//! What can be read in files, by cell and by byte.

#![allow(dead_code, clippy::unwrap_used)]

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::files_below;

/// The values of a text column.
pub fn cells(array: &dyn Array) -> Vec<String> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().flatten().map(str::to_string).collect(),
        DataType::Binary => array.as_binary::<i32>().iter().flatten().map(lossy).collect(),
        DataType::LargeBinary => array.as_binary::<i64>().iter().flatten().map(lossy).collect(),
        _ => Vec::new(),
    }
}

/// Files in which the id can be read: cells of Parquet files, bytes of others.
pub fn files_naming(directory: &Path, id: &str) -> Vec<String> {
    let is_named = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        let is_plain = bytes.windows(id.len()).any(|window| window == id.as_bytes());
        is_plain || (path.extension().is_some_and(|ending| ending == "parquet") && has_cell(path, id))
    };
    files_below(directory)
        .iter()
        .filter(|path| is_named(path))
        .map(|path| path.display().to_string())
        .collect()
}

fn has_cell(path: &Path, id: &str) -> bool {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    reader.into_iter().any(|batch| {
        let batch = batch.unwrap();
        batch.columns().iter().any(|column| cells(column.as_ref()).iter().any(|cell| cell.contains(id)))
    })
}
