//! Judges the row of a change against the tables' columns: its key, its values, and what the columns have to become.

use std::borrow::Cow;
use std::fmt;

use pulselake_decode::Rejection;
use pulselake_model::ErrorCode;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::attribute::{Form, attribute_count, attributes, text};
use crate::columns::{Columns, Target};
use crate::connect_schema::{Declared, RowTypes};
use crate::envelope::malformed;
use crate::names::further_name;
use crate::read_value::{self, Found};
use crate::rejection::{missing, rejection, shown};
use crate::value::{ColumnType, Value};

/// The fields of a row: name and source text of the value, by name.
pub(crate) struct RowFields<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> RowFields<'a> {
    /// Takes an object apart; no name may stand there twice.
    pub(crate) fn parse(object: &'a str) -> Result<Self, Rejection> {
        let Entries(mut fields) = serde_json::from_str(object).map_err(|error| malformed(&error, object))?;
        fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        match fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            None => Ok(Self(fields)),
            Some(pair) => Err(twice(&pair[0].0, &pair[1].0)),
        }
    }

    /// Every field that is not null.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().filter(|(_, raw)| *raw != "null").map(|(name, raw)| (name.as_ref(), *raw))
    }
}

fn twice(one: &str, other: &str) -> Rejection {
    let reason = format!("{} and {} are one column: the row has two values of it", shown(one), shown(other));
    rejection(ErrorCode::MalformedJson, reason)
}

/// Name and source text of an object's fields as they stand there.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a str)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Vec<(Cow<'de, str>, &'de str)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some((Name(name), raw)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    entries.push((name, raw.get()));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(EntriesVisitor).map(Entries)
    }
}

/// A row that is in order.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: String,
    /// By place of the base columns, the key's empty; then by number of the further ones.
    pub(crate) values: Vec<Value>,
}

/// What the columns have to become for a row.
#[derive(Debug, PartialEq)]
enum Change {
    Add { name: String, column_type: ColumnType },
    Widen { number: usize, column_type: ColumnType },
}

/// The key of a row, which must be there.
pub(crate) fn required_key(
    columns: &mut Columns,
    place: &str,
    fields: &RowFields<'_>,
) -> Result<String, Rejection> {
    let name = columns.entity().key_column();
    let field = format!("{place}.{name}");
    match key(columns, fields)? {
        None => Err(missing(&field, "is absent or null")),
        Some(key) if key.is_empty() => Err(missing(&field, "is empty")),
        Some(key) => Ok(key),
    }
}

/// The key of a row, if it has one.
pub(crate) fn key(columns: &mut Columns, fields: &RowFields<'_>) -> Result<Option<String>, Rejection> {
    for (name, raw) in fields.present() {
        if columns.target(name) == Target::Attribute(0) {
            return text(name, raw).map(|key| Some(key.into_owned()));
        }
    }
    Ok(None)
}

/// Judges a row in full. Only when all of it is in order do the columns change.
///
/// Asked in this order: the key, then the fields by name.
pub(crate) fn judge(
    columns: &mut Columns,
    max_columns: usize,
    types: Option<&RowTypes>,
    fields: &RowFields<'_>,
) -> Result<Row, Rejection> {
    let key = required_key(columns, "after", fields)?;
    let mut reading = Reading::new(columns);
    let declared = |name: &str| types.and_then(|types| types.get(name)).copied();
    let mut aliases = Vec::new();
    for (name, raw) in fields.present() {
        match reading.columns.target(name) {
            Target::Attribute(at) if at >= reading.base_count => aliases.push((name, raw, at)),
            Target::Attribute(at) => reading.attribute(name, declared(name), raw, at)?,
            target => reading.further(name, declared(name), raw, target)?,
        }
    }
    for (name, raw, at) in aliases {
        let place = attributes(reading.columns.entity())[at].at;
        if reading.values[place] == Value::Null {
            reading.attribute(name, declared(name), raw, at)?;
        } else {
            let target = reading.columns.further_target(name);
            reading.further(name, declared(name), raw, target)?;
        }
    }
    let Reading { values, changes, .. } = reading;
    let added = changes.iter().filter(|change| matches!(change, Change::Add { .. })).count();
    if added > 0 && columns.history_count() + added > max_columns {
        let reason = format!(
            "the row brings {added} new columns to {}: more than {max_columns} together",
            columns.history_count()
        );
        return Err(rejection(ErrorCode::TooManyColumns, reason));
    }
    for change in changes {
        match change {
            Change::Add { name, column_type } => {
                columns.push(name, Some(column_type));
            }
            Change::Widen { number, column_type } => columns.widen(number, column_type),
        }
    }
    Ok(Row { key, values })
}

