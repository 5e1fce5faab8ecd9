//! The lists that clients ask for: each is shared by all who ask for the same one, and their number is bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::making::make;
use super::{Order, Trending};
use crate::ApiError;
use crate::parts::Api;
use crate::shared_answer::{Pace, Shared};

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
    lists: Mutex<HashMap<RankingKey, Kept>>,
    turns: Arc<Semaphore>,
}

impl Default for Rankings {
    fn default() -> Self {
        Self { lists: Mutex::default(), turns: Arc::new(Semaphore::new(CONCURRENT_MAKINGS)) }
    }
}

struct Kept {
    list: Shared<Trending>,
    asked_at: Instant,
}

impl Rankings {
    /// The list of a key: the best videos, at most as many as a client may ask for, without their actions.
    pub(crate) async fn get(&self, api: &Api, key: RankingKey) -> Result<Arc<Trending>, ApiError> {
        let list = self.list(&key, Instant::now());
        let (api, turns) = (api.clone(), self.turns.clone());
        let making = move || async move {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            make(&api, &key).await
        };
        list.get(making).await
    }

    /// The slot of a list; a new one takes the place of the one that was asked for the longest ago.
    fn list(&self, key: &RankingKey, now: Instant) -> Shared<Trending> {
        let mut lists = self.lists.lock();
        if let Some(kept) = lists.get_mut(key) {
            kept.asked_at = now;
            return kept.list.clone();
        }
        if lists.len() >= MAX_LISTS {
            let oldest = lists.iter().min_by_key(|(_, kept)| kept.asked_at).map(|(key, _)| key.clone());
            oldest.and_then(|key| lists.remove(&key));
        }
        let list = Shared::new(PACE);
        lists.insert(key.clone(), Kept { list: list.clone(), asked_at: now });
        list
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
            rankings.list(&RankingKey { category, ..RankingKey::default() }, now);
            rankings.list(&usual, now);
            assert!(rankings.lists.lock().len() <= MAX_LISTS);
        }
        let lists = rankings.lists.lock();
        assert!(lists.contains_key(&usual));
    }
}
