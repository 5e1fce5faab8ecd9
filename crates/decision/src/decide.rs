//! The table of decisions: the first row that matches.
//!
//! Between the rows for BOOST and REVIEW stands [`crate::maturity`]: a REVIEW that is only a matter of time waits.

use crate::maturity::is_immature;
use crate::minutes::plays_since;
use crate::{MINUTE_US, Metrics30m, Rules, Thresholds, VideoMinutes, rolling_30m};

/// What to do about a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DecisionType {
    /// Nothing. Never stored.
    NoAction,
    /// It rises and viewers stay: show it more.
    Boost,
    /// It rises though viewers don't stay: have somebody look at it.
    Review,
    /// It is new and good, and too few see it: show it more.
    Rescue,
}

impl DecisionType {
    /// Every decision.
    pub const ALL: [DecisionType; 4] = [Self::NoAction, Self::Boost, Self::Review, Self::Rescue];

    /// `decision_type` in tables and topics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAction => "NO_ACTION",
            Self::Boost => "BOOST",
            Self::Review => "REVIEW",
            Self::Rescue => "RESCUE",
        }
    }

    /// `priority` in tables and topics: of two actions for one video and window the higher wins. 0 for no action.
    pub fn priority(self) -> i32 {
        match self {
            Self::NoAction => 0,
            Self::Boost => 1,
            Self::Review => 2,
            Self::Rescue => 3,
        }
    }
}

/// Why a decision was taken. Codes are part of the tables' contract: add, never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// Velocity at or above the baseline's 90th percentile.
    HighVelocityP90,
    /// The quality gate holds.
    GatePass,
    /// The completion rate is too low for the gate.
    LowCompletion,
    /// The skip rate is too high for the gate.
    HighSkip,
    /// Uploaded within the last 60 minutes.
    NewUploadLt60m,
    /// Impressions at or below the baseline's 40th percentile.
    UnderExposedP40,
}

impl ReasonCode {
    /// Every code.
    pub const ALL: [ReasonCode; 6] = [
        Self::HighVelocityP90,
        Self::GatePass,
        Self::LowCompletion,
        Self::HighSkip,
        Self::NewUploadLt60m,
        Self::UnderExposedP40,
    ];

    /// The code in `reason_codes`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HighVelocityP90 => "HIGH_VELOCITY_P90",
            Self::GatePass => "GATE_PASS",
            Self::LowCompletion => "LOW_COMPLETION",
            Self::HighSkip => "HIGH_SKIP",
            Self::NewUploadLt60m => "NEW_UPLOAD_LT_60M",
            Self::UnderExposedP40 => "UNDER_EXPOSED_P40",
        }
    }
}

/// What the dimension knows of a video and a decision needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoFacts<'a> {
    /// Its category: with the region it names the cohort.
    pub category: Option<&'a str>,
    /// Its region.
    pub region: Option<&'a str>,
    /// When it was uploaded, microseconds since the epoch.
    pub upload_time_us: Option<i64>,
    /// `active`, or anything else.
    pub status: Option<&'a str>,
    /// How long it lasts, milliseconds. A row without it is complete: it says only how long plays may run.
    pub duration_ms: Option<i64>,
}

impl VideoFacts<'_> {
    /// When it was uploaded, where the row is complete (no field missing or empty) and the video active.
    fn upload_time_if_eligible(&self) -> Option<i64> {
        let is_given = |text: Option<&str>| text.is_some_and(|value| !value.is_empty());
        let is_eligible = is_given(self.category) && is_given(self.region) && self.status == Some("active");
        self.upload_time_us.filter(|_| is_eligible)
    }
}

/// A decision with its reasons, in the order of the table's conditions; none for NO_ACTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub decision: DecisionType,
    /// Why. A REVIEW whose gate failed for too few plays alone has HIGH_VELOCITY_P90 and nothing else: no code stands for that.
    pub reasons: Vec<ReasonCode>,
    /// Of NO_ACTION: whether it would be a REVIEW, had its plays had time to end ([`crate::maturity`]).
    pub waits_for_plays: bool,
}

