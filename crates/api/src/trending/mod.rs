//! The list of videos, best first.
//!
//! A list is made for everybody who asks for the same one, and not more often than a few times a second
//! ([`rankings`]): with a million videos on the board it takes a good part of a second.

mod making;
mod merge;
mod rankings;

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use pulselake_board::TopOrder;
use pulselake_decision::lifecycle::ActionState;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(crate) use rankings::{RankingKey, Rankings};

use crate::coverage::BoardCoverage;
use crate::error::ErrorAnswer;
use crate::parameters::{DEFAULT_LIMIT, Parameters};
use crate::parts::{Api, ApiParts};
use crate::video::{Video, VideoAction};
use crate::{ApiError, Moment};

/// Videos, best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trending {
    /// When the list was made.
    pub as_of: Moment,
    /// The newest minute with events: the last of the 30; null before the first event.
    pub minute: Option<Moment>,
    /// What the list is made from.
    pub coverage: BoardCoverage,
    /// The videos.
    pub videos: Vec<Video>,
}

/// By what videos are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// `velocity_30m`.
    #[default]
    Velocity,
    /// `surprise_z`.
    Surprise,
    /// `velocity_shrunk`.
    Shrunken,
    /// `impressions_30m`.
    Impressions,
}

impl Order {
    const WORDS: [(&str, Self); 4] = [
        ("velocity", Self::Velocity),
        ("surprise", Self::Surprise),
        ("shrunken", Self::Shrunken),
        ("impressions", Self::Impressions),
    ];

    /// The word in the query.
    pub(crate) fn as_str(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// The board's name for it.
    pub(crate) fn of_board(self) -> TopOrder {
        match self {
            Self::Velocity => TopOrder::Velocity,
            Self::Surprise => TopOrder::Surprise,
            Self::Shrunken => TopOrder::Shrunken,
            Self::Impressions => TopOrder::Impressions,
        }
    }

    /// What a video is compared by.
    fn value(self, video: &Video) -> f64 {
        match self {
            Self::Velocity => video.velocity_30m,
            Self::Surprise => video.surprise_z.unwrap_or(f64::NEG_INFINITY),
            Self::Shrunken => video.velocity_shrunk.unwrap_or(f64::NEG_INFINITY),
            Self::Impressions => video.impressions_30m as f64,
        }
    }
}

/// Parameters of the list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by utoipa's derive alone; `Parameters` reads them strictly")]
pub(crate) struct TrendingParameters {
    /// Videos, from 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// Only videos of this category.
    #[param(max_length = 200)]
    category: Option<String>,
    /// Only videos of this region.
    #[param(max_length = 200)]
    region: Option<String>,
    /// By what they are ordered.
    #[param(inline)]
    order: Option<Order>,
    /// Only this process's own videos, without those of its peers.
    #[param(default = false)]
    local: Option<bool>,
}

/// Videos with the most going on, best first
#[utoipa::path(
    get, path = "/api/v1/trending", tag = "board", params(TrendingParameters),
    responses(
        (status = 200, description = "The list", body = Trending),
        (status = 400, description = "A wrong parameter", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_trending(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<Trending>, ApiError> {
    let known = ["limit", "category", "region", "order", "local"];
    let parameters = Parameters::read(query.as_deref(), &known)?;
    let limit = parameters.limit(DEFAULT_LIMIT)?;
    let key = RankingKey {
        order: parameters.word("order", &Order::WORDS)?.unwrap_or_default(),
        category: parameters.name("category")?,
        region: parameters.name("region")?,
        is_local: parameters.switch("local")?,
    };
    Ok(Json(trending(&api, key, limit).await?))
}

/// The first videos of a list, with their actions as they are now.
pub(crate) async fn trending(api: &Api, key: RankingKey, limit: usize) -> Result<Trending, ApiError> {
    let ranking: Arc<Trending> = api.rankings.get(api, key).await?;
    let mut videos: Vec<Video> = ranking.videos.iter().take(limit).cloned().collect();
    for video in &mut videos {
        video.action = action_of(api, &video.video_id);
    }
    Ok(Trending { as_of: ranking.as_of, minute: ranking.minute, coverage: ranking.coverage.clone(), videos })
}

/// The latest action of a video.
pub(crate) fn action_of(parts: &ApiParts, video_id: &str) -> Option<VideoAction> {
    let action = parts.decisions.as_ref()?.queue.of_video(video_id)?;
    let state: ActionState = action.state;
    Some(VideoAction {
        action_id: action.action_id.to_string(),
        decision_type: action.decision.as_str().to_owned(),
        state: state.as_str().to_owned(),
        expires_at: Moment::from_us(action.expires_at_us),
    })
}
