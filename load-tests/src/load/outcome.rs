//! What a run comes to: the one structure between the run, the report and the comparison. `report.json` is this, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Rises when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// Everything that a run of one scenario came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// [`FORMAT`].
    pub format: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario asks, in a sentence.
    pub description: String,
    /// Whether it is the short form.
    pub is_short: bool,
    /// Where the events came from: `embedded` (the engine's own generator) or `kafka`.
    pub transport: String,
    /// When the first event was meant to be sent, milliseconds since the epoch.
    pub started_ms: i64,
    /// The engine's version.
    pub engine_version: String,
    /// What the engine was told beyond its defaults, `section.name=value`.
    pub settings: Vec<String>,
    /// The scenario file as it was run; empty where it is not known.
    #[serde(default)]
    pub scenario_file: String,
    /// What a reader of the report should know, such as what could not be watched; one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The machine, and what else was going on.
    pub machine: Machine,
    /// The phases as they happened.
    pub phases: Vec<PhaseOutcome>,
    /// The faults as they happened.
    pub faults: Vec<FaultOutcome>,
    /// One a second.
    pub samples: Vec<Sample>,
    /// Latencies, over the whole run and per interval, by path: `event_to_bronze`, `window_end_to_gold`,
    /// `change_to_dimension`.
    pub latencies: BTreeMap<String, LatencyOutcome>,
    /// Single figures by name (the names that limits use, such as `cpu_s_per_million`). A name ends with its unit, perhaps
    /// with `_max`, `_mean`, `_growth` or the like behind it: `_per_s` (more is better), `_per_million`, `_s`, `_ms`,
    /// `_mib`, `_bytes`, `_records`, `_files`, `_cores` (less is better); of other names the comparison does not know which
    /// way is better. A number that is none (0 / 0) is `null` in the JSON.
    #[serde(deserialize_with = "numbers_or_null")]
    pub figures: BTreeMap<String, f64>,
    /// Limits of the scenario file.
    pub limits: Vec<LimitOutcome>,
    /// The comparison with the truth.
    pub audit: AuditOutcome,
    /// What went wrong beside limits and audit, one line each: a fault that could not be caused, an engine that ended by
    /// itself, a feed that failed. With any, the run has failed.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Whether every limit and the audit hold, and there are no problems.
    pub passed: bool,
}

/// JSON has no NaN and no infinity: they are written as `null`, and read as NaN again.
fn numbers_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let numbers = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|(name, number)| (name, number.unwrap_or(f64::NAN))).collect())
}

/// The machine while the run lasted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that the run could use.
    pub cores: usize,
    /// The processor's name; empty where it is not known.
    #[serde(default)]
    pub cpu_model: String,
    /// Memory of the machine, MiB; 0 where it is not known.
    #[serde(default)]
    pub memory_mib: u64,
    /// Operating system and kernel; empty where it is not known.
    #[serde(default)]
    pub system: String,
    /// Load averages of 1, 5 and 15 minutes before the run.
    pub load_before: [f64; 3],
    /// And after it.
    pub load_after: [f64; 3],
    /// CPU seconds of all processes in between: much more than the engine's and the broker's means bad company.
    pub machine_cpu_s: f64,
}

/// A phase, in seconds since `started_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseOutcome {
    /// The name in the scenario file.
    pub name: String,
    /// warm_up, steady, ramp, spike, fault or recovery.
    pub kind: String,
    /// Seconds.
    pub from_s: f64,
    /// Seconds.
    pub to_s: f64,
    /// Events meant to be sent in it.
    pub events: u64,
}

/// A fault that was made, in seconds since `started_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultOutcome {
    /// Such as `engine_kill`.
    pub kind: String,
    /// Seconds.
    pub from_s: f64,
    /// When it was over (for a kill: when the next process was started).
    pub to_s: f64,
    /// Seconds from `to_s` until a reader of bronze had every record due by then; `None` where that never came.
    pub recovered_after_s: Option<f64>,
    /// How it shows in the engine's metrics or log: empty means that it can't be seen, and the run fails.
    pub evidence: Vec<String>,
}

/// The engine and the stream at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since `started_ms`.
    pub at_s: f64,
    /// Events meant to be sent by now.
    pub intended_events: u64,
    /// Events sent (embedded: made) by now.
    pub sent_events: u64,
    /// Records in bronze and quarantine by now, as a reader sees them.
    pub committed_records: u64,
    /// Sent less taken by the engine; `None` while the engine does not answer.
    pub lag_taken_records: Option<u64>,
    /// Sent less committed.
    pub lag_committed_records: u64,
    /// CPU seconds of all the engine's processes so far.
    pub engine_cpu_s: f64,
    /// Resident memory of the engine, MiB; 0 while there is no process.
    pub resident_mib: f64,
    /// Data files that the tables' current snapshots refer to.
    pub live_files: u64,
    /// Bytes below the warehouse's directory, where that is local; 0 elsewhere.
    pub warehouse_bytes: u64,
}

/// One latency, from the moment at which the event was meant to be sent (no coordinated omission).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyOutcome {
    /// Over the whole run, warm-up left out.
    pub whole: Percentiles,
    /// Per interval of the run (`interval_s` long).
    pub intervals: Vec<IntervalPercentiles>,
    /// Seconds.
    pub interval_s: f64,
    /// The whole histogram: HdrHistogram's V2 format, compressed, base64; milliseconds, three digits.
    pub histogram: String,
}

/// Percentiles, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub count: u64,
    pub p50_s: f64,
    pub p90_s: f64,
    pub p95_s: f64,
    pub p99_s: f64,
    pub p999_s: f64,
    pub max_s: f64,
}

/// Percentiles of the events that were meant to be sent in an interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IntervalPercentiles {
    /// Seconds since `started_ms`.
    pub from_s: f64,
    /// Of this interval.
    #[serde(flatten)]
    pub percentiles: Percentiles,
}

/// One limit of the scenario file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitOutcome {
    /// Such as `bronze_p95_s`.
    pub name: String,
    /// `at_most` or `at_least`.
    pub side: String,
    /// What is allowed.
    pub limit: f64,
    /// What was measured; what could not be measured meets no limit.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub met: bool,
}

/// The comparison of the tables with the truth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditOutcome {
    /// Whether nothing is wrong.
    pub passed: bool,
    /// Events of the truth, of bronze and of gold.
    pub events: u64,
    /// Records that must be in quarantine, and are.
    pub quarantined: u64,
    /// Video minutes that were compared.
    pub video_minutes: u64,
    /// Records of each kind that the scenario promises beside ordinary events, by what promises them (a ratio, a
    /// scenario of the generator).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub promised: BTreeMap<String, u64>,
    /// What is wrong, one line each, the first hundred.
    pub findings: Vec<String>,
}
