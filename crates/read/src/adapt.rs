//! Brings the columns of a data file into the table's schema: by field id, never by name or place.
//!
//! A column that the file lacks is its initial default, or NULL; one whose type was widened since is cast. Anything
//! else is an error that names the file: a reader that guesses loses data.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array,
    LargeBinaryArray, ListArray, MapArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    UInt32Array, new_null_array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use iceberg::spec::{Literal, PrimitiveLiteral, Schema};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

/// The field id that an Arrow field carries.
pub(crate) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

/// What a column holds in files that are older than it.
#[derive(Clone, Debug)]
pub(crate) struct DefaultColumn {
    /// One value.
    value: ArrayRef,
}

impl DefaultColumn {
    /// `rows` times the value.
    fn repeated(&self, rows: usize) -> Result<ArrayRef, ArrowError> {
        take(&self.value, &UInt32Array::from(vec![0; rows]), None)
    }
}

/// The initial defaults of a table's top-level columns, by field id.
pub(crate) fn initial_defaults(schema: &Schema) -> Result<HashMap<i32, DefaultColumn>, ArrowError> {
    let mut defaults = HashMap::new();
    for field in schema.as_struct().fields() {
        let Some(literal) = &field.initial_default else { continue };
        let unsupported =
            || ArrowError::NotYetImplemented(format!("the initial default of column {}", field.name));
        let Literal::Primitive(primitive) = literal else { return Err(unsupported()) };
        let plain: ArrayRef = match primitive {
            PrimitiveLiteral::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
            PrimitiveLiteral::Int(value) => Arc::new(Int32Array::from(vec![*value])),
            PrimitiveLiteral::Long(value) => Arc::new(Int64Array::from(vec![*value])),
            PrimitiveLiteral::Float(value) => Arc::new(Float32Array::from(vec![value.0])),
            PrimitiveLiteral::Double(value) => Arc::new(Float64Array::from(vec![value.0])),
            PrimitiveLiteral::String(value) => Arc::new(StringArray::from(vec![value.as_str()])),
            PrimitiveLiteral::Binary(value) => Arc::new(LargeBinaryArray::from(vec![value.as_slice()])),
            _ => return Err(unsupported()),
        };
        let wanted = iceberg::arrow::type_to_arrow_type(&field.field_type)
            .map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
        defaults.insert(field.id, DefaultColumn { value: cast(&plain, &wanted)? });
    }
    Ok(defaults)
}

/// `batch`, read from a file, as a batch of `schema`.
pub(crate) fn adapt_batch(
    batch: &RecordBatch,
    schema: &SchemaRef,
    defaults: &HashMap<i32, DefaultColumn>,
) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let by_id: HashMap<i32, usize> = batch
        .schema_ref()
        .fields()
        .iter()
        .enumerate()
        .filter_map(|(index, field)| Some((field_id(field)?, index)))
        .collect();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let id = field_id(field);
        let in_file = id.and_then(|id| by_id.get(&id)).map(|&index| batch.column(index));
        columns.push(match (in_file, id.and_then(|id| defaults.get(&id))) {
            (Some(column), _) => convert(column, field)?,
            (None, Some(default)) => default.repeated(rows)?,
            (None, None) => absent(field, rows)?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

fn absent(field: &Field, rows: usize) -> Result<ArrayRef, ArrowError> {
    if !field.is_nullable() && rows > 0 {
        return Err(ArrowError::SchemaError(format!("required column {} is not in the file", field.name())));
    }
    Ok(new_null_array(field.data_type(), rows))
}

/// `array` as a column of the type that `target` has.
fn convert(array: &ArrayRef, target: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let (found, wanted) = (array.data_type(), target.data_type());
    if found == wanted {
        return Ok(array.clone());
    }
    match (found, wanted) {
        (DataType::Struct(_), DataType::Struct(fields)) => convert_struct(array.as_struct(), fields),
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = convert(list.values(), element)?;
            Ok(Arc::new(ListArray::try_new(
                element.clone(),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?))
        }
        (DataType::Map(_, _), DataType::Map(entries, is_sorted)) => {
            let map = array.as_map();
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(ArrowError::SchemaError(format!("column {} has no entries", target.name())));
            };
            let columns = map
                .entries()
                .columns()
                .iter()
                .zip(pair)
                .map(|(column, field)| convert(column, field))
                .collect::<Result<Vec<_>, _>>()?;
            let converted = StructArray::try_new(pair.clone(), columns, map.entries().nulls().cloned())?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, converted, nulls, *is_sorted)?))
        }
        (from, to) if is_widening(from, to) => cast(array, wanted),
        // The two lengths of offsets hold the same values.
        (DataType::Binary, DataType::LargeBinary) => {
            let values: &BinaryArray = array.as_binary();
            Ok(Arc::new(LargeBinaryArray::from_iter(values.iter())))
        }
        (from, to) => Err(ArrowError::SchemaError(format!(
            "column {} is {from} in the file and {to} in the table, which is no promotion that Iceberg knows",
            target.name()
        ))),
    }
}

