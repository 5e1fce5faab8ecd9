//! A scene with a stream that never stops, on which one case follows the other. What a case leaves behind is what the
//! next one starts from.

use std::time::Instant;

use crate::cases::{Case, Fault};
use crate::common::engine::{Engine, SIGABRT};
use crate::common::kafka::unique;
use crate::common::log::Log;
use crate::common::scene::Scene;
use crate::common::stream::{BackgroundStream, Stream};
use crate::common::verify::fact;
use crate::common::{PATIENCE, is_soak, poll, scaled};
use crate::member::Member;
use crate::points::Passed;

pub const BRONZE: &str = "bronze.raw_events";
pub const QUARANTINE: &str = "bronze.invalid_events_content";
pub const GOLD: &str = "gold.rt_video_stats_1min";

/// Exit code of a process whose first thread panicked.
const PANICKED: i32 = 101;

/// Hangs are found soon, and a restart too many on a busy machine ends nothing.
const IMPATIENT: [&str; 4] = [
    "supervision.heartbeat_interval_ms=200",
    "supervision.heartbeat_timeout_ms=5000",
    "supervision.restart_budget=1000",
    "supervision.backoff_max_ms=200",
];

/// See the module.
pub struct Lane {
    scene: Scene,
    stream: Option<BackgroundStream>,
    /// A setting that decides what is valid; a change of it makes the next run start from bronze.
    nesting_depth: u32,
}

impl Lane {
    /// A lane with events of its own.
    pub fn new(seed: u64) -> Self {
        let scene = Scene::new("matrix", 4);
        let stream = Some(in_background(scene.stream(scaled(1.5, 30.0), seed)));
        let lane = Self { scene, stream, nesting_depth: 16 };
        // The first run makes the tables: what it passes on the way is passed never again.
        lane.drain();
        lane
    }

    /// Runs a case, and checks what it leaves behind.
    pub fn run(&mut self, case: &Case) {
        let started = Instant::now();
        // Said at once: should the case fail, this is the last line of its lane.
        println!("{:?} at {} after {} passes …", case.fault, case.point.name, case.passes);
        self.provoke(case);
        self.scene.audit();
        if is_soak() {
            self.verify();
            self.stream = self.stream.take().map(|stream| in_background(stream.stop()));
        }
        println!(
            "{:?} at {} after {} passes: {:.1} s",
            case.fault,
            case.point.name,
            case.passes,
            started.elapsed().as_secs_f32()
        );
    }

    /// The whole result against the whole topic.
    pub fn finish(mut self) {
        self.verify();
    }

    fn verify(&mut self) {
        let stream = self.stream.take().map(BackgroundStream::stop).unwrap();
        self.start_bounded("").wait_for_success();
        let facts = self.scene.verify_all();
        assert_eq!(fact(&facts, "topic records"), stream.flush());
        self.stream = Some(in_background(stream));
    }

    fn settings(&self) -> Vec<String> {
        let depth = format!("decode.max_nesting_depth={}", self.nesting_depth);
        IMPATIENT.iter().map(|setting| (*setting).to_owned()).chain([depth]).collect()
    }

    fn start_with(&self, more: &[&str], failpoints: &str) -> Engine {
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.scene.start_with(&self.scene.run_arguments(&settings), failpoints)
    }

    /// An engine that goes on until it is stopped.
    pub fn start(&self, failpoints: &str) -> Engine {
        self.start_with(&["kafka.group_mode=assign"], failpoints)
    }

    fn start_bounded(&self, failpoints: &str) -> Engine {
        self.start_with(&["kafka.group_mode=assign", "source.until_caught_up=true"], failpoints)
    }

    fn provoke(&mut self, case: &Case) {
        let failpoint = case.failpoint();
        match case.point.passed() {
            Passed::WithEachBatch | Passed::WithEachCommit | Passed::WithEachCatalogRead => {
                self.start(&failpoint).see(case);
            }
            // The two shards start; each failure lets one of them start again.
            Passed::AtStart => {
                self.start(&format!("{failpoint};{}", failures(case.passes.saturating_sub(1)))).see(case);
            }
            Passed::AtEnd if case.by_failure => {
                self.start(&format!("{failpoint};{}", failures(1))).see(case);
            }
            Passed::AtEnd | Passed::AtDrain => {
                let mut engine = self.start(&failpoint);
                engine.wait_until("it commits", |log| log.commits(BRONZE) >= 1);
                engine.signal("TERM");
                engine.see_end(case);
            }
            Passed::AtTheLastWindows => self.start_bounded(&failpoint).see_end(case),
            Passed::WhenServicesFail => {
                self.start(&format!("{failpoint};committer::after=1*off->1*panic(a failure)->off")).see(case);
            }
            Passed::OnRevoke => {
                let group = unique("group");
                let mut arguments = self.scene.run_arguments(&[]);
                for setting in self.settings() {
                    arguments.extend(["--set".to_owned(), setting]);
                }
                let at = arguments.iter().position(|argument| argument == "--group").unwrap() + 1;
                arguments[at].clone_from(&group);
                arguments
                    .extend(["--set".to_owned(), "kafka.librdkafka.heartbeat.interval.ms=200".to_owned()]);
                let mut engine = self.scene.start_with(&arguments, &failpoint);
                engine.wait_until("it has every partition and commits", |log| {
                    log.assigned().len() == 4 && log.commits(BRONZE) >= 1
                });
                let _member = Member::join(&group, &self.scene.topic);
                engine.see(case);
            }
            Passed::AtRefill => {
                self.drain();
                self.change_decoder();
                self.start(&failpoint).see(case);
            }
            Passed::WithQuarantineAhead => {
                self.get_quarantine_ahead();
                self.start(&failpoint).see(case);
            }
        }
    }

