//! The engine as a process: started, measured from outside, stopped in every way there is. Its CPU time and memory are
//! those of the process alone, as Linux counts them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::arguments::RunArguments;
use crate::engine_log::EngineLog;
use crate::proc_fs::{self, ProcessSample};

/// How often a process is looked at while it runs to its end. Its times are exact all the same: they are read when it
/// has ended and before it is waited for. The peak of its memory may grow unseen for this long at the very end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Longest wait for a start or a stop.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest wait for a command that ends by itself.
const TOOL_PATIENCE: Duration = Duration::from_secs(1_800);

/// The engine's program.
#[derive(Clone, Debug)]
pub(crate) struct EngineBinary {
    path: PathBuf,
    pub(crate) version: String,
}

impl EngineBinary {
    /// Finds the program and asks for its version.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        let answer = Command::new(path).arg("--version").output();
        let output = answer.with_context(|| {
            format!("can't run {}: build it with `make build`, or name it with --engine", path.display())
        })?;
        ensure!(output.status.success(), "{} --version ended with {}", path.display(), output.status);
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().split_once(' ').map_or("unknown", |(_, version)| version).to_owned();
        Ok(Self { path: path.to_owned(), version })
    }

    /// `pulselake audit` of finished tables: an error when it finds anything.
    pub(crate) fn audit(&self, data_dir: &Path) -> anyhow::Result<()> {
        self.audit_with(&["--data-dir".to_owned(), data_dir.display().to_string()])
    }

    /// The same of tables anywhere; `arguments` say where.
    pub(crate) fn audit_with(&self, arguments: &[String]) -> anyhow::Result<()> {
        let scratch = tempfile::tempdir().context("no directory for what the audit says")?;
        let mut command = Command::new(&self.path);
        command.arg("audit").args(arguments);
        let end = to_its_end(command, scratch.path(), TOOL_PATIENCE)?;
        let (status, said, complaint) = (end.status, end.said.trim_end(), end.complaint);
        ensure!(status.success(), "the audit of the tables ended with {status}:\n{said}\n{complaint}");
        Ok(())
    }

    /// Runs a command of the program that ends by itself, such as `maintain`: what it used, and what it wrote to standard
    /// output. `scratch` is a directory for both of its outputs.
    pub(crate) fn tool(
        &self,
        arguments: &[&str],
        data_dir: &Path,
        scratch: &Path,
    ) -> anyhow::Result<(Usage, String)> {
        let end = self.tool_to_its_end(arguments, data_dir, scratch)?;
        ensure!(end.status.success(), "{arguments:?} ended with {}:\n{}", end.status, end.complaint);
        Ok((end.usage, end.said))
    }

    /// The same, whatever its exit code is.
    pub(crate) fn tool_to_its_end(
        &self,
        arguments: &[&str],
        data_dir: &Path,
        scratch: &Path,
    ) -> anyhow::Result<ToolEnd> {
        let mut command = Command::new(&self.path);
        command.args(arguments).arg("--data-dir").arg(data_dir);
        to_its_end(command, scratch, TOOL_PATIENCE)
    }

    /// Starts `pulselake run`. `cores` confines it to so many CPU cores, from the first on.
    pub(crate) fn run(
        &self,
        arguments: &RunArguments,
        log_path: &Path,
        cores: Option<usize>,
    ) -> anyhow::Result<Engine> {
        let mut command = match cores {
            None => Command::new(&self.path),
            Some(count) => {
                // It becomes the engine: same process id, no process of its own.
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", &format!("0-{}", count.max(1) - 1)]).arg(&self.path);
                taskset
            }
        };
        command.arg("run").args(arguments.as_slice()).args(["--set", "log.format=json"]);
        command.env_remove("PULSELAKE_CONFIG").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(log_path)?);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("can't start {}", self.path.display()))?;
        Ok(Engine { child, log_path: log_path.to_owned(), started, last: ProcessSample::default() })
    }
}

/// Runs a command until it has ended by itself. It has the settings that it is given, and none of whoever started this
/// program. `scratch` is a directory for both of its outputs.
fn to_its_end(mut command: Command, scratch: &Path, patience: Duration) -> anyhow::Result<ToolEnd> {
    let (said, log_path) = (scratch.join("tool.out"), scratch.join("tool.log"));
    command.env_remove("PULSELAKE_CONFIG").stdin(Stdio::null());
    command.stdout(File::create(&said)?).stderr(File::create(&log_path)?);
    let started = Instant::now();
    let child =
        command.spawn().with_context(|| format!("can't start {}", command.get_program().display()))?;
    let mut tool = Engine { child, log_path, started, last: ProcessSample::default() };
    let (status, usage) = tool.wait_for_end(patience)?;
    Ok(ToolEnd { status, usage, said: fs::read_to_string(said)?, complaint: tool.log()?.tail() })
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct ToolEnd {
    pub(crate) status: ExitStatus,
    pub(crate) usage: Usage,
    /// To standard output.
    pub(crate) said: String,
    /// The end of what it wrote to standard error.
    pub(crate) complaint: String,
}

/// A running engine. Dropping it kills it.
pub(crate) struct Engine {
    child: Child,
    log_path: PathBuf,
    /// When it was started.
    pub(crate) started: Instant,
    last: ProcessSample,
}

/// What a process used from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall: Duration,
    pub(crate) user_s: f64,
    pub(crate) system_s: f64,
    pub(crate) peak_resident_bytes: u64,
    /// Last seen before it ended.
    pub(crate) resident_at_end_bytes: u64,
}

