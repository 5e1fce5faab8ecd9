//! Decides whether one record is an event, and says why when it is not.

use std::borrow::Cow;

use pulselake_model::{ErrorCode, EventType};

use crate::header::{Field, RawHeader};
use crate::reason::{cut, shown};
use crate::scan::FaultKind;
use crate::settings::DecodeSettings;
use crate::timestamp::{MAX_TIMESTAMP_US, parse_epoch_ms_us, parse_rfc3339_us};
use crate::unescaped::Unescaped;
use crate::{event_id_hash, watch_time};

const DEFAULT_SCHEMA_VERSION: &str = "1.0";
const SUPPORTED_MAJOR_VERSION: &str = "1";
const EMPTY_BODY: &str = "{}";
const US_PER_MS: i64 = 1_000;

/// One valid event. Borrows from the record's bytes wherever nothing had to be unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedEvent<'a> {
    /// `event_id`, not empty.
    pub event_id: Cow<'a, str>,
    /// `event_timestamp` in microseconds since the epoch, 1970 to 9999.
    pub event_timestamp_us: i64,
    /// `video_id`, not empty.
    pub video_id: Cow<'a, str>,
    /// `user_id`, not empty.
    pub user_id: Cow<'a, str>,
    /// Kind of interaction.
    pub event_type: EventType,
    /// `schema_version`; "1.0" where the record has none.
    pub schema_version: Cow<'a, str>,
    /// The body, byte for byte.
    pub payload_json: Cow<'a, str>,
    /// Unknown header fields as one JSON object; `None` when there are none.
    pub header_extra_json: Option<String>,
    /// How far this record may move stream time: min(event timestamp, record timestamp), microseconds.
    pub stream_time_us: i64,
    /// `watch_time_ms` of the body; 0 where it is absent or not a sane number.
    pub watch_time_ms: i64,
}

impl DecodedEvent<'_> {
    /// The same event, borrowing from nothing.
    pub(crate) fn into_owned(self) -> DecodedEvent<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        DecodedEvent {
            event_id: owned(self.event_id),
            video_id: owned(self.video_id),
            user_id: owned(self.user_id),
            schema_version: owned(self.schema_version),
            payload_json: owned(self.payload_json),
            ..self
        }
    }

    /// xxh3-128 of the id: the key of deduplication.
    pub fn event_id_hash(&self) -> u128 {
        event_id_hash(&self.event_id)
    }
}

/// Why a record is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", code.as_str())]
pub struct Rejection {
    /// The class of the fault.
    pub code: ErrorCode,
    /// Names the field and shows its value, printable and cut to 120 characters.
    pub reason: String,
    /// The version that the record states (cut to 120 characters); `None` when it states none or can't be read.
    pub schema_version: Option<String>,
}

impl Rejection {
    fn new(code: ErrorCode, reason: String) -> Self {
        Self { code, reason, schema_version: None }
    }

    fn wrong_type(field: Field, expected: &str, raw: &str) -> Self {
        let (name, found) = (field.name(), json_type(raw));
        Self::new(ErrorCode::WrongType, format!("{name} must be {expected}, not {found}: {}", shown(raw)))
    }
}

/// Judges one record by the rules and in the order of the crate's documentation.
///
/// A body that has to be unescaped is written into `unescaped_body`; a caller who hands over the same buffer again and
/// again pays no allocation for it.
#[inline]
pub(crate) fn judge<'a>(
    settings: &DecodeSettings,
    value: &'a [u8],
    record_timestamp_ms: Option<i64>,
    unescaped_body: &'a mut Unescaped,
) -> Result<DecodedEvent<'a>, Rejection> {
    let text = text_within_limits(settings, value)?;
    let header = well_formed_header(text, settings.max_nesting_depth, unescaped_body)?;
    let stated_version = stated_schema_version(&header)?;
    let schema_version = stated_version.clone().unwrap_or(Cow::Borrowed(DEFAULT_SCHEMA_VERSION));
    judge_fields(settings, &header, schema_version, record_timestamp_ms, unescaped_body).map_err(
        |rejection| Rejection {
            schema_version: stated_version.map(|version| cut(&version).to_owned()),
            ..rejection
        },
    )
}

fn text_within_limits<'a>(settings: &DecodeSettings, value: &'a [u8]) -> Result<&'a str, Rejection> {
    if value.len() > settings.max_record_bytes {
        let reason = format!("the value has {} bytes, more than {}", value.len(), settings.max_record_bytes);
        return Err(Rejection::new(ErrorCode::TooLarge, reason));
    }
    simdutf8::basic::from_utf8(value).map_err(|_| {
        let position = std::str::from_utf8(value).map_or_else(|error| error.valid_up_to(), str::len);
        // The error stands at a byte of the value: there is one.
        let byte = value.get(position).copied().unwrap_or_default();
        let reason = format!(
            "byte 0x{byte:02x} at position {position} is not UTF-8, after: {}",
            shown(&tail(value, position))
        );
        Rejection::new(ErrorCode::NotUtf8, reason)
    })
}

