//! Settings written out: masked, or as the commented reference.

use crate::settings::Settings;

impl Settings {
    /// All settings as TOML, secrets masked.
    pub fn to_masked_toml(&self) -> String {
        // Numbers, texts, lists and tables with text keys: TOML has a form for each, so this can't fail.
        toml::to_string_pretty(self)
            .unwrap_or_else(|error| format!("# the settings can't be written as TOML: {error}\n"))
    }
}

/// The reference file: every setting with its default, unit and range.
pub fn reference_toml() -> &'static str {
    include_str!("../../../config/pulselake.toml")
}