impl Verdict {
    const NO_ACTION: Verdict =
        Verdict { decision: DecisionType::NoAction, reasons: Vec::new(), waits_for_plays: false };

    fn of(decision: DecisionType, reasons: Vec<ReasonCode>) -> Self {
        Self { decision, reasons, waits_for_plays: false }
    }
}

/// Decides about one video at `as_of_us` (the end of the last minute that `metrics` hold; its age counts from there).
///
/// `video` is its row of the dimension, `None` where there is none: a video that is unknown, incomplete or not active is
/// left alone, whatever its numbers.
///
/// `recent_plays` gives the starts of playback of the video's minutes from a moment on, up to the one that is decided about
/// ([`plays_since`]). It is asked only when a REVIEW hangs on it; [`decide_minute`] does it all from counts per minute.
pub fn decide(
    rules: &Rules,
    thresholds: &Thresholds,
    metrics: &Metrics30m,
    video: Option<&VideoFacts<'_>>,
    as_of_us: i64,
    recent_plays: impl FnOnce(i64) -> i64,
) -> Verdict {
    let eligible = video.and_then(|facts| Some((facts, facts.upload_time_if_eligible()?)));
    let Some((facts, upload_time_us)) = eligible else { return Verdict::NO_ACTION };
    let passes_gate = metrics.passes_gate(rules);
    if is_candidate(rules, thresholds, metrics) {
        if is_immature(rules, metrics, facts.duration_ms, as_of_us, recent_plays) {
            return Verdict { waits_for_plays: true, ..Verdict::NO_ACTION };
        }
        return candidate_verdict(rules, metrics, passes_gate);
    }
    let is_new = as_of_us.saturating_sub(upload_time_us) <= rules.max_rescue_age_us;
    let is_under_exposed = metrics.impressions as f64 <= thresholds.impressions_p40;
    if passes_gate && is_new && is_under_exposed {
        let reasons = vec![ReasonCode::GatePass, ReasonCode::NewUploadLt60m, ReasonCode::UnderExposedP40];
        return Verdict::of(DecisionType::Rescue, reasons);
    }
    Verdict::NO_ACTION
}

/// Decides about one video at the end of the minute that starts at `minute_us`, from its counts per minute; with the metrics
/// that it was decided on. Minutes that come later don't count.
pub fn decide_minute(
    rules: &Rules,
    thresholds: &Thresholds,
    video: Option<&VideoFacts<'_>>,
    minutes: &VideoMinutes,
    minute_us: i64,
) -> (Metrics30m, Verdict) {
    let metrics = Metrics30m::of(&rolling_30m(minutes, minute_us));
    let recent_plays = |since_us| plays_since(minutes, since_us, minute_us);
    let verdict = decide(rules, thresholds, &metrics, video, minute_us + MINUTE_US, recent_plays);
    (metrics, verdict)
}

fn is_candidate(rules: &Rules, thresholds: &Thresholds, metrics: &Metrics30m) -> bool {
    metrics.velocity >= thresholds.velocity_p90 && metrics.impressions >= rules.min_candidate_impressions
}

fn candidate_verdict(rules: &Rules, metrics: &Metrics30m, passes_gate: bool) -> Verdict {
    let mut reasons = vec![ReasonCode::HighVelocityP90];
    if passes_gate {
        reasons.push(ReasonCode::GatePass);
        return Verdict::of(DecisionType::Boost, reasons);
    }
    if metrics.completion_rate < rules.min_completion_rate {
        reasons.push(ReasonCode::LowCompletion);
    }
    if metrics.skip_rate > rules.max_skip_rate {
        reasons.push(ReasonCode::HighSkip);
    }
    Verdict::of(DecisionType::Review, reasons)
}
