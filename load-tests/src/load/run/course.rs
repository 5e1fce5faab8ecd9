//! The course of a run: records flow by the timetable, faults happen, and in the end the engine is asked to finish. What
//! goes wrong is noted, and the run goes on: the tables still have to be compared with the truth.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use pulselake_model::tables::LakeTable;

use super::changes::{EntityChanges, WrittenTimes, finish_all};
use super::feed::FeedStretch;
use super::fleet::FleetUsage;
use super::observer::{Observed, Observer, committed, progress};
use super::recovery::readable_after_s;
use super::search::{self, Probe};
use super::setup::Setup;
use crate::lake_watch::{LOOK_AGAIN, LakeWatch, SeenCommit};
use crate::load::faults::context::{CatalogAccess, FaultContext, KafkaAccess, Maintenance};
use crate::load::faults::run::{FaultReport, FaultRun};
use crate::load::outcome::Sample;
use crate::load::scenario::plan::{PlannedPhase, Stretch, generator_config};
use crate::load::scenario::{PhaseKind, Scenario};
use crate::metrics::Buckets;

/// How long the tables may take to hold everything that was sent.
const DRAIN_PATIENCE: Duration = Duration::from_secs(300);
/// How long faults that are under way when the last record is sent may take.
const FAULTS_PATIENCE: Duration = Duration::from_secs(120);
/// How long the last commits may take until they are seen: a catalog that was away has to answer again.
const LAST_LOOK_PATIENCE: Duration = Duration::from_secs(30);
/// How long the last engine may take, which closes all windows.
const FINISH_PATIENCE: Duration = Duration::from_secs(600);
/// An engine that ends by itself is started again so often.
const MAX_REVIVALS: u32 = 3;

/// What happened.
pub(crate) struct Course {
    pub(crate) setup: Setup,
    /// As they were: a search may end before its time.
    pub(crate) phases: Vec<PlannedPhase>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) commits: Vec<SeenCommit>,
    pub(crate) faults: FaultReport,
    pub(crate) probes: Vec<Probe>,
    /// What the engines had used when the first record was due, and when the last one was sent.
    pub(crate) usage: [FleetUsage; 2],
    /// From events to the live board, as every engine said when it was asked last.
    pub(crate) event_to_board: Buckets,
    /// From the last record sent until bronze had all; `None` when it never had.
    pub(crate) drain_s: Option<f64>,
    /// Of each entity whose changes came along.
    pub(crate) written: Vec<WrittenTimes>,
    pub(crate) problems: Vec<String>,
}

impl Course {
    /// Lets the run happen.
    ///
    /// # Errors
    /// When the faults can't be begun: then nothing has been sent.
    pub(crate) fn of(scenario: &Scenario, setup: Setup) -> anyhow::Result<Self> {
        let faults = FaultRun::start(
            &scenario.faults,
            scenario.load.seed,
            setup.start_ms,
            fault_context(scenario, &setup)?,
        )?;
        let observer = observer(scenario, &setup);
        let problems = setup.problems.clone();
        let mut running = Running { scenario, setup, observer, problems, revivals: 0 };
        running.wait_until(running.setup.start_ms);
        let at_start = running.setup.fleet.usage();
        let (phases, probes) = running.send();
        let at_end = running.setup.fleet.usage();
        let sent_until_s = (Utc::now().timestamp_millis() - running.setup.start_ms) as f64 / 1e3;
        running.wait_for_faults(&faults);
        let written = running.drain();
        let faults = running.note("faults", faults.finish()).unwrap_or_default();
        running.problems.extend(faults.findings.iter().cloned());
        let finished = running.setup.fleet.finish(FINISH_PATIENCE);
        running.note("the engine's end", finished);
        let Running { setup, observer, mut problems, .. } = running;
        let (samples, event_to_board) = observer.finish();
        let commits = last_commits(&setup.watch).unwrap_or_else(|error| {
            problems.push(format!("the tables could not be watched to the end: {error:#}"));
            Vec::new()
        });
        let usage = [at_start, at_end];
        let account = setup.feed.account().lock();
        let drain_s = readable_after_s(&commits, &setup.topic, &account.sent, setup.start_ms, sent_until_s);
        drop(account);
        Ok(Self {
            setup,
            phases,
            samples,
            commits,
            faults,
            probes,
            usage,
            event_to_board,
            drain_s,
            written,
            problems,
        })
    }
}

