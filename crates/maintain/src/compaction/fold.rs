//! Folds the rows of a key that lie next to each other into one: sums are added, the highest revision stays.
//!
//! The sums of a column are the same before and after; [`Totals`] lets the caller check that they were.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, DynComparator, Int32Array, Int64Array, PrimitiveArray,
    RecordBatch, UInt32Array, make_comparator,
};
use arrow::compute::{SortOptions, concat_batches, take, take_record_batch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;

use super::policy::FoldRule;
use super::sort_key::SortKey;

/// What a column does when rows are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Part of the key, or the same in all rows of a key.
    Same,
    Sum,
    Max,
}

/// Rows, and the sums of the columns that are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Rows.
    pub rows: u64,
    /// By column of the fold rule's `sum`.
    pub sums: Vec<i128>,
}

/// Folds a sorted stream.
pub(crate) struct Folder {
    rule: FoldRule,
    roles: Vec<Role>,
    key: SortKey,
    /// The last row so far: the next one may be of the same key.
    open: Option<RecordBatch>,
}

impl Folder {
    /// A folder for batches of `schema`. The error says what of the rule does not fit it.
    pub(crate) fn new(rule: &FoldRule, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let mut roles = Vec::new();
        for field in schema.fields() {
            let named = |columns: &[String]| columns.iter().any(|column| column == field.name());
            let is_integer = matches!(field.data_type(), DataType::Int32 | DataType::Int64);
            roles.push(match () {
                () if named(&rule.key) || named(&rule.same) => Role::Same,
                () if named(&rule.sum) && is_integer => Role::Sum,
                () if named(&rule.max) => Role::Max,
                () => {
                    let (name, data_type) = (field.name(), field.data_type());
                    let what =
                        format!("column {name} {data_type} is in no part of the fold rule that it fits");
                    return Err(ArrowError::SchemaError(what));
                }
            });
        }
        let all = rule.sum.iter().chain(&rule.max).chain(&rule.same);
        if let Some(missing) = all.into_iter().find(|column| schema.index_of(column).is_err()) {
            return Err(ArrowError::SchemaError(format!("column {missing} of the fold rule does not exist")));
        }
        Ok(Self { rule: rule.clone(), roles, key: SortKey::new(schema, &rule.key)?, open: None })
    }

