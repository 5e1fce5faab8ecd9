//! The registry as rows of its table.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use pulselake_model::cold;

use super::error::DriftError;
use super::registry::{FieldStatus, RegisteredField, Registry, Remainder};
use crate::batch::payload_column::PayloadType;

/// Stands for the key in the two rows that are no fields. A payload may have this key too: status tells them apart.
const NO_KEY: &str = "*";
const OVERFLOW: &str = "overflow";
const NO_OBJECT: &str = "no_object";
/// What timestamps of the model are in.
const UTC: &str = "+00:00";

struct Row {
    key: String,
    status: &'static str,
    field: RegisteredField,
}

impl Registry {
    /// Its rows, in the order of the keys.
    ///
    /// # Errors
    /// None in this build: the columns are the model's.
    pub fn to_rows(&self) -> Result<RecordBatch, ArrowError> {
        let of_field = |(key, field): (&String, &RegisteredField)| Row {
            key: key.clone(),
            status: field.status.as_str(),
            field: field.clone(),
        };
        let remainders = [(NO_OBJECT, &self.no_object), (OVERFLOW, &self.overflow)];
        let of_remainder = |(status, found): (&'static str, &Option<Remainder>)| {
            found.as_ref().map(|found| row_of(status, found))
        };
        let rows: Vec<Row> =
            remainders.into_iter().filter_map(of_remainder).chain(self.fields.iter().map(of_field)).collect();
        let texts = |value: fn(&Row) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(value).collect::<StringArray>())
        };
        let longs = |value: fn(&Row) -> u64| -> ArrayRef {
            let long = |row: &Row| i64::try_from(value(row)).unwrap_or(i64::MAX);
            Arc::new(Int64Array::from_iter_values(rows.iter().map(long)))
        };
        let moments = |value: fn(&Row) -> i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(value)).with_timezone(UTC))
        };
        RecordBatch::try_new(
            cold::payload_fields(),
            vec![
                texts(|row| Some(&row.key)),
                texts(|row| row.field.column_name.as_deref()),
                texts(|row| row.field.column_type.map(PayloadType::as_str)),
                texts(|row| Some(row.status)),
                moments(|row| row.field.first_seen_us),
                moments(|row| row.field.last_seen_us),
                texts(|row| row.field.sample.as_deref()),
                longs(|row| row.field.events),
                Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.field.share))),
                longs(|row| row.field.conflicts),
                texts(|row| row.field.renamed_from.as_deref()),
            ],
        )
    }

    /// Adds the rows of `batch`, which has the table's columns.
    ///
    /// # Errors
    /// [`DriftError::Registry`] for rows that this build did not write.
    pub fn add_rows(&mut self, batch: &RecordBatch) -> Result<(), DriftError> {
        let columns = Columns { batch };
        let texts = |name| columns.texts(name);
        let (keys, names, types) = (texts("field")?, texts("column_name")?, texts("type")?);
        let (statuses, samples, renamed) = (texts("status")?, texts("sample")?, texts("renamed_from")?);
        let first_seen = columns.numbers::<TimestampMicrosecondType>("first_seen")?;
        let last_seen = columns.numbers::<TimestampMicrosecondType>("last_seen")?;
        let events = columns.numbers::<Int64Type>("events")?;
        let shares = columns.numbers::<Float64Type>("share")?;
        let conflicts = columns.numbers::<Int64Type>("conflicts")?;
        for row in 0..batch.num_rows() {
            let text = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
            let key = text(keys).unwrap_or_default();
            let count = |column: &Int64Array| u64::try_from(column.value(row)).unwrap_or_default();
            let remainder = Remainder {
                first_seen_us: first_seen.value(row),
                last_seen_us: last_seen.value(row),
                sample: text(samples),
                events: count(events),
                share: shares.value(row),
            };
            let status_name = text(statuses).unwrap_or_default();
            match status_name.as_str() {
                OVERFLOW => self.overflow = Some(remainder),
                NO_OBJECT => self.no_object = Some(remainder),
                _ => {
                    let status = FieldStatus::of_name(&status_name)
                        .ok_or_else(|| unknown(&key, "status", &status_name))?;
                    let column_type = text(types)
                        .map(|name| PayloadType::of_name(&name).ok_or_else(|| unknown(&key, "type", &name)))
                        .transpose()?;
                    let field = RegisteredField {
                        column_name: text(names),
                        column_type,
                        status,
                        first_seen_us: remainder.first_seen_us,
                        last_seen_us: remainder.last_seen_us,
                        sample: remainder.sample,
                        events: remainder.events,
                        share: remainder.share,
                        conflicts: count(conflicts),
                        renamed_from: text(renamed),
                    };
                    self.fields.insert(key, field);
                }
            }
        }
        Ok(())
    }
}