impl Usage {
    pub(crate) fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

impl Engine {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has used so far, and its memory now.
    pub(crate) fn sample(&mut self) -> anyhow::Result<ProcessSample> {
        self.ensure_alive()?;
        proc_fs::process(self.pid()).context("the engine's process is not in /proc")
    }

    /// Everything that it has logged so far.
    pub(crate) fn log(&self) -> anyhow::Result<EngineLog> {
        let bytes = fs::read(&self.log_path).context("can't read the engine's log")?;
        Ok(EngineLog::of(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The address of its metrics, as soon as it has one.
    pub(crate) fn wait_for_http(&mut self) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = self.log()?.http_address() {
                return Ok(address);
            }
            self.ensure_alive()?;
            ensure!(Instant::now() < deadline, "the engine serves no metrics after {PATIENCE:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// An error with the end of its log when it has ended.
    pub(crate) fn ensure_alive(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        bail!("the engine has ended ({status}):\n{}", self.log()?.tail())
    }

    /// Waits until it ends by itself with exit code 0, and tells what it used.
    pub(crate) fn wait_for_success(&mut self, patience: Duration) -> anyhow::Result<Usage> {
        let (status, usage) = self.wait_for_end(patience)?;
        ensure!(status.success(), "the engine ended with {status}:\n{}", self.log()?.tail());
        Ok(usage)
    }

    /// SIGTERM, and the same.
    pub(crate) fn terminate(&mut self) -> anyhow::Result<Usage> {
        let kill = format!("kill -TERM {}", self.pid());
        ensure!(Command::new("sh").args(["-c", &kill]).status()?.success(), "{kill} failed");
        self.wait_for_success(PATIENCE)
    }

    /// kill -9, at once.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// kill -9, and what it used until then.
    pub(crate) fn kill_measured(&mut self) -> anyhow::Result<Usage> {
        self.last = self.sample()?;
        self.child.kill()?;
        Ok(self.wait_for_end(PATIENCE)?.1)
    }

    fn wait_for_end(&mut self, patience: Duration) -> anyhow::Result<(ExitStatus, Usage)> {
        let deadline = Instant::now() + patience;
        loop {
            let sample = proc_fs::process(self.pid()).context("the engine's process is not in /proc")?;
            let memory = sample.memory.or(self.last.memory);
            self.last = ProcessSample { memory, ..sample };
            if sample.has_ended {
                break;
            }
            ensure!(Instant::now() < deadline, "the engine has not ended within {patience:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
        let wall = self.started.elapsed();
        let memory = self.last.memory.unwrap_or_default();
        let usage = Usage {
            wall,
            user_s: self.last.user_s,
            system_s: self.last.system_s,
            peak_resident_bytes: memory.peak_bytes,
            resident_at_end_bytes: memory.resident_bytes,
        };
        Ok((self.child.wait()?, usage))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Engine {
        let log_path = directory.join("log");
        let child = Command::new("sh").args(["-c", script]).stderr(File::create(&log_path).unwrap()).spawn();
        Engine { child: child.unwrap(), log_path, started: Instant::now(), last: ProcessSample::default() }
    }

    #[test]
    fn what_a_process_used_is_known_after_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let usage = shell(script, directory.path()).wait_for_success(PATIENCE).unwrap();
        assert!(usage.cpu_s() > 0.02 && usage.cpu_s() <= usage.wall.as_secs_f64() + 0.05, "{usage:?}");
        assert!(usage.peak_resident_bytes > 100_000);
    }

    #[test]
    fn a_command_is_waited_for_and_both_of_its_outputs_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let command = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).env("PULSELAKE_CONFIG", "somebody's.toml");
            command
        };
        let script = "echo \"found: $PULSELAKE_CONFIG.\"; echo disk full >&2; exit 3";
        let end = to_its_end(command(script), directory.path(), PATIENCE).unwrap();
        let told = (end.status.code(), end.said.as_str(), end.complaint.as_str());
        assert_eq!(told, (Some(3), "found: .\n", "disk full"));
        let error = to_its_end(command("exec sleep 600"), directory.path(), LOOK_AGAIN).unwrap_err();
        assert!(error.to_string().contains("has not ended within"), "{error}");
    }

    #[test]
    fn a_failure_comes_with_the_end_of_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let error =
            shell("echo disk full >&2; exit 3", directory.path()).wait_for_success(PATIENCE).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("disk full"), "{text}");
    }
}
