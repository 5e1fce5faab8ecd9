//! Takes a record apart into operation, rows and order: Debezium's envelope, full or bare.
//!
//! Rows stay source text: what they hold is judged against the tables' columns, see [`crate::row`].

use std::borrow::Cow;

use pulselake_decode::Rejection;
use pulselake_model::ErrorCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::CdcSettings;
use crate::order::VersionOrder;
use crate::position::Source;
use crate::rejection::{json_type, missing, rejection, shown, wrong_type};

/// The latest moment a table can hold, 9999-12-31T23:59:59.999Z, in milliseconds since the epoch.
pub(crate) const MAX_TIMESTAMP_MS: i64 = 253_402_300_799_999;

/// What a change did to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Read,
}

impl Operation {
    /// Debezium's letter.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
        }
    }

    fn parse(letter: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Read]
            .into_iter()
            .find(|operation| operation.as_str() == letter)
    }
}

/// A record whose envelope is in order. Rows are source text of JSON objects.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) operation: Operation,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) order: VersionOrder,
    /// Source text of the `schema` part, an object.
    pub(crate) schema: Option<&'a str>,
}

/// What a record is.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Tombstone,
    Change(Envelope<'a>),
}

/// The fields of a record that the contract knows, of both forms at once.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    /// There, null or not: that makes the form.
    #[serde(borrow, default, deserialize_with = "there")]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    ts_ms: Option<&'a RawValue>,
}

fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Judges everything about a record but its rows.
pub(crate) fn read<'a>(
    settings: &CdcSettings,
    value: &'a [u8],
    record_timestamp_ms: Option<i64>,
) -> Result<Record<'a>, Rejection> {
    if value.is_empty() {
        return Ok(Record::Tombstone);
    }
    let text = text_within_limits(settings, value)?;
    let outer = fields(text)?;
    let (Some(payload), None) = (outer.payload, outer.op) else {
        return change(&outer, None, record_timestamp_ms).map(Record::Change);
    };
    match json_type(payload.get()) {
        // What old versions of Connect's JSON converter make of a tombstone.
        "null" => Ok(Record::Tombstone),
        "an object" => {
            let schema = outer.schema.map(|raw| object("schema", raw)).transpose()?;
            change(&fields(payload.get())?, schema, record_timestamp_ms).map(Record::Change)
        }
        _ => Err(wrong_type("payload", "an object", payload.get())),
    }
}

fn change<'a>(
    fields: &Fields<'a>,
    schema: Option<&'a str>,
    record_timestamp_ms: Option<i64>,
) -> Result<Envelope<'a>, Rejection> {
    let raw_operation = fields.op.ok_or_else(|| missing("op", "is absent or null"))?.get();
    if !raw_operation.starts_with('"') {
        return Err(wrong_type("op", "a string", raw_operation));
    }
    let operation = Operation::parse(&string("op", raw_operation)?).ok_or_else(|| {
        let reason = format!("op {} is none of c, u, d, r", shown(raw_operation));
        rejection(ErrorCode::UnknownOperation, reason)
    })?;
    let before = fields.before.map(|raw| object("before", raw)).transpose()?;
    let after = fields.after.map(|raw| object("after", raw)).transpose()?;
    let (needed, row) = match operation {
        Operation::Delete => ("before", before),
        _ => ("after", after),
    };
    if row.is_none() {
        return Err(missing(needed, &format!("is absent or null, which op {} needs", operation.as_str())));
    }
    let order = order(fields, record_timestamp_ms)?;
    Ok(Envelope { operation, before, after, order, schema })
}

fn order(fields: &Fields<'_>, record_timestamp_ms: Option<i64>) -> Result<VersionOrder, Rejection> {
    let source = match fields.source {
        None => Source::default(),
        Some(raw) => {
            serde_json::from_str(object("source", raw)?).map_err(|error| malformed(&error, raw.get()))?
        }
    };
    let stated = match (source.ts_ms, fields.ts_ms) {
        (Some(raw), _) => Some(timestamp_ms("source.ts_ms", raw.get())?),
        (None, Some(raw)) => Some(timestamp_ms("ts_ms", raw.get())?),
        (None, None) => None,
    };
    let of_record = record_timestamp_ms.filter(|timestamp| *timestamp >= 0);
    let source_ts_ms =
        stated.or_else(|| of_record.map(|timestamp| timestamp.min(MAX_TIMESTAMP_MS))).ok_or_else(|| {
            missing("source.ts_ms", "is absent or null, and so are ts_ms and the record's timestamp")
        })?;
    let position = source.position();
    Ok(VersionOrder {
        position: position.map(|(major, _)| major),
        position_minor: position.map(|(_, minor)| minor),
        source_ts_ms,
    })
}

