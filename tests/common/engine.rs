//! The engine as a process: started, looked at, stopped in every way there is.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::log::Log;
use super::{PATIENCE, poll};

/// The binary that is tested.
pub const BINARY: &str = env!("CARGO_BIN_EXE_pulselake");
/// Signal number of abort(3): how a failpoint ends the process.
pub const SIGABRT: i32 = 6;
/// Signal number of kill -9.
pub const SIGKILL: i32 = 9;

/// A running (or ended) engine. Dropping it kills it.
pub struct Engine {
    child: Child,
    log_path: PathBuf,
}

impl Engine {
    /// Starts the binary; standard error goes to `log_path`.
    pub fn start(arguments: &[String], environment: &[(&str, &str)], log_path: &Path) -> Self {
        Self::start_by(Command::new(BINARY), arguments, environment, log_path)
    }

    /// The same by another command, which becomes the binary.
    pub fn start_by(
        mut command: Command,
        arguments: &[String],
        environment: &[(&str, &str)],
        log_path: &Path,
    ) -> Self {
        let log = File::create(log_path).unwrap();
        command.args(arguments).envs(environment.iter().copied());
        // Panics are the order of the day here, and each backtrace costs a debug build half a second.
        command.env("RUST_BACKTRACE", "0");
        command.env_remove("PULSELAKE_CONFIG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap();
        Self { child, log_path: log_path.to_owned() }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> Log {
        Log { text: String::from_utf8_lossy(&fs::read(&self.log_path).unwrap()).into_owned() }
    }

    /// Waits until the log fulfils a condition; fails when the process ends before, or takes too long.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Log) -> bool) {
        let mut ended = None;
        let fulfilled = poll(PATIENCE, || {
            // Asked before the log is read: what it logged at its end still counts.
            ended = self.child.try_wait().unwrap();
            (condition(&self.log()) || ended.is_some()).then_some(())
        });
        let log = self.log();
        if condition(&log) {
            return;
        }
        let how = match (fulfilled, ended) {
            (Some(()), Some(status)) => format!("the engine ended ({status})"),
            _ => format!("{} s have passed", PATIENCE.as_secs()),
        };
        panic!("{how} before this was true: {what}. The end of its log:\n{}", log.tail());
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_within(PATIENCE)
    }

    /// The same for a run that has much to do.
    pub fn wait_within(&mut self, patience: Duration) -> ExitStatus {
        let status = poll(patience, || self.child.try_wait().unwrap());
        status.unwrap_or_else(|| {
            let stacks = self.stacks();
            panic!(
                "the engine did not end within {} s.{stacks} The end of its log:\n{}",
                patience.as_secs(),
                self.log().tail()
            )
        })
    }

    /// Waits for the process to end with exit code 0.
    pub fn wait_for_success(&mut self) {
        let status = self.wait();
        assert!(
            status.success(),
            "the engine ended with {status}; the end of its log:\n{}",
            self.log().tail()
        );
    }

    /// Waits for the process to be ended by this signal.
    pub fn wait_for_death_by(&mut self, signal: i32, why: &str) {
        let status = self.wait();
        let log = self.log();
        assert_eq!(
            status.signal(),
            Some(signal),
            "{why}: the engine ended with {status}; the end of its log:\n{}",
            log.tail()
        );
    }

    /// kill -9, at once.
    pub fn kill(&mut self) {
        // It may have ended already: whoever needs it alive has asked before.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name, such as TERM.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(status.success(), "kill -{name} of {}", self.pid());
    }

    /// SIGTERM; the exit code has to be 0.
    pub fn terminate(&mut self) {
        self.signal("TERM");
        self.wait_for_success();
    }

    /// Fails when the engine has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the engine has ended ({status}); the end of its log:\n{}", self.log().tail());
        }
    }

    /// Resident memory, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// What each thread waits in, for a message about a process that hangs.
    fn stacks(&self) -> String {
        let mut text = String::from(" Its threads:");
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            text.push_str(&format!(" {} in {:?};", read("comm").trim(), read("wchan").trim()));
        }
        text
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// GET of the engine's HTTP: status code and body. `None` while nobody answers.
pub fn http_get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let code = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((code, body.to_owned()))
}

/// Sum of a metric over all its labels.
pub fn metric_sum(exposition: &str, name: &str) -> f64 {
    let samples = exposition.lines().filter(|line| line.starts_with(name));
    let of_name = samples.filter(|line| matches!(line.as_bytes().get(name.len()), Some(b'{' | b' ')));
    of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// An address on which nobody listens at the moment.
pub fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
