//! The kill switch of a generation: the first failure of any of its actors ends all of them.
//!
//! State that is spread over several actors can't be repaired one actor at a time: the message in flight is lost,
//! and its neighbours have already counted on it. So nobody tries. Whoever fails trips the switch; the supervisor
//! waits on it and starts the next generation from what is committed. actix does not restart an actor that
//! panicked, but it drops it: [`DeathGuard`] turns that drop into a failure like any other.

use std::sync::Arc;

use parking_lot::Mutex;
use pulselake_source::ErrorAction;
use tokio::sync::watch;

/// What a failure means for the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Somebody else owns a partition now. Restart from the ledger; costs no restart budget.
    Fenced,
    /// Something outside does not answer: broker, catalog, disk. Restart with back-off; costs no restart budget.
    Transient,
    /// An error or a panic. Restart with back-off; costs restart budget.
    Crash,
    /// Going on would lose or double records, and no restart can change that: the service stops.
    Stop,
}

impl From<ErrorAction> for FailureClass {
    /// What a source's error means for the run that reads it.
    fn from(action: ErrorAction) -> Self {
        match action {
            ErrorAction::Retry => Self::Transient,
            // The partition is somebody else's: the assignment's own event follows.
            ErrorAction::LetGo => Self::Fenced,
            ErrorAction::Stop => Self::Stop,
        }
    }
}

/// The first failure of a generation.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The actor that failed, with its partition or table.
    pub actor: String,
    /// What it means.
    pub class: FailureClass,
    /// What happened, and what to do.
    pub reason: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.actor, self.reason)
    }
}

/// Shared by the actors of one generation.
#[derive(Clone)]
pub struct KillSwitch {
    failure: Arc<Mutex<Option<Failure>>>,
    tripped: Arc<watch::Sender<bool>>,
}

impl Default for KillSwitch {
    fn default() -> Self {
        Self { failure: Arc::default(), tripped: Arc::new(watch::Sender::new(false)) }
    }
}

impl KillSwitch {
    /// Ends the generation. Only the first failure is kept: the others follow from it.
    pub fn trip(&self, failure: Failure) {
        let mut first = self.failure.lock();
        if first.is_none() {
            *first = Some(failure);
            drop(first);
            self.tripped.send_replace(true);
        }
    }

    /// Whether the generation has ended.
    pub fn is_tripped(&self) -> bool {
        *self.tripped.borrow()
    }

    /// The failure that ended it.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// Returns when the switch is tripped.
    pub async fn tripped(&self) {
        let mut receiver = self.tripped.subscribe();
        // The sender lives in `self`: the wait can't end by its loss.
        let _ = receiver.wait_for(|tripped| *tripped).await;
    }
}

/// Trips the switch when an actor is dropped without having been told to stop: that is what a panic looks like.
pub struct DeathGuard {
    kill_switch: KillSwitch,
    actor: String,
    armed: bool,
}

impl DeathGuard {
    /// A guard for one actor.
    pub fn new(kill_switch: KillSwitch, actor: impl Into<String>) -> Self {
        Self { kill_switch, actor: actor.into(), armed: true }
    }

    /// The actor's name.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Reports a failure that the actor noticed itself.
    pub fn fail(&self, class: FailureClass, reason: impl Into<String>) {
        self.kill_switch.trip(Failure { actor: self.actor.clone(), class, reason: reason.into() });
    }

    /// The actor ends on purpose.
    pub fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for DeathGuard {
    fn drop(&mut self) {
        if self.armed && !self.kill_switch.is_tripped() {
            let how = if std::thread::panicking() { "panicked" } else { "ended without being told to" };
            self.fail(FailureClass::Crash, format!("the actor {how}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_kept() {
        let kill_switch = KillSwitch::default();
        let mut first = DeathGuard::new(kill_switch.clone(), "first");
        first.fail(FailureClass::Fenced, "one");
        DeathGuard::new(kill_switch.clone(), "second").fail(FailureClass::Crash, "two");
        first.disarm();
        assert_eq!(
            kill_switch.failure().map(|failure| (failure.actor, failure.reason)),
            Some(("first".into(), "one".into()))
        );
    }

    #[test]
    fn a_dropped_actor_trips_the_switch_and_a_disarmed_one_does_not() {
        let kill_switch = KillSwitch::default();
        let mut guard = DeathGuard::new(kill_switch.clone(), "a");
        guard.disarm();
        drop(guard);
        assert!(!kill_switch.is_tripped());
        drop(DeathGuard::new(kill_switch.clone(), "b"));
        assert!(kill_switch.is_tripped());
    }
}
