//! One round: looks, judges, and commits what is to be done, on the snapshot of the queue that it was decided on.

use std::collections::BTreeMap;
use std::time::Instant;

use pulselake_actions::{ActionError, ActionQueue, NotAdmitted};
use pulselake_board::LiveBoard;
use pulselake_decision::DecisionType;
use pulselake_lake::{Lake, LakeError};
use pulselake_telemetry::RoundFigures;

use super::pacing::Due;
use super::proposal::{Measures, Seen, Suppressed, choose, judge, look};
use super::state::DecisionsHandle;
use super::video_rows::read_videos;
use crate::dimensions::DimensionCache;

/// Videos whose rows are read in one round at most; the others of a round that has more are decided about a minute later.
const MOST_LOOKED_UP: usize = 5_000;

/// What a round is made with. Cheap to clone.
#[derive(Clone)]
pub(super) struct RoundParts {
    pub(super) lake: Lake,
    pub(super) queue: ActionQueue,
    pub(super) board: LiveBoard,
    pub(super) videos: DimensionCache,
    pub(super) handle: DecisionsHandle,
}

/// Why a round was not made to its end. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    /// The queue.
    #[error(transparent)]
    Queue(#[from] ActionError),
    /// The dimension of videos.
    #[error("the videos' rows can't be read: {0}")]
    Videos(#[from] LakeError),
}

impl RoundError {
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Queue(error) => error.is_transient(),
            Self::Videos(error) => error.is_transient(),
        }
    }
}

/// What a round has come to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) figures: RoundFigures,
    /// Videos with an event in one of the minutes.
    pub(super) videos: u64,
    pub(super) rule_version: String,
}

/// Decides about the due minutes at `now_us`, and expires what is overdue. Without due minutes it only does the latter.
pub(super) async fn make_round(parts: &RoundParts, due: &[Due], now_us: i64) -> Result<Outcome, RoundError> {
    let begun = Instant::now();
    crate::failpoint::reach_store("decisions::round").await;
    let (rules, baseline) = (parts.handle.rules(), parts.handle.baseline());
    let measures = Measures { rules: &rules, baseline: &baseline };
    let mut looked = look(&parts.board, &parts.videos, measures, due);
    let mut suppressed = Suppressed::new();
    let mut suppress = |reason: &'static str, count: u64| {
        if count > 0 {
            *suppressed.entry(reason).or_default() += count;
        }
    };
    suppress("board_full", looked.left_out);

    // What has its action already needs no look-up. Another process may have decided since: the queue's own view says it
    // again below.
    let view = parts.queue.view();
    let before = looked.seen.len();
    looked.seen.retain(|one| view.is_cooled_down(&rules, &one.video_id, one.minute_us));
    suppress("cooldown", (before - looked.seen.len()) as u64);
    let (seen, left_for_later) = limited(looked.seen);
    suppress("too_many", left_for_later);

    let mut ids: Vec<String> = seen.iter().map(|one| one.video_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let rows = read_videos(&parts.lake, &ids).await?;
    let judged = judge(&parts.board, seen, &rows, measures, parts.handle.freshness());
    for (reason, count) in &judged.suppressed {
        suppress(reason, *count);
    }

    if !judged.wanted.is_empty() {
        crate::failpoint::reach("decisions::before_commit");
    }
    let mut cooling = 0;
    let decided = parts
        .queue
        .decide(now_us, |fresh| {
            let (actions, held_back) = choose(fresh, &judged.wanted, &rules, now_us);
            cooling = held_back;
            actions
        })
        .await?;
    if !decided.added.is_empty() {
        crate::failpoint::reach("decisions::committed");
    }
    suppress("cooldown", cooling);
    for (reason, count) in &decided.not_admitted {
        // What was decided before a restart is no decision that something held back.
        if *reason != NotAdmitted::Known {
            suppress(reason.as_str(), *count);
        }
    }
    let mut taken: BTreeMap<DecisionType, u64> = BTreeMap::new();
    for action in &decided.added {
        *taken.entry(action.decision).or_default() += 1;
    }
    Ok(Outcome {
        figures: RoundFigures {
            taken: taken.into_iter().map(|(decision, count)| (decision.as_str(), count)).collect(),
            suppressed: suppressed.into_iter().collect(),
            immature_reviews: judged.immature_reviews,
            expired: decided.expired.len() as u64,
            retries: decided.retries,
            duration: begun.elapsed(),
        },
        videos: looked.videos,
        rule_version: rules.version.clone(),
    })
}

/// As many as one round takes: those with the most impressions, since most wait for them. And how many are left.
fn limited(mut seen: Vec<Seen>) -> (Vec<Seen>, u64) {
    if seen.len() <= MOST_LOOKED_UP {
        return (seen, 0);
    }
    let left = seen.len() - MOST_LOOKED_UP;
    seen.sort_by_key(|one| std::cmp::Reverse(one.metrics.impressions));
    seen.truncate(MOST_LOOKED_UP);
    // The pause within a round is kept in the order of minutes.
    seen.sort_by_key(|one| one.minute_us);
    (seen, left as u64)
}
