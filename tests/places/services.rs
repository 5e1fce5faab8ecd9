//! Services that a test has to itself, started, killed and stopped as processes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::common::kafka::unique;
use crate::common::{environment, poll, repository};

/// A start takes some seconds on a machine that is busy; PostgreSQL's children outlive it for a moment.
const UP_AGAIN: Duration = Duration::from_secs(60);

/// The key of the test's S3 servers.
pub const S3_KEY: &str = "test";
/// What belongs to it.
pub const S3_SECRET: &str = "testtest";

/// One running service. Dropping it stops it.
pub struct Service {
    script: &'static str,
    arguments: Vec<String>,
    directory: PathBuf,
    /// Where it answers, also after a restart.
    pub url: String,
}

impl Service {
    /// A PostgreSQL of its own.
    pub fn postgres(name: &str) -> Self {
        Self::start("postgres", name, &[])
    }

    /// A REST catalog of its own, with options of `rest-catalog-up.sh`.
    pub fn rest(name: &str, options: &[String]) -> Self {
        Self::start("rest", name, options)
    }

    /// An S3 server of its own with one bucket.
    pub fn s3(name: &str, bucket: &str) -> Self {
        Self::start("s3", name, &[bucket.to_owned()])
    }

    fn start(kind: &'static str, name: &str, arguments: &[String]) -> Self {
        let script = match kind {
            "postgres" => "postgres-up.sh",
            "rest" => "rest-catalog-up.sh",
            _ => "s3-up.sh",
        };
        let directory = services_directory().join(unique(name));
        let url = up(script, &directory, arguments);
        Self { script, arguments: arguments.to_vec(), directory, url }
    }

    /// Its process.
    fn pid(&self) -> String {
        let name = self.script.split('-').next().unwrap();
        std::fs::read_to_string(self.directory.join(format!("{name}.pid"))).unwrap().trim().to_owned()
    }

    /// Sends its process a signal by name, such as STOP.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid()]).status().unwrap();
        assert!(status.success(), "kill -{name} of {}", self.directory.display());
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&self) {
        let process = PathBuf::from(format!("/proc/{}", self.pid()));
        self.signal("KILL");
        assert!(poll(UP_AGAIN, || (!is_alive(&process)).then_some(())).is_some());
    }

    /// Starts it again where it was, with its data and its port.
    pub fn bring_back(&self) {
        assert_eq!(up(self.script, &self.directory, &self.arguments), self.url);
    }
}

/// Neither gone nor waiting to be reaped.
fn is_alive(process: &Path) -> bool {
    std::fs::read_to_string(process.join("stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that was stopped by a signal would not hear that it should end. It may be gone.
        let name = self.script.split('-').next().unwrap();
        if let Ok(pid) = std::fs::read_to_string(self.directory.join(format!("{name}.pid"))) {
            let _ =
                Command::new("kill").args(["-CONT", pid.trim()]).stderr(std::process::Stdio::null()).status();
        }
        let _ = Command::new(tool("service-down.sh")).arg(&self.directory).status();
    }
}

/// Where what is started is stopped at the end, also when this process dies.
fn services_directory() -> PathBuf {
    PathBuf::from(environment("PULSELAKE_TEST_SERVICES_DIR"))
}

/// A script of the test tools.
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

/// The S3 server of all tests.
pub fn shared_s3() -> String {
    environment("PULSELAKE_TEST_S3")
}

/// A new bucket on the S3 server of all tests.
pub fn new_bucket(name: &str) -> String {
    let bucket = unique(name);
    up("s3-up.sh", &services_directory().join("s3"), std::slice::from_ref(&bucket));
    bucket
}

/// A new database on the PostgreSQL of all tests; gives its URL.
pub fn new_database(name: &str) -> String {
    let (server, database) = (environment("PULSELAKE_TEST_POSTGRES"), unique(name).replace('-', "_"));
    let create = "import sys, psycopg2\n\
        connection = psycopg2.connect(sys.argv[1])\n\
        connection.autocommit = True\n\
        connection.cursor().execute('CREATE DATABASE ' + sys.argv[2])";
    let output = Command::new(environment("PULSELAKE_TEST_PYTHON"))
        .args(["-c", create, &server, &database])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let (address, _) = server.rsplit_once('/').unwrap();
    format!("{address}/{database}")
}

/// Whether the S3 server only stands in for one: moto checks no keys and forgets its objects when it ends.
pub fn s3_is_a_stand_in() -> bool {
    !services_directory().join("s3/objects").is_dir()
}
