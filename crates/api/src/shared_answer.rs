//! An answer that is made once and shared by everybody who asks for it.
//!
//! While an answer is fresh, it is what everybody gets. One that is up to twice as old is still given away, and the first to
//! see it has the next one made; whoever finds it too old waits for the new one. An answer that takes long to make is
//! made less often, so that making answers takes a quarter of a core at most.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::ApiError;

/// How often an answer is made at most, and at least while somebody asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// An answer counts as fresh for this long at least …
    pub(crate) shortest: Duration,
    /// … and at most.
    pub(crate) longest: Duration,
}

/// Making may take this part of the time: one in so many.
const COST_FACTOR: u32 = 4;

/// A slot for one answer. Cheap to clone.
pub(crate) struct Shared<T> {
    slot: Arc<Slot<T>>,
}

struct Slot<T> {
    made: RwLock<Option<Made<T>>>,
    making: Arc<tokio::sync::Mutex<()>>,
    pace: Pace,
}

struct Made<T> {
    answer: Arc<T>,
    at: Instant,
    took: Duration,
}

/// How an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Usable,
    TooOld,
}

impl Pace {
    fn judge(self, age: Duration, took: Duration) -> Age {
        let fresh = (took * COST_FACTOR).clamp(self.shortest, self.longest);
        match age {
            _ if age < fresh => Age::Fresh,
            _ if age < fresh * 2 => Age::Usable,
            _ => Age::TooOld,
        }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone() }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    /// An empty slot.
    pub(crate) fn new(pace: Pace) -> Self {
        let slot = Slot { made: RwLock::new(None), making: Arc::default(), pace };
        Self { slot: Arc::new(slot) }
    }

    /// The answer; `make` makes a new one where that is due.
    ///
    /// # Errors
    /// With `make`'s, where there is no answer that could be given instead.
    pub(crate) async fn get<F>(&self, make: impl FnOnce() -> F) -> Result<Arc<T>, ApiError>
    where
        F: Future<Output = Result<T, ApiError>> + Send + 'static,
    {
        if let Some((answer, age)) = self.slot.present() {
            match age {
                Age::Fresh => return Ok(answer),
                Age::Usable => {
                    if let Ok(turn) = self.slot.making.clone().try_lock_owned() {
                        let (slot, making) = (self.slot.clone(), make());
                        tokio::spawn(async move {
                            // A failure shows at the next asking, once this answer is too old.
                            let _ = slot.fill(making).await;
                            drop(turn);
                        });
                    }
                    return Ok(answer);
                }
                Age::TooOld => {}
            }
        }
        let _turn = self.slot.making.lock().await;
        match self.slot.present() {
            Some((answer, Age::Fresh | Age::Usable)) => Ok(answer),
            _ => self.slot.fill(make()).await,
        }
    }
}

impl<T> Slot<T> {
    fn present(&self) -> Option<(Arc<T>, Age)> {
        let made = self.made.read();
        let made = made.as_ref()?;
        Some((made.answer.clone(), self.pace.judge(made.at.elapsed(), made.took)))
    }

    async fn fill(&self, making: impl Future<Output = Result<T, ApiError>>) -> Result<Arc<T>, ApiError> {
        let begun = Instant::now();
        let answer = Arc::new(making.await?);
        let made = Made { answer: answer.clone(), at: Instant::now(), took: begun.elapsed() };
        *self.made.write() = Some(made);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PACE: Pace = Pace { shortest: Duration::from_millis(200), longest: Duration::from_secs(1) };

    #[test]
    fn what_takes_long_is_made_less_often() {
        let ms = Duration::from_millis;
        for (age, took, expected) in [
            (0, 1, Age::Fresh),
            (199, 1, Age::Fresh),
            (200, 1, Age::Usable),
            (399, 1, Age::Usable),
            (400, 1, Age::TooOld),
            (399, 100, Age::Fresh),
            (400, 100, Age::Usable),
            (800, 100, Age::TooOld),
            (999, 9_000, Age::Fresh),
            (1_999, 9_000, Age::Usable),
            (2_000, 9_000, Age::TooOld),
        ] {
            assert_eq!(PACE.judge(ms(age), ms(took)), expected, "{age} ms old, took {took} ms");
        }
    }

    #[tokio::test]
    async fn everybody_shares_one() {
        let shared = Shared::new(PACE);
        let made = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let (shared, made) = (shared.clone(), made.clone());
            async move {
                let make = || async move { Ok(made.fetch_add(1, Ordering::SeqCst)) };
                *shared.get(make).await.unwrap()
            }
        };
        let answers = futures::future::join_all((0..100).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| *answer == 0), "{answers:?}");
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_nobody_elses() {
        let shared: Shared<u8> = Shared::new(PACE);
        let failing = shared.get(|| async { Err(ApiError::unavailable("stopped", "no")) }).await;
        assert!(failing.is_err());
        assert_eq!(*shared.get(|| async { Ok(7) }).await.unwrap(), 7);
    }
}
