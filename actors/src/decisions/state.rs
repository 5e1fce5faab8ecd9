//! What of decisions outlives the actor, and what others may know of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::{Mutex, RwLock};
use pulselake_decision::freshness::{HEALTHY_AGE_S, STALE_AGE_S};
use pulselake_decision::{Baseline, Freshness, FreshnessMachine, Rules};
use pulselake_telemetry::decision_events as events;

use super::ages::Ages;

/// No minute was decided about yet.
const NEVER: i64 = i64::MIN;

/// What the API shows of decisions. Cheap to clone.
#[derive(Clone)]
pub struct DecisionsHandle {
    shared: Arc<Shared>,
}

struct Shared {
    rules: RwLock<Arc<Rules>>,
    baseline: RwLock<(Arc<Baseline>, String)>,
    errors: RwLock<Errors>,
    last_decided_minute_us: AtomicI64,
    gold: Mutex<Gold>,
}

#[derive(Default)]
struct Errors {
    rules: Option<String>,
    baseline: Option<String>,
    published: Option<String>,
}

#[derive(Default)]
struct Gold {
    ages: Ages,
    machine: FreshnessMachine,
    /// When this process was first asked.
    first_us: Option<i64>,
    /// Whether its ages count.
    is_observed: bool,
}

impl DecisionsHandle {
    /// Before the first round. `baseline_origin` says in a few words where the baseline comes from.
    pub fn new(rules: Rules, baseline: Baseline, baseline_origin: &str) -> Self {
        Self {
            shared: Arc::new(Shared {
                rules: RwLock::new(Arc::new(rules)),
                baseline: RwLock::new((Arc::new(baseline), baseline_origin.to_owned())),
                errors: RwLock::default(),
                last_decided_minute_us: AtomicI64::new(NEVER),
                gold: Mutex::default(),
            }),
        }
    }

    /// What may be decided on gold now.
    pub fn freshness(&self) -> Freshness {
        self.shared.gold.lock().machine.state()
    }

    /// P95 of the age of gold over the last minutes, seconds; `None` before its first commit in this process.
    pub fn gold_age_p95_s(&self) -> Option<f64> {
        self.shared.gold.lock().ages.p95_s()
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.shared.rules.read().clone()
    }

    /// Their version.
    pub fn rule_version(&self) -> String {
        self.rules().version.clone()
    }

    /// The baseline in force.
    pub fn baseline(&self) -> Arc<Baseline> {
        self.shared.baseline.read().0.clone()
    }

    /// Where it comes from, in a few words.
    pub fn baseline_origin(&self) -> String {
        self.shared.baseline.read().1.clone()
    }

