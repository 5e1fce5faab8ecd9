//! What the live board holds: coverage, size, and the boards of the peers.

use axum::Json;
use axum::extract::{RawQuery, State};
use pulselake_actors::status::now_us;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::coverage::BoardCoverage;
use crate::error::ErrorAnswer;
use crate::parameters::Parameters;
use crate::parts::{Api, ApiParts};
use crate::{ApiError, Moment};

/// The board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoardAnswer {
    /// When it was looked at.
    pub as_of: Moment,
    /// Its newest minute with events; null before the first event.
    pub minute: Option<Moment>,
    /// What it covers, together with the boards of the peers.
    pub coverage: BoardCoverage,
    /// Videos on this process's board.
    pub videos: u64,
    /// Memory of this process's board, about.
    pub memory_bytes: u64,
    /// Videos that were taken off because the board was full.
    pub evicted: u64,
    /// The boards of the other processes.
    pub peers: Vec<PeerBoard>,
}

/// Another process's board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerBoard {
    /// Its base URL, as in `http.peers`.
    pub url: String,
    /// Why it did not answer; null where it did.
    pub error: Option<String>,
    /// Videos on it; null where it did not answer.
    pub videos: Option<u64>,
    /// Memory of it; null where it did not answer.
    pub memory_bytes: Option<u64>,
}

/// What the live board covers and holds
#[utoipa::path(
    get, path = "/api/v1/board", tag = "board",
    params(("local" = Option<bool>, Query, description = "Without asking the peers")),
    responses(
        (status = 200, description = "The board", body = BoardAnswer),
        (status = 400, description = "A wrong parameter", body = ErrorAnswer),
        (status = 401, description = "No token, or a wrong one", body = ErrorAnswer),
    )
)]
pub(crate) async fn get_board(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
) -> Result<Json<BoardAnswer>, ApiError> {
    let is_local = Parameters::read(query.as_deref(), &["local"])?.switch("local")?;
    let mut answer = own_board(&api);
    if is_local || api.peers.is_empty() {
        return Ok(Json(answer));
    }
    let (mut coverages, mut missing) = (Vec::new(), Vec::new());
    for (url, found) in api.peers.boards().await {
        let mut peer = PeerBoard { url: url.to_owned(), error: None, videos: None, memory_bytes: None };
        match found {
            Ok(board) => {
                answer.minute = answer.minute.max(board.minute);
                (peer.videos, peer.memory_bytes) = (Some(board.videos), Some(board.memory_bytes));
                coverages.push(board.coverage);
            }
            Err(reason) => {
                peer.error = Some(reason);
                missing.push(url.to_owned());
            }
        }
        answer.peers.push(peer);
    }
    answer.coverage = BoardCoverage::merged(answer.coverage, coverages, missing);
    Ok(Json(answer))
}

fn own_board(parts: &ApiParts) -> BoardAnswer {
    let coverage = parts.board.coverage();
    BoardAnswer {
        as_of: Moment::from_us(now_us()),
        minute: coverage.now_minute_us.map(Moment::from_us),
        coverage: BoardCoverage::of(&coverage),
        videos: coverage.stats.videos as u64,
        memory_bytes: coverage.stats.memory_bytes as u64,
        evicted: coverage.stats.evicted,
        peers: Vec::new(),
    }
}
