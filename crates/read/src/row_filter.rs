//! Which rows a reader wants: conditions on columns, all of which a row has to meet.
//!
//! A condition serves twice: exactly, on the values of rows, and roughly, on the lowest and highest value of a part of
//! the table (partition, file, row group, page). The rough answer never rules out a row that meets the exact one. NULL
//! meets no condition.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Int32Type, Int64Type, Schema as ArrowSchema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType, Schema, Type};

use crate::ReadError;

/// A top-level column of a table, by its name or its field id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// By name, in the schema that is read.
    Name(String),
    /// By field id.
    Id(i32),
}

impl From<&str> for ColumnRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_string())
    }
}

impl From<i32> for ColumnRef {
    fn from(id: i32) -> Self {
        Self::Id(id)
    }
}

impl std::fmt::Display for ColumnRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Id(id) => write!(formatter, "with field id {id}"),
        }
    }
}

/// The rows that meet all of some conditions.
///
/// ```
/// # use iceberg::spec::Datum;
/// # use pulselake_read::RowFilter;
/// let day = Datum::timestamptz_micros(0)..Datum::timestamptz_micros(86_400_000_000 - 1);
/// let wanted = RowFilter::all()
///     .one_of("video_id", ["v_7", "v_1023"])
///     .between("window_start", day.start, day.end);
/// ```
#[derive(Clone, Debug, Default)]
pub struct RowFilter {
    asked: Vec<(ColumnRef, Asked)>,
}

#[derive(Clone, Debug)]
enum Asked {
    OneOf(Vec<String>),
    Between(Option<Datum>, Option<Datum>),
}

impl RowFilter {
    /// All rows.
    pub fn all() -> Self {
        Self::default()
    }

    /// Also asks that the `string` column has one of `values`; meant for some thousands of them. None: no row.
    pub fn one_of(
        mut self,
        column: impl Into<ColumnRef>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let mut texts: Vec<String> = values.into_iter().map(Into::into).collect();
        texts.sort_unstable();
        texts.dedup();
        self.asked.push((column.into(), Asked::OneOf(texts)));
        self
    }

    /// Also asks that the column lies between `lower` and `upper`, both included and of the column's type: `string`,
    /// `int`, `long`, `date`, `timestamp` or `timestamptz`.
    pub fn between(mut self, column: impl Into<ColumnRef>, lower: Datum, upper: Datum) -> Self {
        self.asked.push((column.into(), Asked::Between(Some(lower), Some(upper))));
        self
    }

    /// The same without an upper end.
    pub fn at_least(mut self, column: impl Into<ColumnRef>, lower: Datum) -> Self {
        self.asked.push((column.into(), Asked::Between(Some(lower), None)));
        self
    }

    /// The same without a lower end.
    pub fn at_most(mut self, column: impl Into<ColumnRef>, upper: Datum) -> Self {
        self.asked.push((column.into(), Asked::Between(None, Some(upper))));
        self
    }

    /// The filter on the columns of `schema`. Fails where a column is not there, or of another type than was asked for.
    pub fn bind(&self, schema: &Schema) -> Result<BoundFilter, ReadError> {
        let mut fields = Vec::new();
        let mut conditions = Vec::new();
        for (column, asked) in &self.asked {
            let (condition, field) = bind_one(column, asked, schema)?;
            conditions.push(condition);
            fields.push(field);
        }
        Ok(BoundFilter { conditions: conditions.into(), schema: Arc::new(ArrowSchema::new(fields)) })
    }
}

fn bind_one(
    column: &ColumnRef,
    asked: &Asked,
    schema: &Schema,
) -> Result<(Condition, arrow::datatypes::Field), ReadError> {
    let columns = schema.as_struct().fields();
    let found = columns.iter().find(|field| match column {
        ColumnRef::Name(name) => field.name == *name,
        ColumnRef::Id(id) => field.id == *id,
    });
    let Some(field) = found else {
        let known = columns.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(ReadError::NoColumn { column: column.to_string(), known });
    };
    let refused = |reason: String| ReadError::Condition { column: field.name.clone(), reason };
    let Type::Primitive(primitive) = field.field_type.as_ref() else {
        return Err(refused(format!("it is {}, whose values have no order", field.field_type)));
    };
    let wanted = match asked {
        Asked::OneOf(texts) if *primitive == PrimitiveType::String => Wanted::Texts(texts.clone()),
        Asked::OneOf(_) => {
            return Err(refused(format!("it is {primitive}, and its values were asked for as text")));
        }
        Asked::Between(lower, upper) => {
            range(primitive, lower.as_ref(), upper.as_ref()).ok_or_else(|| {
                let end = |datum: &Option<Datum>| {
                    datum.as_ref().map_or("no end".to_string(), |known| known.data_type().to_string())
                };
                let (from, to) = (end(lower), end(upper));
                refused(format!("it is {primitive}, which can't be compared with a range of {from} to {to}"))
            })?
        }
    };
    let arrow = iceberg::arrow::schema_to_arrow_schema(schema)
        .map_err(ReadError::iceberg("read the type of column", &field.name))?;
    let arrow_field = arrow.field_with_name(&field.name).map_err(ReadError::arrow(&field.name))?.clone();
    let condition = Condition {
        field_id: field.id,
        is_required: field.required,
        primitive: primitive.clone(),
        data_type: arrow_field.data_type().clone(),
        wanted,
    };
    Ok((condition, arrow_field))
}

