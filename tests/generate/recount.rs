//! Counts a file of generated events anew, by what the contract says of events and with none of the program's own code.

use std::collections::{BTreeMap, HashSet};

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::truth::CountsByMinute;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
const KINDS: [&str; 6] = ["impression", "play_start", "play_finish", "like", "share", "skip"];

/// What the lines come to.
#[derive(Debug, Default)]
pub struct Recount {
    /// Lines.
    pub records: i64,
    /// Valid ones with an id that no line before had.
    pub events: i64,
    /// Valid ones with an id that a line before had.
    pub retries: i64,
    /// Of the events, those a day or more before the log's start.
    pub beyond_lateness: i64,
    /// The others, by error code.
    pub rejected: BTreeMap<String, i64>,
    /// Events that are not beyond lateness.
    pub counts: CountsByMinute,
}

/// Counts the lines of a log that lasts from `start_us` to `end_us`.
///
/// A line has no record timestamp. Clocks are at most 5 minutes ahead or at least 10, and a day slow or at most 20 hours,
/// so the log's own times tell what the record's would.
pub fn recount(lines: &[u8], start_us: i64, end_us: i64) -> Recount {
    let mut found = Recount::default();
    let mut seen: HashSet<String> = HashSet::new();
    for line in lines.strip_suffix(b"\n").unwrap_or(lines).split(|byte| *byte == b'\n') {
        found.records += 1;
        let event = match parse(line).and_then(|event| {
            let is_ahead = event.time_us > end_us + 6 * MINUTE_US;
            if is_ahead { Err("FUTURE_TIMESTAMP") } else { Ok(event) }
        }) {
            Ok(event) => event,
            Err(code) => {
                *found.rejected.entry(code.to_owned()).or_default() += 1;
                continue;
            }
        };
        if !seen.insert(event.id) {
            found.retries += 1;
            continue;
        }
        found.events += 1;
        if event.time_us < start_us - DAY_US {
            found.beyond_lateness += 1;
            continue;
        }
        let minute_us = event.time_us.div_euclid(MINUTE_US) * MINUTE_US;
        let counts = found.counts.entry((event.video, minute_us)).or_default();
        counts[event.kind] += 1;
        counts[KINDS.len()] += event.watch_time_ms;
    }
    found
}

struct Event {
    id: String,
    video: String,
    time_us: i64,
    kind: usize,
    watch_time_ms: i64,
}

/// One line, or the code that it is rejected with.
fn parse(line: &[u8]) -> Result<Event, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "NOT_UTF8")?;
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return Err("MALFORMED_JSON") };
    let id = required_text(&fields, "event_id")?;
    let video = required_text(&fields, "video_id")?;
    required_text(&fields, "user_id")?;
    let kind = required_text(&fields, "event_type")?;
    let version = fields.get("schema_version").and_then(Value::as_str).unwrap_or("1.0");
    let time_us = match fields.get("event_timestamp") {
        None | Some(Value::Null) => return Err("MISSING_FIELD"),
        Some(Value::String(text)) => {
            DateTime::parse_from_rfc3339(text).map_err(|_| "BAD_TIMESTAMP")?.timestamp_micros()
        }
        Some(Value::Number(number)) => number.as_i64().ok_or("BAD_TIMESTAMP")? * 1_000,
        Some(_) => return Err("WRONG_TYPE"),
    };
    let body = match (fields.get("payload"), fields.get("payload_json")) {
        (Some(Value::Object(body)), _) => body.clone(),
        (None, Some(Value::String(text))) => serde_json::from_str(text).map_err(|_| "MALFORMED_JSON")?,
        _ => return Err("WRONG_TYPE"),
    };
    if !version.starts_with("1.") {
        return Err("UNSUPPORTED_SCHEMA_VERSION");
    }
    let kind = KINDS.iter().position(|name| *name == kind).ok_or("UNKNOWN_EVENT_TYPE")?;
    let watch_time_ms = body.get("watch_time_ms").and_then(Value::as_f64).unwrap_or_default() as i64;
    Ok(Event { id, video, time_us, kind, watch_time_ms })
}

fn required_text(fields: &Map<String, Value>, name: &str) -> Result<String, &'static str> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_) | Value::Null) | None => Err("MISSING_FIELD"),
        Some(_) => Err("WRONG_TYPE"),
    }
}
