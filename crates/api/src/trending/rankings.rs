//! The lists that clients ask for: each is shared by all who ask for the same one, and their number is bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::making::make;
use super::{Order, Trending};
use crate::ApiError;
use crate::parts::Api;
use crate::shared_answer::Pace;
use crate::shared_slots::SharedSlots;

/// Lists that are kept: orders, and categories and regions that somebody looks at.
const MAX_LISTS: usize = 32;

/// Lists that are made at the same time: whoever asks for many different ones waits, and takes the machine from nobody.
const CONCURRENT_MAKINGS: usize = 2;

/// Several times a second: an event is to be seen within one.
const PACE: Pace = Pace { shortest: Duration::from_millis(200), longest: Duration::from_secs(1) };

/// What a list is asked for by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RankingKey {
    pub(crate) order: Order,
    pub(crate) category: Option<String>,
    pub(crate) region: Option<String>,
    /// Without the peers' videos.
    pub(crate) is_local: bool,
}

/// The lists in use.
pub(crate) struct Rankings {
    lists: SharedSlots<RankingKey, Trending>,
    turns: Arc<Semaphore>,
}

impl Default for Rankings {
    fn default() -> Self {
        Self { lists: SharedSlots::new(MAX_LISTS, PACE), turns: Arc::new(Semaphore::new(CONCURRENT_MAKINGS)) }
    }
}

impl Rankings {
    /// The list of a key: the best videos, at most as many as a client may ask for, without their actions.
    pub(crate) async fn get(&self, api: &Api, key: RankingKey) -> Result<Arc<Trending>, ApiError> {
        let list = self.lists.slot(&key, Instant::now());
        let (api, turns) = (api.clone(), self.turns.clone());
        let making = move || async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            make(&api, &key).await
        };
        list.get(making).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_lists_is_bounded_and_those_in_use_stay() {
        let rankings = Rankings::default();
        let begin = Instant::now();
        let usual = RankingKey::default();
        for turn in 0..1_000_u32 {
            let now = begin + Duration::from_millis(u64::from(turn));
            let category = Some(format!("category {turn}"));
            rankings.lists.slot(&RankingKey { category, ..RankingKey::default() }, now);
            rankings.lists.slot(&usual, now);
            assert!(rankings.lists.keys().len() <= MAX_LISTS);
        }
        assert!(rankings.lists.keys().contains(&usual));
    }
}
