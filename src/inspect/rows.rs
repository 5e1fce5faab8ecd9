//! Columns of a scanned batch by name, with the types that a scan gives.

use anyhow::{Context, anyhow};
use arrow::array::{
    Array, Int32Array, Int64Array, LargeBinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};

/// A batch of rows.
pub(crate) struct Rows<'a>(pub(crate) &'a RecordBatch);

impl<'a> Rows<'a> {
    fn column<T: 'static>(&self, name: &str) -> anyhow::Result<&'a T> {
        let column =
            self.0.column_by_name(name).with_context(|| format!("the scan gave no column {name}"))?;
        let found = column.data_type();
        column.as_any().downcast_ref().ok_or_else(|| anyhow!("column {name} came as {found}"))
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// A string column.
    pub(crate) fn text(&self, name: &str) -> anyhow::Result<&'a StringArray> {
        self.column(name)
    }

    /// A binary column.
    pub(crate) fn bytes(&self, name: &str) -> anyhow::Result<&'a LargeBinaryArray> {
        self.column(name)
    }

    /// An int column.
    pub(crate) fn int(&self, name: &str) -> anyhow::Result<&'a Int32Array> {
        self.column(name)
    }

    /// A long column.
    pub(crate) fn long(&self, name: &str) -> anyhow::Result<&'a Int64Array> {
        self.column(name)
    }

    /// A timestamp column (µs).
    pub(crate) fn timestamp(&self, name: &str) -> anyhow::Result<&'a TimestampMicrosecondArray> {
        self.column(name)
    }
}
