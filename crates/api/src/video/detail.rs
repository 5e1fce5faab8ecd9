//! One video with its minutes: from the board, from a peer's board, else from the tables.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use pulselake_actors::status::now_us;
use pulselake_decision::VideoMinutes;
use pulselake_model::{EventType, WindowCounters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Video;
use crate::error::ErrorAnswer;
use crate::parameters::{Parameters, checked_name};
use crate::parts::Api;
use crate::trending::action_of;
use crate::{ApiError, Moment};

/// One video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VideoDetail {
    /// The video, with its last 30 minutes.
    #[serde(flatten)]
    pub video: Video,
    /// The last of these 30 minutes.
    pub minute: Option<Moment>,
    /// Where the figures come from.
    pub source: VideoSource,
    /// Its minutes with events, oldest first: those of the board, or of the last 24 hours from the tables.
    pub minutes: Vec<VideoMinute>,
}

/// Where figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VideoSource {
    /// The live board: events as they come in.
    Board,
    /// The committed tables.
    Gold,
}

/// What happened to a video in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VideoMinute {
    /// Start of the minute.
    pub minute: Moment,
    /// Impressions.
    pub impressions: i64,
    /// Play starts.
    pub play_start: i64,
    /// Finished plays.
    pub play_finish: i64,
    /// Likes.
    pub likes: i64,
    /// Shares.
    pub shares: i64,
    /// Skips.
    pub skips: i64,
}

impl VideoMinute {
    fn of(minute_us: i64, counters: &WindowCounters) -> Self {
        let count = |kind: EventType| counters.by_type[kind as usize];
        Self {
            minute: Moment::from_us(minute_us),
            impressions: count(EventType::Impression),
            play_start: count(EventType::PlayStart),
            play_finish: count(EventType::PlayFinish),
            likes: count(EventType::Like),
            shares: count(EventType::Share),
            skips: count(EventType::Skip),
        }
    }

    /// Every minute with events.
    pub(super) fn all_of(minutes: &VideoMinutes) -> Vec<Self> {
        minutes.iter().map(|(minute_us, counters)| Self::of(*minute_us, counters)).collect()
    }
}

/// One video with its minutes
///
/// Figures come from the live board. A video that it does not have is looked up in the tables of the last 24 hours.
#[utoipa::path(
    get, path = "/api/v1/videos/{video_id}", tag = "board",
    params(
        ("video_id" = String, Path, description = "The video", max_length = 200),
        ("local" = Option<bool>, Query, description = "Only this process's own board"),
    ),
    responses(
        (status = 200, description = "The video", body = VideoDetail),
        (status = 400, description = "A wrong parameter", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
        (status = 404, description = "Neither the board nor the last 24 hours know it", body = ErrorAnswer),
        (status = 503, description = "The tables can't be read now", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_video(
    State(api): State<Api>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Json<VideoDetail>, ApiError> {
    let Path(video_id) = path.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let video_id = checked_name("video_id", &video_id)?;
    let is_local = Parameters::read(query.as_deref(), &["local"])?.switch("local")?;
    let mut found = match of_board(&api, video_id) {
        Some(found) => found,
        None if is_local => return Err(unknown(video_id)),
        None => elsewhere(&api, video_id).await?.ok_or_else(|| unknown(video_id))?,
    };
    found.video.action = action_of(&api, video_id);
    Ok(Json(found))
}

fn unknown(video_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "video {video_id:?} is not on the board, and the tables have no event of it in the last 24 hours"
    ))
}

fn of_board(api: &Api, video_id: &str) -> Option<VideoDetail> {
    let found = api.board.video(video_id)?;
    let known = api.videos.as_ref().and_then(|videos| videos.peek(video_id));
    Some(VideoDetail {
        minute: api.board.now_minute_us().map(Moment::from_us),
        video: Video::of_board(found, known.as_ref(), api.quadrant_lines(), now_us()),
        source: VideoSource::Board,
        minutes: VideoMinute::all_of(&api.board.minutes_of(video_id)),
    })
}

/// From a peer that has it on its board, else from the tables.
async fn elsewhere(api: &Api, video_id: &str) -> Result<Option<VideoDetail>, ApiError> {
    if let Some(found) = api.peers.video(video_id).await {
        return Ok(Some(found));
    }
    api.gold_videos.get(api, video_id).await
}
