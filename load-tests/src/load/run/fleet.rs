//! The engines of a run: one process, or several of one consumer group. They are started, killed, paused and stopped here,
//! and what they use is added up over all of them, ended ones included.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;

use crate::arguments::RunArguments;
use crate::engine::{Engine, EngineBinary, Usage};
use crate::engine_log::EngineLog;
use crate::load::services::Guardian;
use crate::metrics::Metrics;
use crate::proc_fs::ProcessSample;

/// How long a sample waits for metrics: an engine that does not answer by then is left out of it.
const METRICS_PATIENCE: Duration = Duration::from_millis(800);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What every engine of the run is started with.
#[derive(Clone, Debug)]
pub(crate) struct FleetPlan {
    pub(crate) binary: EngineBinary,
    pub(crate) arguments: RunArguments,
    /// For the logs: `engine-NUMBER.log`.
    pub(crate) directory: PathBuf,
    /// Ends the engines when the load test itself was killed.
    pub(crate) guardian: Arc<Guardian>,
}

/// One process that was started; numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EngineNumber(pub(crate) u32);

struct Member {
    number: EngineNumber,
    engine: Engine,
    address: Option<String>,
    is_paused: bool,
    /// As it was last seen.
    last: ProcessSample,
}

/// An engine that has ended by itself.
pub(crate) struct Ended {
    pub(crate) number: EngineNumber,
    /// Exit code 0: an embedded log has an end, and with it the engine has.
    pub(crate) is_success: bool,
    /// What to say of it, with the end of its log.
    pub(crate) error: anyhow::Error,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    started: u32,
    /// Of the processes that have ended.
    ended_cpu_s: f64,
    peak_bytes: u64,
}

/// The engines. All methods lock for a moment only, except where they say that they wait.
pub(crate) struct Fleet {
    plan: FleetPlan,
    state: Mutex<State>,
}

/// What all running engines use at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct FleetUsage {
    /// CPU seconds since the first start, ended processes included.
    pub(crate) cpu_s: f64,
    /// Resident memory of all running processes.
    pub(crate) resident_bytes: u64,
    /// The most that one process has had.
    pub(crate) peak_bytes: u64,
}

impl Fleet {
    pub(crate) fn new(plan: FleetPlan) -> Self {
        Self { plan, state: Mutex::default() }
    }

    /// Starts one more engine. Does not wait until it is ready.
    pub(crate) fn start(&self) -> anyhow::Result<EngineNumber> {
        let mut state = self.state.lock();
        let number = EngineNumber(state.started);
        state.started += 1;
        let engine = self.plan.binary.run(&self.plan.arguments, &self.log_path(number), None)?;
        self.plan.guardian.guard_process(engine.pid())?;
        let last = ProcessSample::default();
        state.members.push(Member { number, engine, address: None, is_paused: false, last });
        Ok(number)
    }

    /// The engines that were started and not ended by this run, in the order of their starts.
    pub(crate) fn members(&self) -> Vec<EngineNumber> {
        self.state.lock().members.iter().map(|member| member.number).collect()
    }

    /// kill -9.
    pub(crate) fn kill(&self, number: EngineNumber) -> anyhow::Result<()> {
        let mut member = self.take(number)?;
        let usage = member.engine.kill_measured()?;
        self.add_ended(&usage);
        Ok(())
    }

