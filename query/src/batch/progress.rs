//! Shows how far a run is: a line that moves on a terminal, else a line now and then. Always on standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// Between two lines where there is no terminal.
const QUIET_FOR: Duration = Duration::from_secs(30);

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Somebody at a terminal.
    Terminal,
    /// A log.
    Lines,
    /// Nobody.
    Nobody,
}

impl Audience {
    /// Whoever reads standard error.
    pub fn of_stderr() -> Self {
        match std::io::stderr().is_terminal() {
            true => Self::Terminal,
            false => Self::Lines,
        }
    }

    /// Shows the beginning of a step.
    pub fn begin(self, job: &str, date: NaiveDate) -> Progress {
        let what = format!("{date} {job}");
        let bar = match self {
            Self::Terminal => {
                let bar = ProgressBar::new_spinner();
                // Without a template of its own it would show less, and nothing wrong.
                if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
                    bar.set_style(style);
                }
                bar.set_prefix(what.clone());
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            }
            Self::Lines | Self::Nobody => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
        };
        let said = Arc::new(Mutex::new(Said { rows: 0, at: Instant::now() }));
        Progress { audience: self, what, bar, said }
    }

    /// Says something between steps.
    pub fn say(self, line: &str) {
        if self != Self::Nobody {
            eprintln!("{line}");
        }
    }
}

struct Said {
    rows: u64,
    at: Instant,
}

/// One step at work. Clones show the same.
#[derive(Clone)]
pub struct Progress {
    audience: Audience,
    what: String,
    bar: ProgressBar,
    said: Arc<Mutex<Said>>,
}

impl Progress {
    /// What it does now.
    pub fn phase(&self, what: &'static str) {
        self.bar.set_message(what);
    }

    /// Rows were made.
    pub fn add_rows(&self, rows: usize) {
        let mut said = self.said.lock();
        said.rows += rows as u64;
        self.bar.set_message(format!("{} rows", HumanCount(said.rows)));
        if self.audience == Audience::Lines && said.at.elapsed() >= QUIET_FOR {
            said.at = Instant::now();
            eprintln!("{}: {} rows so far", self.what, said.rows);
        }
    }

    /// The rows are made anew, from the first.
    pub fn begin_again(&self) {
        self.said.lock().rows = 0;
    }

    /// It has ended; `line` is what there is to say.
    pub fn end(&self, line: &str) {
        self.bar.finish_and_clear();
        if self.audience != Audience::Nobody {
            eprintln!("{}: {line}", self.what);
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Progress").field("what", &self.what).finish_non_exhaustive()
    }
}