/// `None` where an end is of another type than the column, or the column of one that is not compared.
fn range(primitive: &PrimitiveType, lower: Option<&Datum>, upper: Option<&Datum>) -> Option<Wanted> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let wanted = match (lower, upper) {
        (None, None) => return None,
        (Some(lower), None) => match value_of(primitive, lower)? {
            Value::Text(from) => Wanted::TextRange(text(from), None),
            Value::Number(from) => Wanted::NumberRange(from, i64::MAX),
        },
        (None, Some(upper)) => match value_of(primitive, upper)? {
            // No text lies before the empty one.
            Value::Text(to) => Wanted::TextRange(String::new(), Some(text(to))),
            Value::Number(to) => Wanted::NumberRange(i64::MIN, to),
        },
        (Some(lower), Some(upper)) => match (value_of(primitive, lower)?, value_of(primitive, upper)?) {
            (Value::Text(from), Value::Text(to)) => Wanted::TextRange(text(from), Some(text(to))),
            (Value::Number(from), Value::Number(to)) => Wanted::NumberRange(from, to),
            _ => return None,
        },
    };
    Some(wanted)
}

/// A value of a column that conditions know how to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Text(&'a [u8]),
    Number(i64),
}

/// `datum` as a value of a column of type `primitive`; `None` where it is of another type, or of none that is compared.
pub(crate) fn value_of<'a>(primitive: &PrimitiveType, datum: &'a Datum) -> Option<Value<'a>> {
    use PrimitiveType::{Date, Int, Long, Timestamp, Timestamptz};
    let is_int_for_long = matches!((primitive, datum.data_type()), (Long, Int));
    if datum.data_type() != primitive && !is_int_for_long {
        return None;
    }
    match (primitive, datum.literal()) {
        (PrimitiveType::String, PrimitiveLiteral::String(text)) => Some(Value::Text(text.as_bytes())),
        (Int | Long | Date, PrimitiveLiteral::Int(number)) => Some(Value::Number(i64::from(*number))),
        (Long | Timestamp | Timestamptz, PrimitiveLiteral::Long(number)) => Some(Value::Number(*number)),
        _ => None,
    }
}

/// A [`RowFilter`] on the columns of one schema; clones share it.
#[derive(Clone, Debug)]
pub struct BoundFilter {
    conditions: Arc<[Condition]>,
    schema: SchemaRef,
}

impl BoundFilter {
    /// Its conditions.
    pub(crate) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The columns of the conditions, in their order.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Which rows meet all conditions. `columns`: a batch of [`BoundFilter::schema`].
    pub(crate) fn matching(&self, columns: &RecordBatch) -> BooleanArray {
        let all = BooleanBuffer::new_set(columns.num_rows());
        let of_condition = self.conditions.iter().zip(columns.columns());
        let matching =
            of_condition.fold(all, |so_far, (condition, column)| &so_far & &condition.met_by(column));
        BooleanArray::new(matching, None)
    }
}

/// What is asked of one column.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub field_id: i32,
    pub is_required: bool,
    /// The column's type in the schema that is read.
    pub primitive: PrimitiveType,
    /// The same for Arrow.
    pub data_type: DataType,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    /// Sorted, each once.
    Texts(Vec<String>),
    /// Without a last one where that is `None`.
    TextRange(String, Option<String>),
    /// The least and the greatest number stand for an open end: no number lies beyond them.
    NumberRange(i64, i64),
}

