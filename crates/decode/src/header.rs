//! Takes a record apart into its header fields, each still as source text.

use std::borrow::Cow;

use crate::json_string::{LoneSurrogate, between_quotes, unescape};
use crate::scan::{Fault, FaultKind, Key, Scanner, StringContent, Walked};
use crate::unescaped::Unescaped;
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

    /// The field that a key names, however it is escaped.
    #[inline]
    fn of_key(scanner: &Scanner<'_>, key: Key) -> Option<Self> {
        if key.is_escaped {
            let name = unescape(scanner.raw_key(key)).ok()?;
            return Self::of_name(name.as_bytes());
        }
        Self::of_name(scanner.raw_name(key))
    }

    #[inline]
    fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name().as_bytes() == name)
    }

    /// This field's bit in a set of fields.
    #[inline]
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A record's header: the source text of every field.
#[derive(Debug, Default)]
pub(crate) struct RawHeader<'a> {
    /// By field; empty where it is absent or null.
    known: [&'a str; Field::ALL.len()],
    /// The fields that stand there, null or not, one bit each.
    seen: u8,
    /// Those of them that are strings without escapes.
    as_written: u8,
    /// Unknown fields as (key with its quotes, value), in the order of their appearance.
    pub(crate) unknown: Vec<(&'a str, &'a str)>,
    /// `watch_time_ms` of a `payload` object, read in passing; 0 where there is none.
    pub(crate) payload_watch_time_ms: i64,
    /// Whether `payload_json` is a string with a lone surrogate.
    body_has_lone_surrogate: bool,
}

impl<'a> RawHeader<'a> {
    /// Parses one JSON object with nothing but white space around it, nested no deeper than `max_depth`. No known
    /// field may stand there twice. The content of a `payload_json` with escapes goes to `unescaped_body`, whatever
    /// was there before.
    pub(crate) fn parse(text: &'a str, max_depth: usize, unescaped_body: &mut Unescaped) -> Walked<Self> {
        let mut header = Self::default();
        Scanner::walk_object(text, max_depth, |scanner, key| {
            header.take_entry(scanner, key, unescaped_body)
        })?;
        Ok(header)
    }

    #[inline]
    fn take_entry(
        &mut self,
        scanner: &mut Scanner<'a>,
        key: Key,
        unescaped_body: &mut Unescaped,
    ) -> Walked<()> {
        const RECORD_LEVEL: usize = 1;
        let start = scanner.position();
        let Some(field) = Field::of_key(scanner, key) else {
            scanner.value(RECORD_LEVEL)?;
            self.unknown.push((scanner.raw_key(key), scanner.source_since(start)));
            return Ok(());
        };
        if self.seen & field.bit() != 0 {
            return Err(Box::new(Fault { at: start, kind: FaultKind::Repeated(field.name()) }));
        }
        self.seen |= field.bit();
        match scanner.peek() {
            Some(b'"') if field == Field::PayloadJson => match scanner.string_into(unescaped_body)? {
                StringContent::AsWritten => self.as_written |= field.bit(),
                StringContent::Unescaped => {}
                StringContent::LoneSurrogate => self.body_has_lone_surrogate = true,
            },
            Some(b'"') => {
                if !scanner.string()? {
                    self.as_written |= field.bit();
                }
            }
            Some(b'{') if field == Field::Payload => {
                self.payload_watch_time_ms = watch_time::of_object(scanner, RECORD_LEVEL + 1)?;
            }
            first => {
                scanner.value(RECORD_LEVEL)?;
                if first == Some(b'n') {
                    return Ok(());
                }
            }
        }
        self.known[field as usize] = scanner.source_since(start);
        Ok(())
    }

    /// The field's source text; `None` when it is absent or null.
    #[inline]
    pub(crate) fn get(&self, field: Field) -> Option<&'a str> {
        Some(self.known[field as usize]).filter(|raw| !raw.is_empty())
    }

    /// The content of a field that is a string without escapes; `None` of every other.
    #[inline]
    pub(crate) fn string_as_written(&self, field: Field) -> Option<&'a str> {
        (self.as_written & field.bit() != 0).then(|| between_quotes(self.known[field as usize]))
    }

    /// The content of a field that is a string.
    #[inline]
    pub(crate) fn string(&self, field: Field) -> Result<Cow<'a, str>, LoneSurrogate> {
        match self.string_as_written(field) {
            Some(content) => Ok(Cow::Borrowed(content)),
            None => unescape(self.known[field as usize]),
        }
    }

    /// The content of a `payload_json` that is a string; `unescaped_body` as [`parse`](Self::parse) left it.
    #[inline]
    pub(crate) fn string_body(&self, unescaped_body: &'a Unescaped) -> Result<Cow<'a, str>, LoneSurrogate> {
        if let Some(content) = self.string_as_written(Field::PayloadJson) {
            return Ok(Cow::Borrowed(content));
        }
        if self.body_has_lone_surrogate {
            return Err(LoneSurrogate);
        }
        // Only whole characters are written, so that the text is UTF-8 again.
        simdutf8::basic::from_utf8(unescaped_body.content()).map(Cow::Borrowed).map_err(|_| LoneSurrogate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Walked<RawHeader<'_>> {
        RawHeader::parse(text, 128, &mut Unescaped::default())
    }

    #[test]
    fn fields_keep_their_source_text() {
        let header = parse(
            " {\"event_id\" : \"a\\u0062\", \"x\\n\":[1, 2],\"user\\u005fid\":1e999,\"video_id\":null, \"\\ud800\":\"\\udc00\"}\n",
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
            assert_eq!(Field::of_name(field.name().as_bytes()), Some(field));
        }
    }

    #[test]
    fn a_known_field_twice_is_named() {
        let error = parse(r#"{"event_id":null,"event\u005fid":"b"}"#).unwrap_err();
        assert!(error.to_string().contains("event_id"), "{error}");
    }

    #[test]
    fn unknown_fields_may_repeat() {
        assert_eq!(parse(r#"{"x":1,"x":2}"#).unwrap().unknown.len(), 2);
    }
}
