//! Heartbeats: how the supervisor finds an actor that hangs instead of failing.
//!
//! Every actor beats from a timer in its own context. A thread that is stuck stops the beats of all its actors; an
//! actor whose present operation takes longer than allowed ([`StepClock`]) withholds its own beat.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pulselake_telemetry::events;

use crate::kill_switch::{Failure, FailureClass, KillSwitch};

/// The heartbeats of one generation.
#[derive(Clone, Default)]
pub struct Heartbeats {
    slots: Arc<Mutex<Vec<Slot>>>,
}

struct Slot {
    actor: String,
    last_beat: Arc<Mutex<Instant>>,
}

/// One actor's end.
#[derive(Clone)]
pub struct Heartbeat {
    last_beat: Arc<Mutex<Instant>>,
}

impl Heartbeats {
    /// A slot for one more actor. It counts as alive from now on.
    pub fn register(&self, actor: &str) -> Heartbeat {
        let last_beat = Arc::new(Mutex::new(Instant::now()));
        self.slots.lock().push(Slot { actor: actor.to_string(), last_beat: last_beat.clone() });
        Heartbeat { last_beat }
    }

    /// The first actor that has been silent for longer than `timeout`, with its silence.
    pub fn silent_for(&self, timeout: Duration) -> Option<(String, Duration)> {
        self.slots.lock().iter().find_map(|slot| {
            let silence = slot.last_beat.lock().elapsed();
            (silence > timeout).then(|| (slot.actor.clone(), silence))
        })
    }
}

impl Heartbeat {
    /// Shows that the actor is alive.
    pub fn beat(&self) {
        *self.last_beat.lock() = Instant::now();
    }

    /// The same for an actor that has asked for something, as long as the answer is not overdue.
    pub(crate) fn beat_unless_overdue(&self, clock: &StepClock) {
        if !clock.is_overdue() {
            self.beat();
        }
    }
}

/// Times what an actor asks of a store, of which it knows nothing but that an answer should come.
///
/// Shared by the actor, whose timer asks, and the future that waits for the answer on the same thread.
#[derive(Clone)]
pub(crate) struct StepClock {
    since: Rc<Cell<Option<Instant>>>,
    limit: Duration,
}

impl StepClock {
    /// A clock for steps that may take `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { since: Rc::default(), limit }
    }

    /// Whether a step is under way that has taken longer than it may.
    pub(crate) fn is_overdue(&self) -> bool {
        self.since.get().is_some_and(|since| since.elapsed() >= self.limit)
    }

    /// Waits for one step. Steps of one clock must not overlap.
    pub(crate) async fn time<T>(&self, step: impl Future<Output = T>) -> T {
        self.since.set(Some(Instant::now()));
        let outcome = step.await;
        self.since.set(None);
        outcome
    }
}

/// How often silence is looked for.
pub(crate) const CHECK: Duration = Duration::from_millis(100);

/// Whether a watcher that looks every [`CHECK`] may judge silence: not before it has itself run undisturbed for a whole
/// time-out. After a stop of the process (or of the watcher's thread) the silence until then says nothing about others.
pub(crate) struct FairWatch {
    timeout: Duration,
    last_check: Instant,
    judging_since: Instant,
}

impl FairWatch {
    pub(crate) fn new(timeout: Duration) -> Self {
        let now = Instant::now();
        Self { timeout, last_check: now, judging_since: now }
    }

    /// Notes that the watcher looks now.
    pub(crate) fn may_judge(&mut self) -> bool {
        let since_last_check = self.last_check.elapsed();
        self.last_check = Instant::now();
        if since_last_check > self.timeout / 2 {
            self.judging_since = self.last_check;
        }
        self.judging_since.elapsed() >= self.timeout
    }
}

/// Trips `kill_switch` when an actor of `run` has been silent for longer than `timeout`. A task of its own, so that it
/// goes on while the supervisor waits for something that may never come.
pub(crate) fn watch(
    heartbeats: Heartbeats,
    kill_switch: KillSwitch,
    timeout: Duration,
    run: String,
) -> tokio::task::JoinHandle<()> {
    actix::spawn(async move {
        let mut fair = FairWatch::new(timeout);
        loop {
            tokio::time::sleep(CHECK).await;
            if !fair.may_judge() {
                continue;
            }
            let Some((actor, silence)) = heartbeats.silent_for(timeout) else { continue };
            events::heartbeat_missed(&actor, &run, silence);
            let reason =
                format!("no heartbeat for {} ms (supervision.heartbeat_timeout_ms)", silence.as_millis());
            kill_switch.trip(Failure { actor, class: FailureClass::Crash, reason });
            return;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn a_step_without_an_answer_becomes_overdue_and_an_answered_one_does_not() {
        let clock = StepClock::new(Duration::from_millis(20));
        clock.time(async {}).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!clock.is_overdue());
        let waiting = clock.clone();
        let step = actix::spawn(async move { waiting.time(std::future::pending::<()>()).await });
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(clock.is_overdue());
        step.abort();
    }

    #[test]
    fn silence_is_found_by_name() {
        let heartbeats = Heartbeats::default();
        let alive = heartbeats.register("alive");
        let _hung = heartbeats.register("hung");
        let deadline = Instant::now() + Duration::from_secs(5);
        let silent = loop {
            alive.beat();
            if let Some(found) = heartbeats.silent_for(Duration::from_millis(20)) {
                break Some(found.0);
            }
            if Instant::now() > deadline {
                break None;
            }
            std::thread::yield_now();
        };
        assert_eq!(silent.as_deref(), Some("hung"));
    }
}