    /// SIGTERM; waits until everything is committed and the process has ended with exit code 0.
    pub(crate) fn terminate(&self, number: EngineNumber) -> anyhow::Result<()> {
        let mut member = self.take(number)?;
        match member.engine.terminate() {
            Ok(usage) => self.add_ended(&usage),
            // It has come to its end by itself just before.
            Err(_) if matches!(member.engine.ended(), Ok(Some(status)) if status.success()) => {
                self.state.lock().ended_cpu_s += member.last.cpu_s();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self, number: EngineNumber) -> anyhow::Result<()> {
        self.signal(number, "STOP", true)
    }

    /// SIGCONT.
    pub(crate) fn resume(&self, number: EngineNumber) -> anyhow::Result<()> {
        self.signal(number, "CONT", false)
    }

    fn signal(&self, number: EngineNumber, name: &str, is_paused: bool) -> anyhow::Result<()> {
        let mut state = self.state.lock();
        let member = find(&mut state, number)?;
        let command = format!("kill -{name} {}", member.engine.pid());
        ensure!(Command::new("sh").args(["-c", &command]).status()?.success(), "{command} failed");
        member.is_paused = is_paused;
        Ok(())
    }

    /// Waits until the engine serves its metrics, and gives their address.
    pub(crate) fn wait_for_http(&self, number: EngineNumber, patience: Duration) -> anyhow::Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            self.ensure_runs(number)?;
            if let Some(address) = address_of(find(&mut self.state.lock(), number)?)? {
                return Ok(address);
            }
            ensure!(Instant::now() < deadline, "engine {} serves no metrics after {patience:?}", number.0);
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits until the engine has at least so many partitions.
    pub(crate) fn wait_for_partitions(
        &self,
        number: EngineNumber,
        at_least: i32,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let metrics = self.metrics(number);
            let assigned = metrics.map_or(0.0, |metrics| metrics.sum("pulselake_assigned_partitions"));
            if assigned >= f64::from(at_least) {
                return Ok(());
            }
            self.ensure_runs(number)?;
            ensure!(
                Instant::now() < deadline,
                "engine {} has {assigned} partitions instead of {at_least} after {patience:?}",
                number.0
            );
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The metrics of one engine; `None` while it does not answer (it starts, is paused, or has just ended).
    pub(crate) fn metrics(&self, number: EngineNumber) -> Option<Metrics> {
        let address = {
            let mut state = self.state.lock();
            let member = find(&mut state, number).ok()?;
            if member.is_paused {
                return None;
            }
            address_of(member).ok()??
        };
        Metrics::within(&address, METRICS_PATIENCE).ok()
    }

    /// What the engines use.
    pub(crate) fn usage(&self) -> FleetUsage {
        let mut state = self.state.lock();
        let mut usage =
            FleetUsage { cpu_s: state.ended_cpu_s, resident_bytes: 0, peak_bytes: state.peak_bytes };
        for member in &mut state.members {
            match member.engine.sample() {
                Ok(sample) => member.last = sample,
                // One that has just ended has used what it had, and has no memory.
                Err(_) => member.last.memory = None,
            }
            let memory = member.last.memory.unwrap_or_default();
            usage.cpu_s += member.last.cpu_s();
            usage.resident_bytes += memory.resident_bytes;
            usage.peak_bytes = usage.peak_bytes.max(memory.peak_bytes);
        }
        state.peak_bytes = usage.peak_bytes;
        usage
    }

    /// The log of one engine that was ever started.
    pub(crate) fn log(&self, number: EngineNumber) -> anyhow::Result<EngineLog> {
        let path = self.log_path(number);
        let bytes = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(EngineLog::of(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// How many engines were ever started.
    pub(crate) fn started(&self) -> u32 {
        self.state.lock().started
    }

    /// An error with the end of its log when an engine has ended by itself.
    #[cfg(test)]
    pub(crate) fn ensure_alive(&self) -> anyhow::Result<()> {
        self.state.lock().members.iter_mut().try_for_each(|member| {
            member.engine.ensure_alive().with_context(|| format!("engine {} is gone", member.number.0))
        })
    }

    /// An error with the end of its log when this engine has ended by itself, and when it was ended.
    fn ensure_runs(&self, number: EngineNumber) -> anyhow::Result<()> {
        let mut state = self.state.lock();
        let member = find(&mut state, number)?;
        member.engine.ensure_alive().with_context(|| format!("engine {} is gone", number.0))
    }

    /// Engines that have ended by themselves. They are members no longer.
    pub(crate) fn remove_ended(&self) -> Vec<Ended> {
        let mut state = self.state.lock();
        let (mut all, mut ended_cpu_s) = (Vec::new(), 0.0);
        state.members.retain_mut(|member| {
            let Err(error) = member.engine.ensure_alive() else { return true };
            let is_success = matches!(member.engine.ended(), Ok(Some(status)) if status.success());
            ended_cpu_s += member.last.cpu_s();
            all.push(Ended { number: member.number, is_success, error });
            false
        });
        state.ended_cpu_s += ended_cpu_s;
        all
    }

    /// SIGTERM for all, paused ones woken; then one more engine reads to the end and closes every window. After it the
    /// tables hold everything.
    pub(crate) fn finish(&self, patience: Duration) -> anyhow::Result<()> {
        let mut ended = Ok(());
        for gone in self.remove_ended().into_iter().filter(|gone| !gone.is_success) {
            ended = Err(gone.error);
        }
        for number in self.members() {
            let stopped = self.resume(number).and_then(|()| self.terminate(number));
            ended = ended.and(stopped);
        }
        let number = {
            let mut state = self.state.lock();
            state.started += 1;
            EngineNumber(state.started - 1)
        };
        let arguments = self.plan.arguments.clone().with(["--until-caught-up"]);
        let mut engine = self.plan.binary.run(&arguments, &self.log_path(number), None)?;
        self.plan.guardian.guard_process(engine.pid())?;
        engine.wait_for_success(patience).context("the last run, which closes the windows, has failed")?;
        ended
    }

    fn take(&self, number: EngineNumber) -> anyhow::Result<Member> {
        let mut state = self.state.lock();
        let Some(at) = state.members.iter().position(|member| member.number == number) else {
            bail!("engine {} does not run", number.0)
        };
        Ok(state.members.remove(at))
    }

    fn add_ended(&self, usage: &Usage) {
        let mut state = self.state.lock();
        state.ended_cpu_s += usage.cpu_s();
        state.peak_bytes = state.peak_bytes.max(usage.peak_resident_bytes);
    }

    fn log_path(&self, number: EngineNumber) -> PathBuf {
        log_path(&self.plan.directory, number)
    }
}

fn log_path(directory: &Path, number: EngineNumber) -> PathBuf {
    directory.join(format!("engine-{}.log", number.0))
}

fn find(state: &mut State, number: EngineNumber) -> anyhow::Result<&mut Member> {
    let found = state.members.iter_mut().find(|member| member.number == number);
    found.with_context(|| format!("engine {} does not run", number.0))
}

fn address_of(member: &mut Member) -> anyhow::Result<Option<String>> {
    if member.address.is_none() {
        member.address = member.engine.log()?.http_address();
    }
    Ok(member.address.clone())
}
