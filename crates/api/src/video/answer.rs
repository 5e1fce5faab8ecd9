//! A video with its last 30 minutes, as every list shows it.

use pulselake_actors::CachedVideo;
use pulselake_board::BoardVideo;
use pulselake_decision::Metrics30m;
use pulselake_model::{EventType, WindowCounters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Moment;
use crate::quadrant::{Quadrant, QuadrantLines};

/// A video and its last 30 minutes, up to the minute that the answer names. What the dimension does not know is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Video {
    /// Place in the list, from 1; null outside of one.
    pub rank: Option<u32>,
    /// The video.
    pub video_id: String,
    /// `category` of the dimension.
    pub category: Option<String>,
    /// `region`.
    pub region: Option<String>,
    /// `status`: active or banned.
    pub status: Option<String>,
    /// When it was uploaded.
    pub upload_time: Option<Moment>,
    /// Seconds since then.
    pub age_s: Option<i64>,
    /// (likes + 5 · shares) / max(impressions, 100).
    pub velocity_30m: f64,
    /// Finished plays / max(play starts, 1).
    pub completion_rate_30m: f64,
    /// Skips / max(play starts, 1).
    pub skip_rate_30m: f64,
    /// Impressions.
    pub impressions_30m: i64,
    /// Play starts.
    pub play_start_30m: i64,
    /// Finished plays.
    pub play_finish_30m: i64,
    /// Likes.
    pub likes_30m: i64,
    /// Shares.
    pub shares_30m: i64,
    /// Skips.
    pub skips_30m: i64,
    /// How unusual the newest minutes are for this video, in standard deviations; null where the board does not have it.
    pub surprise_z: Option<f64>,
    /// Velocity drawn towards the catalogue's, the more so the fewer impressions; null where the board does not have it.
    pub velocity_shrunk: Option<f64>,
    /// Where it stands by velocity and completion.
    pub quadrant: Quadrant,
    /// Its latest action; null where there is none.
    pub action: Option<VideoAction>,
}

/// The latest action of a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VideoAction {
    /// Its id.
    pub action_id: String,
    /// BOOST, REVIEW or RESCUE.
    pub decision_type: String,
    /// PENDING, ACKED, DONE, EXPIRED or HOLD.
    pub state: String,
    /// From here on it must not be carried out any more.
    pub expires_at: Moment,
}

impl Video {
    /// A video of the board, with what is known of it at `as_of_us` (microseconds since the epoch).
    pub(crate) fn of_board(
        found: BoardVideo,
        known: Option<&CachedVideo>,
        lines: QuadrantLines,
        as_of_us: i64,
    ) -> Self {
        let scores = (Some(found.surprise_z), Some(found.velocity_shrunk));
        Self::of_sums(found.video_id, &found.sums, scores, known, lines, as_of_us)
    }

    /// The same from the sums of 30 minutes, and the scores where there are any.
    pub(crate) fn of_sums(
        video_id: String,
        sums: &WindowCounters,
        (surprise_z, velocity_shrunk): (Option<f64>, Option<f64>),
        known: Option<&CachedVideo>,
        lines: QuadrantLines,
        as_of_us: i64,
    ) -> Self {
        let metrics = Metrics30m::of(sums);
        let count = |kind: EventType| sums.by_type[kind as usize];
        let text = |value: Option<&std::sync::Arc<str>>| value.map(|name| name.to_string());
        let upload_time_us = known.and_then(|video| video.upload_time_us);
        Self {
            rank: None,
            video_id,
            category: text(known.and_then(|video| video.category.as_ref())),
            region: text(known.and_then(|video| video.region.as_ref())),
            status: text(known.and_then(|video| video.status.as_ref())),
            upload_time: upload_time_us.map(Moment::from_us),
            age_s: upload_time_us.map(|uploaded_us| (as_of_us - uploaded_us).max(0) / 1_000_000),
            velocity_30m: metrics.velocity,
            completion_rate_30m: metrics.completion_rate,
            skip_rate_30m: metrics.skip_rate,
            impressions_30m: metrics.impressions,
            play_start_30m: metrics.play_start,
            play_finish_30m: count(EventType::PlayFinish),
            likes_30m: count(EventType::Like),
            shares_30m: count(EventType::Share),
            skips_30m: count(EventType::Skip),
            surprise_z,
            velocity_shrunk,
            quadrant: Quadrant::of(metrics.velocity, metrics.completion_rate, lines),
            action: None,
        }
    }
}
