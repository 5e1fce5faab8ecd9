//! What figures of the pulse mean: the bounds of DOMAIN.md 4, as the views `global_doomscroll_rate` and `cold_start_health` have
//! them too.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rate of skips above this is a warning.
const DOOMSCROLL_WARN: f64 = 0.40;
/// A rate of skips above this is an alert.
const DOOMSCROLL_ALERT: f64 = 0.45;
/// The share of rising new videos should be above this.
pub(super) const COLD_START_TARGET: f64 = 0.2;
/// Below this it is red.
pub(super) const COLD_START_RED: f64 = 0.1;

/// How much is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DoomscrollState {
    /// 40 % or less.
    Ok,
    /// Above 40 %.
    Warn,
    /// Above 45 %.
    Alert,
}

impl DoomscrollState {
    /// Of skips / impressions.
    pub fn of(rate: f64) -> Self {
        match rate {
            _ if rate > DOOMSCROLL_ALERT => Self::Alert,
            _ if rate > DOOMSCROLL_WARN => Self::Warn,
            _ => Self::Ok,
        }
    }
}

/// Whether new videos are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColdStartState {
    /// Above 20 %.
    Green,
    /// From 10 % to 20 %.
    Amber,
    /// Below 10 %.
    Red,
}

impl ColdStartState {
    /// Of the share of new videos that rise.
    pub fn of(share: f64) -> Self {
        match share {
            _ if share > COLD_START_TARGET => Self::Green,
            _ if share < COLD_START_RED => Self::Red,
            _ => Self::Amber,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doomscrolling_warns_above_40_and_alerts_above_45_percent() {
        use DoomscrollState::{Alert, Ok, Warn};
        for (rate, state) in
            [(0.0, Ok), (0.4, Ok), (0.4001, Warn), (0.45, Warn), (0.4501, Alert), (1.0, Alert), (1.7, Alert)]
        {
            assert_eq!(DoomscrollState::of(rate), state, "{rate}");
        }
    }

    #[test]
    fn a_cold_start_is_green_above_20_and_red_below_10_percent() {
        use ColdStartState::{Amber, Green, Red};
        for (share, state) in
            [(0.0, Red), (0.0999, Red), (0.1, Amber), (0.2, Amber), (0.2001, Green), (1.0, Green)]
        {
            assert_eq!(ColdStartState::of(share), state, "{share}");
        }
    }
}
