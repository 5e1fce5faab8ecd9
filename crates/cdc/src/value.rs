//! Values of a row between a record and Arrow, and the types that columns can have.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use pulselake_model::schema::timestamp_type;

/// One value of a row, in the widest form of its type, so that a promotion of its column changes nothing here.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Null,
    Boolean(bool),
    /// Of int and long columns.
    Long(i64),
    /// Of float and double columns.
    Double(f64),
    /// Unscaled, at the column's scale.
    Decimal(Box<i128>),
    /// Days since the epoch.
    Date(i32),
    /// Microseconds since the epoch.
    Timestamp(i64),
    Text(Box<str>),
    Binary(Box<[u8]>),
    TextList(Box<[Option<Box<str>>]>),
}

impl Value {
    pub(crate) fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Bytes that it keeps on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::TextList(texts) => texts.iter().flatten().map(|text| text.len() + 16).sum(),
            Self::Decimal(_) => size_of::<i128>(),
            _ => 0,
        }
    }
}

/// A type of a column that this engine can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Decimal { precision: u8, scale: i8 },
    Date,
    Timestamp,
    Text,
    Binary,
    TextList,
}

impl ColumnType {
    /// The type of a table's column; `None` for what this engine can't write.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int32 => Self::Int,
            DataType::Int64 => Self::Long,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => Self::Decimal { precision: *precision, scale: *scale },
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::Timestamp,
            DataType::Utf8 | DataType::LargeUtf8 => Self::Text,
            DataType::Binary | DataType::LargeBinary => Self::Binary,
            DataType::List(element)
                if matches!(element.data_type(), DataType::Utf8 | DataType::LargeUtf8) =>
            {
                Self::TextList
            }
            _ => return None,
        })
    }

    /// As the model's schemas write it.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => timestamp_type(),
            Self::Text => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::TextList => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
        }
    }

    /// Whether Iceberg widens `self` to `wider`, another type.
    pub(crate) fn widens_to(self, wider: Self) -> bool {
        match (self, wider) {
            (Self::Int, Self::Long) | (Self::Float, Self::Double) => true,
            (Self::Decimal { precision, scale }, Self::Decimal { precision: more, scale: same }) => {
                scale == same && precision < more
            }
            _ => false,
        }
    }

    /// In the words of the tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
            Self::Date => "date",
            Self::Timestamp => "timestamptz",
            Self::Text => "string",
            Self::Binary => "binary",
            Self::TextList => "list<string>",
        }
        .to_owned()
    }
}