    /// Why the files of rules and baseline, or the published baselines, are not what is in force; `None` when they are.
    pub fn rules_error(&self) -> Option<String> {
        let errors = self.shared.errors.read();
        let all = [&errors.rules, &errors.baseline, &errors.published];
        let all: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Start of the newest minute that was decided about in this process, microseconds since the epoch.
    pub fn last_decided_minute_us(&self) -> Option<i64> {
        Some(self.shared.last_decided_minute_us.load(Ordering::Relaxed))
            .filter(|minute_us| *minute_us != NEVER)
    }

    pub(super) fn decided_minute(&self, minute_us: i64) {
        self.shared.last_decided_minute_us.fetch_max(minute_us, Ordering::Relaxed);
    }

    pub(super) fn use_rules(&self, rules: Rules) {
        *self.shared.rules.write() = Arc::new(rules);
    }

    pub(super) fn use_baseline(&self, baseline: Baseline, origin: &str) {
        *self.shared.baseline.write() = (Arc::new(baseline), origin.to_owned());
    }

    pub(super) fn rules_refused(&self, reason: Option<String>) {
        self.shared.errors.write().rules = reason;
    }

    pub(super) fn baseline_refused(&self, reason: Option<String>) {
        self.shared.errors.write().baseline = reason;
    }

    pub(super) fn published_refused(&self, reason: Option<String>) {
        self.shared.errors.write().published = reason;
    }

    /// Takes in how far gold is visible at `now_us`; `None` before its first commit in this process.
    ///
    /// After a start the past is read first, and gold is old without anything being wrong: its ages count from the first
    /// healthy one on, or from 10 minutes after the start. Until then coverage and watermark hold decisions back.
    pub(super) fn observe(&self, now_us: i64, visible_through_us: Option<i64>) -> Freshness {
        let mut gold = self.shared.gold.lock();
        let first_us = *gold.first_us.get_or_insert(now_us);
        if let Some(visible_us) = visible_through_us {
            gold.ages.add(now_us, visible_us);
        }
        let started_s = now_us.saturating_sub(first_us) as f64 / 1e6;
        let is_healthy = gold.ages.newest_s().is_some_and(|age_s| age_s <= HEALTHY_AGE_S);
        if !gold.is_observed && (is_healthy || started_s > STALE_AGE_S) {
            gold.is_observed = true;
            // What was caught up is no delay.
            gold.ages = Ages::default();
            if let Some(visible_us) = visible_through_us {
                gold.ages.add(now_us, visible_us);
            }
        }
        if !gold.is_observed {
            return gold.machine.state();
        }
        let before = gold.machine.state();
        let age_p95_s = gold.ages.p95_s();
        let after = gold.machine.observe(now_us, age_p95_s);
        if before != after {
            events::freshness_changed(before.as_str(), after.as_str(), age_p95_s);
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn handle() -> DecisionsHandle {
        DecisionsHandle::new(Rules::default(), Baseline::seed(), "seed")
    }

    /// Observes once a second for so many seconds; gold is visible up to so many seconds before.
    fn observe(handle: &DecisionsHandle, seconds: std::ops::Range<i64>, age_s: i64) -> Freshness {
        let mut state = handle.freshness();
        for second in seconds {
            state = handle.observe(second * SECOND_US, Some((second - age_s) * SECOND_US));
        }
        state
    }

    #[test]
    fn what_is_caught_up_after_a_start_is_no_delay() {
        let handle = handle();
        assert_eq!(handle.observe(0, None), Freshness::Fresh);
        assert_eq!(observe(&handle, 1..400, 7_200), Freshness::Fresh);
        assert_eq!(observe(&handle, 400..2_000, 70), Freshness::Fresh);
        assert!(handle.gold_age_p95_s().is_some_and(|age_s| age_s < 71.0));
    }

    #[test]
    fn a_catch_up_that_takes_too_long_is_stale() {
        let handle = handle();
        assert_eq!(observe(&handle, 0..601, 7_200), Freshness::Fresh);
        assert_eq!(observe(&handle, 601..603, 7_200), Freshness::Stale);
        assert_eq!(observe(&handle, 603..1_500, 70), Freshness::Stale);
        assert_eq!(observe(&handle, 1_500..1_700, 70), Freshness::Fresh);
    }

    #[test]
    fn a_source_that_never_gave_anything_is_out() {
        let handle = handle();
        for second in 0..=600 {
            assert_eq!(handle.observe(second * SECOND_US, None), Freshness::Fresh);
        }
        assert_eq!(handle.observe(601 * SECOND_US, None), Freshness::Stale);
    }

    #[test]
    fn every_error_is_told() {
        let handle = handle();
        assert_eq!(handle.rules_error(), None);
        handle.rules_refused(Some("a".to_owned()));
        handle.baseline_refused(Some("b".to_owned()));
        assert_eq!(handle.rules_error().as_deref(), Some("a; b"));
        handle.rules_refused(None);
        handle.published_refused(Some("c".to_owned()));
        assert_eq!(handle.rules_error().as_deref(), Some("b; c"));
    }

    #[test]
    fn the_newest_decided_minute_never_goes_back() {
        let handle = handle();
        assert_eq!(handle.last_decided_minute_us(), None);
        handle.decided_minute(120);
        handle.decided_minute(60);
        assert_eq!(handle.last_decided_minute_us(), Some(120));
    }
}
