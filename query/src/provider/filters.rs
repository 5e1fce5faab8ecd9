//! Which filters of a query the reader takes over, and as what.
//!
//! Only those that it judges exactly as SQL does, row by row: comparisons of a column with a literal of its own type, and
//! lists of texts. NULL meets none of them, and a filter that is NULL keeps no row in SQL either. A literal of another
//! type has been brought to the column's by DataFusion where that loses nothing; where it could not, the column is cast in
//! the filter, and the filter stays DataFusion's.

use datafusion::arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Expr, Operator};
use iceberg::spec::{Datum, Schema as IcebergSchema};
use pulselake_read::{BoundFilter, RowFilter};

/// What a filter asks of one column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    column: String,
    asked: Asked,
}

#[derive(Clone, Debug, PartialEq)]
enum Asked {
    OneOf(Vec<String>),
    AtLeast(Datum),
    AtMost(Datum),
    Between(Datum, Datum),
}

/// The filters that [`condition`] knows, on the columns of the table; `None` where there is none of them.
pub(super) fn bind(
    filters: &[Expr],
    columns: &SchemaRef,
    schema: &IcebergSchema,
) -> Result<Option<BoundFilter>> {
    let conditions: Vec<Condition> = filters.iter().filter_map(|filter| condition(filter, columns)).collect();
    if conditions.is_empty() {
        return Ok(None);
    }
    let wanted =
        conditions.into_iter().fold(RowFilter::all(), |filter, Condition { column, asked }| match asked {
            Asked::OneOf(texts) => filter.one_of(column.as_str(), texts),
            Asked::AtLeast(lower) => filter.at_least(column.as_str(), lower),
            Asked::AtMost(upper) => filter.at_most(column.as_str(), upper),
            Asked::Between(lower, upper) => filter.between(column.as_str(), lower, upper),
        });
    wanted.bind(schema).map(Some).map_err(|error| DataFusionError::External(Box::new(error)))
}

/// What `filter` asks, where the reader can judge it exactly.
pub(super) fn condition(filter: &Expr, columns: &SchemaRef) -> Option<Condition> {
    match filter {
        // What DataFusion makes of short lists.
        Expr::BinaryExpr(either) if either.op == Operator::Or => {
            let (one, other) = (condition(&either.left, columns)?, condition(&either.right, columns)?);
            match (one.asked, other.asked) {
                (Asked::OneOf(texts), Asked::OneOf(more)) if one.column == other.column => {
                    let both = texts.into_iter().chain(more).collect();
                    Some(Condition { column: one.column, asked: Asked::OneOf(both) })
                }
                _ => None,
            }
        }
        Expr::BinaryExpr(comparison) => {
            let (column, operator, literal) = match (&*comparison.left, &*comparison.right) {
                (Expr::Column(column), Expr::Literal(literal, _)) => (column, comparison.op, literal),
                (Expr::Literal(literal, _), Expr::Column(column)) => (column, comparison.op.swap()?, literal),
                _ => return None,
            };
            let data_type = columns.field_with_name(&column.name).ok()?.data_type();
            let asked = comparison_with(operator, literal, data_type)?;
            Some(Condition { column: column.name.clone(), asked })
        }
        Expr::InList(list) if !list.negated => {
            let Expr::Column(column) = &*list.expr else { return None };
            if columns.field_with_name(&column.name).ok()?.data_type() != &DataType::Utf8 {
                return None;
            }
            let text = |item: &Expr| match item {
                Expr::Literal(literal, _) => text_of(literal).map(ToOwned::to_owned),
                _ => None,
            };
            let texts = list.list.iter().map(text).collect::<Option<Vec<_>>>()?;
            Some(Condition { column: column.name.clone(), asked: Asked::OneOf(texts) })
        }
        _ => None,
    }
}

fn comparison_with(operator: Operator, literal: &ScalarValue, data_type: &DataType) -> Option<Asked> {
    if data_type == &DataType::Utf8 {
        let text = text_of(literal)?;
        return match operator {
            Operator::Eq => Some(Asked::OneOf(vec![text.to_owned()])),
            Operator::GtEq => Some(Asked::AtLeast(Datum::string(text))),
            Operator::LtEq => Some(Asked::AtMost(Datum::string(text))),
            // The next text after one is that with a zero byte behind it; none lies just before one.
            Operator::Gt => Some(Asked::AtLeast(Datum::string(format!("{text}\0")))),
            _ => None,
        };
    }
    let (number, make) = number_of(literal, data_type)?;
    match operator {
        Operator::Eq => Some(Asked::Between(make(number)?, make(number)?)),
        Operator::GtEq => Some(Asked::AtLeast(make(number)?)),
        Operator::LtEq => Some(Asked::AtMost(make(number)?)),
        // Beyond the last number there is none: a filter that no row meets stays DataFusion's.
        Operator::Gt => number.checked_add(1).and_then(make).map(Asked::AtLeast),
        Operator::Lt => number.checked_sub(1).and_then(make).map(Asked::AtMost),
        _ => None,
    }
}