impl Condition {
    /// Whether rows may meet the condition whose values lie between the two, where they are known.
    pub(crate) fn may_be_met(&self, lowest: Option<Value<'_>>, highest: Option<Value<'_>>) -> bool {
        let is_below = |value: &[u8]| matches!(lowest, Some(Value::Text(low)) if value < low);
        let is_above = |value: &[u8]| matches!(highest, Some(Value::Text(high)) if value > high);
        match &self.wanted {
            Wanted::Texts(texts) => {
                let first = texts.partition_point(|text| is_below(text.as_bytes()));
                texts.get(first).is_some_and(|text| !is_above(text.as_bytes()))
            }
            Wanted::TextRange(from, to) => {
                !is_above(from.as_bytes()) && !to.as_ref().is_some_and(|last| is_below(last.as_bytes()))
            }
            Wanted::NumberRange(from, to) => {
                let all_above = matches!(lowest, Some(Value::Number(low)) if low > *to);
                let all_below = matches!(highest, Some(Value::Number(high)) if high < *from);
                !all_above && !all_below
            }
        }
    }

    /// The values that are wanted, each; `None` for a range.
    pub(crate) fn texts(&self) -> Option<&[String]> {
        match &self.wanted {
            Wanted::Texts(texts) => Some(texts),
            Wanted::TextRange(..) | Wanted::NumberRange(..) => None,
        }
    }

    /// The ends of the range that is wanted, as far as it has any; `None` for single values.
    pub(crate) fn range(&self) -> Option<(Option<Datum>, Option<Datum>)> {
        match &self.wanted {
            Wanted::Texts(_) => None,
            Wanted::TextRange(from, to) => Some((Some(Datum::string(from)), to.as_ref().map(Datum::string))),
            Wanted::NumberRange(from, to) => Some((self.datum(*from), self.datum(*to))),
        }
    }

    /// `None` for an open end.
    fn datum(&self, number: i64) -> Option<Datum> {
        match self.primitive {
            _ if number == i64::MIN || number == i64::MAX => None,
            PrimitiveType::Int => i32::try_from(number).ok().map(Datum::int),
            PrimitiveType::Date => i32::try_from(number).ok().map(Datum::date),
            PrimitiveType::Long => Some(Datum::long(number)),
            PrimitiveType::Timestamp => Some(Datum::timestamp_micros(number)),
            PrimitiveType::Timestamptz => Some(Datum::timestamptz_micros(number)),
            _ => None,
        }
    }

    fn met_by(&self, column: &ArrayRef) -> BooleanBuffer {
        match &self.wanted {
            Wanted::Texts(texts) => {
                texts_where(column, |value| texts.binary_search_by(|text| text.as_str().cmp(value)).is_ok())
            }
            Wanted::TextRange(from, to) => {
                let is_at_most = |value: &str| to.as_ref().is_none_or(|last| value <= last.as_str());
                texts_where(column, |value| from.as_str() <= value && is_at_most(value))
            }
            Wanted::NumberRange(from, to) => {
                let is_inside = |number: i64| (*from..=*to).contains(&number);
                match column.data_type() {
                    DataType::Int32 => numbers_where::<Int32Type>(column, |number| is_inside(number.into())),
                    DataType::Date32 => numbers_where::<Date32Type>(column, |days| is_inside(days.into())),
                    DataType::Int64 => numbers_where::<Int64Type>(column, is_inside),
                    DataType::Timestamp(TimeUnit::Microsecond, _) => {
                        numbers_where::<TimestampMicrosecondType>(column, is_inside)
                    }
                    // No other type was bound to a range of numbers.
                    _ => BooleanBuffer::new_unset(column.len()),
                }
            }
        }
    }
}

fn texts_where(column: &ArrayRef, is_wanted: impl Fn(&str) -> bool) -> BooleanBuffer {
    let texts = column.as_string::<i32>();
    BooleanBuffer::collect_bool(texts.len(), |row| texts.is_valid(row) && is_wanted(texts.value(row)))
}

