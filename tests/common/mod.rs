//! What the whole-process tests share: the engine as a process, topics and their content, and checks by other
//! programs. Nothing here waits a fixed time for something to happen: every wait has a condition and a deadline.

// Each test binary uses its part of this.
#![allow(dead_code)]

pub mod engine;
pub mod group;
pub mod kafka;
pub mod log;
pub mod scene;
pub mod stream;
pub mod verify;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longest wait for anything in these tests: only a failure takes so long, and a slow machine that runs several test
/// programs at a time must not look like one.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How often a condition is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A variable that `with-kafka.sh` sets.
pub fn environment(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run through `make test` or tests/tools/with-kafka.sh"))
}

/// Whether the long forms of the tests are wanted.
pub fn is_soak() -> bool {
    std::env::var_os("PULSELAKE_SOAK").is_some_and(|value| !value.is_empty())
}

/// `short`, or `long` in a soak run.
pub fn scaled<T>(short: T, long: T) -> T {
    if is_soak() { long } else { short }
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Seed of what is random in a test: `PULSELAKE_TEST_SEED`, or the clock. Printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("PULSELAKE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap();
    let seed = given.unwrap_or(since_epoch.as_nanos() as u64);
    println!("PULSELAKE_TEST_SEED={seed}");
    seed
}

/// Asks until there is an answer; `None` when `patience` has passed.
pub fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Runs all of these in threads of their own; fails when one does, and says which.
pub fn side_by_side(parts: &[(&str, &(dyn Fn() + Sync))]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|(name, part)| (*name, scope.spawn(part))).collect();
        let ended = running.into_iter().map(|(name, thread)| (name, thread.join().is_err()));
        ended.filter(|(_, has_failed)| *has_failed).map(|(name, _)| name).collect()
    });
    assert!(failed.is_empty(), "failed, see above: {failed:?}");
}
