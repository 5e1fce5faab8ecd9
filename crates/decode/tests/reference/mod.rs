//! The decoder's rules once more, written for reading and not for speed: serde_json takes the record apart, chrono
//! reads the time. It shares no code with the decoder.

use std::fmt;

use chrono::{DateTime, Timelike};
use pulselake_decode::{DecodeSettings, MAX_WATCH_TIME_MS};
use pulselake_model::{ErrorCode, EventType};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const MAX_TIMESTAMP_US: i64 = 253_402_300_799_999_999;
const KNOWN_FIELDS: [&str; 8] = [
    "event_id",
    "event_timestamp",
    "video_id",
    "user_id",
    "event_type",
    "schema_version",
    "payload",
    "payload_json",
];

/// The row that a valid record must become.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    pub event_id: String,
    pub event_timestamp_us: i64,
    pub video_id: String,
    pub user_id: String,
    pub event_type: EventType,
    pub schema_version: String,
    pub payload_json: String,
    pub header_extra_json: Option<String>,
    pub stream_time_us: i64,
    pub watch_time_ms: i64,
}

/// The verdict on one record.
pub fn judge(settings: &DecodeSettings, value: &[u8], timestamp_ms: Option<i64>) -> Result<Row, ErrorCode> {
    if value.len() > settings.max_record_bytes {
        return Err(ErrorCode::TooLarge);
    }
    let text = std::str::from_utf8(value).map_err(|_| ErrorCode::NotUtf8)?;
    let entries = entries_of(text).ok_or(ErrorCode::MalformedJson)?;
    if depth_of(text) > settings.max_nesting_depth {
        return Err(ErrorCode::MalformedJson);
    }
    let named = |name: &str| entries.iter().filter(|(key, _)| content(key).as_deref() == Some(name)).count();
    if KNOWN_FIELDS.iter().any(|name| named(name) > 1) {
        return Err(ErrorCode::MalformedJson);
    }
    let get = |name: &str| {
        let entry = entries.iter().find(|(key, _)| content(key).as_deref() == Some(name));
        entry.map(|(_, raw)| *raw).filter(|raw| *raw != "null")
    };

    let schema_version = match get("schema_version") {
        Some(raw) => string(raw)?,
        None => "1.0".to_owned(),
    };
    if schema_version.split('.').next() != Some("1") {
        return Err(ErrorCode::UnsupportedSchemaVersion);
    }
    let event_id = not_empty(get("event_id"))?;
    let event_timestamp_us = event_timestamp_us(get("event_timestamp"))?;
    let video_id = not_empty(get("video_id"))?;
    let user_id = not_empty(get("user_id"))?;
    let kind = not_empty(get("event_type"))?;
    let event_type =
        EventType::ALL.into_iter().find(|one| one.as_str() == kind).ok_or(ErrorCode::UnknownEventType)?;
    let payload_json = body(get("payload"), get("payload_json"))?;
    let record_us =
        timestamp_ms.filter(|ms| *ms >= 0).map(|ms| ms.saturating_mul(1_000).min(MAX_TIMESTAMP_US));
    let tolerance_us = settings.future_tolerance_ms as i64 * 1_000;
    if record_us.is_some_and(|record_us| event_timestamp_us > record_us + tolerance_us) {
        return Err(ErrorCode::FutureTimestamp);
    }
    let mut extra: Vec<String> = entries
        .iter()
        .filter(|(key, _)| !content(key).is_some_and(|name| KNOWN_FIELDS.contains(&name.as_str())))
        .map(|(key, raw)| format!("{key}:{raw}"))
        .collect();
    if let (Some(_), Some(raw)) = (get("payload"), get("payload_json")) {
        extra.push(format!("\"payload_json\":{raw}"));
    }
    Ok(Row {
        event_id,
        event_timestamp_us,
        video_id,
        user_id,
        event_type,
        schema_version,
        watch_time_ms: watch_time_ms(&payload_json),
        payload_json,
        header_extra_json: (!extra.is_empty()).then(|| format!("{{{}}}", extra.join(","))),
        stream_time_us: record_us.unwrap_or(i64::MAX).min(event_timestamp_us),
    })
}