fn convert_struct(array: &StructArray, wanted: &Fields) -> Result<ArrayRef, ArrowError> {
    let position = |id: i32| array.fields().iter().position(|field| field_id(field) == Some(id));
    let columns = wanted
        .iter()
        .map(|field| match field_id(field).and_then(position) {
            Some(index) => convert(array.column(index), field),
            None => absent(field, array.len()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(StructArray::try_new_with_length(
        wanted.clone(),
        columns,
        array.nulls().cloned(),
        array.len(),
    )?))
}

/// Iceberg's type promotions, and differences that only Arrow makes.
fn is_widening(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Int32, Int64, LargeUtf8, Timestamp, Utf8};
    match (from, to) {
        (Int32, Int64) | (Float32, Float64) | (LargeUtf8, Utf8) => true,
        (Decimal128(from_digits, from_scale), Decimal128(to_digits, to_scale)) => {
            from_scale == to_scale && from_digits <= to_digits
        }
        // Instants of one unit; the name of the zone differs between writers. Nanoseconds would lose digits.
        (Timestamp(from_unit, from_zone), Timestamp(to_unit, to_zone)) => {
            from_zone.is_some() == to_zone.is_some() && from_unit <= to_unit
        }
        (Date32, Timestamp(_, None)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array as Dates, TimestampMillisecondArray};
    use arrow::datatypes::{Schema as ArrowSchema, TimeUnit};

    use super::*;

    fn field(name: &str, data_type: DataType, nullable: bool, id: i32) -> Field {
        let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string())]);
        Field::new(name, data_type, nullable).with_metadata(metadata)
    }

    fn adapted(from: (Field, ArrayRef), to: Vec<Field>) -> Result<RecordBatch, ArrowError> {
        let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(vec![from.0])), vec![from.1])?;
        adapt_batch(&batch, &Arc::new(ArrowSchema::new(to)), &HashMap::new())
    }

    #[test]
    fn columns_are_found_by_id_and_widened() {
        let file = (
            field("old name", DataType::Int32, false, 7),
            Arc::new(Int32Array::from(vec![1, -2])) as ArrayRef,
        );
        let table =
            vec![field("added", DataType::Utf8, true, 8), field("new name", DataType::Int64, false, 7)];
        let batch = adapted(file, table).unwrap();
        assert_eq!(batch.column(0).null_count(), 2);
        assert_eq!(batch.column(1).as_primitive::<arrow::datatypes::Int64Type>().values(), &[1, -2]);
    }

    #[test]
    fn a_narrower_type_and_a_missing_required_column_are_refused() {
        let long = (field("n", DataType::Int64, false, 1), Arc::new(Int64Array::from(vec![1])) as ArrayRef);
        assert!(adapted(long.clone(), vec![field("n", DataType::Int32, false, 1)]).is_err());
        assert!(adapted(long, vec![field("m", DataType::Int32, false, 2)]).is_err());
    }

    #[test]
    fn instants_are_widened_and_never_cut() {
        let milliseconds =
            Arc::new(TimestampMillisecondArray::from(vec![5]).with_timezone("UTC")) as ArrayRef;
        let from = field("t", milliseconds.data_type().clone(), false, 1);
        let micro = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let batch = adapted((from, milliseconds), vec![field("t", micro.clone(), false, 1)]).unwrap();
        let values = batch.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        assert_eq!(values.value(0), 5_000);
        let nano = DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()));
        assert!(!is_widening(&nano, &micro));
    }

    #[test]
    fn struct_members_are_found_by_id() {
        let inner = Fields::from(vec![field("a", DataType::Int32, true, 2)]);
        let values: ArrayRef = Arc::new(Int32Array::from(vec![4]));
        let array: ArrayRef = Arc::new(StructArray::new(inner.clone(), vec![values], None));
        let wanted =
            Fields::from(vec![field("b", DataType::Utf8, true, 3), field("z", DataType::Int64, true, 2)]);
        let batch = adapted(
            (field("s", DataType::Struct(inner), true, 1), array),
            vec![field("s", DataType::Struct(wanted), true, 1)],
        )
        .unwrap();
        let found = batch.column(0).as_struct();
        assert!(found.column(0).is_null(0));
        assert_eq!(found.column(1).as_primitive::<arrow::datatypes::Int64Type>().value(0), 4);
    }

    #[test]
    fn a_date_is_not_an_integer() {
        let date = (field("d", DataType::Date32, true, 1), Arc::new(Dates::from(vec![3])) as ArrayRef);
        assert!(adapted(date, vec![field("d", DataType::Int32, true, 1)]).is_err());
    }

    #[test]
    fn an_initial_default_fills_what_a_file_lacks() {
        use iceberg::spec::{NestedField, PrimitiveType, Type};
        let defaulted = NestedField::optional(9, "d", Type::Primitive(PrimitiveType::Long))
            .with_initial_default(Literal::long(42));
        let schema = Schema::builder().with_fields([Arc::new(defaulted)]).build().unwrap();
        let defaults = initial_defaults(&schema).unwrap();
        let file = RecordBatch::try_new(
            Arc::new(ArrowSchema::new(vec![field("x", DataType::Int32, true, 1)])),
            vec![Arc::new(Int32Array::from(vec![1, 2]))],
        )
        .unwrap();
        let wanted = Arc::new(ArrowSchema::new(vec![field("d", DataType::Int64, true, 9)]));
        let batch = adapt_batch(&file, &wanted, &defaults).unwrap();
        assert_eq!(batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values(), &[42, 42]);
    }
}
