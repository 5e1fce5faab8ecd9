//! Changes of the assignment, and the acknowledgement that a revocation waits for.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::SourceError;

/// A change of what this process reads.
#[derive(Debug)]
pub enum AssignmentEvent {
    /// These partitions are ours from now on; nothing is read of them until they are opened.
    Assigned(Vec<i32>),
    /// These partitions go to someone else as soon as `done` is finished, dropped, or its deadline has passed.
    /// Until then their commits still count; no more of their records are fetched.
    Revoked {
        /// The partitions.
        partitions: Vec<i32>,
        /// To be finished when the commits in flight have drained.
        done: RevokeAck,
    },
    /// These partitions are gone already (session lost): what is not committed can't be any more.
    Lost(Vec<i32>),
    /// The source as a whole has failed.
    Failed(SourceError),
}

/// Tells the source that the revoked partitions are drained. Dropping it says the same, so that a failing
/// owner never holds the group up.
#[derive(Debug)]
pub struct RevokeAck {
    _released_by_drop: Sender<()>,
}

impl RevokeAck {
    /// The partitions are drained: the rebalance may go on.
    pub fn finish(self) {}

    /// An acknowledgement and the side that waits for it.
    pub(crate) fn pair() -> (Self, RevokeWait) {
        let (sender, receiver) = channel();
        (Self { _released_by_drop: sender }, RevokeWait { receiver })
    }
}

/// The waiting side of a [`RevokeAck`].
pub(crate) struct RevokeWait {
    receiver: Receiver<()>,
}

impl RevokeWait {
    /// Waits until the acknowledgement is finished or dropped; false when the deadline passed or `give_up` said so first.
    pub(crate) fn wait(&self, deadline: Duration, give_up: impl Fn() -> bool) -> bool {
        const SLICE: Duration = Duration::from_millis(50);
        let until = Instant::now() + deadline;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left.min(SLICE)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if left.is_zero() || give_up() => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finishing_or_dropping_releases_the_wait() {
        for finish in [true, false] {
            let (ack, wait) = RevokeAck::pair();
            let owner = std::thread::spawn(move || if finish { ack.finish() } else { drop(ack) });
            assert!(wait.wait(Duration::from_secs(30), || false));
            owner.join().unwrap();
        }
    }

    #[test]
    fn a_forgotten_acknowledgement_times_out() {
        let (_ack, wait) = RevokeAck::pair();
        assert!(!wait.wait(Duration::from_millis(1), || false));
    }

    #[test]
    fn closing_gives_up_before_the_deadline() {
        let (_ack, wait) = RevokeAck::pair();
        let started = Instant::now();
        assert!(!wait.wait(Duration::from_secs(60), || true));
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
