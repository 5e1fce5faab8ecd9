//! Back-off and budget of restarts: pure, with the time handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Settings of [`RestartBudget`].
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// First pause.
    pub backoff_initial: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Crashes within `window` before the service gives up.
    pub budget: usize,
    /// See `budget`; a shard that has run this long starts again with the first pause.
    pub window: Duration,
}

/// Counts crashes and says how long to wait.
#[derive(Debug)]
pub struct RestartBudget {
    policy: RestartPolicy,
    crashes: VecDeque<Instant>,
}

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetSpent {
    /// Crashes within the window.
    pub crashes: usize,
    /// The window.
    pub window: Duration,
}

impl RestartBudget {
    /// A full budget.
    pub fn new(policy: RestartPolicy) -> Self {
        Self { policy, crashes: VecDeque::new() }
    }

    /// Books a crash at `now`.
    pub fn spend(&mut self, now: Instant) -> Result<(), BudgetSpent> {
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|crash| !self.counts(*crash, now)) {
            self.crashes.pop_front();
        }
        if self.crashes.len() > self.policy.budget {
            return Err(BudgetSpent { crashes: self.crashes.len(), window: self.policy.window });
        }
        Ok(())
    }

    fn counts(&self, crash: Instant, now: Instant) -> bool {
        now.duration_since(crash) <= self.policy.window
    }

    /// Crashes that may still come within the window that ends at `now`.
    pub fn left(&self, now: Instant) -> usize {
        self.policy
            .budget
            .saturating_sub(self.crashes.iter().filter(|crash| self.counts(**crash, now)).count())
    }

    /// The pause before attempt number `attempt` (from 0) in a row: doubles up to the longest.
    pub fn backoff(&self, attempt: u32) -> Duration {
        self.policy
            .backoff_initial
            .saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX))
            .min(self.policy.backoff_max)
    }

    /// Whether a run that lasted this long ends a row of attempts.
    pub fn is_stable(&self, lasted: Duration) -> bool {
        lasted >= self.policy.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        backoff_initial: Duration::from_millis(100),
        backoff_max: Duration::from_secs(2),
        budget: 2,
        window: Duration::from_secs(60),
    };

    #[test]
    fn crashes_within_the_window_spend_the_budget() {
        let mut budget = RestartBudget::new(POLICY);
        let start = Instant::now();
        assert_eq!(budget.spend(start), Ok(()));
        assert_eq!(budget.spend(start + Duration::from_secs(1)), Ok(()));
        assert_eq!(
            budget.spend(start + Duration::from_secs(2)),
            Err(BudgetSpent { crashes: 3, window: POLICY.window })
        );
    }

    #[test]
    fn the_budget_fills_up_again_without_another_crash() {
        let mut budget = RestartBudget::new(POLICY);
        let start = Instant::now();
        assert_eq!(budget.left(start), 2);
        budget.spend(start).unwrap();
        assert_eq!(budget.left(start + POLICY.window), 1);
        assert_eq!(budget.left(start + POLICY.window + Duration::from_millis(1)), 2);
    }

    #[test]
    fn old_crashes_are_forgotten() {
        let mut budget = RestartBudget::new(POLICY);
        let start = Instant::now();
        for minutes in 0..10 {
            assert_eq!(budget.spend(start + Duration::from_secs(40 * minutes)), Ok(()));
        }
    }

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let budget = RestartBudget::new(POLICY);
        let pauses: Vec<u128> =
            [0, 1, 2, 4, 5, 40].map(|attempt| budget.backoff(attempt).as_millis()).to_vec();
        assert_eq!(pauses, [100, 200, 400, 1600, 2000, 2000]);
    }
}
