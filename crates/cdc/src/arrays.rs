//! Arrow columns out of values.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::Field;
use arrow::error::ArrowError;

use crate::value::{ColumnType, Value};

/// The time zone in the type of every timestamp column.
const TIME_ZONE: &str = "+00:00";

/// A column of `column_type`, whose values are of its kind or null.
pub(crate) fn column<'a>(
    column_type: ColumnType,
    values: impl Iterator<Item = &'a Value> + Clone,
) -> Result<ArrayRef, ArrowError> {
    refuse_too_long(values.clone().map(Value::heap_bytes))?;
    if let Some(stranger) = values.clone().find(|value| !is_of(column_type, value)) {
        let reason = format!("a column of type {} can't take {stranger:?}", column_type.name());
        return Err(ArrowError::InvalidArgumentError(reason));
    }
    Ok(match column_type {
        ColumnType::Boolean => Arc::new(BooleanArray::from_iter(values.map(|value| match value {
            Value::Boolean(flag) => Some(*flag),
            _ => None,
        }))),
        // A column is widened before it takes a value beyond its type: nothing is cut off here.
        ColumnType::Int => {
            Arc::new(Int32Array::from_iter(values.map(|value| long(value).map(|number| number as i32))))
        }
        ColumnType::Long => Arc::new(Int64Array::from_iter(values.map(long))),
        ColumnType::Float => {
            Arc::new(Float32Array::from_iter(values.map(|value| double(value).map(|number| number as f32))))
        }
        ColumnType::Double => Arc::new(Float64Array::from_iter(values.map(double))),
        ColumnType::Decimal { precision, scale } => {
            let numbers = values.map(|value| match value {
                Value::Decimal(number) => Some(**number),
                _ => None,
            });
            Arc::new(Decimal128Array::from_iter(numbers).with_precision_and_scale(precision, scale)?)
        }
        ColumnType::Date => Arc::new(Date32Array::from_iter(values.map(|value| match value {
            Value::Date(days) => Some(*days),
            _ => None,
        }))),
        ColumnType::Timestamp => timestamps(values.map(|value| match value {
            Value::Timestamp(moment_us) => Some(*moment_us),
            _ => None,
        })),
        ColumnType::Text => Arc::new(StringArray::from_iter(values.map(|value| match value {
            Value::Text(text) => Some(text.as_ref()),
            _ => None,
        }))),
        ColumnType::Binary => {
            let mut builder = BinaryBuilder::new();
            for value in values {
                match value {
                    Value::Binary(bytes) => builder.append_value(bytes),
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }
        ColumnType::TextList => text_lists(values),
    })
}

fn is_of(column_type: ColumnType, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Boolean(_) => column_type == ColumnType::Boolean,
        Value::Long(_) => matches!(column_type, ColumnType::Int | ColumnType::Long),
        Value::Double(_) => matches!(column_type, ColumnType::Float | ColumnType::Double),
        Value::Decimal(_) => matches!(column_type, ColumnType::Decimal { .. }),
        Value::Date(_) => column_type == ColumnType::Date,
        Value::Timestamp(_) => column_type == ColumnType::Timestamp,
        Value::Text(_) => column_type == ColumnType::Text,
        Value::Binary(_) => column_type == ColumnType::Binary,
        Value::TextList(_) => column_type == ColumnType::TextList,
    }
}

fn long(value: &Value) -> Option<i64> {
    match value {
        Value::Long(number) => Some(*number),
        _ => None,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

fn text_lists<'a>(values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    let element = Field::new("element", ColumnType::Text.data_type(), true);
    let mut builder = ListBuilder::new(StringBuilder::new()).with_field(element);
    for value in values {
        match value {
            Value::TextList(texts) => {
                for text in texts {
                    builder.values().append_option(text.as_deref());
                }
                builder.append(true);
            }
            _ => builder.append(false),
        }
    }
    Arc::new(builder.finish())
}

/// A column of text.
pub(crate) fn texts<'a>(values: impl Iterator<Item = &'a str> + Clone) -> Result<ArrayRef, ArrowError> {
    refuse_too_long(values.clone().map(str::len))?;
    Ok(Arc::new(StringArray::from_iter_values(values)))
}

/// A column of moments, µs.
pub(crate) fn timestamps(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter(values).with_timezone(TIME_ZONE))
}

/// Offsets of text, bytes and lists have 32 bits.
fn refuse_too_long(lengths: impl Iterator<Item = usize>) -> Result<(), ArrowError> {
    let bytes: usize = lengths.sum();
    if i32::try_from(bytes).is_err() { Err(ArrowError::OffsetOverflowError(bytes)) } else { Ok(()) }
}
