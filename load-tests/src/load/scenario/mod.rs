//! Scenario files: what is sent, in which phases, with which faults, and what is good enough.
//!
//! # Layout
//! Here is a scenario as its file says it. [`file`] reads one and puts its short form together; [`check`] says what does
//! not fit together in one; [`figures`] lists what can be measured and limited; [`plan`] makes a timetable of it; [`ready`]
//! has the files that come with the program.

pub mod check;
pub mod figures;
pub mod file;
pub mod plan;
pub mod ready;

use std::collections::BTreeMap;

use pulselake_generator::Scenario as GeneratorScenario;
use serde::{Deserialize, Serialize};

use crate::load::faults::FaultPlan;

/// A scenario: one file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Lower-case letters, digits and `-`.
    pub name: String,
    /// What it asks, in a sentence.
    pub description: String,
    /// Settings of the engine beyond its defaults, by section and name.
    #[serde(default)]
    pub engine: toml::Table,
    /// What is sent.
    pub load: LoadPlan,
    /// Where the tables lie.
    #[serde(default)]
    pub services: ServicePlan,
    /// One after the other, without gaps.
    pub phases: Vec<Phase>,
    /// What a phase of kind `search` looks for.
    #[serde(default)]
    pub search: Option<SearchPlan>,
    /// What goes wrong on purpose.
    #[serde(default)]
    pub faults: FaultPlan,
    /// Limits by the figures' names; which side is good belongs to the figure.
    #[serde(default)]
    pub limits: BTreeMap<String, f64>,
    /// The file's text, for the report.
    #[serde(skip)]
    pub text: String,
    /// Whether the command line asks for a broker of its own.
    #[serde(skip)]
    pub is_over_kafka: bool,
}

/// `[load]`: the generator's settings, and whether changes come along.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadPlan {
    /// Records per second, on average, where a phase says nothing else.
    pub rate_per_s: f64,
    /// Partitions of the topic, or of the embedded log.
    pub partitions: i32,
    /// Seed of all randomness.
    pub seed: u64,
    /// Videos that exist.
    pub videos: u32,
    /// Users that exist.
    pub users: u32,
    /// What the generator does on purpose, such as `viral_high_quality:start_s=60,length_s=600,strength=2`; times since
    /// the first event.
    pub scenarios: Vec<GeneratorScenario>,
    /// How much the rate follows the hours of a day: 0 not at all, 1 as people do.
    pub day_curve: f64,
    /// Share of records that are malformed.
    pub invalid_ratio: f64,
    /// Share of events that are sent twice.
    pub duplicate_ratio: f64,
    /// Share of events that come minutes late.
    pub late_ratio: f64,
    /// How long before the first event its log begins, seconds: what is held back for minutes comes soon then. The events
    /// need Kafka for it.
    pub lead_s: Option<u32>,
    /// Whether the changes of the videos and users come along.
    pub cdc: bool,
    /// New versions of rows per second of each entity; by default one per thousand events.
    pub changes_per_s: Option<f64>,
}

impl Default for LoadPlan {
    fn default() -> Self {
        Self {
            rate_per_s: 1_000.0,
            partitions: 12,
            seed: 42,
            videos: 10_000,
            users: 100_000,
            scenarios: Vec::new(),
            day_curve: 0.0,
            invalid_ratio: 0.0,
            duplicate_ratio: 0.0,
            late_ratio: 0.0,
            lead_s: None,
            cdc: false,
            changes_per_s: None,
        }
    }
}

/// `[services]`: what the engine stores its tables with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServicePlan {
    /// The catalog.
    pub catalog: CatalogKind,
    /// The object store.
    pub store: StoreKind,
}

/// Which catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum CatalogKind {
    #[default]
    Sqlite,
    Postgres,
    Rest,
}

/// Which store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum StoreKind {
    #[default]
    Local,
    S3,
}

/// One entry of `[[phases]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// For the report.
    pub name: String,
    /// What it is for.
    pub kind: PhaseKind,
    /// Whole seconds, at least 1. A search ends by itself: then this is the longest that it may take.
    pub duration_s: u32,
    /// Records per second, in proportion to `load.rate_per_s`.
    #[serde(default = "one")]
    pub rate: f64,
    /// Of a ramp: the rate at its end, in the same proportion; it begins with `rate`.
    #[serde(default)]
    pub rate_to: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Events flow, but figures leave them out.
    WarmUp,
    /// One rate.
    Steady,
    /// From one rate to another, in steps.
    Ramp,
    /// Something comes on top.
    Spike,
    /// Faults happen.
    Fault,
    /// After faults.
    Recovery,
    /// Looks for the highest rate that the engine sustains.
    Search,
}

impl PhaseKind {
    /// The name in a scenario file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WarmUp => "warm_up",
            Self::Steady => "steady",
            Self::Ramp => "ramp",
            Self::Spike => "spike",
            Self::Fault => "fault",
            Self::Recovery => "recovery",
            Self::Search => "search",
        }
    }
}

/// `[search]`: how the highest sustainable rate is found: doubling until a rate is not sustained, then bisection, with a
/// pause after each failure in which the engine catches up.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchPlan {
    /// The first rate that is tried, records per second.
    pub from_per_s: f64,
    /// The highest that is tried.
    pub to_per_s: f64,
    /// How long a rate has to be sustained, seconds; the first third is left to the engine to settle.
    pub hold_s: u32,
    /// The search ends when the rates above and below are this close, as a share of the lower one.
    pub precision: f64,
    /// Records taken late: the lag may grow by so many seconds' worth of records while a rate is held.
    pub max_lag_growth_s: f64,
    /// 95 % of the events have to be in bronze this soon, seconds.
    pub max_bronze_p95_s: f64,
}

impl Default for SearchPlan {
    fn default() -> Self {
        Self {
            from_per_s: 10_000.0,
            to_per_s: 1_000_000.0,
            hold_s: 60,
            precision: 0.05,
            max_lag_growth_s: 1.0,
            max_bronze_p95_s: 20.0,
        }
    }
}

impl Scenario {
    /// Seconds from the first event to the last one.
    pub fn duration_s(&self) -> u32 {
        self.phases.iter().map(|phase| phase.duration_s).sum()
    }

    /// Why events have to come over Kafka; `None` when the engine's own generator can make them.
    pub fn why_kafka(&self) -> Option<&'static str> {
        let has_other_rates =
            self.phases.iter().any(|phase| phase.rate != 1.0 || phase.rate_to.is_some_and(|to| to != 1.0));
        if self.phases.iter().any(|phase| phase.kind == PhaseKind::Search) {
            Some("it searches for a rate")
        } else if has_other_rates {
            Some("the rate changes from phase to phase")
        } else if self.load.lead_s.is_some() {
            Some("its log begins before its first event")
        } else if self.load.changes_per_s.is_some() {
            Some("changes have a rate of their own")
        } else if self.faults.needs_kafka() {
            Some("its faults are about brokers, topics or groups")
        } else if self.is_over_kafka {
            Some("--kafka asks for one")
        } else {
            None
        }
    }

    /// The engine's settings as its `--set` takes them.
    pub fn engine_settings(&self) -> Vec<String> {
        let mut settings = Vec::new();
        flatten("", &self.engine, &mut settings);
        settings
    }
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut Vec<String>) {
    for (name, value) in table {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&name, inner, settings),
            toml::Value::String(text) => settings.push(format!("{name}={text}")),
            other => settings.push(format!("{name}={other}")),
        }
    }
}
