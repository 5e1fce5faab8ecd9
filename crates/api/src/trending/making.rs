//! Makes one list: this process's own from the board, then those of its peers.

use pulselake_actors::status::now_us;
use pulselake_board::TopQuery;

use super::merge::merged;
use super::{RankingKey, Trending};
use crate::coverage::BoardCoverage;
use crate::parameters::MAX_LIMIT;
use crate::parts::{Api, ApiParts};
use crate::video::Video;
use crate::{ApiError, Moment};

/// The whole list of a key, without actions.
pub(super) async fn make(api: &Api, key: &RankingKey) -> Result<Trending, ApiError> {
    let (of_board, own_key) = (api.clone(), key.clone());
    let own = tokio::task::spawn_blocking(move || own_list(&of_board, &own_key));
    if key.is_local || api.peers.is_empty() {
        return own.await.map_err(|error| stopped(&error));
    }
    let (own, answers) = tokio::join!(own, api.peers.trending(key));
    let own = own.map_err(|error| stopped(&error))?;
    let minute = answers.found.iter().filter_map(|peer| peer.minute).chain(own.minute).max();
    let (mut lists, mut coverages) = (vec![own.videos], Vec::new());
    for peer in answers.found {
        lists.push(peer.videos);
        coverages.push(peer.coverage);
    }
    Ok(Trending {
        as_of: own.as_of,
        minute,
        coverage: BoardCoverage::merged(own.coverage, coverages, answers.missing),
        videos: merged(key.order, lists),
    })
}

fn stopped(error: &tokio::task::JoinError) -> ApiError {
    ApiError::unavailable("stopped", format!("the list could not be made, try again: {error}"))
}

fn own_list(parts: &ApiParts, key: &RankingKey) -> Trending {
    let as_of_us = now_us();
    let coverage = parts.board.coverage();
    let lines = parts.quadrant_lines();
    let known = |video_id: &str| parts.videos.as_ref().and_then(|videos| videos.peek(video_id));
    let is_wanted = |video_id: &str| {
        let Some(video) = known(video_id) else { return false };
        let is = |wanted: &Option<String>, found: &Option<std::sync::Arc<str>>| {
            wanted.as_deref().is_none_or(|name| found.as_deref() == Some(name))
        };
        is(&key.category, &video.category) && is(&key.region, &video.region)
    };
    let is_filtered = key.category.is_some() || key.region.is_some();
    let query = TopQuery {
        limit: MAX_LIMIT as usize,
        order: key.order.of_board(),
        keep: is_filtered.then_some(&is_wanted as &dyn Fn(&str) -> bool),
    };
    let mut videos: Vec<Video> = parts
        .board
        .top(&query)
        .into_iter()
        .map(|found| {
            let dimension = known(&found.video_id);
            Video::of_board(found, dimension.as_ref(), lines, as_of_us)
        })
        .collect();
    for (video, place) in videos.iter_mut().zip(1..) {
        video.rank = Some(place);
    }
    Trending {
        as_of: Moment::from_us(as_of_us),
        minute: coverage.now_minute_us.map(Moment::from_us),
        coverage: BoardCoverage::of(&coverage),
        videos,
    }
}