    /// Adds sorted rows; returns those that are finished.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>, ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let rows = match self.open.take() {
            None => batch.clone(),
            Some(open) => concat_batches(&batch.schema(), [&open, batch])?,
        };
        let folded = self.fold(&rows)?;
        let last = folded.num_rows() - 1;
        // A copy: a slice would keep the whole batch in memory.
        self.open = Some(take_record_batch(&folded, &UInt32Array::from(vec![last as u32]))?);
        Ok((last > 0).then(|| folded.slice(0, last)))
    }

    /// The last row.
    pub(crate) fn finish(&mut self) -> Option<RecordBatch> {
        self.open.take()
    }

    /// Adds the rows of a batch to `totals`.
    pub(crate) fn count(&self, batch: &RecordBatch, totals: &mut Totals) -> Result<(), ArrowError> {
        totals.rows += batch.num_rows() as u64;
        totals.sums.resize(self.rule.sum.len(), 0);
        for (total, name) in totals.sums.iter_mut().zip(&self.rule.sum) {
            let column = batch.column(batch.schema_ref().index_of(name)?);
            *total += match column.data_type() {
                DataType::Int32 => exact_sum(column.as_primitive::<Int32Type>()),
                _ => exact_sum(column.as_primitive::<Int64Type>()),
            };
        }
        Ok(())
    }

    fn fold(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let keys = self.key.encode(batch)?;
        let starts: Vec<usize> =
            (0..batch.num_rows()).filter(|&row| row == 0 || keys.row(row) != keys.row(row - 1)).collect();
        if starts.len() == batch.num_rows() {
            return Ok(batch.clone());
        }
        let ends = starts.iter().skip(1).copied().chain([batch.num_rows()]);
        let spans: Vec<(usize, usize)> = starts.iter().copied().zip(ends).collect();
        let columns = batch
            .columns()
            .iter()
            .zip(&self.roles)
            .enumerate()
            .map(|(index, (column, role))| match role {
                Role::Sum => add_spans(column, &spans),
                Role::Max => pick(column, &spans, highest_of),
                Role::Same => pick(column, &spans, only_of).map_err(|error| match error {
                    ArrowError::ComputeError(what) => {
                        let name = batch.schema_ref().field(index).name().clone();
                        ArrowError::ComputeError(format!("column {name} {what}"))
                    }
                    other => other,
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(batch.schema(), columns)
    }
}

/// The sum of the values that are not NULL; it can't overflow.
fn exact_sum<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>) -> i128
where
    i128: From<T::Native>,
{
    match column.null_count() {
        0 => column.values().iter().map(|&value| i128::from(value)).sum(),
        _ => column.iter().flatten().map(i128::from).sum(),
    }
}

/// One row of each span.
fn pick(
    column: &ArrayRef,
    spans: &[(usize, usize)],
    choose: fn(&DynComparator, usize, usize) -> Result<usize, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let compare = make_comparator(column, column, SortOptions { descending: false, nulls_first: true })?;
    let rows = spans
        .iter()
        .map(|&(start, end)| if end - start == 1 { Ok(start) } else { choose(&compare, start, end) })
        .map(|row| row.map(|found| found as u32))
        .collect::<Result<Vec<u32>, _>>()?;
    take(column, &UInt32Array::from(rows), None)
}

fn highest_of(compare: &DynComparator, start: usize, end: usize) -> Result<usize, ArrowError> {
    Ok((start + 1..end).fold(start, |highest, row| if compare(row, highest).is_gt() { row } else { highest }))
}

fn only_of(compare: &DynComparator, start: usize, end: usize) -> Result<usize, ArrowError> {
    match (start + 1..end).all(|row| compare(row, start).is_eq()) {
        true => Ok(start),
        false => Err(ArrowError::ComputeError("differs between rows of one key".to_string())),
    }
}

/// The sum of each span; NULL where all of it is.
fn add_spans(column: &ArrayRef, spans: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
    let overflow = || ArrowError::ComputeError("a sum does not fit its column any more".to_string());
    let value_at = |row: usize| match column.data_type() {
        _ if column.is_null(row) => None,
        DataType::Int32 => Some(i64::from(column.as_primitive::<Int32Type>().value(row))),
        _ => Some(column.as_primitive::<Int64Type>().value(row)),
    };
    let mut sums: Vec<Option<i64>> = Vec::with_capacity(spans.len());
    for &(start, end) in spans {
        let mut sum: Option<i64> = None;
        for value in (start..end).filter_map(value_at) {
            sum = Some(sum.unwrap_or(0).checked_add(value).ok_or_else(overflow)?);
        }
        sums.push(sum);
    }
    if *column.data_type() != DataType::Int32 {
        return Ok(Arc::new(Int64Array::from(sums)));
    }
    let narrow = |sum: Option<i64>| sum.map(|wide| i32::try_from(wide).map_err(|_| overflow())).transpose();
    let narrowed = sums.into_iter().map(narrow).collect::<Result<Vec<Option<i32>>, _>>()?;
    Ok(Arc::new(Int32Array::from(narrowed)))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("k", DataType::Int64, false),
            Field::new("s", DataType::Int64, true),
            Field::new("m", DataType::Int32, true),
            Field::new("w", DataType::Int64, true),
        ]))
    }

    fn rule() -> FoldRule {
        let names = |name: &str| vec![name.to_string()];
        FoldRule { key: names("k"), sum: names("s"), max: names("m"), same: names("w") }
    }

    type Row = (i64, Option<i64>, Option<i32>, Option<i64>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1))),
            Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.2))),
            Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.3))),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    }

    fn folded(parts: &[&[Row]]) -> Result<Vec<Row>, ArrowError> {
        let mut folder = Folder::new(&rule(), &schema())?;
        let (mut out, mut before, mut after) = (Vec::new(), Totals::default(), Totals::default());
        for part in parts {
            let rows = batch(part);
            folder.count(&rows, &mut before)?;
            out.extend(folder.push(&rows)?);
        }
        out.extend(folder.finish());
        let mut result = Vec::new();
        for rows in &out {
            folder.count(rows, &mut after)?;
            let int = |column: usize, row: usize| {
                let values = rows.column(column).as_primitive::<Int64Type>();
                values.is_valid(row).then(|| values.value(row))
            };
            let revisions = rows.column(2).as_primitive::<Int32Type>();
            for row in 0..rows.num_rows() {
                let revision = revisions.is_valid(row).then(|| revisions.value(row));
                result.push((int(0, row).unwrap(), int(1, row), revision, int(3, row)));
            }
        }
        assert_eq!(before.sums, after.sums);
        Ok(result)
    }

    #[test]
    fn revisions_of_a_key_become_one_row_across_batches() {
        let rows = folded(&[
            &[(1, Some(5), Some(0), Some(9)), (2, Some(1), Some(0), Some(8))],
            &[(2, Some(-3), Some(7), Some(8))],
            &[(2, Some(10), Some(3), Some(8)), (3, None, None, None)],
        ])
        .unwrap();
        let expected =
            [(1, Some(5), Some(0), Some(9)), (2, Some(8), Some(7), Some(8)), (3, None, None, None)];
        assert_eq!(rows, expected);
    }

    #[test]
    fn null_adds_nothing_and_is_lower_than_any_revision() {
        let rows = folded(&[&[
            (1, None, None, None),
            (1, Some(2), Some(-4), None),
            (2, None, None, None),
            (2, None, None, None),
        ]]);
        assert_eq!(rows.unwrap(), [(1, Some(2), Some(-4), None), (2, None, None, None)]);
    }

    #[test]
    fn a_sum_that_overflows_and_a_column_that_differs_are_refused() {
        assert!(folded(&[&[(1, Some(i64::MAX), None, None), (1, Some(1), None, None)]]).is_err());
        let differs = folded(&[&[(1, None, None, Some(1)), (1, None, None, Some(2))]]);
        assert!(differs.unwrap_err().to_string().contains("column w differs"));
    }

    #[test]
    fn a_column_that_the_rule_does_not_know_is_refused() {
        let unknown = FoldRule { same: Vec::new(), ..rule() };
        assert!(Folder::new(&unknown, &schema()).is_err());
        let missing = FoldRule { max: vec!["m".to_string(), "gone".to_string()], ..rule() };
        assert!(Folder::new(&missing, &schema()).is_err());
    }
}
