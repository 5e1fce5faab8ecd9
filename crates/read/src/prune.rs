//! Which parts of a table can't hold a row that a filter wants: partitions, files, row groups, pages.
//!
//! Every answer errs towards reading: what a writer did not note, or noted in another type than the table's present one,
//! rules nothing out.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use iceberg::spec::{DataFile, Datum, PartitionSpec, TableMetadata, Transform};
use iceberg::transform::create_transform_function;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use crate::adapt::{DefaultColumn, field_id};
use crate::partition::PartitionPredicate;
use crate::row_filter::{BoundFilter, Condition, Value, value_of};

/// What a filter asks of the partitions of each of a table's specs.
pub(crate) fn of_partitions(
    filter: &BoundFilter,
    metadata: &TableMetadata,
) -> HashMap<i32, PartitionPredicate> {
    let specs = metadata.partition_specs_iter();
    specs.map(|spec| (spec.spec_id(), of_spec(filter, spec))).collect()
}

fn of_spec(filter: &BoundFilter, spec: &PartitionSpec) -> PartitionPredicate {
    let mut predicate = PartitionPredicate::all();
    for condition in filter.conditions() {
        for field in spec.fields().iter().filter(|field| field.source_id == condition.field_id) {
            if let Some(values) = condition.texts().and_then(|texts| transformed(texts, field.transform)) {
                predicate = predicate.one_of(&field.name, values);
            }
            if let Some((lower, upper)) =
                condition.range().and_then(|range| transformed_range(&range, field.transform))
            {
                predicate = predicate.between_known(&field.name, lower, upper);
            }
        }
    }
    predicate
}

fn transformed(texts: &[String], transform: Transform) -> Option<Vec<Datum>> {
    if !matches!(transform, Transform::Bucket(_) | Transform::Identity | Transform::Truncate(_)) {
        return None;
    }
    let function = create_transform_function(&transform).ok()?;
    let mut values: Vec<Datum> = Vec::new();
    for text in texts {
        let value = function.transform_literal(&Datum::string(text)).ok()??;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Some(values)
}

/// Only of transforms that keep the order. An end that can't be transformed is open.
fn transformed_range(
    range: &(Option<Datum>, Option<Datum>),
    transform: Transform,
) -> Option<(Option<Datum>, Option<Datum>)> {
    let keeps_order = matches!(
        transform,
        Transform::Identity
            | Transform::Truncate(_)
            | Transform::Year
            | Transform::Month
            | Transform::Day
            | Transform::Hour
    );
    if !keeps_order {
        return None;
    }
    let function = create_transform_function(&transform).ok()?;
    let end = |datum: &Option<Datum>| function.transform_literal(datum.as_ref()?).ok().flatten();
    Some((end(&range.0), end(&range.1)))
}

/// Whether a file may concern wanted rows, by what its manifest says of columns: a data file by holding some, an
/// equality delete file by deleting some. Position deletes always may.
pub(crate) fn file_may_match(filter: &BoundFilter, file: &DataFile) -> bool {
    filter.conditions().iter().all(|condition| {
        let id = condition.field_id;
        let is_all_null =
            file.null_value_counts().get(&id).is_some_and(|nulls| *nulls == file.record_count());
        let lowest = file.lower_bounds().get(&id).and_then(|known| value_of(&condition.primitive, known));
        let highest = file.upper_bounds().get(&id).and_then(|known| value_of(&condition.primitive, known));
        !is_all_null && condition.may_be_met(lowest, highest)
    })
}

/// The rows of one Parquet file that may be wanted.
pub(crate) struct FilePruner<'a> {
    metadata: &'a ArrowReaderMetadata,
    /// Conditions on columns that the file has, each with its place among the leaves.
    in_file: Vec<(&'a Condition, StatisticsConverter<'a>, usize)>,
    has_no_row: bool,
}

impl<'a> FilePruner<'a> {
    /// A pruner of the file with this footer. `defaults`: the table's initial defaults.
    pub(crate) fn new(
        filter: &'a BoundFilter,
        metadata: &'a ArrowReaderMetadata,
        defaults: &HashMap<i32, DefaultColumn>,
    ) -> Self {
        let mut pruner = Self { metadata, in_file: Vec::new(), has_no_row: false };
        for condition in filter.conditions() {
            let columns = metadata.schema().fields();
            let Some(column) = columns.iter().find(|field| field_id(field) == Some(condition.field_id))
            else {
                // The column is NULL in all rows. Where it must not be, the adaptation of rows says so.
                pruner.has_no_row |= !defaults.contains_key(&condition.field_id) && !condition.is_required;
                continue;
            };
            if !is_comparable(column.data_type(), &condition.data_type) {
                continue;
            }
            let converter =
                StatisticsConverter::try_new(column.name(), metadata.schema(), metadata.parquet_schema());
            let Ok(converter) = converter else { continue };
            if let Some(leaf) = converter.parquet_column_index() {
                pruner.in_file.push((condition, converter, leaf));
            }
        }
        pruner
    }