fn row_of(status: &'static str, remainder: &Remainder) -> Row {
    let field = RegisteredField {
        column_name: None,
        column_type: None,
        // Of no field: the row's own status is written.
        status: FieldStatus::OverCap,
        first_seen_us: remainder.first_seen_us,
        last_seen_us: remainder.last_seen_us,
        sample: remainder.sample.clone(),
        events: remainder.events,
        share: remainder.share,
        conflicts: 0,
        renamed_from: None,
    };
    Row { key: NO_KEY.to_owned(), status, field }
}

fn unknown(key: &str, column: &str, found: &str) -> DriftError {
    let reason =
        format!("field {key:?} has {column} {found:?}, which this build does not know: run a newer one");
    DriftError::Registry { reason }
}

struct Columns<'a> {
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, DriftError> {
        let missing =
            || DriftError::Registry { reason: format!("column {name} is missing or of another type") };
        self.batch.column_by_name(name).ok_or_else(missing)
    }

    fn texts(&self, name: &str) -> Result<&'a StringArray, DriftError> {
        let wrong = || DriftError::Registry { reason: format!("column {name} is no text") };
        self.column(name)?.as_string_opt().ok_or_else(wrong)
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> Result<&'a arrow::array::PrimitiveArray<T>, DriftError> {
        let wrong = || DriftError::Registry { reason: format!("column {name} is not {}", T::DATA_TYPE) };
        self.column(name)?.as_primitive_opt::<T>().ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(
        status: FieldStatus,
        column_type: Option<PayloadType>,
        column_name: Option<&str>,
    ) -> RegisteredField {
        RegisteredField {
            column_name: column_name.map(ToOwned::to_owned),
            column_type,
            status,
            first_seen_us: 1_770_000_000_000_001,
            last_seen_us: 1_770_000_000_000_002,
            sample: column_name.map(|name| format!("sample of {name}")),
            events: 7,
            share: 0.25,
            conflicts: 3,
            renamed_from: column_name.map(|_| "old".to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut registry = Registry::default();
        for (place, status) in FieldStatus::ALL.into_iter().enumerate() {
            let column_type = PayloadType::ALL.get(place).copied();
            let name = column_type.map(PayloadType::as_str);
            registry.fields.insert(format!("key {place} \"ä\""), field(status, column_type, name));
        }
        // A key that looks as the rows without one, and the empty one.
        registry
            .fields
            .insert("*".to_owned(), field(FieldStatus::Column, Some(PayloadType::Long), Some("field")));
        registry.fields.insert(String::new(), field(FieldStatus::Pending, None, None));
        let remainder = |events| Remainder {
            first_seen_us: 1,
            last_seen_us: 2,
            sample: Some("x".to_owned()),
            events,
            share: 0.5,
        };
        registry.overflow = Some(remainder(1));
        registry.no_object = Some(remainder(2));
        let rows = registry.to_rows().unwrap();
        assert_eq!(rows.num_rows(), 9);
        let mut read = Registry::default();
        read.add_rows(&rows).unwrap();
        assert_eq!(read, registry);
        assert_eq!(Registry::default().to_rows().unwrap().num_rows(), 0);
    }

    #[test]
    fn words_of_a_newer_build_are_told() {
        let mut registry = Registry::default();
        registry
            .fields
            .insert("mood".to_owned(), field(FieldStatus::Column, Some(PayloadType::Long), Some("mood")));
        let rows = registry.to_rows().unwrap();
        let mut columns = rows.columns().to_vec();
        columns[2] = Arc::new(StringArray::from(vec!["decimal"]));
        let changed = RecordBatch::try_new(rows.schema(), columns).unwrap();
        let refusal = Registry::default().add_rows(&changed).unwrap_err().to_string();
        assert!(refusal.contains("\"mood\"") && refusal.contains("\"decimal\""), "{refusal}");
    }
}