    /// Leaves gold where bronze is, and both beyond the start.
    pub fn drain(&self) {
        let mut engine = self.start("");
        engine.wait_until("it commits", |log| log.commits(BRONZE) >= 2 && log.commits(GOLD) >= 1);
        engine.terminate();
    }

    /// The next run has another decoder.
    pub fn change_decoder(&mut self) {
        self.nesting_depth += 1;
    }

    /// Lets the engine die between the commits of quarantine and bronze, until the first really is ahead.
    pub fn get_quarantine_ahead(&self) {
        let is_ahead = poll(PATIENCE, || {
            let failpoint = "writer::between_quarantine_and_bronze=1*off->return(abort)";
            let settings = ["kafka.group_mode=assign", "bronze.commit_interval_ms=2000"];
            self.start_with(&settings, failpoint).wait_for_death_by(SIGABRT, failpoint);
            let (quarantine, bronze) = (self.scene.committed(QUARANTINE), self.scene.committed(BRONZE));
            quarantine.iter().zip(&bronze).any(|(ahead, behind)| ahead > behind).then_some(())
        });
        assert!(is_ahead.is_some(), "quarantine never came ahead of bronze");
    }

    /// The audit alone.
    pub fn audit(&self) {
        self.scene.audit();
    }
}

/// 40 s of stream time a second, with 60 records, which an audit by a debug build has soon read; 1,200 in the long form.
fn in_background(stream: Stream) -> BackgroundStream {
    stream.in_background(4_000)
}

/// So many other failures on the way, each of which ends and starts a run.
fn failures(count: u32) -> String {
    // A shard has one writer, which fails once: each failure is another restart.
    let failures = "1*off->1*panic(a failure)->".repeat(count as usize);
    format!("writer::committed={failures}off")
}

impl Engine {
    /// Waits until the fault has happened and been dealt with: the process has ended as it must, or goes on to commit
    /// and ends when it is asked to.
    fn see(mut self, case: &Case) {
        if self.sees_death(case) {
            return;
        }
        self.wait_until(&format!("{:?} at {} was dealt with", case.fault, case.point.name), |log| {
            is_noticed(log, case)
        });
        let (commits, starts) = (self.log().commits(BRONZE), self.log().count("generation_started"));
        self.wait_until("it goes on to commit", |log| {
            // A commit of a run that has ended meanwhile may still be reported.
            log.commits(BRONZE) >= commits + 2
                || (log.count("generation_started") > starts && log.commits(BRONZE) > commits)
        });
        self.signal("TERM");
        self.ends_well(case);
    }

    /// The same where the process ends anyway.
    fn see_end(mut self, case: &Case) {
        if self.sees_death(case) {
            return;
        }
        self.ends_well(case);
        let log = self.log();
        assert!(is_noticed(&log, case), "{case:?} was not noticed:\n{}", log.tail());
    }

    /// Waits for the end. It may come while a run waits to be started again: then exit code 1 says that not everything
    /// is committed.
    fn ends_well(&mut self, case: &Case) {
        let status = self.wait();
        let log = self.log();
        let is_well = status.success() || log.text.contains("stopped before everything read was committed");
        assert!(is_well, "{case:?}: the engine ended with {status}:\n{}", log.tail());
    }

    /// Waits for the end of the process, where the fault has to end it.
    fn sees_death(&mut self, case: &Case) -> bool {
        let (code, words) = match case.fault {
            Fault::Kill => {
                self.wait_for_death_by(SIGABRT, &format!("{case:?}"));
                return true;
            }
            Fault::Panic if case.point.is_the_supervisors() => (PANICKED, case.panic_message()),
            Fault::Hang if case.point.is_on_the_main_thread() => {
                (1, "the supervisor's thread has hung".to_owned())
            }
            Fault::Hang if case.point.passed() == Passed::WithEachCatalogRead => {
                self.wait_until(&format!("{case:?} was dealt with"), |log| is_noticed(log, case));
                // A commit reads the catalog, and so does the supervisor when it starts a run.
                let missed = self.log().events("heartbeat_missed");
                if missed.iter().all(|event| event["actor"] != "Supervisor") {
                    return false;
                }
                (1, "the supervisor's thread has hung".to_owned())
            }
            _ => return false,
        };
        let status = self.wait();
        let log = self.log();
        assert_eq!(status.code(), Some(code), "{case:?}: the engine ended with {status}:\n{}", log.tail());
        assert!(log.text.contains(&words), "{case:?}: {words:?} is not in the log:\n{}", log.tail());
        true
    }
}

/// Whether the fault has happened and somebody has done something about it.
fn is_noticed(log: &Log, case: &Case) -> bool {
    // Nothing starts again behind the last run.
    let is_the_end = case.point.passed() == Passed::AtEnd && !case.by_failure;
    let has_restarted = log.has("generation_killed") || log.has("commit_retry") || is_the_end;
    let has_waited = log.has("heartbeat_missed")
        || log.text.contains("gave no answer for")
        || log.text.contains("has had no answer for");
    match case.fault {
        Fault::Kill => false,
        Fault::Panic => log.text.contains(&case.panic_message()) && has_restarted,
        Fault::Hang => has_waited,
        Fault::Stall if case.point.name.starts_with("lake::") => {
            has_waited || log.has("commit_outcome_unknown")
        }
        Fault::Stall => {
            log.text.contains(&format!("{}: no answer ever comes", case.point.name)) && has_waited
        }
    }
}
