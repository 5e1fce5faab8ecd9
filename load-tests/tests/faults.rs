//! Services that a load test has started end with it, whatever its end is like.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pulselake_load::load::services::{Guardian, Services, Tools};

/// How the other process ends: this variable tells it.
const END: &str = "PULSELAKE_TEST_HARNESS_END";
/// What it says when everything is up.
const UP: &str = "everything is up below ";
const PATIENCE: Duration = Duration::from_secs(60);

/// The test that is run once more, as the process that starts services.
const STARTS_SERVICES: &str = "starts_services_and_ends";

/// Not a test by itself: it is run by the others, in a process of its own.
#[test]
#[ignore = "needs the test tools: run through make test"]
fn starts_services_and_ends() {
    let Ok(end) = std::env::var(END) else { return };
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let services = Services::new(Tools::find(None).unwrap(), guardian.clone());
    let store = services.s3(&["lake"]).unwrap();
    let database = services.postgres().unwrap();
    let broker = services.kafka().unwrap();
    let mut engine = Command::new("sleep").arg("600").spawn().unwrap();
    guardian.guard_process(engine.id()).unwrap();
    // One that stands still has to end too.
    broker.pause().unwrap();
    println!("{UP}{} {}", guardian.directory().display(), engine.id());
    if end == "panic" {
        // Whoever started it waits for it.
        engine.kill().unwrap();
        engine.wait().unwrap();
        panic!("as the test wants it: {} and {}", store.url(), database.url());
    }
    // Killed long before, together with this process.
    engine.wait().unwrap();
}

/// The other process, where its services are, and the process that it has started itself.
struct Harness {
    process: Child,
    directory: PathBuf,
    engine: u32,
}

impl Harness {
    fn start(end: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", STARTS_SERVICES, "--include-ignored", "--nocapture"]).env(END, end);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let told =
            lines.map_while(Result::ok).find_map(|line| line.split_once(UP).map(|(_, rest)| rest.to_owned()));
        let told = told.expect("the services came up");
        let (directory, engine) = told.split_once(' ').unwrap();
        Self { process, directory: PathBuf::from(directory), engine: engine.parse().unwrap() }
    }

    /// Processes whose files are in the directory, and the engine.
    fn running(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let is_number =
            |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok());
        let of_ours = processes.map(|entry| entry.path()).filter(|path| is_number(path)).filter_map(|path| {
            let words = std::fs::read(path.join("cmdline")).ok()?;
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let is_engine = path.ends_with(self.engine.to_string()) && words.contains("sleep");
            (is_engine || words.contains(&self.directory.display().to_string())).then_some(words)
        });
        of_ours.collect()
    }

    fn assert_all_ends(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.directory.exists() || !self.running().is_empty() {
            assert!(Instant::now() < deadline, "{:?} is there, and {:?}", self.directory, self.running());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // Without effect where it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn services_end_with_a_load_test_that_is_killed() {
    let mut harness = Harness::start("wait");
    // Kafka, PostgreSQL, S3, the guardian and the engine.
    assert!(harness.running().len() >= 5, "{:?}", harness.running());
    harness.process.kill().unwrap();
    harness.process.wait().unwrap();
    harness.assert_all_ends();
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn services_end_with_a_load_test_that_panics() {
    let mut harness = Harness::start("panic");
    assert!(!harness.process.wait().unwrap().success());
    harness.assert_all_ends();
}

#[test]
#[ignore = "needs the test tools: run through make test"]
fn a_service_comes_back_where_it_was() {
    let guardian = Guardian::below(&std::env::temp_dir()).unwrap();
    let services = Services::new(Tools::find(None).unwrap(), guardian.clone());
    let catalog = services.rest(&[]).unwrap();
    let answers = || std::net::TcpStream::connect(catalog.address()).is_ok();
    assert!(answers());
    catalog.stop().unwrap();
    assert!(!answers());
    catalog.start_again().unwrap();
    assert!(answers());
    catalog.kill().unwrap();
    assert!(!answers());
    catalog.start_again().unwrap();
    assert!(answers());
}
