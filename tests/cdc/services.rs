//! Services that a test has to itself, started and killed as processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::common::kafka::unique;
use crate::common::{environment, poll, repository};

/// A process that got KILL is gone after this at the latest.
const END: Duration = Duration::from_secs(10);

/// One running service. Dropping it stops it.
pub struct Service {
    name: &'static str,
    script: &'static str,
    arguments: Vec<String>,
    directory: PathBuf,
    /// Where it answers, also after a restart.
    pub url: String,
}

impl Service {
    /// Runs `script`, an `…-up.sh`, in a directory of its own; `name` is the one of its pid file.
    pub fn start(name: &'static str, script: &'static str, arguments: &[&str]) -> Self {
        // What is started here is stopped at the end, also when this process dies.
        let directory = PathBuf::from(environment("PULSELAKE_TEST_SERVICES_DIR")).join(unique(name));
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let url = up(script, &directory, &arguments);
        Self { name, script, arguments, directory, url }
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.directory.join(format!("{}.pid", self.name))).unwrap();
        let status = Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        assert!(status.success(), "kill -KILL of {}", self.directory.display());
        let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
        assert!(poll(END, || (!is_alive(&stat)).then_some(())).is_some(), "{} lives", self.name);
    }

    /// Starts it again where it was, with its data and its port.
    pub fn bring_back(&self) {
        assert_eq!(up(self.script, &self.directory, &self.arguments), self.url);
    }

    /// The end of its log, for messages.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(self.directory.join(format!("{}.log", self.name))).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Neither gone nor waiting to be reaped.
fn is_alive(stat: &Path) -> bool {
    std::fs::read_to_string(stat)
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the end of the log of {}:\n{}", self.name, self.log_tail());
        }
        let _ = Command::new(tool("service-down.sh")).arg(&self.directory).status();
    }
}

fn tool(name: &str) -> PathBuf {
    repository("tests/tools").join(name)
}

/// Runs an `…-up.sh`; gives the URL.
fn up(script: &str, directory: &Path, arguments: &[String]) -> String {
    let output = Command::new(tool(script)).arg(directory).args(arguments).output().unwrap();
    assert!(output.status.success(), "{script}:\n{}", told(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// All that a command said.
pub fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