/// The last few characters before `end`, for a reason.
fn tail(value: &[u8], end: usize) -> String {
    const TAIL_BYTES: usize = 40;
    String::from_utf8_lossy(&value[end.saturating_sub(TAIL_BYTES)..end]).into_owned()
}

fn well_formed_header<'a>(
    text: &'a str,
    max_nesting_depth: usize,
    unescaped_body: &mut Unescaped,
) -> Result<RawHeader<'a>, Rejection> {
    RawHeader::parse(text, max_nesting_depth, unescaped_body).map_err(|fault| {
        let begun = text.trim_start_matches([' ', '\t', '\n', '\r']);
        let reason = match begun.chars().next() {
            None => "the value is empty".to_owned(),
            Some('\u{feff}') => format!("begins with a byte order mark: {}", shown(begun)),
            Some('{') if fault.kind == FaultKind::TooDeep => {
                format!(
                    "nested deeper than {max_nesting_depth} levels at byte {}: {}",
                    fault.at,
                    shown(begun)
                )
            }
            Some('{') => {
                format!("{fault}: {}", shown(&text[text.floor_char_boundary(fault.at.saturating_sub(40))..]))
            }
            Some(_) => format!("not a JSON object: {}", shown(begun)),
        };
        Rejection::new(ErrorCode::MalformedJson, reason)
    })
}

/// The version in the header; `None` where it is absent or null. Fails when this decoder can't read that version:
/// the other fields of such a record can't be judged by these rules.
fn stated_schema_version<'a>(header: &RawHeader<'a>) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some(raw) = header.get(Field::SchemaVersion) else {
        return Ok(None);
    };
    let version = string_content(header, Field::SchemaVersion, raw)?;
    let major = version.split('.').next().unwrap_or_default();
    if major == SUPPORTED_MAJOR_VERSION {
        return Ok(Some(version));
    }
    let reason = format!("schema_version {} is not of major version {SUPPORTED_MAJOR_VERSION}", shown(raw));
    let schema_version = Some(cut(&version).to_owned());
    Err(Rejection { code: ErrorCode::UnsupportedSchemaVersion, reason, schema_version })
}

#[inline(always)]
fn judge_fields<'a>(
    settings: &DecodeSettings,
    header: &RawHeader<'a>,
    schema_version: Cow<'a, str>,
    record_timestamp_ms: Option<i64>,
    unescaped_body: &'a Unescaped,
) -> Result<DecodedEvent<'a>, Rejection> {
    let event_id = required_string(header, Field::EventId)?;
    let event_timestamp_us = event_timestamp(header)?;
    let video_id = required_string(header, Field::VideoId)?;
    let user_id = required_string(header, Field::UserId)?;
    let event_type = event_type(header)?;
    let payload_json = body(header, unescaped_body)?;
    let body_watch_time_ms = match header.get(Field::Payload) {
        Some(_) => header.payload_watch_time_ms,
        None => watch_time::of_text(&payload_json),
    };
    let record_timestamp_us = record_timestamp_us(record_timestamp_ms);
    refuse_future(settings, header, event_timestamp_us, record_timestamp_us)?;
    Ok(DecodedEvent {
        event_id,
        event_timestamp_us,
        video_id,
        user_id,
        event_type,
        schema_version,
        watch_time_ms: body_watch_time_ms,
        payload_json,
        header_extra_json: header_extra_json(header),
        stream_time_us: record_timestamp_us
            .map_or(event_timestamp_us, |record_us| record_us.min(event_timestamp_us)),
    })
}

/// A record's own timestamp in microseconds. Kafka says "none" by a negative one; one that no table could hold
/// counts as the latest that can be held, which changes no verdict.
pub(crate) fn record_timestamp_us(record_timestamp_ms: Option<i64>) -> Option<i64> {
    let milliseconds = record_timestamp_ms.filter(|milliseconds| *milliseconds >= 0)?;
    Some(milliseconds.saturating_mul(US_PER_MS).min(MAX_TIMESTAMP_US))
}

fn refuse_future(
    settings: &DecodeSettings,
    header: &RawHeader<'_>,
    event_timestamp_us: i64,
    record_timestamp_us: Option<i64>,
) -> Result<(), Rejection> {
    let tolerance_us =
        i64::try_from(settings.future_tolerance_ms).unwrap_or(i64::MAX).saturating_mul(US_PER_MS);
    let Some(ahead_us) = record_timestamp_us.map(|record_us| event_timestamp_us - record_us) else {
        return Ok(());
    };
    if ahead_us <= tolerance_us {
        return Ok(());
    }
    let reason = format!(
        "event_timestamp {} is {} ms ahead of the record's own timestamp, more than {}",
        shown(header.get(Field::EventTimestamp).unwrap_or_default()),
        ahead_us / US_PER_MS,
        settings.future_tolerance_ms
    );
    Err(Rejection::new(ErrorCode::FutureTimestamp, reason))
}

