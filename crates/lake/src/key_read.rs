//! Rows of a few keys out of a dimension or its history, without reading what can't have them.

use futures::{StreamExt, TryStreamExt};
use pulselake_model::tables::LakeTable;
use pulselake_read::{BytesRead, RowFilter, read_rows};

use crate::view::BatchStream;
use crate::{Lake, LakeError};

impl Lake {
    /// As [`Lake::read`], the rows alone whose `key_column` is one of `keys`. Files, row groups and pages are left out whose
    /// bucket or bounds say that they have none of them.
    pub async fn read_keys(
        &self,
        table: LakeTable,
        columns: &[&str],
        key_column: &str,
        keys: &[String],
    ) -> Result<BatchStream, LakeError> {
        let loaded = self.load(table).await?;
        let filter = RowFilter::all().one_of(key_column, keys);
        let wanted = (!columns.is_empty()).then_some(columns);
        let batches = read_rows(&loaded, None, wanted, &filter, BytesRead::default()).await?;
        Ok(batches.map_err(LakeError::from).boxed())
    }
}