/// All commits, those of the engine's end included.
fn last_commits(watch: &LakeWatch) -> anyhow::Result<Vec<SeenCommit>> {
    watch.wait_for_full_look(LAST_LOOK_PATIENCE)?;
    watch.ask(<[SeenCommit]>::to_vec)
}

/// What faults may act on.
fn fault_context(scenario: &Scenario, setup: &Setup) -> anyhow::Result<FaultContext> {
    let catalog_file = setup.place.data_dir.join("catalog.db");
    let mut context = FaultContext::of_engines(setup.fleet.clone(), &catalog_file);
    if let Some(proxy) = &setup.place.catalog_proxy {
        context.catalog = CatalogAccess::Proxied(proxy.clone());
    }
    context.store.clone_from(&setup.place.store_proxy);
    context.kafka = setup.brokers.as_ref().map(|brokers| KafkaAccess {
        brokers: brokers.clone(),
        topic: setup.topic.clone(),
        broker: setup.broker.clone(),
        has_grown: Box::new(setup.feed.growth()),
    });
    let scratch = setup.guardian.directory().join("maintain");
    std::fs::create_dir_all(&scratch)?;
    // Maintenance by the same rules as the engine's own: else it may find nothing to do.
    let settings = setup.place.direct_settings.iter().cloned().chain(scenario.engine_settings());
    context.maintenance = Some(Maintenance {
        binary: setup.binary.clone(),
        arguments: settings.flat_map(|setting| ["--set".to_owned(), setting]).collect(),
        data_dir: setup.place.data_dir.clone(),
        scratch,
    });
    Ok(context)
}

fn observer(scenario: &Scenario, setup: &Setup) -> Observer {
    Observer::start(Observed {
        fleet: setup.fleet.clone(),
        watch: setup.watch.clone(),
        account: setup.feed.account().clone(),
        topic: setup.topic.clone(),
        warehouse: setup.place.warehouse_directory(),
        duration_s: scenario.duration_s(),
        name: scenario.name.clone(),
    })
}

/// A run under way.
pub(crate) struct Running<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) setup: Setup,
    pub(crate) observer: Observer,
    pub(crate) problems: Vec<String>,
    revivals: u32,
}

