//! The state of the whole platform: how much is skipped, whether new videos are found, how much of what is watched is new.

mod counts;
mod states;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use pulselake_actors::status::now_us;
use pulselake_telemetry::PulseMetrics;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use states::{ColdStartState, DoomscrollState};

use self::counts::{MinuteCounts, PulseCounts};
use self::states::{COLD_START_RED, COLD_START_TARGET};
use crate::coverage::BoardCoverage;
use crate::error::ErrorAnswer;
use crate::parameters::Parameters;
use crate::parts::Api;
use crate::quadrant::QuadrantLines;
use crate::shared_answer::{Pace, Shared};
use crate::{ApiError, Moment};

/// Time between two looks for the metrics: a minute's counts change once a minute, and counting goes over every video.
const MEASURED: Duration = Duration::from_secs(20);
/// Counting goes over every video.
const PACE: Pace = Pace { shortest: Duration::from_millis(400), longest: Duration::from_secs(2) };

/// The state of the platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pulse {
    /// When it was counted.
    pub as_of: Moment,
    /// The newest minute with events; null before the first event.
    pub minute: Option<Moment>,
    /// What it is counted from.
    pub coverage: BoardCoverage,
    /// How much of what is shown is skipped.
    pub doomscroll: Doomscroll,
    /// Whether new videos are found by their viewers.
    pub cold_start: ColdStart,
    /// How much of what is watched is new.
    pub fresh_supply: FreshSupply,
    /// The lines between the quadrants of velocity and completion.
    pub thresholds: PulseThresholds,
}

/// Skips of all impressions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Doomscroll {
    /// Of the newest minute that is over; null without impressions.
    pub rate: Option<f64>,
    /// Alert above 45 %, warn above 40 %; null without a rate.
    pub state: Option<DoomscrollState>,
    /// The minutes on the board, oldest first; the last one may not be over.
    pub minutes: Vec<DoomscrollMinute>,
}

/// One minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoomscrollMinute {
    /// Start of the minute.
    pub minute: Moment,
    /// Skips / impressions; null without impressions.
    pub rate: Option<f64>,
    /// Skips of all videos.
    pub skips: i64,
    /// Impressions of all videos.
    pub impressions: i64,
}

/// New videos: active, younger than an hour, with an event in the last 30 minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ColdStart {
    /// How many there are.
    pub videos: u64,
    /// Those with a velocity above 0.05.
    pub rising: u64,
    /// rising / videos; null without videos.
    pub share: Option<f64>,
    /// Green above 20 %, red below 10 %, else amber; null without videos.
    pub state: Option<ColdStartState>,
    /// What the share should be above.
    pub target: f64,
    /// What it should never be below.
    pub red: f64,
}

/// Active videos with an event in the last 30 minutes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FreshSupply {
    /// How many there are.
    pub active: u64,
    /// Those younger than an hour.
    pub fresh: u64,
    /// fresh / active; null without videos.
    pub ratio: Option<f64>,
}

/// The lines between the quadrants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PulseThresholds {
    /// Above it a video rises: the 90th percentile of the baseline in force.
    pub velocity_p90: f64,
    /// Above it viewers stay: the completion rate of the quality gate.
    pub completion: f64,
}

/// The pulse that everybody shares, with the peers' and without.
pub(crate) struct PulseCache {
    all: Shared<Pulse>,
    own: Shared<Pulse>,
}

impl Default for PulseCache {
    fn default() -> Self {
        Self { all: Shared::new(PACE), own: Shared::new(PACE) }
    }
}

/// The state of the whole platform
#[utoipa::path(
    get, path = "/api/v1/pulse", tag = "board",
    params(("local" = Option<bool>, Query, description = "Without the peers' videos")),
    responses(
        (status = 200, description = "The state", body = Pulse),
        (status = 400, description = "A wrong parameter", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_pulse(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<Pulse>, ApiError> {
    let is_local = Parameters::read(query.as_deref(), &["local"])?.switch("local")?;
    let pulse = if is_local { own_pulse(&api).await? } else { pulse(&api).await? };
    Ok(Json(pulse.as_ref().clone()))
}

/// The pulse of all processes that answer.
pub(crate) async fn pulse(api: &Api) -> Result<Arc<Pulse>, ApiError> {
    if api.peers.is_empty() {
        return own_pulse(api).await;
    }
    let of_making = api.clone();
    let making = move || async move {
        let (own, answers) = tokio::join!(own_pulse(&of_making), of_making.peers.pulses());
        let own = own?;
        let lines = of_making.quadrant_lines();
        let mut counts = PulseCounts::of(&own);
        let mut coverages = Vec::new();
        for peer in answers.found {
            counts.add(&PulseCounts::of(&peer));
            coverages.push(peer.coverage);
        }
        let coverage = BoardCoverage::merged(own.coverage.clone(), coverages, answers.missing);
        Ok(Pulse::new(&counts, coverage, lines, own.as_of))
    };
    api.pulses.all.get(making).await
}

/// Shows this process's counts as metrics, until it is dropped.
pub(crate) async fn measure(api: Api) {
    let metrics = PulseMetrics::default();
    let mut looks = tokio::time::interval(MEASURED);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // A process that is ending counts no more.
        let Ok(pulse) = own_pulse(&api).await else { continue };
        let counts = PulseCounts::of(&pulse);
        let minute = counts.newest_minute_over().unwrap_or_default();
        metrics.counted(minute.skips, minute.impressions, counts.active, counts.young);
    }
}

async fn own_pulse(api: &Api) -> Result<Arc<Pulse>, ApiError> {
    let of_making = api.clone();
    let making = move || async move {
        let counting = tokio::task::spawn_blocking(move || {
            let as_of = Moment::from_us(now_us());
            let coverage = BoardCoverage::of(&of_making.board.coverage());
            Pulse::new(&counts::count(&of_making), coverage, of_making.quadrant_lines(), as_of)
        });
        counting.await.map_err(|error| {
            ApiError::unavailable("stopped", format!("the pulse could not be counted, try again: {error}"))
        })
    };
    api.pulses.own.get(making).await
}

impl Pulse {
    fn new(counts: &PulseCounts, coverage: BoardCoverage, lines: QuadrantLines, as_of: Moment) -> Self {
        let minutes: Vec<DoomscrollMinute> = counts.minutes.iter().map(DoomscrollMinute::of).collect();
        let rate = counts.doomscroll_rate();
        let share = ratio(counts.rising, counts.young);
        Self {
            as_of,
            minute: counts.minutes.last_key_value().map(|(minute_us, _)| Moment::from_us(*minute_us)),
            coverage,
            doomscroll: Doomscroll { rate, state: rate.map(DoomscrollState::of), minutes },
            cold_start: ColdStart {
                videos: counts.young,
                rising: counts.rising,
                share,
                state: share.map(ColdStartState::of),
                target: COLD_START_TARGET,
                red: COLD_START_RED,
            },
            fresh_supply: FreshSupply {
                active: counts.active,
                fresh: counts.young,
                ratio: ratio(counts.young, counts.active),
            },
            thresholds: PulseThresholds { velocity_p90: lines.velocity_p90, completion: lines.completion },
        }
    }
}

impl DoomscrollMinute {
    fn of((minute_us, counts): (&i64, &MinuteCounts)) -> Self {
        Self {
            minute: Moment::from_us(*minute_us),
            rate: counts.rate(),
            skips: counts.skips,
            impressions: counts.impressions,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
