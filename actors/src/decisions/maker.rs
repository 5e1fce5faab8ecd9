//! The actor that decides: looks each second whether a minute has closed, and makes a round when it has.
//!
//! It keeps nothing that its end could lose: what was decided is in the queue, rules, baseline and freshness are shared
//! ([`DecisionsHandle`]). After a start it decides the last few minutes again, which changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use pulselake_board::PartitionCoverage;
use pulselake_decision::{ActionState, Freshness, MINUTE_US, PartitionEvidence, WhyNot, may_decide};
use pulselake_model::tables::LakeTable;
use pulselake_telemetry::{DecisionMetrics, decision_events as events};
use tokio::sync::Mutex;

use super::files::Files;
use super::pacing::{Due, Pacing, ReadyPartition};
use super::published::Published;
use super::round::{Outcome, RoundError, RoundParts, make_round};
use super::settings::DecisionSettings;
use crate::heartbeat::{Heartbeat, StepClock};
use crate::kill_switch::DeathGuard;
use crate::messages::StopActor;
use crate::status::{EngineStatus, now_us};

/// Every reason why a partition is not decided about.
const REASONS: [&str; 4] = ["stale", "not_covered", "minute_open", "watermark_behind"];

/// What the actor is made of.
pub(super) struct MakerParts {
    pub(super) settings: DecisionSettings,
    pub(super) round: RoundParts,
    pub(super) status: EngineStatus,
    pub(super) metrics: Arc<DecisionMetrics>,
    /// Rules and baselines, and whose turn it is to look at them; held by the round under way, so that the end waits for it.
    pub(super) sources: Arc<Mutex<Sources>>,
    pub(super) guard: DeathGuard,
    pub(super) heartbeat: Heartbeat,
}

/// Where rules and baseline come from.
pub(super) struct Sources {
    pub(super) files: Files,
    pub(super) published: Published,
    /// Why the published baselines can't be used, as it was reported last.
    pub(super) published_error: Option<String>,
    pub(super) looked_at: Option<Instant>,
}

/// See the module.
pub(super) struct DecisionMaker {
    parts: MakerParts,
    pacing: Pacing,
    asking: StepClock,
    is_busy: bool,
    refreshed_at: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
}