impl Running<'_> {
    /// Sends everything; the phases as they were, and what a search has tried.
    fn send(&mut self) -> (Vec<PlannedPhase>, Vec<Probe>) {
        let started = self.setup.changes.iter_mut().try_for_each(EntityChanges::start);
        self.note("changes", started);
        for stretch in self.setup.timetable.stretches.clone() {
            let sent = self.send_stretch(&stretch);
            self.note("records", sent);
        }
        let mut phases = self.setup.timetable.phases.clone();
        let mut probes = Vec::new();
        if let Some(at) = phases.iter().position(|phase| phase.kind == PhaseKind::Search) {
            let (ended_s, tried) = search::run(self, &phases[at].clone());
            phases[at].to_s = ended_s;
            probes = tried;
        }
        let ends_s = phases.iter().map(|phase| phase.to_s).max().unwrap_or(0);
        self.wait_until(self.setup.start_ms + i64::from(ends_s) * 1_000);
        let sent = self.setup.feed.finish();
        self.note("sending records", sent);
        let sent = finish_all(&mut self.setup.changes);
        self.note("sending changes", sent);
        (phases, probes)
    }

    /// Sends a stretch after those before it.
    pub(crate) fn send_stretch(&self, stretch: &Stretch) -> anyhow::Result<()> {
        self.setup.feed.send(FeedStretch {
            config: generator_config(&self.scenario.load, stretch, self.setup.start_ms),
            lead_s: stretch.lead_s,
            length_s: stretch.length_s,
        })
    }

    /// Waits for a moment, and looks after the engine and the feed meanwhile.
    pub(crate) fn wait_until(&mut self, at_ms: i64) {
        let mut has_failed = false;
        loop {
            let left_ms = u64::try_from(at_ms - Utc::now().timestamp_millis()).unwrap_or(0);
            if left_ms == 0 {
                return;
            }
            self.revive();
            if !has_failed && self.setup.feed.has_ended() {
                has_failed = true;
                self.problems.push("records could not be sent any more".to_owned());
            }
            std::thread::sleep(Duration::from_millis(left_ms).min(LOOK_AGAIN));
        }
    }

    /// A fault may take longer than its plan says: a broker that comes back, maintenance that has much to do.
    fn wait_for_faults(&mut self, faults: &FaultRun) {
        let deadline = Instant::now() + FAULTS_PATIENCE;
        while !faults.is_over() && Instant::now() < deadline {
            self.revive();
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Starts an engine that has ended by itself again, as whoever runs it would; a problem all the same.
    fn revive(&mut self) {
        for ended in self.setup.fleet.remove_ended() {
            if ended.is_success && self.is_log_over() {
                continue;
            }
            self.problems.push(format!("engine {} has ended by itself: {:#}", ended.number.0, ended.error));
            if self.revivals < MAX_REVIVALS {
                self.revivals += 1;
                let started = self.setup.fleet.start().map(drop);
                self.note("starting the engine again", started);
            }
        }
    }

    /// Whether the events are embedded and have come to their end: then the engine ends by itself.
    fn is_log_over(&self) -> bool {
        let end_ms = self.setup.start_ms + i64::from(self.scenario.duration_s()) * 1_000;
        self.setup.brokers.is_none() && Utc::now().timestamp_millis() >= end_ms
    }

    /// Waits until the tables have everything; when the changes were written.
    fn drain(&mut self) -> Vec<WrittenTimes> {
        let began = Instant::now();
        let times: anyhow::Result<Vec<WrittenTimes>> =
            self.setup.changes.iter().map(EntityChanges::written_times).collect();
        let times = self.note("changes", times).unwrap_or_default();
        while began.elapsed() < DRAIN_PATIENCE {
            self.revive();
            let seen = self.setup.watch.ask(|commits| self.holds(commits, &times));
            let Some((has_events, has_changes)) = self.note("watching the tables", seen) else {
                return times;
            };
            if has_events && has_changes {
                return times;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let late = format!("{DRAIN_PATIENCE:?} after the last record the tables still miss some");
        self.problems.push(late);
        times
    }

    /// Whether the tables hold all events, and all changes.
    fn holds(&self, commits: &[SeenCommit], times: &[WrittenTimes]) -> (bool, bool) {
        let account = self.setup.feed.account().lock();
        let next = progress(commits, &self.setup.topic);
        let has_events = committed(&account.sent, &next) >= account.sent.count();
        let has_changes = self.setup.changes.iter().zip(times).all(|(changes, times)| {
            let dimension = LakeTable::Dimension(changes.entity);
            let last = commits.iter().rfind(|commit| commit.table == dimension && commit.ledger.is_some());
            let next = last.map(|commit| commit.next_offsets(&changes.topic)).unwrap_or_default();
            changes.has_all(|partition| next.get(&partition).copied().unwrap_or(0), times)
        });
        (has_events, has_changes)
    }

    /// The value, or `None` with a problem noted; what stays broken is noted once.
    pub(crate) fn note<T>(&mut self, what: &str, result: anyhow::Result<T>) -> Option<T> {
        let told = |error: anyhow::Error| {
            let problem = format!("{error:#}");
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        };
        result.with_context(|| what.to_owned()).map_err(told).ok()
    }
}
