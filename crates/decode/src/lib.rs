//! Decodes content events: record bytes become columns of `bronze.raw_events` or rows of quarantine.
//!
//! What it promises:
//! - Every record of a batch is either a row of `events` or a row of `invalid`; one bad record never disturbs
//!   another; no input panics and none recurses.
//! - **Validity is a function of the bytes, the record's own timestamp and [`DecodeSettings::fingerprint`]**,
//!   never of the wall clock, so that a replay judges as the first run did.
//! - Bodies are kept byte for byte: `payload` as the source text of the object, `payload_json` as the unescaped
//!   content of the string.
//!
//! The rules. The record as a whole is asked first, in the order of the table; then the fields in the order
//! `event_id`, `event_timestamp`, `video_id`, `user_id`, `event_type`, body, each for presence, type and value; the
//! distance to the record's timestamp last. The first that fails names the code.
//!
//! | asked | code |
//! |---|---|
//! | no longer than `max_record_bytes` | `TOO_LARGE` |
//! | UTF-8 | `NOT_UTF8` |
//! | one JSON object and nothing but white space around it (no byte order mark), no known header field twice, no deeper than `max_nesting_depth` (the record's own object is level 1) | `MALFORMED_JSON` |
//! | `schema_version`: missing or null is "1.0"; else a string (`WRONG_TYPE`) whose part before the first dot is "1" | `UNSUPPORTED_SCHEMA_VERSION` |
//! | the ids, `event_timestamp` and `event_type` are there, not null, not "" | `MISSING_FIELD` |
//! | the ids and `event_type` are strings, `event_timestamp` a string or a number, `payload` an object, `payload_json` a string | `WRONG_TYPE` |
//! | no header string (of the known fields) has a lone surrogate: it could not be UTF-8. Inside a `payload` object and in unknown fields it is only source text and kept | `MALFORMED_JSON` |
//! | `event_timestamp` is RFC 3339 or a plain JSON integer of epoch milliseconds, 1970-01-01 to 9999-12-31; an integer inside a string is neither (it could be a compact date or seconds) | `BAD_TIMESTAMP` |
//! | `event_type` is one of the six, spelled exactly | `UNKNOWN_EVENT_TYPE` |
//! | `event_timestamp` at most `future_tolerance_ms` ahead of the record's timestamp, where it has one | `FUTURE_TIMESTAMP` |
//!
//! The body is free: a missing (or null) one is `{}`; with both forms there, `payload` is the body and
//! `payload_json` goes to `header_extra_json`. Unknown header fields go there too, as raw source text in the
//! order of their appearance, repeated names included.
//!
//! `watch_time_ms` for the aggregator is the body's top-level `watch_time_ms` when it is a whole number from 0 to
//! 604,800,000 (seven days; `5400.0` counts, the last one wins); in every other case, and when the body is not
//! one JSON object, it is 0.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod body;
mod columns;
mod decoder;
mod digits;
mod hash;
mod header;
mod json_string;
mod judge;
mod marks;
mod nesting;
mod reason;
mod scan;
mod settings;
mod timestamp;
mod unescaped;
mod watch_time;

pub use body::{string_content, walk_body};
pub use decoder::EventDecoder;
pub use hash::{event_id_hash, record_hash};
pub use judge::{DecodedEvent, Rejection};
pub use settings::{DECODER_VERSION, DecodeSettings};
pub use watch_time::{MAX_WATCH_TIME_MS, of_text as watch_time_ms, whole_number as watch_time_of_value};