fn numbers_where<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    is_wanted: impl Fn(T::Native) -> bool,
) -> BooleanBuffer {
    let numbers = column.as_primitive::<T>();
    BooleanBuffer::collect_bool(numbers.len(), |row| numbers.is_valid(row) && is_wanted(numbers.value(row)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, StringArray};
    use iceberg::spec::NestedField;
    use proptest::prelude::*;

    use super::*;

    fn schema() -> Schema {
        let field =
            |id, name, primitive| Arc::new(NestedField::optional(id, name, Type::Primitive(primitive)));
        Schema::builder()
            .with_fields([
                field(1, "name", PrimitiveType::String),
                field(2, "n", PrimitiveType::Int),
                field(3, "share", PrimitiveType::Double),
            ])
            .build()
            .unwrap()
    }

    fn refusal(filter: &RowFilter) -> String {
        filter.bind(&schema()).unwrap_err().to_string()
    }

    #[test]
    fn what_can_not_be_compared_is_refused_with_the_column() {
        assert!(refusal(&RowFilter::all().one_of("nope", ["a"])).contains("no column nope"));
        assert!(refusal(&RowFilter::all().one_of(9, ["a"])).contains("field id 9"));
        assert!(refusal(&RowFilter::all().one_of("n", ["1"])).contains("column n"));
        assert!(refusal(&RowFilter::all().between("n", Datum::long(1), Datum::long(2))).contains("long"));
        let halves = RowFilter::all().between("share", Datum::double(0.0), Datum::double(0.5));
        assert!(refusal(&halves).contains("double"));
    }

    #[test]
    fn rows_meet_all_conditions_and_null_meets_none() {
        let filter = RowFilter::all()
            .one_of(1, ["b", "a", "b"])
            .between("n", Datum::int(-1), Datum::int(5))
            .bind(&schema())
            .unwrap();
        let names = StringArray::from(vec![Some("a"), Some("b"), None, Some("a"), Some("c"), Some("b")]);
        let numbers = Int32Array::from(vec![Some(-1), Some(6), Some(0), None, Some(0), Some(5)]);
        let batch =
            RecordBatch::try_new(filter.schema().clone(), vec![Arc::new(names), Arc::new(numbers)]).unwrap();
        let found: Vec<usize> = filter.matching(&batch).values().set_indices().collect();
        assert_eq!(found, [0, 5]);
    }

    #[test]
    fn a_range_may_have_one_end() {
        let rows = |filter: RowFilter| -> Vec<usize> {
            let bound = filter.bind(&schema()).unwrap();
            let column: ArrayRef = match bound.schema().field(0).name().as_str() {
                "n" => Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(0), Some(i32::MAX), None])),
                _ => Arc::new(StringArray::from(vec![Some(""), Some("b"), Some("c"), None])),
            };
            let batch = RecordBatch::try_new(bound.schema().clone(), vec![column]).unwrap();
            bound.matching(&batch).values().set_indices().collect()
        };
        assert_eq!(rows(RowFilter::all().at_least("n", Datum::int(0))), [1, 2]);
        assert_eq!(rows(RowFilter::all().at_most("n", Datum::int(0))), [0, 1]);
        assert_eq!(rows(RowFilter::all().at_least("name", Datum::string("b"))), [1, 2]);
        assert_eq!(rows(RowFilter::all().at_most("name", Datum::string("b"))), [0, 1]);
    }

    #[test]
    fn an_open_end_rules_nothing_out_beyond_it() {
        let condition = |filter: RowFilter| filter.bind(&schema()).unwrap().conditions()[0].clone();
        let from = condition(RowFilter::all().at_least("n", Datum::int(5)));
        assert_eq!(from.range(), Some((Some(Datum::int(5)), None)));
        assert!(from.may_be_met(Some(Value::Number(6)), Some(Value::Number(9))));
        assert!(!from.may_be_met(Some(Value::Number(1)), Some(Value::Number(4))));
        let to = condition(RowFilter::all().at_most("name", Datum::string("m")));
        assert!(to.may_be_met(Some(Value::Text(b"a")), Some(Value::Text(b"z"))));
        assert!(!to.may_be_met(Some(Value::Text(b"n")), Some(Value::Text(b"z"))));
        let last = condition(RowFilter::all().at_least("name", Datum::string("m")));
        assert_eq!(last.range(), Some((Some(Datum::string("m")), None)));
        assert!(!last.may_be_met(Some(Value::Text(b"a")), Some(Value::Text(b"l"))));
    }

    #[test]
    fn nothing_is_one_of_nothing() {
        let filter = RowFilter::all().one_of("name", Vec::<String>::new()).bind(&schema()).unwrap();
        assert!(!filter.conditions()[0].may_be_met(None, None));
    }

    proptest! {
        #[test]
        fn bounds_rule_out_exactly_the_parts_without_a_wanted_value(
            wanted in prop::collection::btree_set("[a-d]{0,3}", 0..6),
            part in prop::collection::vec("[a-d]{0,3}", 1..6),
        ) {
            let filter = RowFilter::all().one_of("name", wanted.iter().map(String::as_str)).bind(&schema()).unwrap();
            let (lowest, highest) = (part.iter().min().unwrap(), part.iter().max().unwrap());
            let found = filter.conditions()[0]
                .may_be_met(Some(Value::Text(lowest.as_bytes())), Some(Value::Text(highest.as_bytes())));
            let expected = wanted.iter().any(|value| value >= lowest && value <= highest);
            prop_assert_eq!(found, expected);
        }
    }
}
