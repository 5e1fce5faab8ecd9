//! Moments as the API shows them: RFC 3339 in UTC, as many digits as they have.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Microseconds since the epoch, written as `2026-02-07T10:00:00.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Moment(i64);

impl Moment {
    /// A moment, microseconds since the epoch.
    pub fn from_us(us: i64) -> Self {
        Self(us)
    }

    /// A moment, milliseconds since the epoch.
    pub fn from_ms(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// Microseconds since the epoch.
    pub fn us(self) -> i64 {
        self.0
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Beyond what a calendar can say there is no event, but a number in a table can be anything.
        let moment = DateTime::from_timestamp_micros(self.0).unwrap_or_default();
        serializer.serialize_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl<'de> Deserialize<'de> for Moment {
    /// From another process's answer.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(moment.timestamp_micros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_exactly_as_they_are() {
        for (us, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_770_458_400_123_000, "2026-02-07T10:00:00.123Z"),
            (1_770_458_400_123_456, "2026-02-07T10:00:00.123456Z"),
        ] {
            let written = serde_json::to_string(&Moment::from_us(us)).unwrap();
            assert_eq!(written, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Moment>(&written).unwrap(), Moment::from_us(us));
        }
        assert_eq!(Moment::from_ms(7), Moment::from_us(7_000));
        assert!(serde_json::from_str::<Moment>("\"noon\"").is_err());
    }
}
