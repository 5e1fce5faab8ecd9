//! Settings of the cold path.

use serde::{Deserialize, Serialize};

/// `[batch]`: what `pulselake batch` makes of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSettings {
    /// Columns of silver that new payload fields may get at most.
    pub max_payload_columns: usize,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_payload_columns: 100 }
    }
}
