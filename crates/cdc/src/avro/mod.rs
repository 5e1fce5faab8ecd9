//! Records that name their schema in a Confluent-compatible registry: a zero byte, the schema's id (32 bits, big-endian), and
//! the value in Avro's binary encoding by that schema.
//!
//! Such a record becomes the text that Connect's JSON converter would have written of the same value, and what its schema
//! declares of the row; from there on there is one way for both forms. Fetching schemas is somebody else's: a record names the
//! ids that are wanted ([`named_schemas`]), and [`WriterSchemas`] has what the registry said.

mod decode;
#[cfg(test)]
mod encoded_tests;
mod schema;
#[cfg(test)]
mod schema_tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use pulselake_decode::Rejection;
use pulselake_model::{ErrorCode, RawBatch};

use self::decode::{Fault, Limits, json_text};
pub use self::schema::{SchemaError, WriterSchema};
use crate::CdcSettings;
use crate::rejection::{rejection, shown};

/// First byte of a record that names its schema. No JSON begins with it.
const MAGIC: u8 = 0;
/// The magic byte and the id.
const HEADER_BYTES: usize = 5;

/// What the registry said of an id.
#[derive(Clone, Debug)]
pub enum SchemaAnswer {
    /// The schema.
    Known(Arc<WriterSchema>),
    /// There is one that records can't be read by, and why.
    Unusable(String),
    /// There is none.
    Unknown,
}

/// Answers of the registry, by id.
pub type WriterSchemas = HashMap<u32, SchemaAnswer>;

/// The ids of the schemas that the records of a batch name.
pub fn named_schemas(batch: &RawBatch) -> BTreeSet<u32> {
    let mut named = BTreeSet::new();
    let mut last = None;
    for record in &batch.records {
        let id = schema_id(batch.value(record));
        // As a rule all have one.
        if id != last {
            named.extend(id);
            last = id;
        }
    }
    named
}

fn schema_id(value: &[u8]) -> Option<u32> {
    let (header, _) = value.split_first_chunk::<HEADER_BYTES>()?;
    let [MAGIC, id @ ..] = *header else { return None };
    Some(u32::from_be_bytes(id))
}

/// Whether a value names a schema of a registry.
pub(crate) fn is_framed(value: &[u8]) -> bool {
    value.first() == Some(&MAGIC)
}

/// The text of a framed value, "" where it is null, and its schema.
pub(crate) fn text_of<'a>(
    settings: &CdcSettings,
    schemas: &'a WriterSchemas,
    value: &[u8],
) -> Result<(String, &'a WriterSchema), Rejection> {
    if value.len() > settings.max_record_bytes {
        let reason = format!("the value has {} bytes, more than {}", value.len(), settings.max_record_bytes);
        return Err(rejection(ErrorCode::TooLarge, reason));
    }
    let Some(id) = schema_id(value) else {
        let reason =
            "begins with a zero byte, as records by a schema registry do, and ends inside the schema's id";
        return Err(rejection(ErrorCode::MalformedAvro, reason));
    };
    let schema = known(settings, schemas, id)?;
    if !schema.is_of_a_record() {
        let reason = format!("schema {id} is not of a record with op, before and after");
        return Err(rejection(ErrorCode::WrongType, reason));
    }
    let limits = Limits { max_text_bytes: settings.max_record_bytes, max_depth: settings.max_nesting_depth };
    let text = json_text(schema, &value[HEADER_BYTES..], limits)
        .map_err(|(fault, at)| rejected(settings, id, value.len(), fault, HEADER_BYTES + at))?;
    Ok((if text == "null" { String::new() } else { text }, schema))
}

fn known<'a>(
    settings: &CdcSettings,
    schemas: &'a WriterSchemas,
    id: u32,
) -> Result<&'a WriterSchema, Rejection> {
    let reason = match schemas.get(&id) {
        _ if !settings.has_schema_registry => format!(
            "names schema {id} of a schema registry (Avro), and cdc.schema_registry_url is not set: set it, or use Debezium's JsonConverter"
        ),
        Some(SchemaAnswer::Known(schema)) => return Ok(schema),
        Some(SchemaAnswer::Unusable(reason)) => {
            format!("the registry's schema {id} can't be used: {}", shown(reason))
        }
        Some(SchemaAnswer::Unknown) | None => {
            format!("the registry at cdc.schema_registry_url has no schema {id}: is it the producer's?")
        }
    };
    Err(rejection(ErrorCode::UnknownSchema, reason))
}

fn rejected(settings: &CdcSettings, id: u32, length: usize, fault: Fault, at: usize) -> Rejection {
    let place = format!("by schema {id}, at byte {at} of {length}");
    let (code, reason) = match fault {
        Fault::Truncated => (ErrorCode::MalformedAvro, "the record ends inside a value".to_owned()),
        Fault::Trailing(bytes) => (ErrorCode::MalformedAvro, format!("{bytes} bytes follow the record")),
        Fault::BadNumber => (ErrorCode::MalformedAvro, "a number is beyond its type".to_owned()),
        Fault::BadBoolean(byte) => (ErrorCode::MalformedAvro, format!("a boolean is 0x{byte:02x}")),
        Fault::NoSuchChoice(number) => {
            (ErrorCode::MalformedAvro, format!("a union or an enum has no choice {number}"))
        }
        Fault::NegativeLength(length) => (ErrorCode::MalformedAvro, format!("a length is {length}")),
        Fault::NotUtf8 => (ErrorCode::NotUtf8, "a string is not UTF-8".to_owned()),
        Fault::TooDeep => {
            let reason = format!("nested deeper than {} levels", settings.max_nesting_depth);
            (ErrorCode::MalformedAvro, reason)
        }
        Fault::TooLong => {
            let reason = format!("longer as JSON than {} bytes", settings.max_record_bytes);
            (ErrorCode::TooLarge, reason)
        }
    };
    rejection(code, format!("{reason}, {place}"))
}