/// The entries of a text that is one JSON object, keys and values as source text.
fn entries_of(text: &str) -> Option<Vec<(&str, &str)>> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(&'de str, &'de str)>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                entries.push((key.get(), value.get()));
            }
            Ok(entries)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = deserializer.deserialize_map(Entries).ok()?;
    deserializer.end().ok()?;
    Some(entries)
}

/// How deep a well-formed text nests.
fn depth_of(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// A string's content; `None` when it is no string or has no UTF-8 form.
fn content(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

fn string(raw: &str) -> Result<String, ErrorCode> {
    if !raw.starts_with('"') {
        return Err(ErrorCode::WrongType);
    }
    content(raw).ok_or(ErrorCode::MalformedJson)
}

fn not_empty(raw: Option<&str>) -> Result<String, ErrorCode> {
    let content = string(raw.ok_or(ErrorCode::MissingField)?)?;
    if content.is_empty() { Err(ErrorCode::MissingField) } else { Ok(content) }
}

fn body(object: Option<&str>, text: Option<&str>) -> Result<String, ErrorCode> {
    if text.is_some_and(|raw| !raw.starts_with('"')) || object.is_some_and(|raw| !raw.starts_with('{')) {
        return Err(ErrorCode::WrongType);
    }
    match (object, text) {
        (Some(raw), _) => Ok(raw.to_owned()),
        (None, Some(raw)) => string(raw),
        (None, None) => Ok("{}".to_owned()),
    }
}

fn event_timestamp_us(raw: Option<&str>) -> Result<i64, ErrorCode> {
    let raw = raw.ok_or(ErrorCode::MissingField)?;
    let moment_us = match raw.as_bytes()[0] {
        b'"' => rfc3339_us(&not_empty(Some(raw))?),
        b'-' | b'0'..=b'9' => raw.parse::<i64>().ok().and_then(|ms| ms.checked_mul(1_000)),
        _ => return Err(ErrorCode::WrongType),
    };
    moment_us.filter(|us| (0..=MAX_TIMESTAMP_US).contains(us)).ok_or(ErrorCode::BadTimestamp)
}

/// Chrono's reading, of texts in the plain form alone (it takes a few others too).
fn rfc3339_us(text: &str) -> Option<i64> {
    let zone_at = text.find(['Z', 'z', '+']).or_else(|| text.rfind('-'))?;
    let (local, zone) = text.split_at_checked(zone_at)?;
    let (seconds, fraction) = local.split_once('.').unwrap_or((local, "0"));
    let is_like = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                _ => byte == expected,
            })
    };
    let is_plain = is_like(seconds, "0000-00-00T00:00:00")
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && (["Z", "z"].contains(&zone) || is_like(zone, "+00:00") || is_like(zone, "-00:00"));
    let moment = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_plain)?;
    // Chrono shows second 60 as second 59 with a billion nanoseconds more.
    let is_leap_second = moment.nanosecond() >= 1_000_000_000;
    let ends_a_day = moment.to_utc().num_seconds_from_midnight() == 86_399;
    (!is_leap_second || ends_a_day).then(|| moment.timestamp_micros())
}

fn watch_time_ms(body: &str) -> i64 {
    let entries = entries_of(body).unwrap_or_default();
    let last = entries.iter().rfind(|(key, _)| content(key).as_deref() == Some("watch_time_ms"));
    let number = last.and_then(|(_, raw)| raw.parse::<f64>().ok()).unwrap_or(0.0);
    let is_sane = number.fract() == 0.0 && (0.0..=MAX_WATCH_TIME_MS as f64).contains(&number);
    if is_sane { number as i64 } else { 0 }
}
