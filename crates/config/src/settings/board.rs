//! Settings of the live board.

use serde::{Deserialize, Serialize};

/// `[board]`: the last 30 minutes of every video, in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoardSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Videos held at most; beyond it the quietest go.
    pub max_videos: usize,
}

impl Default for BoardSettings {
    fn default() -> Self {
        Self { enabled: true, max_videos: 1_000_000 }
    }
}
