//! The records of the modelled partition, and the decoders that judge them.

use pulselake_decode::DecodeSettings;
use pulselake_window::WindowSettings;

use super::TOPIC;

/// Longest record that the strict decoder takes.
const STRICT_BYTES: usize = 400;
/// Event time of second 0 (ms): a full minute.
pub const START_MS: i64 = 1_770_000_000_000;

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// `None` is a record that every decoder rejects.
    pub event_id: Option<u8>,
    /// Only the lenient decoder takes it.
    pub is_long: bool,
    /// Event time in seconds from the start.
    pub at_s: i64,
    /// Its video.
    pub video: u8,
}

impl Record {
    /// The minute of its window, from the start.
    pub fn minute(&self) -> i64 {
        self.at_s.div_euclid(60)
    }

    /// Whether a decoder takes it.
    pub fn is_valid(&self, is_strict: bool) -> bool {
        self.event_id.is_some() && !(is_strict && self.is_long)
    }

    fn value(&self) -> String {
        let id = self.event_id.map_or_else(String::new, |id| format!("e{id}"));
        let time_ms = START_MS + self.at_s * 1_000;
        let padding = " ".repeat(if self.is_long { STRICT_BYTES } else { 0 });
        format!(
            r#"{{"event_id":"{id}","event_timestamp":{time_ms},"video_id":"v{}","user_id":"u","event_type":"like","payload":{{"watch_time_ms":7}}}}{padding}"#,
            self.video
        )
    }
}

/// A partition's records, offset by offset, and the settings of the windows over them.
#[derive(Clone, Debug)]
pub struct Stream {
    /// By offset.
    pub records: Vec<Record>,
    /// Their bytes.
    pub values: Vec<String>,
    /// Delay, lateness, horizon.
    pub windows: WindowSettings,
}

impl Stream {
    pub fn new(records: Vec<Record>, windows: WindowSettings) -> Self {
        let values = records.iter().map(Record::value).collect();
        Self { records, values, windows }
    }

    /// The offset behind the last record.
    pub fn end(&self) -> i64 {
        self.records.len() as i64
    }
}

/// The strict or the lenient decoder.
pub fn decoder(is_strict: bool) -> DecodeSettings {
    let max_record_bytes = if is_strict { STRICT_BYTES } else { 10 * STRICT_BYTES };
    DecodeSettings { source_topic: TOPIC.into(), max_record_bytes, ..DecodeSettings::default() }
}
