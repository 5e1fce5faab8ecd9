//! What the `schema` part of a full envelope says of the row's columns.
//!
//! The same text stands in every record until the source's table changes, so that what was read is kept by the text.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use pulselake_decode::Rejection;
use pulselake_model::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rejection::{rejection, shown};

/// How many texts are kept: a topic has a handful.
const MAX_KEPT: usize = 64;
/// The most digits of an Iceberg decimal.
const MAX_PRECISION: u8 = 38;

/// What the schema declares of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    /// Base64.
    Binary,
    /// Days since the epoch.
    Date,
    TimestampMs,
    TimestampUs,
    TimestampNs,
    /// RFC 3339.
    TimestampText,
    /// Base64 of the unscaled number, or a JSON number.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// A decimal that no column type holds: plain digits in a string.
    WideDecimal {
        scale: i32,
    },
    /// `{"scale":…,"value":…}`: plain digits in a string.
    VariableDecimal,
    TextList,
    /// Anything else: its JSON text in a string.
    Json,
}

/// Declared columns of a row by name.
pub(crate) type RowTypes = HashMap<String, Declared>;

/// The schemas seen so far.
#[derive(Default)]
pub(crate) struct ConnectSchemas {
    by_text: HashMap<Box<str>, Arc<RowTypes>>,
}

impl ConnectSchemas {
    /// What a schema declares of the row; nothing when it describes none.
    pub(crate) fn row_types(&mut self, text: &str) -> Result<Arc<RowTypes>, Rejection> {
        if let Some(known) = self.by_text.get(text) {
            return Ok(known.clone());
        }
        let types = Arc::new(parse(text)?);
        if self.by_text.len() >= MAX_KEPT {
            self.by_text.clear();
        }
        self.by_text.insert(text.into(), types.clone());
        Ok(types)
    }
}

/// A schema of Connect's JSON converter.
#[derive(Deserialize)]
struct Node<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    field: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fields: Option<Vec<Node<'a>>>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<Parameters<'a>>,
}

#[derive(Deserialize)]
struct Parameters<'a> {
    #[serde(borrow)]
    scale: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "connect.decimal.precision")]
    precision: Option<Cow<'a, str>>,
}

fn parse(text: &str) -> Result<RowTypes, Rejection> {
    let envelope: Node<'_> = serde_json::from_str(text).map_err(|error| {
        rejection(ErrorCode::WrongType, format!("schema is not one of Connect's: {error}: {}", shown(text)))
    })?;
    let rows = envelope.fields.unwrap_or_default();
    let named = |wanted: &str| rows.iter().find(|row| row.field.as_deref() == Some(wanted));
    let columns = named("after").or_else(|| named("before")).and_then(|row| row.fields.as_ref());
    let declared = columns
        .into_iter()
        .flatten()
        .filter_map(|column| Some((column.field.as_ref()?.clone().into_owned(), declared(column))));
    Ok(declared.collect())
}

fn declared(column: &Node<'_>) -> Declared {
    let kind = column.kind.as_deref().unwrap_or_default();
    if kind == "array" {
        return if is_text(column.items) { Declared::TextList } else { Declared::Json };
    }
    let parameters = column.parameters.as_ref();
    let meaning = Meaning {
        kind,
        name: column.name.as_deref().unwrap_or_default(),
        scale: parameters.and_then(|found| found.scale.as_ref()?.parse().ok()),
        precision: parameters.and_then(|found| found.precision.as_ref()?.parse().ok()),
    };
    meaning.declared()
}

/// What is said of a type that is no array.
#[derive(Default)]
pub(crate) struct Meaning<'a> {
    /// Connect's word for it.
    pub(crate) kind: &'a str,
    /// What it means; "" where nothing says.
    pub(crate) name: &'a str,
    /// Of a decimal.
    pub(crate) scale: Option<i32>,
    /// Of a decimal.
    pub(crate) precision: Option<u8>,
}

impl Meaning<'_> {
    pub(crate) fn declared(&self) -> Declared {
        match (self.kind, self.name) {
            ("int32", "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date") => Declared::Date,
            ("int64", "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp") => {
                Declared::TimestampMs
            }
            ("int64", "io.debezium.time.MicroTimestamp") => Declared::TimestampUs,
            ("int64", "io.debezium.time.NanoTimestamp") => Declared::TimestampNs,
            ("string", "io.debezium.time.ZonedTimestamp") => Declared::TimestampText,
            ("bytes", "org.apache.kafka.connect.data.Decimal") => self.decimal(),
            ("struct", "io.debezium.data.VariableScaleDecimal") => Declared::VariableDecimal,
            ("boolean", _) => Declared::Boolean,
            ("int8" | "int16" | "int32", _) => Declared::Int,
            ("int64", _) => Declared::Long,
            ("float" | "float32", _) => Declared::Float,
            ("double" | "float64", _) => Declared::Double,
            ("string", _) => Declared::Text,
            ("bytes", _) => Declared::Binary,
            _ => Declared::Json,
        }
    }

    fn decimal(&self) -> Declared {
        let scale = self.scale.unwrap_or(0);
        let precision = self.precision.filter(|precision| (1..=MAX_PRECISION).contains(precision));
        match (precision, i8::try_from(scale)) {
            (Some(precision), Ok(scale)) if (0..=precision.cast_signed()).contains(&scale) => {
                Declared::Decimal { precision, scale }
            }
            _ => Declared::WideDecimal { scale },
        }
    }
}

