//! Shared answers by what they are asked for, bounded in number: a new one takes the place of the one that was asked for
//! the longest ago.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Instant;

use parking_lot::Mutex;

use crate::shared_answer::{Pace, Shared};

/// The slots in use.
pub(crate) struct SharedSlots<K, T> {
    kept: Mutex<HashMap<K, Kept<T>>>,
    most: usize,
    pace: Pace,
}

struct Kept<T> {
    slot: Shared<T>,
    asked_at: Instant,
}

impl<K: Clone + Eq + Hash, T: Send + Sync + 'static> SharedSlots<K, T> {
    /// At most `most` slots, each with this pace.
    pub(crate) fn new(most: usize, pace: Pace) -> Self {
        Self { kept: Mutex::default(), most, pace }
    }

    /// The slot of `key`, asked for at `now`.
    pub(crate) fn slot<Q>(&self, key: &Q, now: Instant) -> Shared<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut kept = self.kept.lock();
        if let Some(found) = kept.get_mut(key) {
            found.asked_at = now;
            return found.slot.clone();
        }
        if kept.len() >= self.most {
            let oldest = kept.iter().min_by_key(|(_, one)| one.asked_at).map(|(asked, _)| asked.clone());
            oldest.and_then(|asked| kept.remove::<K>(&asked));
        }
        let slot = Shared::new(self.pace);
        kept.insert(key.to_owned(), Kept { slot: slot.clone(), asked_at: now });
        slot
    }

    /// What has a slot.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<K> {
        self.kept.lock().keys().cloned().collect()
    }
}
