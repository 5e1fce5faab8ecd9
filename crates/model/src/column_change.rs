//! How the source's table changed its columns, for the tables that follow it.

use std::fmt;

use arrow::datatypes::DataType;

/// One step that brings a table's schema to what the source's changes need.
///
/// A step that a table has already taken is nothing: after a crash between two tables the same steps come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChange {
    /// A further column, optional, behind all others.
    Add {
        /// The column.
        name: String,
        /// Its type.
        data_type: DataType,
    },
    /// A wider type for a further column: int to long, float to double, or a decimal with more digits.
    Promote {
        /// The column.
        name: String,
        /// The wider type.
        data_type: DataType,
    },
}

impl ColumnChange {
    /// The column that it changes.
    pub fn name(&self) -> &str {
        match self {
            Self::Add { name, .. } | Self::Promote { name, .. } => name,
        }
    }

    /// The type that the column has afterwards.
    pub fn data_type(&self) -> &DataType {
        match self {
            Self::Add { data_type, .. } | Self::Promote { data_type, .. } => data_type,
        }
    }
}

impl fmt::Display for ColumnChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { name, data_type } => write!(formatter, "add {name} as {data_type}"),
            Self::Promote { name, data_type } => write!(formatter, "widen {name} to {data_type}"),
        }
    }
}