fn is_text(items: Option<&RawValue>) -> bool {
    let items = items.and_then(|raw| serde_json::from_str::<Node<'_>>(raw.get()).ok());
    items.is_some_and(|item| item.kind.as_deref() == Some("string"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(column: &str) -> Declared {
        let text = format!(
            r#"{{"type":"struct","fields":[{{"type":"struct","field":"before","fields":[]}},
                {{"type":"struct","field":"after","fields":[{column}]}}]}}"#
        );
        ConnectSchemas::default().row_types(&text).unwrap()["x"]
    }

    #[test]
    fn every_type_has_its_meaning() {
        let cases = [
            ("int8", "", "", Declared::Int),
            ("int16", "io.debezium.time.Year", "", Declared::Int),
            ("int32", "", "", Declared::Int),
            ("int64", "", "", Declared::Long),
            ("float", "", "", Declared::Float),
            ("float32", "", "", Declared::Float),
            ("double", "", "", Declared::Double),
            ("float64", "", "", Declared::Double),
            ("boolean", "", "", Declared::Boolean),
            ("string", "io.debezium.data.Uuid", "", Declared::Text),
            ("string", "io.debezium.data.Json", "", Declared::Text),
            ("string", "io.debezium.data.Enum", "", Declared::Text),
            ("bytes", "io.debezium.data.Bits", "", Declared::Binary),
            ("int32", "io.debezium.time.Date", "", Declared::Date),
            ("int64", "io.debezium.time.Timestamp", "", Declared::TimestampMs),
            ("int64", "org.apache.kafka.connect.data.Timestamp", "", Declared::TimestampMs),
            ("int64", "io.debezium.time.MicroTimestamp", "", Declared::TimestampUs),
            ("int64", "io.debezium.time.NanoTimestamp", "", Declared::TimestampNs),
            ("string", "io.debezium.time.ZonedTimestamp", "", Declared::TimestampText),
            ("struct", "io.debezium.data.VariableScaleDecimal", "", Declared::VariableDecimal),
            ("struct", "io.debezium.data.geometry.Point", "", Declared::Json),
            ("map", "", "", Declared::Json),
            ("array", "", r#","items":{"type":"string"}"#, Declared::TextList),
            ("array", "", r#","items":{"type":"int32"}"#, Declared::Json),
        ];
        for (kind, name, more, expected) in cases {
            let column = format!(r#"{{"type":"{kind}","name":"{name}","field":"x"{more}}}"#);
            assert_eq!(one(&column), expected, "{column}");
        }
    }

    #[test]
    fn decimals_that_no_column_holds_are_wide() {
        let decimal = |parameters: &str| {
            one(&format!(
                r#"{{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","field":"x","parameters":{parameters}}}"#
            ))
        };
        assert_eq!(
            decimal(r#"{"scale":"2","connect.decimal.precision":"10"}"#),
            Declared::Decimal { precision: 10, scale: 2 }
        );
        assert_eq!(
            decimal(r#"{"scale":"2","connect.decimal.precision":"39"}"#),
            Declared::WideDecimal { scale: 2 }
        );
        assert_eq!(
            decimal(r#"{"scale":"5","connect.decimal.precision":"2"}"#),
            Declared::WideDecimal { scale: 5 }
        );
        assert_eq!(
            decimal(r#"{"scale":"-2","connect.decimal.precision":"9"}"#),
            Declared::WideDecimal { scale: -2 }
        );
        assert_eq!(decimal(r#"{"scale":"2"}"#), Declared::WideDecimal { scale: 2 });
    }

    #[test]
    fn what_describes_no_row_declares_nothing_and_what_is_no_schema_is_refused() {
        let mut schemas = ConnectSchemas::default();
        assert!(schemas.row_types(r#"{"type":"string"}"#).unwrap().is_empty());
        for text in [r#"{"type":5}"#, r#"{"fields":{}}"#] {
            assert_eq!(schemas.row_types(text).unwrap_err().code, ErrorCode::WrongType);
        }
    }

    #[test]
    fn no_more_texts_are_kept_than_the_bound() {
        let mut schemas = ConnectSchemas::default();
        for number in 0..200 {
            schemas.row_types(&format!(r#"{{"version":{number}}}"#)).unwrap();
        }
        assert!(schemas.by_text.len() <= MAX_KEPT);
    }
}
