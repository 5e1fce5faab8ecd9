//! What is sent of an action, and what of it tells two changes apart.

use chrono::DateTime;
use serde::Deserialize;
use uuid::Uuid;

use crate::QueuedAction;

/// The value of a message: the action as JSON, all columns of the table.
pub fn message_of(action: &QueuedAction) -> Vec<u8> {
    // A structure of texts and numbers with text keys always is JSON.
    serde_json::to_vec(action).unwrap_or_default()
}

/// The change that a message is about: the action, and the moment (µs) since which it is in its state. `None` for a value
/// that is none of ours.
pub fn change_in(message: &[u8]) -> Option<(Uuid, i64)> {
    #[derive(Deserialize)]
    struct Sent<'a> {
        action_id: &'a str,
        state_updated_at: &'a str,
    }
    let sent: Sent<'_> = serde_json::from_slice(message).ok()?;
    let moment = DateTime::parse_from_rfc3339(sent.state_updated_at).ok()?;
    Some((Uuid::parse_str(sent.action_id).ok()?, moment.timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use pulselake_decision::DecisionType;

    use super::*;
    use crate::example::action;

    #[test]
    fn a_message_tells_its_change() {
        for state_updated_at_us in [1_770_458_461_000_001, 1_770_458_461_000_000, 0] {
            let queued = QueuedAction {
                state_updated_at_us,
                ..QueuedAction::pending(&action("v", 1, DecisionType::Boost), 0)
            };
            let found = change_in(&message_of(&queued));
            assert_eq!(found, Some((queued.action_id, state_updated_at_us)));
        }
    }

    #[test]
    fn what_is_none_of_ours_tells_nothing() {
        for value in
            [&b""[..], b"{}", b"[1]", br#"{"action_id":"x","state_updated_at":"2026-02-07T10:00:00Z"}"#]
        {
            assert_eq!(change_in(value), None);
        }
    }
}