impl DecisionMaker {
    pub(super) fn new(parts: MakerParts) -> Self {
        Self {
            asking: StepClock::new(parts.settings.heartbeat_timeout / 2),
            parts,
            pacing: Pacing::default(),
            is_busy: false,
            refreshed_at: None,
            failures: 0,
            not_before: None,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = now_us();
        let freshness = self.observe(now);
        if self.is_busy || self.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let ready = self.ready_partitions(freshness, now);
        let wait_us = i64::try_from(self.parts.settings.straggler_wait.as_micros()).unwrap_or(i64::MAX);
        let due = self.pacing.due(&ready, now, wait_us);
        let is_refresh_due =
            self.refreshed_at.is_none_or(|at| at.elapsed() >= self.parts.settings.refresh_interval);
        if due.is_empty() && !is_refresh_due {
            return;
        }
        self.begin(due, now, ctx);
    }

    fn observe(&self, now: i64) -> Freshness {
        let gold = self.parts.status.table(LakeTable::VideoStats1Min);
        let handle = &self.parts.round.handle;
        let state = handle.observe(now, gold.and_then(|table| table.visible_through_us));
        let number = match state {
            Freshness::Fresh => 0,
            Freshness::Degraded => 1,
            Freshness::Stale => 2,
        };
        self.parts.metrics.freshness(handle.gold_age_p95_s(), number);
        state
    }

    /// The partitions whose newest closed minute may be decided about; of the others, the reasons are shown.
    fn ready_partitions(&self, freshness: Freshness, now: i64) -> Vec<ReadyPartition> {
        let mut undecided = REASONS.map(|reason| (reason, 0));
        let mut ready = Vec::new();
        for coverage in self.parts.round.board.coverage().partitions {
            match self.may_decide(&coverage, freshness, now) {
                Ok(found) => ready.push(found),
                Err(why) => {
                    if let Some((_, count)) = undecided.iter_mut().find(|(reason, _)| *reason == why.as_str())
                    {
                        *count += 1;
                    }
                }
            }
        }
        self.parts.metrics.undecided(&undecided);
        ready
    }

    fn may_decide(
        &self,
        coverage: &PartitionCoverage,
        freshness: Freshness,
        now: i64,
    ) -> Result<ReadyPartition, WhyNot> {
        let evidence = evidence_of(coverage);
        let newest_closed_us = newest_closed_minute(coverage)
            .ok_or(WhyNot::MinuteOpen { minute_us: now, closed_through_us: None })?;
        let max_lag = self.parts.settings.max_watermark_lag.as_micros();
        let max_lag_us = i64::try_from(max_lag).unwrap_or(i64::MAX);
        may_decide(freshness, &evidence, newest_closed_us, now, max_lag_us)?;
        Ok(ReadyPartition { partition: coverage.partition, newest_closed_us, is_idle: coverage.is_idle })
    }

    fn begin(&mut self, due: Vec<Due>, now: i64, ctx: &mut Context<Self>) {
        self.is_busy = true;
        let (round, sources) = (self.parts.round.clone(), self.parts.sources.clone());
        let (metrics, settings) = (self.parts.metrics.clone(), self.parts.settings.clone());
        let asking = self.asking.clone();
        let working = async move {
            asking
                .time(async {
                    let mut sources = sources.lock().await;
                    sources.look(&round, &metrics, settings.reload_interval, now).await;
                    // A minute that has closed may be covered while those before it are not.
                    let covered = covered_minutes(&round, due.clone());
                    make_round(&round, &covered, now).await
                })
                .await
                .map(|outcome| (due, outcome))
        };
        ctx.spawn(working.into_actor(self).map(|outcome, actor, _| actor.end(outcome)));
    }

    fn end(&mut self, outcome: Result<(Vec<Due>, Outcome), RoundError>) {
        self.is_busy = false;
        match outcome {
            Ok((due, outcome)) => self.decided(&due, &outcome),
            Err(error) => self.failed(&error),
        }
    }

    fn decided(&mut self, due: &[Due], outcome: &Outcome) {
        (self.failures, self.not_before) = (0, None);
        self.refreshed_at = Some(Instant::now());
        self.pacing.decided(due);
        self.show_queue();
        let newest_us = due.iter().filter_map(|of_partition| of_partition.minutes.last().copied()).max();
        let figures = &outcome.figures;
        let Some(minute_us) = newest_us else {
            if figures.expired > 0 {
                self.parts.metrics.decided(figures);
                events::decided("", 0, 0, &outcome.rule_version, figures);
            }
            return;
        };
        self.parts.metrics.decided(figures);
        self.parts.metrics.newest_minute(minute_us + MINUTE_US);
        self.parts.round.handle.decided_minute(minute_us);
        let minute = chrono::DateTime::from_timestamp_micros(minute_us);
        let minute = minute.map_or_else(String::new, |at| at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
        events::decided(&minute, due.len(), outcome.videos, &outcome.rule_version, figures);
    }

    fn show_queue(&self) {
        let view = self.parts.round.queue.view();
        let mut by_state = ActionState::ALL.map(|state| (state.as_str(), 0));
        for action in view.actions() {
            if let Some((_, count)) = by_state.iter_mut().find(|(state, _)| *state == action.state.as_str()) {
                *count += 1;
            }
        }
        self.parts.metrics.queued(&by_state);
    }

    /// The minutes stay due: the next round makes them, if they are not too old by then.
    fn failed(&mut self, error: &RoundError) {
        self.parts.metrics.failed();
        let settings = &self.parts.settings;
        let doubled =
            settings.backoff_initial.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let pause = doubled.min(settings.backoff_max);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
        match error.is_transient() {
            true => events::round_failed(pause, &error.to_string()),
            false => events::queue_broken(pause, &error.to_string()),
        }
    }
}

impl Sources {
    /// Looks at files and table, when it is time.
    async fn look(&mut self, round: &RoundParts, metrics: &DecisionMetrics, interval: Duration, now: i64) {
        if self.looked_at.is_some_and(|at| at.elapsed() < interval) {
            return;
        }
        self.looked_at = Some(Instant::now());
        let handle = &round.handle;
        self.files.look(handle, metrics);
        let looked = self.published.look(&round.lake, &handle.rule_version(), now).await;
        let error = looked.err().map(|error| error.to_string());
        if error != self.published_error {
            if let Some(reason) = &error {
                events::baselines_unusable(reason);
            }
            handle.published_refused(error.clone());
            self.published_error = error;
        }
        let (baseline, origin) = self.published.baseline().unwrap_or_else(|| self.files.own_baseline());
        if *handle.baseline() != *baseline || handle.baseline_origin() != *origin {
            let global = baseline.global();
            let (velocity, impressions) = (global.velocity_p90, global.impressions_p40);
            events::baseline_in_force(origin, velocity, impressions, baseline.cohorts().len());
            handle.use_baseline(baseline.clone(), origin);
        }
    }
}

/// Start of the newest minute that the partition has closed.
fn newest_closed_minute(coverage: &PartitionCoverage) -> Option<i64> {
    coverage.closed_through_us.map(|through_us| through_us.div_euclid(MINUTE_US) * MINUTE_US - MINUTE_US)
}

fn evidence_of(coverage: &PartitionCoverage) -> PartitionEvidence {
    PartitionEvidence {
        covered_from_us: coverage.covered_from_us.filter(|_| !coverage.is_replaying),
        closed_through_us: coverage.closed_through_us,
        watermark_us: coverage.watermark_us,
        is_idle: coverage.is_idle,
    }
}

/// Of the due minutes those whose 30 minutes are all on the board.
fn covered_minutes(round: &RoundParts, mut due: Vec<Due>) -> Vec<Due> {
    let coverage = round.board.coverage();
    for of_partition in &mut due {
        let found = coverage.partitions.iter().find(|found| found.partition == of_partition.partition);
        // A partition that went away since is nobody's here.
        of_partition
            .minutes
            .retain(|minute_us| found.is_some_and(|partition| partition.covers_30m(*minute_us)));
    }
    due
}

impl Actor for DecisionMaker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.parts.settings.heartbeat_interval, |actor, _| {
            actor.parts.heartbeat.beat_unless_overdue(&actor.asking);
        });
        ctx.run_interval(self.parts.settings.look_interval, Self::look);
    }
}

impl Handler<StopActor> for DecisionMaker {
    type Result = ();

    fn handle(&mut self, _: StopActor, ctx: &mut Self::Context) {
        self.parts.guard.disarm();
        ctx.stop();
    }
}
