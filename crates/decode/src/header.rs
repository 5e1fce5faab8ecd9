//! Takes a record apart into its header fields, each still as source text.

use crate::json_string::unescape;
use crate::scan::{Fault, FaultKind, Scanner};
use crate::watch_time;

/// A header field that the contract knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    EventId,
    EventTimestamp,
    VideoId,
    UserId,
    EventType,
    SchemaVersion,
    Payload,
    PayloadJson,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::EventId,
        Self::EventTimestamp,
        Self::VideoId,
        Self::UserId,
        Self::EventType,
        Self::SchemaVersion,
        Self::Payload,
        Self::PayloadJson,
    ];

    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EventId => "event_id",
            Self::EventTimestamp => "event_timestamp",
            Self::VideoId => "video_id",
            Self::UserId => "user_id",
            Self::EventType => "event_type",
            Self::SchemaVersion => "schema_version",
            Self::Payload => "payload",
            Self::PayloadJson => "payload_json",
        }
    }

    /// The field that a key's source text (quotes included) names, however it is escaped.
    fn of_raw_key(raw_key: &str) -> Option<Self> {
        match raw_key {
            "\"event_id\"" => Some(Self::EventId),
            "\"event_timestamp\"" => Some(Self::EventTimestamp),
            "\"video_id\"" => Some(Self::VideoId),
            "\"user_id\"" => Some(Self::UserId),
            "\"event_type\"" => Some(Self::EventType),
            "\"schema_version\"" => Some(Self::SchemaVersion),
            "\"payload\"" => Some(Self::Payload),
            "\"payload_json\"" => Some(Self::PayloadJson),
            _ if raw_key.contains('\\') => {
                let key = unescape(raw_key, &mut String::new()).ok()?;
                Self::ALL.into_iter().find(|field| field.name() == key)
            }
            _ => None,
        }
    }
}

/// A record's header: the source text of every field.
#[derive(Debug, Default)]
pub(crate) struct RawHeader<'a> {
    known: [Option<&'a str>; Field::ALL.len()],
    /// Unknown fields as (key with its quotes, value), in the order of their appearance.
    pub(crate) unknown: Vec<(&'a str, &'a str)>,
    /// `watch_time_ms` of a `payload` object, read in passing; 0 where there is none.
    pub(crate) payload_watch_time_ms: i64,
}

impl<'a> RawHeader<'a> {
    /// Parses one JSON object with nothing but white space around it, nested no deeper than `max_depth`. No known
    /// field may stand there twice.
    pub(crate) fn parse(text: &'a str, max_depth: usize) -> Result<Self, Fault> {
        let mut header = Self::default();
        Scanner::walk_object(text, max_depth, |scanner, raw_key| header.take_entry(scanner, raw_key))?;
        Ok(header)
    }

    fn take_entry(&mut self, scanner: &mut Scanner<'a>, raw_key: &'a str) -> Result<(), Fault> {
        const RECORD_LEVEL: usize = 1;
        let start = scanner.position();
        let Some(field) = Field::of_raw_key(raw_key) else {
            self.unknown.push((raw_key, scanner.value(RECORD_LEVEL)?));
            return Ok(());
        };
        if self.known[field as usize].is_some() {
            return Err(Fault { at: start, kind: FaultKind::Repeated(field.name()) });
        }
        let raw_value = if field == Field::Payload && scanner.peek() == Some(b'{') {
            self.payload_watch_time_ms = watch_time::of_object(scanner, RECORD_LEVEL + 1)?;
            scanner.source_since(start)
        } else {
            scanner.value(RECORD_LEVEL)?
        };
        self.known[field as usize] = Some(raw_value);
        Ok(())
    }

    /// The field's source text; `None` when it is absent or null.
    pub(crate) fn get(&self, field: Field) -> Option<&'a str> {
        self.known[field as usize].filter(|raw| *raw != "null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_source_text() {
        let header = RawHeader::parse(
            " {\"event_id\" : \"a\\u0062\", \"x\\n\":[1, 2],\"user\\u005fid\":1e999,\"video_id\":null, \"\\ud800\":\"\\udc00\"}\n",
            128,
        )
        .unwrap();
        assert_eq!(header.get(Field::EventId), Some("\"a\\u0062\""));
        assert_eq!(header.get(Field::UserId), Some("1e999"));
        assert_eq!(header.get(Field::VideoId), None);
        assert_eq!(header.unknown, [("\"x\\n\"", "[1, 2]"), ("\"\\ud800\"", "\"\\udc00\"")]);
    }

    #[test]
    fn names_and_keys_agree() {
        for (index, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, index);
            assert_eq!(Field::of_raw_key(&format!("\"{}\"", field.name())), Some(field));
        }
    }

    #[test]
    fn a_known_field_twice_is_named() {
        let error = RawHeader::parse(r#"{"event_id":null,"event\u005fid":"b"}"#, 128).unwrap_err();
        assert!(error.to_string().contains("event_id"), "{error}");
    }

    #[test]
    fn unknown_fields_may_repeat() {
        assert_eq!(RawHeader::parse(r#"{"x":1,"x":2}"#, 128).unwrap().unknown.len(), 2);
    }
}
