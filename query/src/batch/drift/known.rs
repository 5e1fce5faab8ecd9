//! The payload fields that have columns of silver's own.

use pulselake_decode::watch_time_of_value;

use super::value::{ValueKind, as_long};
use crate::batch::payload_column::PayloadType;

/// A field that every event is expected to have. Its column has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownField {
    /// `watch_time_ms`.
    WatchTimeMs,
    /// `video_duration_ms`.
    VideoDurationMs,
    /// `device_os`.
    DeviceOs,
    /// `app_version`.
    AppVersion,
    /// `network_type`.
    NetworkType,
    /// `referral_source`.
    ReferralSource,
}

impl KnownField {
    /// All of them, as they stand in silver.
    pub const ALL: [Self; 6] = [
        Self::WatchTimeMs,
        Self::VideoDurationMs,
        Self::DeviceOs,
        Self::AppVersion,
        Self::NetworkType,
        Self::ReferralSource,
    ];

    /// The key, and the column's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::WatchTimeMs => "watch_time_ms",
            Self::VideoDurationMs => "video_duration_ms",
            Self::DeviceOs => "device_os",
            Self::AppVersion => "app_version",
            Self::NetworkType => "network_type",
            Self::ReferralSource => "referral_source",
        }
    }

    /// The field with this key.
    pub fn of_name(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == key)
    }

    /// The column's type.
    pub fn column_type(self) -> PayloadType {
        match self {
            Self::WatchTimeMs | Self::VideoDurationMs => PayloadType::Long,
            Self::DeviceOs | Self::AppVersion | Self::NetworkType | Self::ReferralSource => {
                PayloadType::String
            }
        }
    }

    /// Whether the column takes a value that is written as `raw`: a watch time as the stream counts it, a whole positive
    /// duration, a text, a number or a truth value. Null is no value.
    pub fn takes(self, raw: &str) -> bool {
        match self {
            Self::WatchTimeMs => watch_time_of_value(raw).is_some(),
            Self::VideoDurationMs => as_long(raw).is_some_and(|duration_ms| duration_ms > 0),
            Self::DeviceOs | Self::AppVersion | Self::NetworkType | Self::ReferralSource => {
                !matches!(ValueKind::of(raw), ValueKind::Null | ValueKind::Nested)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_take_what_the_contract_says() {
        use KnownField::{AppVersion, VideoDurationMs, WatchTimeMs};
        for (field, raw, is_taken) in [
            (WatchTimeMs, "0", true),
            (WatchTimeMs, "5400.0", true),
            (WatchTimeMs, "604800001", false),
            (WatchTimeMs, "-1", false),
            (WatchTimeMs, r#""5400""#, false),
            (VideoDurationMs, "60000.0", true),
            (VideoDurationMs, "0", false),
            (VideoDurationMs, "1.5", false),
            (AppVersion, r#""14.2""#, true),
            (AppVersion, "14.2", true),
            (AppVersion, "true", true),
            (AppVersion, "[14]", false),
            (AppVersion, "null", false),
        ] {
            assert_eq!(field.takes(raw), is_taken, "{field:?} {raw}");
        }
        assert_eq!(KnownField::of_name("app_version"), Some(AppVersion));
        assert_eq!(KnownField::of_name("App_Version"), None);
    }
}