/// A row that is being read.
struct Reading<'a> {
    columns: &'a mut Columns,
    base_count: usize,
    values: Vec<Value>,
    changes: Vec<Change>,
    /// Further columns there were before this row.
    further_count: usize,
}

impl<'a> Reading<'a> {
    fn new(columns: &'a mut Columns) -> Self {
        let (base_count, further_count) = (attribute_count(columns.entity()), columns.further_count());
        let values = vec![Value::Null; base_count + further_count];
        Self { columns, base_count, values, changes: Vec::new(), further_count }
    }

    fn attribute(
        &mut self,
        name: &str,
        declared: Option<Declared>,
        raw: &str,
        at: usize,
    ) -> Result<(), Rejection> {
        let attribute = &attributes(self.columns.entity())[at];
        if attribute.form == Form::Key {
            return Ok(());
        }
        let value = attribute.read(declared, raw)?;
        self.set(attribute.at, name, value)
    }

    fn further(
        &mut self,
        name: &str,
        declared: Option<Declared>,
        raw: &str,
        target: Target,
    ) -> Result<(), Rejection> {
        if target == Target::Unnamable {
            let reason = format!("no column can be called {:?}: name it otherwise", shown(name));
            return Err(rejection(ErrorCode::WrongType, reason));
        }
        let found = read_value::read(name, declared, raw)?;
        match target {
            Target::Further(number) => {
                let value = self.fit(number, name, found, raw)?;
                self.set(self.base_count + number, name, value)
            }
            _ => self.add(name, found),
        }
    }

    fn fit(&mut self, number: usize, name: &str, found: Found, raw: &str) -> Result<Value, Rejection> {
        let (_, column_type) = self.columns.further(number);
        let type_of_record = found.column_type.name();
        let fitted = column_type.and_then(|column_type| read_value::fit(column_type, found, raw));
        let Some((widened, value)) = fitted else {
            let of_table =
                column_type.map_or_else(|| "one that can't be written".to_owned(), ColumnType::name);
            let reason = format!(
                "column {} is {of_table} in the table and {type_of_record} in the record: {}",
                shown(name),
                shown(raw)
            );
            return Err(rejection(ErrorCode::TypeChanged, reason));
        };
        if column_type != Some(widened) {
            self.changes.push(Change::Widen { number, column_type: widened });
        }
        Ok(value)
    }

    fn add(&mut self, source_name: &str, found: Found) -> Result<(), Rejection> {
        let name = further_name(source_name);
        for change in &self.changes {
            if let Change::Add { name: other, .. } = change
                && other.eq_ignore_ascii_case(&name)
            {
                return Err(twice(other, source_name));
            }
        }
        self.changes.push(Change::Add { name: name.into_owned(), column_type: found.column_type });
        self.values.push(found.value);
        debug_assert!(self.values.len() > self.base_count + self.further_count);
        Ok(())
    }