fn text_of(literal: &ScalarValue) -> Option<&str> {
    match literal {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Some(text),
        _ => None,
    }
}

/// How a number becomes a value of a column; `None` where the column's type has no such value.
type MakeDatum = fn(i64) -> Option<Datum>;

/// The literal as a number, where it is of the column's type, and the way back.
fn number_of(literal: &ScalarValue, data_type: &DataType) -> Option<(i64, MakeDatum)> {
    match (data_type, literal) {
        (DataType::Int32, ScalarValue::Int32(Some(value))) => {
            Some((i64::from(*value), |number| i32::try_from(number).ok().map(Datum::int)))
        }
        (DataType::Date32, ScalarValue::Date32(Some(days))) => {
            Some((i64::from(*days), |number| i32::try_from(number).ok().map(Datum::date)))
        }
        (DataType::Int64, ScalarValue::Int64(Some(value))) => {
            Some((*value, |number| Some(Datum::long(number))))
        }
        (
            DataType::Timestamp(TimeUnit::Microsecond, None),
            ScalarValue::TimestampMicrosecond(Some(value), None),
        ) => Some((*value, |number| Some(Datum::timestamp_micros(number)))),
        (
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)),
            ScalarValue::TimestampMicrosecond(Some(value), Some(_)),
        ) => Some((*value, |number| Some(Datum::timestamptz_micros(number)))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    fn columns() -> SchemaRef {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        Arc::new(Schema::new(vec![
            Field::new("video_id", DataType::Utf8, false),
            Field::new("part", DataType::Int32, false),
            Field::new("likes", DataType::Int64, true),
            Field::new("share", DataType::Float64, true),
            Field::new("at", moment, false),
        ]))
    }

    fn asked(filter: &Expr) -> Option<Asked> {
        condition(filter, &columns()).map(|found| found.asked)
    }

    fn at(us: i64) -> Expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("+00:00".into())), None)
    }

    #[test]
    fn comparisons_become_conditions() {
        let texts = |texts: &[&str]| Some(Asked::OneOf(texts.iter().map(ToString::to_string).collect()));
        assert_eq!(asked(&col("video_id").eq(lit("v"))), texts(&["v"]));
        assert_eq!(asked(&col("video_id").in_list(vec![lit("a"), lit("b")], false)), texts(&["a", "b"]));
        let either = col("video_id").eq(lit("a")).or(col("video_id").eq(lit("b")));
        assert_eq!(asked(&either.or(col("video_id").eq(lit("c")))), texts(&["a", "b", "c"]));
        assert_eq!(asked(&col("video_id").gt(lit("v"))), Some(Asked::AtLeast(Datum::string("v\0"))));
        assert_eq!(asked(&col("part").lt(lit(3_i32))), Some(Asked::AtMost(Datum::int(2))));
        assert_eq!(asked(&lit(3_i64).lt(col("likes"))), Some(Asked::AtLeast(Datum::long(4))));
        let moment = Datum::timestamptz_micros(7);
        assert_eq!(asked(&col("at").eq(at(7))), Some(Asked::Between(moment.clone(), moment.clone())));
        assert_eq!(asked(&col("at").gt_eq(at(7))), Some(Asked::AtLeast(moment)));
    }

    #[test]
    fn what_the_reader_would_judge_otherwise_stays_with_datafusion() {
        for filter in [
            col("video_id").not_eq(lit("v")),
            col("video_id").lt(lit("v")),
            col("video_id").in_list(vec![lit("a")], true),
            col("video_id").in_list(vec![col("video_id")], false),
            col("video_id").eq(lit(ScalarValue::Utf8(None))),
            col("part").eq(lit(3_i64)),
            col("part").gt(lit(i32::MAX)),
            col("likes").lt(lit(i64::MIN)),
            col("share").gt(lit(0.5)),
            col("at").eq(Expr::Literal(ScalarValue::TimestampMicrosecond(Some(7), None), None)),
            cast(col("at"), DataType::Utf8).eq(lit("x")),
            col("nope").eq(lit("x")),
            col("video_id").eq(lit("v")).or(col("part").eq(lit(3_i32))),
            col("video_id").eq(lit("v")).or(col("video_id").gt(lit("v"))),
            col("likes").is_null(),
        ] {
            assert_eq!(asked(&filter), None, "{filter}");
        }
    }
}