fn timestamp_ms(field: &str, raw: &str) -> Result<i64, Rejection> {
    if json_type(raw) != "a number" {
        return Err(wrong_type(field, "a number", raw));
    }
    let timestamp = raw.parse().ok().filter(|timestamp| (0..=MAX_TIMESTAMP_MS).contains(timestamp));
    timestamp.ok_or_else(|| {
        let reason = format!("{field} {} is not epoch milliseconds from 1970 to 9999", shown(raw));
        rejection(ErrorCode::BadTimestamp, reason)
    })
}

fn text_within_limits<'a>(settings: &CdcSettings, value: &'a [u8]) -> Result<&'a str, Rejection> {
    if value.len() > settings.max_record_bytes {
        let reason = format!("the value has {} bytes, more than {}", value.len(), settings.max_record_bytes);
        return Err(rejection(ErrorCode::TooLarge, reason));
    }
    let text = std::str::from_utf8(value).map_err(|error| {
        let position = error.valid_up_to();
        let reason = format!("byte 0x{:02x} at position {position} is not UTF-8", value[position]);
        rejection(ErrorCode::NotUtf8, reason)
    })?;
    let begun = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let not_well_formed = |reason: String| Err(rejection(ErrorCode::MalformedJson, reason));
    if begun.is_empty() {
        return not_well_formed("the value is white space alone".to_owned());
    }
    if !begun.starts_with('{') {
        return not_well_formed(format!("not a JSON object: {}", shown(begun)));
    }
    if is_nested_deeper(text.as_bytes(), settings.max_nesting_depth) {
        let reason = format!("nested deeper than {} levels: {}", settings.max_nesting_depth, shown(begun));
        return not_well_formed(reason);
    }
    Ok(text)
}

/// Whether objects and arrays nest deeper than `max_depth`. Of text that is not JSON it may say anything.
fn is_nested_deeper(text: &[u8], max_depth: usize) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max_depth {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The known fields of an object; none of them may stand there twice.
fn fields(text: &str) -> Result<Fields<'_>, Rejection> {
    serde_json::from_str(text).map_err(|error| malformed(&error, text))
}

pub(crate) fn malformed(error: &serde_json::Error, text: &str) -> Rejection {
    rejection(ErrorCode::MalformedJson, format!("{error}: {}", shown(text)))
}

fn object<'a>(field: &str, raw: &'a RawValue) -> Result<&'a str, Rejection> {
    let text = raw.get();
    if text.starts_with('{') { Ok(text) } else { Err(wrong_type(field, "an object", text)) }
}