    fn set(&mut self, place: usize, name: &str, value: Value) -> Result<(), Rejection> {
        let known = &mut self.values[place];
        if *known != Value::Null {
            return Err(rejection(
                ErrorCode::MalformedJson,
                format!("{} is one column with another field: the row has two values of it", shown(name)),
            ));
        }
        *known = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulselake_model::{ColumnChange, Entity, schema};

    fn columns() -> Columns {
        let entity = Entity::Videos;
        Columns::new(entity, &schema::dimension_history(entity), &schema::dimension(entity)).unwrap()
    }

    fn judged(columns: &mut Columns, row: &str) -> Result<Row, Rejection> {
        judge(columns, 30, None, &RowFields::parse(row)?)
    }

    fn code(columns: &mut Columns, row: &str) -> ErrorCode {
        judged(columns, row).unwrap_err().code
    }

    fn changes(columns: &Columns) -> Vec<String> {
        columns.changes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn base_columns_aliases_and_further_ones_find_their_place() {
        let mut columns = columns();
        let row = judged(
            &mut columns,
            r#"{"video_id":"v","author_id":"a","duration_sec":2,"Category":"c","title":"t","likes":5,"gone":null}"#,
        )
        .unwrap();
        assert_eq!(row.key, "v");
        assert_eq!(row.values[1], Value::text("a"));
        assert_eq!(row.values[2], Value::text("c"));
        assert_eq!(row.values[5], Value::Long(2_000));
        assert_eq!(row.values[8..], [Value::Long(5), Value::text("t")]);
        assert_eq!(changes(&columns), ["add likes as Int64", "add title as Utf8"]);
    }

    #[test]
    fn an_alias_beside_its_column_is_a_column_of_its_own() {
        let mut columns = columns();
        let row = judged(&mut columns, r#"{"video_id":"v","author_id":"a","creator_id":"c"}"#).unwrap();
        assert_eq!(row.values[1], Value::text("c"));
        assert_eq!(row.values[8], Value::text("a"));
        assert_eq!(changes(&columns), ["add author_id as Utf8"]);
        let row = judged(&mut columns, r#"{"video_id":"v","author_id":"a"}"#).unwrap();
        assert_eq!((&row.values[1], &row.values[8]), (&Value::text("a"), &Value::Null));
    }

    #[test]
    fn names_that_the_engine_has_taken_get_a_prefix() {
        let mut columns = columns();
        judged(&mut columns, r#"{"video_id":"v","op":1,"src_op":2,"UPDATED_AT":3}"#).unwrap();
        assert_eq!(
            changes(&columns),
            ["add src_UPDATED_AT as Int64", "add src_op as Int64", "add src_src_op as Int64"]
        );
    }

    #[test]
    fn a_rejected_row_changes_no_column() {
        let mut columns = columns();
        judged(&mut columns, r#"{"video_id":"v","a":1}"#).unwrap();
        let rejection = judged(&mut columns, r#"{"video_id":"v","a":"x","b":1}"#).unwrap_err();
        assert_eq!(rejection.code, ErrorCode::TypeChanged);
        assert_eq!(rejection.reason, r#"column a is long in the table and string in the record: "x""#);
        assert_eq!(changes(&columns), ["add a as Int64"]);
    }

    #[test]
    fn every_fault_has_its_code() {
        let mut columns = columns();
        let cases = [
            (r#"{"category":"c"}"#, ErrorCode::MissingField),
            (r#"{"video_id":null}"#, ErrorCode::MissingField),
            (r#"{"video_id":""}"#, ErrorCode::MissingField),
            (r#"{"video_id":5}"#, ErrorCode::WrongType),
            (r#"{"video_id":"\ud800"}"#, ErrorCode::MalformedJson),
            (r#"{"video_id":"v","category":5}"#, ErrorCode::WrongType),
            (r#"{"video_id":"v","upload_time":"x"}"#, ErrorCode::BadTimestamp),
            (r#"{"video_id":"v","":1}"#, ErrorCode::WrongType),
            (r#"{"video_id":"v","a\n":1}"#, ErrorCode::WrongType),
            (r#"{"video_id":"v","a":1,"a":2}"#, ErrorCode::MalformedJson),
            (r#"{"video_id":"v","a":1,"\u0061":2}"#, ErrorCode::MalformedJson),
            (r#"{"video_id":"v","a":1,"A":2}"#, ErrorCode::MalformedJson),
            (r#"{"video_id":"v","status":"x","STATUS":"y"}"#, ErrorCode::MalformedJson),
        ];
        for (row, expected) in cases {
            assert_eq!(code(&mut columns, row), expected, "{row}");
        }
    }

    #[test]
    fn columns_are_bounded() {
        let mut columns = columns();
        let base = columns.history_count();
        let row = |count: usize| {
            let fields: Vec<String> = (0..count).map(|number| format!("\"c{number}\":1")).collect();
            format!(r#"{{"video_id":"v",{}}}"#, fields.join(","))
        };
        assert_eq!(code(&mut columns, &row(31 - base)), ErrorCode::TooManyColumns);
        judged(&mut columns, &row(30 - base)).unwrap();
        assert_eq!(columns.history_count(), 30);
        assert_eq!(code(&mut columns, r#"{"video_id":"v","one_more":1}"#), ErrorCode::TooManyColumns);
        judged(&mut columns, &row(3)).unwrap();
    }

    #[test]
    fn columns_widen_once() {
        let mut columns = columns();
        let types: RowTypes = [("a".to_owned(), Declared::Int)].into_iter().collect();
        let fields = RowFields::parse(r#"{"video_id":"v","a":1}"#).unwrap();
        judge(&mut columns, 30, Some(&types), &fields).unwrap();
        columns.changes_made();
        assert!(columns.changes().is_empty());
        judged(&mut columns, r#"{"video_id":"v","a":5000000000}"#).unwrap();
        assert_eq!(
            columns.changes(),
            [ColumnChange::Promote { name: "a".to_owned(), data_type: arrow::datatypes::DataType::Int64 }]
        );
        columns.changes_made();
        assert!(columns.changes().is_empty());
    }
}
