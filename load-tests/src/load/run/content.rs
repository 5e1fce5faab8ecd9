//! What an event says, as far as it is compared: one number for each event, so that the events of a partition come to one
//! number that does not depend on their order.

use std::hash::{DefaultHasher, Hash, Hasher};

use pulselake_generator::LogRecord;
use pulselake_model::EventType;

/// What an event says about whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    /// The number in `v_<number>`; `None`: it is no such text.
    video: Option<u32>,
    /// The number in `u_<number>`; `None`: it is no such text.
    user: Option<u32>,
    /// `None`: it is no event type.
    event_type: Option<EventType>,
    /// Microseconds since the epoch.
    event_time_us: i64,
}

impl Content {
    /// Of a record that is sent.
    pub(crate) fn of_record(record: &LogRecord) -> Self {
        Self {
            video: Some(record.video),
            user: Some(record.user),
            event_type: Some(record.event_type),
            event_time_us: record.event_time_ms * 1_000,
        }
    }

    /// Of a row of bronze.
    pub(crate) fn of_row(video_id: &str, user_id: &str, event_type: &str, event_time_us: i64) -> Self {
        let number = |text: &str, prefix: &str| text.strip_prefix(prefix)?.parse().ok();
        Self {
            video: number(video_id, "v_"),
            user: number(user_id, "u_"),
            event_type: EventType::ALL.into_iter().find(|known| known.as_str() == event_type),
            event_time_us,
        }
    }

    /// The number that stands for it at an offset. The same within a process, and not meant to be kept.
    pub(crate) fn digest(&self, offset: i64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (offset, self).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use pulselake_generator::RecordKind;

    use super::*;
    use crate::load::run::sent::tests::record;

    #[test]
    fn every_part_counts() {
        let sent = LogRecord { video: 12, user: 7, event_time_ms: 1_500, ..record(RecordKind::Event) };
        let digest = Content::of_record(&sent).digest(3);
        let row = |video: &str, user: &str, kind: &str, time_us: i64| {
            Content::of_row(video, user, kind, time_us).digest(3)
        };
        assert_eq!(row("v_12", "u_7", "like", 1_500_000), digest);
        for other in [
            row("v_13", "u_7", "like", 1_500_000),
            row("12", "u_7", "like", 1_500_000),
            row("v_12", "u_8", "like", 1_500_000),
            row("v_12", "v_7", "like", 1_500_000),
            row("v_12", "u_7", "skip", 1_500_000),
            row("v_12", "u_7", "LIKE", 1_500_000),
            row("v_12", "u_7", "like", 1_500_001),
            Content::of_record(&sent).digest(4),
        ] {
            assert_ne!(other, digest);
        }
    }
}
