//! What an upserter can be told, and the fingerprint of those settings that decide validity.

/// Name and version of the rules for changes. Raise it whenever a record would be judged differently.
pub const CDC_DECODER_VERSION: &str = "cdc-v2";

/// Settings of an [`Upserter`](crate::Upserter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdcSettings {
    /// The longest value that is accepted, in bytes. Below 1 GiB: Arrow's 32-bit string offsets end at 2 GiB.
    pub max_record_bytes: usize,
    /// The deepest nesting of objects and arrays that is accepted; the record's own object is level 1.
    pub max_nesting_depth: usize,
    /// The most columns that the history may have, its own included. A change that needs more is rejected.
    pub max_columns: usize,
    /// The most keys whose last version is kept in memory: some 80 bytes each. Changes of others may need a look-up
    /// in the history, see [`VersionIndex`](crate::VersionIndex).
    pub max_index_keys: usize,
    /// Whether there is a schema registry to look up what records in Avro name. Without one these are rejected.
    pub has_schema_registry: bool,
    /// Name of the topic the records come from: provenance only, it decides nothing.
    pub source_topic: String,
}

impl CdcSettings {
    /// The defaults, for records of `source_topic`.
    pub fn for_topic(source_topic: impl Into<String>) -> Self {
        Self { source_topic: source_topic.into(), ..Self::default() }
    }

    /// Decoder version and every setting that decides validity: two upserters with the same fingerprint and the same
    /// table columns judge every record alike. Stored in the ledger; stable across releases unless the rules change.
    pub fn fingerprint(&self) -> String {
        let registry = if self.has_schema_registry { ";registry" } else { "" };
        format!(
            "{CDC_DECODER_VERSION};max={};depth={};columns={}{registry}",
            self.max_record_bytes, self.max_nesting_depth, self.max_columns
        )
    }
}

impl Default for CdcSettings {
    fn default() -> Self {
        Self {
            max_record_bytes: 1_048_576,
            max_nesting_depth: 128,
            max_columns: 500,
            max_index_keys: 10_000_000,
            has_schema_registry: false,
            source_topic: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_names_what_decides_validity_and_nothing_else() {
        let base = CdcSettings::default();
        assert_eq!(base.fingerprint(), "cdc-v2;max=1048576;depth=128;columns=500");
        let same = CdcSettings { max_index_keys: 1, source_topic: "elsewhere".to_owned(), ..base.clone() };
        assert_eq!(same.fingerprint(), base.fingerprint());
        let changed = [
            CdcSettings { max_record_bytes: 10, ..base.clone() },
            CdcSettings { max_nesting_depth: 10, ..base.clone() },
            CdcSettings { max_columns: 10, ..base.clone() },
            CdcSettings { has_schema_registry: true, ..base.clone() },
        ];
        for settings in changed {
            assert_ne!(settings.fingerprint(), base.fingerprint());
        }
    }
}
