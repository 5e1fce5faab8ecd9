//! The files of one upsert of a table with a key: rows, and equality deletes by key.

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use iceberg::spec::DataFile;
use pulselake_model::tables::LakeTable;
use std::sync::Arc;

use super::layout::FileLayout;
use super::{TableWriter, WriterOptions};
use crate::{Lake, LakeError};

/// Rows that are encoded before it is looked whether a file is full.
const ROWS_AT_ONCE: usize = 16 << 10;

impl Lake {
    /// Writes `rows` into data files, one a partition, more where one reaches its target size. Nothing of it is visible
    /// before a commit names them.
    ///
    /// For a dimension or its history, columns are matched by name to those that the table has now: a column that is
    /// missing is written as NULL, a narrower type is widened, an unknown column is an error. On an error, and where the
    /// future is dropped, the files written so far are deleted.
    pub async fn write_rows(
        &self,
        table: LakeTable,
        rows: &RecordBatch,
        options: WriterOptions,
    ) -> Result<Vec<DataFile>, LakeError> {
        // What this process saw last serves, but for a column that another process has added since.
        let mut loaded = self.last_known(table).await?;
        if !FileLayout::of_rows(table, loaded.metadata())?.knows_all(rows) {
            loaded = self.load(table).await?;
        }
        let layout = FileLayout::of_rows(table, loaded.metadata())?;
        write_all(TableWriter::with_layout(self, &loaded, layout, options)?, rows).await
    }

    /// Writes equality delete files for `keys` of a table that is upserted, one a partition. In a commit with rows of the same
    /// keys ([`crate::LedgeredAppend`], [`Lake::upsert_rows`]) they delete the rows of earlier commits alone. Errors as [`Lake::write_rows`].
    pub async fn write_equality_deletes(
        &self,
        table: LakeTable,
        keys: &[impl AsRef<str> + Sync],
        options: WriterOptions,
    ) -> Result<Vec<DataFile>, LakeError> {
        let loaded = self.last_known(table).await?;
        let layout = FileLayout::of_deleted_keys(table, loaded.metadata())?;
        // The layout has refused a table without one.
        let name = table.key_column().unwrap_or_default();
        let schema = Arc::new(ArrowSchema::new(vec![Field::new(name, DataType::Utf8, false)]));
        let column = Arc::new(StringArray::from_iter_values(keys));
        let batch = RecordBatch::try_new(schema, vec![column]).map_err(|error| LakeError::BadBatch {
            table: table.full_name().to_string(),
            reason: error.to_string(),
        })?;
        write_all(TableWriter::with_layout(self, &loaded, layout, options)?, &batch).await
    }
}

async fn write_all(mut writer: TableWriter, rows: &RecordBatch) -> Result<Vec<DataFile>, LakeError> {
    let mut from = 0;
    while from < rows.num_rows() {
        let count = ROWS_AT_ONCE.min(rows.num_rows() - from);
        if let Err(error) = writer.write(&rows.slice(from, count)).await {
            writer.abort().await;
            return Err(error);
        }
        from += count;
    }
    writer.close().await
}
