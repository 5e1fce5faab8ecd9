//! When a table is due: a pure decision.

use std::time::Duration;

/// What is known when the clock asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Time since the last round ended; `None` before the first.
    pub(super) since_last: Option<Duration>,
    /// Data files now.
    pub(super) files: u64,
    /// Data files when the table was last planned.
    pub(super) files_at_last_plan: u64,
}

/// Why a round begins; `None`: not yet. The first one begins at the first look, so that an engine that is often started
/// again is maintained too.
pub(super) fn due(facts: Facts, interval: Duration, urgent_files: u64) -> Option<&'static str> {
    match facts.since_last {
        None => Some("the first since the start"),
        Some(waited) if waited >= interval => Some("its time has come"),
        Some(_) if facts.files >= facts.files_at_last_plan.saturating_add(urgent_files) => {
            Some("many new files")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_cases() {
        let hour = Duration::from_secs(3_600);
        let facts = |since_last: Option<u64>, files, files_at_last_plan| Facts {
            since_last: since_last.map(Duration::from_secs),
            files,
            files_at_last_plan,
        };
        let cases = [
            ("before the first", facts(None, 0, 0), true),
            ("just done", facts(Some(0), 10, 10), false),
            ("an hour later", facts(Some(3_600), 10, 10), true),
            ("a few new files", facts(Some(60), 69, 10), false),
            ("many new files", facts(Some(60), 70, 10), true),
            ("fewer than before: somebody else compacted", facts(Some(60), 5, 70), false),
        ];
        for (name, known, expected) in cases {
            assert_eq!(due(known, hour, 60).is_some(), expected, "{name}");
        }
    }
}
