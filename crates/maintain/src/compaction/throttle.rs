//! How compaction yields: to ingestion by pausing, to its owner by stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::CompactionError;

/// The longest pause at once, so that a lifted throttle is noticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Work shorter than this is not worth a pause.
const LEAST_WORK: Duration = Duration::from_millis(5);

/// How much of its thread's time compaction takes; clones share one setting. Ingestion lowers it when it lags.
#[derive(Clone, Debug)]
pub struct Throttle {
    share_percent: Arc<AtomicU8>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { share_percent: Arc::new(AtomicU8::new(100)) }
    }
}

impl Throttle {
    /// From now on compaction works this part of the time, 1 to 100 percent, and sleeps the rest.
    pub fn set_share_percent(&self, percent: u8) {
        self.share_percent.store(percent.clamp(1, 100), Ordering::Relaxed);
    }

    /// The part of the time it works, percent.
    pub fn share_percent(&self) -> u8 {
        self.share_percent.load(Ordering::Relaxed)
    }

    /// How long to sleep after so much work.
    fn pause_after(&self, work: Duration) -> Duration {
        let share = u32::from(self.share_percent());
        (work * (100 - share) / share).min(LONGEST_PAUSE)
    }
}

/// Asks a round to stop; clones share one request. What is committed by then stays, the group at work is undone.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(CancellationToken);

impl CancelToken {
    /// Asks it to stop at the next batch.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it was asked to.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// The outcome of `work`; `None` where it was asked to stop first. The work is dropped then, wherever it is.
    pub async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(work).await
    }

    pub(crate) fn check(&self) -> Result<(), CompactionError> {
        if self.is_cancelled() { Err(CompactionError::Cancelled) } else { Ok(()) }
    }
}

/// Paces a thread of its own: it sleeps where it stands.
#[derive(Debug)]
pub(crate) struct Pacer {
    throttle: Throttle,
    cancels: Vec<CancelToken>,
    working_since: Instant,
}

impl Pacer {
    /// Stops when one of `cancels` asks for it.
    pub(crate) fn new(throttle: Throttle, cancels: Vec<CancelToken>) -> Self {
        Self { throttle, cancels, working_since: Instant::now() }
    }

    /// Called between two batches.
    pub(crate) fn step(&mut self) -> Result<(), CompactionError> {
        self.cancels.iter().try_for_each(CancelToken::check)?;
        let work = self.working_since.elapsed();
        if work < LEAST_WORK {
            return Ok(());
        }
        let pause = self.throttle.pause_after(work);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        self.working_since = Instant::now();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_in_proportion_to_work() {
        let throttle = Throttle::default();
        let work = Duration::from_millis(30);
        assert_eq!(throttle.pause_after(work), Duration::ZERO);
        throttle.set_share_percent(25);
        assert_eq!(throttle.pause_after(work), 3 * work);
        throttle.set_share_percent(0);
        assert_eq!(throttle.pause_after(work), LONGEST_PAUSE);
    }

    #[test]
    fn a_cancelled_pacer_refuses() {
        let cancel = CancelToken::default();
        let mut pacer = Pacer::new(Throttle::default(), vec![cancel.clone()]);
        assert!(pacer.step().is_ok());
        cancel.cancel();
        assert!(matches!(pacer.step(), Err(CompactionError::Cancelled)));
    }
}