/// The content of a string whose source text is `raw`, quotes included.
pub(crate) fn string<'a>(field: &str, raw: &'a str) -> Result<Cow<'a, str>, Rejection> {
    let content = &raw[1..raw.len() - 1];
    if !content.contains('\\') {
        return Ok(Cow::Borrowed(content));
    }
    serde_json::from_str(raw).map(Cow::Owned).map_err(|_| {
        let reason = format!("{} has a lone surrogate, which is not UTF-8: {}", shown(field), shown(raw));
        rejection(ErrorCode::MalformedJson, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> CdcSettings {
        CdcSettings { max_nesting_depth: 5, max_record_bytes: 300, ..CdcSettings::default() }
    }

    fn code(value: &[u8]) -> ErrorCode {
        read(&settings(), value, Some(5)).unwrap_err().code
    }

    fn change_of(value: &str) -> Envelope<'_> {
        match read(&settings(), value.as_bytes(), Some(5)).unwrap() {
            Record::Change(envelope) => envelope,
            Record::Tombstone => panic!("a tombstone: {value}"),
        }
    }

    #[test]
    fn both_forms_are_read() {
        let bare =
            r#"{"op":"c","after":{"a":1},"source":{"connector":"postgresql","lsn":9,"ts_ms":7},"ts_ms":8}"#;
        let full = format!(r#" {{"schema":{{"type":"struct"}}, "payload": {bare}}} "#);
        for (text, schema) in [(bare, None), (full.as_str(), Some(r#"{"type":"struct"}"#))] {
            let envelope = change_of(text);
            assert_eq!(envelope.operation, Operation::Create);
            assert_eq!((envelope.before, envelope.after), (None, Some(r#"{"a":1}"#)));
            assert_eq!(
                envelope.order,
                VersionOrder { position: Some(9), position_minor: Some(0), source_ts_ms: 7 }
            );
            assert_eq!(envelope.schema, schema);
        }
    }

    #[test]
    fn the_time_is_the_sources_then_the_envelopes_then_the_records() {
        assert_eq!(change_of(r#"{"op":"r","after":{},"ts_ms":8}"#).order.source_ts_ms, 8);
        assert_eq!(change_of(r#"{"op":"r","after":{},"source":{"ts_ms":null}}"#).order.source_ts_ms, 5);
        let rejection = read(&settings(), br#"{"op":"r","after":{}}"#, Some(-1)).unwrap_err();
        assert_eq!(rejection.code, ErrorCode::MissingField);
    }

    #[test]
    fn tombstones_have_no_value_or_no_payload() {
        for value in ["", r#"{"schema":null,"payload":null}"#, r#"{"payload":null}"#] {
            assert!(matches!(read(&settings(), value.as_bytes(), None), Ok(Record::Tombstone)), "{value}");
        }
    }

    #[test]
    fn every_fault_has_its_code() {
        let long = format!(r#"{{"op":"c","after":{{"a":"{}"}}}}"#, "x".repeat(300));
        let cases: [(&[u8], ErrorCode); 23] = [
            (long.as_bytes(), ErrorCode::TooLarge),
            (b"{\"op\":\"\xff\"}", ErrorCode::NotUtf8),
            (b"  ", ErrorCode::MalformedJson),
            (b"null", ErrorCode::MalformedJson),
            (b"[1]", ErrorCode::MalformedJson),
            (br#"["c",{"a":1}]"#, ErrorCode::MalformedJson),
            (br#"{"op":"c""#, ErrorCode::MalformedJson),
            (br#"{"op":"c"} x"#, ErrorCode::MalformedJson),
            (br#"{"op":"c","op":"c","after":{}}"#, ErrorCode::MalformedJson),
            (br#"{"op":"c","after":{},"source":{"ts_ms":1,"ts_ms":2}}"#, ErrorCode::MalformedJson),
            (br#"{"op":"c","after":{"a":[[[[1]]]]}}"#, ErrorCode::MalformedJson),
            (br#"{"op":"c","after":{"a":NaN}}"#, ErrorCode::MalformedJson),
            (br#"{"after":{}}"#, ErrorCode::MissingField),
            (br#"{"op":"c","after":null,"before":{}}"#, ErrorCode::MissingField),
            (br#"{"op":"d","after":{},"before":null}"#, ErrorCode::MissingField),
            (br#"{"op":1,"after":{}}"#, ErrorCode::WrongType),
            (br#"{"op":"c","after":[]}"#, ErrorCode::WrongType),
            (br#"{"op":"c","after":{},"source":"x"}"#, ErrorCode::WrongType),
            (br#"{"schema":{},"payload":"x"}"#, ErrorCode::WrongType),
            (br#"{"op":"t","source":{}}"#, ErrorCode::UnknownOperation),
            (br#"{"op":"m"}"#, ErrorCode::UnknownOperation),
            (br#"{"op":"c","after":{},"ts_ms":-1}"#, ErrorCode::BadTimestamp),
            (br#"{"op":"c","after":{},"source":{"ts_ms":1e3}}"#, ErrorCode::BadTimestamp),
        ];
        for (value, expected) in cases {
            assert_eq!(code(value), expected, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn an_unknown_operation_is_named() {
        let rejection = read(&settings(), br#"{"op":"truncate"}"#, None).unwrap_err();
        assert!(rejection.reason.contains("truncate"), "{}", rejection.reason);
    }

    #[test]
    fn brackets_inside_strings_do_not_nest() {
        change_of(r#"{"op":"c","after":{"a":"[[[[[[{{{{\"[[["},"ts_ms":1}"#);
    }
}
