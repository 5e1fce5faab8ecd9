//! What a decoder can be told, and the fingerprint of those settings that decide validity.

/// Name and version of the decoding rules. Raise it whenever a record would be judged differently.
pub const DECODER_VERSION: &str = "content-v1";

/// Settings of an [`EventDecoder`](crate::EventDecoder).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeSettings {
    /// The longest value that is accepted, in bytes.
    pub max_record_bytes: usize,
    /// How far `event_timestamp` may be ahead of the record's own timestamp, in milliseconds.
    pub future_tolerance_ms: u64,
    /// The deepest nesting of objects and arrays that is accepted; the record's own object is level 1.
    pub max_nesting_depth: usize,
    /// Name of the topic the records come from: provenance only, it decides nothing.
    pub source_topic: String,
}

impl DecodeSettings {
    /// The defaults, for records of `source_topic`.
    pub fn for_topic(source_topic: impl Into<String>) -> Self {
        Self { source_topic: source_topic.into(), ..Self::default() }
    }

    /// Decoder version and every setting that decides validity: two decoders with the same fingerprint judge
    /// every record alike. Stored in the ledger; stable across releases unless the rules change.
    pub fn fingerprint(&self) -> String {
        format!(
            "{DECODER_VERSION};max={};future={};depth={}",
            self.max_record_bytes, self.future_tolerance_ms, self.max_nesting_depth
        )
    }
}

impl Default for DecodeSettings {
    fn default() -> Self {
        Self {
            max_record_bytes: 1_048_576,
            future_tolerance_ms: 300_000,
            max_nesting_depth: 128,
            source_topic: "content_events".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_stable_and_ignores_provenance() {
        assert_eq!(DecodeSettings::default().fingerprint(), "content-v1;max=1048576;future=300000;depth=128");
        let other_topic = DecodeSettings::for_topic("elsewhere");
        assert_eq!(other_topic.fingerprint(), DecodeSettings::default().fingerprint());
    }

    /// A type that is new was rejected before: gold that counts it as ever-rejected would be given it twice.
    #[test]
    fn another_set_of_event_types_is_another_version() {
        let types = pulselake_model::EventType::ALL.map(|kind| kind.as_str()).join(" ");
        assert_eq!(
            (DECODER_VERSION, types.as_str()),
            ("content-v1", "impression play_start play_finish like share skip"),
            "raise DECODER_VERSION, and then change both here"
        );
    }

    #[test]
    fn every_setting_that_decides_validity_changes_the_fingerprint() {
        let base = DecodeSettings::default();
        let changed = [
            DecodeSettings { max_record_bytes: 10, ..base.clone() },
            DecodeSettings { future_tolerance_ms: 10, ..base.clone() },
            DecodeSettings { max_nesting_depth: 10, ..base.clone() },
        ];
        for settings in changed {
            assert_ne!(settings.fingerprint(), base.fingerprint());
        }
    }
}
