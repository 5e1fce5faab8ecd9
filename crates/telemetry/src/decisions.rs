//! What decisions, their queue and their outbox report.

use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};

use crate::exposition::{Histogram, Moment, histogram, moment};
use crate::metric::Metric;

/// What one round has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoundFigures {
    /// Decisions that entered the queue, by type.
    pub taken: Vec<(&'static str, u64)>,
    /// Decisions that were held back, by reason.
    pub suppressed: Vec<(&'static str, u64)>,
    /// Videos that would be a REVIEW, had their plays had time to end.
    pub immature_reviews: u64,
    /// Actions whose time was over.
    pub expired: u64,
    /// How often it was decided anew.
    pub retries: u32,
    /// From its start to its commit.
    pub duration: Duration,
}

/// Handles of the rounds of decisions.
#[derive(Debug)]
pub struct DecisionMetrics {
    immature_reviews: Counter,
    expired: Counter,
    rounds: Counter,
    retries: Counter,
    failures: Counter,
    refused_files: Counter,
    gold_age: Gauge,
    freshness: Gauge,
    duration: Histogram,
    decided_minute: Moment,
}

impl Default for DecisionMetrics {
    fn default() -> Self {
        let count = |metric: Metric| counter!(metric.name());
        Self {
            immature_reviews: count(Metric::ImmatureReviews),
            expired: count(Metric::ExpiredActions),
            rounds: count(Metric::DecisionRounds),
            retries: count(Metric::DecisionRetries),
            failures: count(Metric::DecisionFailures),
            refused_files: count(Metric::RefusedRules),
            gold_age: gauge!(Metric::GoldAge.name()),
            freshness: gauge!(Metric::FreshnessState.name()),
            duration: histogram(Metric::DecisionRoundDuration, &[]),
            decided_minute: moment(Metric::DecidedMinuteAge, &[]),
        }
    }
}

impl DecisionMetrics {
    /// A round has ended well.
    pub fn decided(&self, figures: &RoundFigures) {
        for (decision, count) in &figures.taken {
            counter!(Metric::TakenDecisions.name(), "type" => *decision).increment(*count);
        }
        for (reason, count) in &figures.suppressed {
            counter!(Metric::SuppressedDecisions.name(), "reason" => *reason).increment(*count);
        }
        self.immature_reviews.increment(figures.immature_reviews);
        self.expired.increment(figures.expired);
        self.retries.increment(u64::from(figures.retries));
        self.rounds.increment(1);
        self.duration.observe(figures.duration, 1);
    }

    /// A round failed; it is made again.
    pub fn failed(&self) {
        self.failures.increment(1);
    }

    /// End of the newest minute that was decided about, microseconds since the epoch.
    pub fn newest_minute(&self, end_us: i64) {
        self.decided_minute.set_us(Some(end_us));
    }

    /// Partitions that are not decided about now, by reason; every reason that there is, also those without a partition.
    pub fn undecided(&self, partitions: &[(&'static str, usize)]) {
        for (reason, count) in partitions {
            gauge!(Metric::UndecidedPartitions.name(), "reason" => *reason).set(*count as f64);
        }
    }

    /// P95 of the age of gold, seconds, and the state that it makes: 0 fresh, 1 degraded, 2 stale.
    pub fn freshness(&self, age_p95_s: Option<f64>, state: u8) {
        self.gold_age.set(age_p95_s.unwrap_or(f64::INFINITY));
        self.freshness.set(f64::from(state));
    }

    /// Actions in memory by state; every state that there is.
    pub fn queued(&self, by_state: &[(&'static str, usize)]) {
        for (state, count) in by_state {
            gauge!(Metric::QueuedActions.name(), "state" => *state).set(*count as f64);
        }
    }

    /// A file of rules or baselines was refused.
    pub fn refused_file(&self) {
        self.refused_files.increment(1);
    }
}

/// Handles of the outbox.
#[derive(Debug)]
pub struct OutboxMetrics {
    sent: Counter,
    unsent: Gauge,
    failures: Counter,
}

impl Default for OutboxMetrics {
    fn default() -> Self {
        Self {
            sent: counter!(Metric::SentActions.name()),
            unsent: gauge!(Metric::UnsentActions.name()),
            failures: counter!(Metric::OutboxFailures.name()),
        }
    }
}

impl OutboxMetrics {
    /// So many were acknowledged.
    pub fn sent(&self, actions: u64) {
        self.sent.increment(actions);
    }

    /// So many wait.
    pub fn unsent(&self, actions: usize) {
        self.unsent.set(actions as f64);
    }

    /// A try failed.
    pub fn failed(&self) {
        self.failures.increment(1);
    }
}
