//! The last resort: ends the process when the supervisor's own thread hangs.
//!
//! The supervisor finds actors that hang, and nobody finds the supervisor: with its thread stuck nothing is started,
//! drained or stopped any more, not even on SIGTERM. No restart from inside can help that, so the process ends with
//! exit code 1, and whoever runs it starts it again. What is committed stays; the rest is read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pulselake_telemetry::events;

use crate::heartbeat::{CHECK, FairWatch};

/// How many heartbeat time-outs the supervisor may be silent: what ends the process is in less of a hurry than what can
/// be mended from inside.
const TIMEOUTS: u32 = 3;

/// Watches the thread that it was started on, until it is dropped.
pub(crate) struct Watchdog {
    beats: tokio::task::JoinHandle<()>,
    is_over: Arc<AtomicBool>,
}

impl Watchdog {
    /// Ends the process when this thread's tasks have not been run for much longer than `heartbeat_timeout`.
    pub(crate) fn start(heartbeat_timeout: Duration) -> Self {
        let timeout = heartbeat_timeout * TIMEOUTS;
        let last_beat = Arc::new(Mutex::new(Instant::now()));
        let is_over = Arc::new(AtomicBool::new(false));
        let beat = last_beat.clone();
        let beats = actix::spawn(async move {
            loop {
                *beat.lock() = Instant::now();
                tokio::time::sleep(CHECK).await;
            }
        });
        let over = is_over.clone();
        std::thread::spawn(move || watch(&last_beat, &over, timeout));
        Self { beats, is_over }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.beats.abort();
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn watch(last_beat: &Mutex<Instant>, is_over: &AtomicBool, timeout: Duration) {
    let mut fair = FairWatch::new(timeout);
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(CHECK);
        let may_judge = fair.may_judge();
        let silence = last_beat.lock().elapsed();
        if may_judge && silence > timeout && !is_over.load(Ordering::Relaxed) {
            events::heartbeat_missed("Supervisor", "the process", silence);
            eprintln!(
                "error: the supervisor's thread has hung for {} ms ({TIMEOUTS} times supervision.heartbeat_timeout_ms): start again, \
                 what is committed stays",
                silence.as_millis()
            );
            std::process::exit(1);
        }
    }
}