#[inline]
fn event_timestamp(header: &RawHeader<'_>) -> Result<i64, Rejection> {
    let field = Field::EventTimestamp;
    let raw = required(header, field)?;
    let timestamp_us = match raw.as_bytes().first() {
        Some(b'"') => parse_rfc3339_us(&required_string(header, field)?),
        Some(b'-' | b'0'..=b'9') => parse_epoch_ms_us(raw),
        _ => return Err(Rejection::wrong_type(field, "a string or a number", raw)),
    };
    timestamp_us.ok_or_else(|| {
        let reason = format!(
            "event_timestamp {} is neither RFC 3339 nor epoch milliseconds from 1970 to 9999",
            shown(raw)
        );
        Rejection::new(ErrorCode::BadTimestamp, reason)
    })
}

#[inline]
fn event_type(header: &RawHeader<'_>) -> Result<EventType, Rejection> {
    let name = required_string(header, Field::EventType)?;
    EventType::parse(&name).ok_or_else(|| {
        let names = EventType::ALL.map(EventType::as_str).join(", ");
        let raw = header.get(Field::EventType).unwrap_or_default();
        let reason = format!("event_type {} is none of {names}", shown(raw));
        Rejection::new(ErrorCode::UnknownEventType, reason)
    })
}

#[inline]
fn body<'a>(header: &RawHeader<'a>, unescaped_body: &'a Unescaped) -> Result<Cow<'a, str>, Rejection> {
    let (object, string) = (header.get(Field::Payload), header.get(Field::PayloadJson));
    if let Some(raw) = string.filter(|raw| !raw.starts_with('"')) {
        return Err(Rejection::wrong_type(Field::PayloadJson, "a string", raw));
    }
    match (object, string) {
        (Some(raw), _) if raw.starts_with('{') => Ok(Cow::Borrowed(raw)),
        (Some(raw), _) => Err(Rejection::wrong_type(Field::Payload, "an object", raw)),
        (None, Some(raw)) => {
            header.string_body(unescaped_body).map_err(|_| lone_surrogate(Field::PayloadJson, raw))
        }
        (None, None) => Ok(Cow::Borrowed(EMPTY_BODY)),
    }
}

/// Unknown fields as one JSON object of source text; `payload_json` is among them when `payload` is the body.
fn header_extra_json(header: &RawHeader<'_>) -> Option<String> {
    let second_body = header.get(Field::Payload).and(header.get(Field::PayloadJson));
    if header.unknown.is_empty() && second_body.is_none() {
        return None;
    }
    let mut json = String::from("{");
    let mut push = |raw_key: &str, raw_value: &str| {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(raw_key);
        json.push(':');
        json.push_str(raw_value);
    };
    for (raw_key, raw_value) in &header.unknown {
        push(raw_key, raw_value);
    }
    if let Some(raw_value) = second_body {
        push("\"payload_json\"", raw_value);
    }
    json.push('}');
    Some(json)
}

fn required<'a>(header: &RawHeader<'a>, field: Field) -> Result<&'a str, Rejection> {
    header.get(field).ok_or_else(|| missing(field, "is absent or null"))
}

#[inline(always)]
fn required_string<'a>(header: &RawHeader<'a>, field: Field) -> Result<Cow<'a, str>, Rejection> {
    match header.string_as_written(field) {
        Some(content) if !content.is_empty() => Ok(Cow::Borrowed(content)),
        _ => uncommon_string(header, field),
    }
}

/// A string that has to be unescaped, or none.
#[cold]
fn uncommon_string<'a>(header: &RawHeader<'a>, field: Field) -> Result<Cow<'a, str>, Rejection> {
    let content = string_content(header, field, required(header, field)?)?;
    if content.is_empty() { Err(missing(field, "is empty")) } else { Ok(content) }
}

#[cold]
fn missing(field: Field, how: &str) -> Rejection {
    Rejection::new(ErrorCode::MissingField, format!("{} {how}", field.name()))
}

/// The content of a field that must be a string and whose source text is `raw`.
#[inline]
fn string_content<'a>(header: &RawHeader<'a>, field: Field, raw: &str) -> Result<Cow<'a, str>, Rejection> {
    if !raw.starts_with('"') {
        return Err(Rejection::wrong_type(field, "a string", raw));
    }
    header.string(field).map_err(|_| lone_surrogate(field, raw))
}

fn lone_surrogate(field: Field, raw: &str) -> Rejection {
    let reason = format!("{} has a lone surrogate, which is not UTF-8: {}", field.name(), shown(raw));
    Rejection::new(ErrorCode::MalformedJson, reason)
}

/// What the source text of a JSON value is, in words.
fn json_type(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
