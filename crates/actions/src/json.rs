//! An action as JSON: all columns of the table under their names, moments as RFC 3339 in UTC with microseconds.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::QueuedAction;

/// RFC 3339 in UTC, microseconds and `Z`; the number itself where no calendar has the moment.
fn moment(us: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(us)
        .map_or_else(|| us.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

impl Serialize for QueuedAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("QueuedAction", 18)?;
        row.serialize_field("action_id", &self.action_id.to_string())?;
        row.serialize_field("video_id", &self.video_id)?;
        row.serialize_field("decision_type", self.decision.as_str())?;
        row.serialize_field("priority", &self.priority)?;
        row.serialize_field("state", self.state.as_str())?;
        row.serialize_field("decided_at", &moment(self.decided_at_us))?;
        row.serialize_field("window_start", &moment(self.window_start_us))?;
        row.serialize_field("window_end", &moment(self.window_end_us))?;
        row.serialize_field("expires_at", &moment(self.expires_at_us))?;
        row.serialize_field("rule_version", &self.rule_version)?;
        row.serialize_field("velocity_30m", &self.velocity_30m)?;
        row.serialize_field("completion_rate_30m", &self.completion_rate_30m)?;
        row.serialize_field("skip_rate_30m", &self.skip_rate_30m)?;
        row.serialize_field("impressions_30m", &self.impressions_30m)?;
        row.serialize_field("reason_codes", &self.reason_codes)?;
        row.serialize_field("created_at", &moment(self.created_at_us))?;
        row.serialize_field("updated_at", &moment(self.updated_at_us))?;
        row.serialize_field("state_updated_at", &moment(self.state_updated_at_us))?;
        row.end()
    }
}

#[cfg(test)]
mod tests {
    use pulselake_decision::{Action, DecisionType, ReasonCode};

    use super::*;
    use crate::example::action;

    #[test]
    fn the_columns_are_the_tables() {
        const MINUTE: i64 = 29_507_640;
        let decided = Action {
            decided_at_us: MINUTE * 60_000_000 + 61_000_001,
            reasons: vec![ReasonCode::HighVelocityP90, ReasonCode::GatePass],
            ..action("v_1023", MINUTE, DecisionType::Boost)
        };
        let queued = QueuedAction::pending(&decided, decided.decided_at_us + 1);
        let json = serde_json::to_value(&queued).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        let columns = pulselake_model::decisions::action_queue();
        let mut expected: Vec<&String> = columns.fields().iter().map(|field| field.name()).collect();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(json["action_id"], "a18195ad-af50-5e5b-b9af-caa50ea271c6");
        assert_eq!(json["state"], "PENDING");
        assert_eq!(json["window_end"], "2026-02-07T10:01:00.000000Z");
        assert_eq!(json["decided_at"], "2026-02-07T10:01:01.000001Z");
        assert_eq!(json["velocity_30m"], 0.25);
        assert_eq!(json["reason_codes"], serde_json::json!(["HIGH_VELOCITY_P90", "GATE_PASS"]));
    }
}