    /// The rows of a row group that may be wanted, as sorted ranges that don't touch.
    pub(crate) fn rows(&self, row_group: usize) -> Vec<Range<usize>> {
        let rows = self.metadata.metadata().row_group(row_group).num_rows() as usize;
        if self.has_no_row || rows == 0 {
            return Vec::new();
        }
        let all: Vec<Range<usize>> = std::iter::once(0..rows).collect();
        self.in_file.iter().fold(all, |so_far, (condition, converter, leaf)| {
            match so_far.is_empty() || !self.group_may_match(row_group, condition, converter, *leaf) {
                true => Vec::new(),
                false => match self.pages(row_group, rows, condition, converter, *leaf) {
                    None => so_far,
                    Some(pages) => intersection(&so_far, &pages),
                },
            }
        })
    }

    fn group_may_match(
        &self,
        row_group: usize,
        condition: &Condition,
        converter: &StatisticsConverter<'_>,
        leaf: usize,
    ) -> bool {
        let group = self.metadata.metadata().row_group(row_group);
        let statistics = group.column(leaf).statistics();
        // Old writers compared bytes as signed numbers.
        if statistics.is_none_or(|known| known.is_min_max_deprecated()) {
            return true;
        }
        let (lowest, highest) = (converter.row_group_mins([group]), converter.row_group_maxes([group]));
        let (Ok(lowest), Ok(highest)) = (lowest, highest) else { return true };
        condition.may_be_met(value_at(&lowest, 0), value_at(&highest, 0))
    }

    /// The rows of the pages that may match; `None` where nothing is known of pages.
    fn pages(
        &self,
        row_group: usize,
        rows: usize,
        condition: &Condition,
        converter: &StatisticsConverter<'_>,
        leaf: usize,
    ) -> Option<Vec<Range<usize>>> {
        let metadata = self.metadata.metadata();
        let (columns, offsets) = (metadata.column_index()?, metadata.offset_index()?);
        let pages = offsets.get(row_group)?.get(leaf)?.page_locations();
        columns.get(row_group)?.get(leaf)?;
        let lowest = converter.data_page_mins(columns, offsets, [&row_group]).ok()?;
        let highest = converter.data_page_maxes(columns, offsets, [&row_group]).ok()?;
        if lowest.len() != pages.len() || highest.len() != pages.len() {
            return None;
        }
        let mut found: Vec<Range<usize>> = Vec::new();
        for (page, location) in pages.iter().enumerate() {
            if !condition.may_be_met(value_at(&lowest, page), value_at(&highest, page)) {
                continue;
            }
            let start = usize::try_from(location.first_row_index).ok()?;
            let end = match pages.get(page + 1) {
                Some(next) => usize::try_from(next.first_row_index).ok()?,
                None => rows,
            };
            match found.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => found.push(start..end),
            }
        }
        Some(found)
    }
}

/// Whether statistics of a column of this type in the file mean the same in the table's type.
fn is_comparable(in_file: &DataType, in_table: &DataType) -> bool {
    match (in_file, in_table) {
        (DataType::Int32, DataType::Int64) => true,
        (
            DataType::Timestamp(TimeUnit::Microsecond, from_zone),
            DataType::Timestamp(TimeUnit::Microsecond, to_zone),
        ) => from_zone.is_some() == to_zone.is_some(),
        (from, to) => from == to,
    }
}

fn value_at(values: &ArrayRef, place: usize) -> Option<Value<'_>> {
    if place >= values.len() || values.is_null(place) {
        return None;
    }
    match values.data_type() {
        DataType::Utf8 => Some(Value::Text(values.as_string::<i32>().value(place).as_bytes())),
        DataType::Int32 => Some(Value::Number(values.as_primitive::<Int32Type>().value(place).into())),
        DataType::Date32 => Some(Value::Number(values.as_primitive::<Date32Type>().value(place).into())),
        DataType::Int64 => Some(Value::Number(values.as_primitive::<Int64Type>().value(place))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(Value::Number(values.as_primitive::<TimestampMicrosecondType>().value(place)))
        }
        _ => None,
    }
}

/// The rows in both; each side sorted.
fn intersection(left: &[Range<usize>], right: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut found, mut at_left, mut at_right) = (Vec::new(), 0, 0);
    while let (Some(one), Some(other)) = (left.get(at_left), right.get(at_right)) {
        let both = one.start.max(other.start)..one.end.min(other.end);
        if !both.is_empty() {
            found.push(both);
        }
        match one.end < other.end {
            true => at_left += 1,
            false => at_right += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(rows: &[bool]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for (row, _) in rows.iter().enumerate().filter(|(_, is_in)| **is_in) {
            match found.last_mut() {
                Some(last) if last.end == row => last.end = row + 1,
                _ => found.push(row..row + 1),
            }
        }
        found
    }

    proptest! {
        #[test]
        fn the_intersection_has_the_rows_of_both(rows in prop::collection::vec((any::<bool>(), any::<bool>()), 0..60)) {
            let (left, right): (Vec<bool>, Vec<bool>) = rows.iter().copied().unzip();
            let found: Vec<usize> = intersection(&ranges(&left), &ranges(&right)).into_iter().flatten().collect();
            let expected: Vec<usize> = (0..rows.len()).filter(|row| left[*row] && right[*row]).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_date_in_the_file_says_nothing_of_a_moment_in_the_table() {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
        assert!(!is_comparable(&DataType::Date32, &moment));
        assert!(!is_comparable(&DataType::Timestamp(TimeUnit::Millisecond, None), &moment));
        assert!(is_comparable(&DataType::Int32, &DataType::Int64));
    }
}
