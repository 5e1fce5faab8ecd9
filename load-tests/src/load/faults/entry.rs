//! One `[[faults]]` entry as it is written, and what is wrong with it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::plan::{Brownout, Delay, Fault, FaultKind, Leave, Manner};

/// An entry that can't be carried out.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EntryError {
    /// There is no such kind.
    #[error("kind = {kind:?} is no kind of fault: {}", FaultKind::NAMES.join(", "))]
    UnknownKind {
        /// As it was written.
        kind: String,
    },
    /// The kind can't be without this key.
    #[error("a fault of kind {kind} needs {key}: {allowed}")]
    Missing {
        /// Of the entry.
        kind: &'static str,
        /// What is missing.
        key: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// The kind does not know this key.
    #[error("{key} means nothing to a fault of kind {kind}, which takes {allowed}")]
    NotTaken {
        /// Of the entry.
        kind: &'static str,
        /// What stands there.
        key: &'static str,
        /// Keys that it takes.
        allowed: String,
    },
    /// The value is out of its range.
    #[error("{key} = {value} of a fault of kind {kind}: {allowed}")]
    OutOfRange {
        /// Of the entry.
        kind: &'static str,
        /// Whose value it is.
        key: &'static str,
        /// As it was written.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

/// An entry as it is written: every key of every kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manner: Option<Manner>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_jitter_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bandwidth_bytes_per_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leave: Option<Leave>,
}

/// Keys that every kind takes beside `kind`.
const WHEN: [&str; 4] = ["at_s", "every_s", "count", "jitter_s"];
/// A day: longer than any load test, short enough that milliseconds never overflow.
const LONGEST_S: f64 = 86_400.0;
/// An hour.
const LONGEST_DELAY_MS: u64 = 3_600_000;

const TIME: &str = "seconds, 0 to 86400";
const POSITIVE_TIME: &str = "seconds, more than 0 and at most 86400";
const RATIO: &str = "a share of connections, 0 to 1";
const DELAY: &str = "milliseconds, 1 to 3600000";

impl TryFrom<Entry> for Fault {
    type Error = EntryError;

    fn try_from(entry: Entry) -> Result<Self, EntryError> {
        let Some(name) = FaultKind::NAMES.into_iter().find(|name| *name == entry.kind) else {
            return Err(EntryError::UnknownKind { kind: entry.kind });
        };
        entry.check_keys(name)?;
        let kind = entry.kind_of(name)?;
        let check = Check { kind: name };
        let at_s = check.needed("at_s", entry.at_s, TIME)?;
        check.range("at_s", &at_s, (0.0..=LONGEST_S).contains(&at_s), TIME)?;
        let duration_s = entry.duration_of(name)?;
        let jitter_s = entry.jitter_s.unwrap_or(0.0);
        check.range("jitter_s", &jitter_s, (0.0..=LONGEST_S).contains(&jitter_s), TIME)?;
        let count = match entry.every_s {
            Some(_) => {
                check.needed("count", entry.count, "how often it happens in all, as every_s is given")?
            }
            None => entry.count.unwrap_or(1),
        };
        check.range("count", &count, (1..=100_000).contains(&count), "how often it happens, 1 to 100000")?;
        let every_s = match (entry.every_s, count) {
            (None, 1) => 0.0,
            (every_s, _) => check.needed(
                "every_s",
                every_s,
                "seconds from one beginning to the next, as count is given",
            )?,
        };
        // One that is over before the next begins, wherever the jitter puts them.
        let fits = count == 1 || every_s > 0.0 && every_s >= duration_s + jitter_s && every_s <= LONGEST_S;
        check.range(
            "every_s",
            &every_s,
            fits,
            "seconds, at least duration_s + jitter_s, more than 0, at most 86400",
        )?;
        Ok(Self { kind, at_s, duration_s, every_s, count, jitter_s })
    }
}

impl Entry {
    /// Keys that are written, beside `kind`.
    fn written(&self) -> Vec<&'static str> {
        let keys = [
            ("at_s", self.at_s.is_some()),
            ("duration_s", self.duration_s.is_some()),
            ("every_s", self.every_s.is_some()),
            ("count", self.count.is_some()),
            ("jitter_s", self.jitter_s.is_some()),
            ("manner", self.manner.is_some()),
            ("latency_ms", self.latency_ms.is_some()),
            ("latency_jitter_ms", self.latency_jitter_ms.is_some()),
            ("bandwidth_bytes_per_s", self.bandwidth_bytes_per_s.is_some()),
            ("reset_ratio", self.reset_ratio.is_some()),
            ("unavailable_ratio", self.unavailable_ratio.is_some()),
            ("partitions", self.partitions.is_some()),
            ("leave", self.leave.is_some()),
        ];
        keys.into_iter().filter(|(_, is_written)| *is_written).map(|(key, _)| key).collect()
    }

    fn check_keys(&self, kind: &'static str) -> Result<(), EntryError> {
        let taken: Vec<&str> = WHEN.iter().chain(own_keys(kind)).copied().collect();
        match self.written().into_iter().find(|key| !taken.contains(key)) {
            None => Ok(()),
            Some(key) => Err(EntryError::NotTaken { kind, key, allowed: taken.join(", ") }),
        }
    }

    fn duration_of(&self, kind: &'static str) -> Result<f64, EntryError> {
        let check = Check { kind };
        match kind {
            "partition_growth" | "compaction" => Ok(0.0),
            "engine_kill" | "broker_restart" => {
                let duration_s = self.duration_s.unwrap_or(0.0);
                check.range("duration_s", &duration_s, (0.0..=LONGEST_S).contains(&duration_s), TIME)?;
                Ok(duration_s)
            }
            _ => {
                let duration_s = check.needed("duration_s", self.duration_s, POSITIVE_TIME)?;
                let fits = duration_s > 0.0 && duration_s <= LONGEST_S;
                check.range("duration_s", &duration_s, fits, POSITIVE_TIME)?;
                Ok(duration_s)
            }
        }
    }

    fn kind_of(&self, name: &'static str) -> Result<FaultKind, EntryError> {
        let check = Check { kind: name };
        let manner = self.manner.unwrap_or_default();
        Ok(match name {
            "engine_kill" => FaultKind::EngineKill,
            "engine_pause" => FaultKind::EnginePause,
            "broker_restart" => FaultKind::BrokerRestart,
            "broker_pause" => FaultKind::BrokerPause,
            "catalog_outage" => FaultKind::CatalogOutage(manner),
            "catalog_slow" => {
                check.needed("latency_ms", self.latency_ms, DELAY)?;
                FaultKind::CatalogSlow(self.delay(check)?)
            }
            "store_outage" => FaultKind::StoreOutage(manner),
            "store_brownout" => FaultKind::StoreBrownout(self.brownout(check)?),
            "partition_growth" => {
                let allowed = "the topic's partitions from then on, 2 to 10000";
                let partitions = check.needed("partitions", self.partitions, allowed)?;
                check.range("partitions", &partitions, (2..=10_000).contains(&partitions), allowed)?;
                FaultKind::PartitionGrowth { partitions }
            }
            "rebalance" => FaultKind::Rebalance { leave: self.leave.unwrap_or_default() },
            _ => FaultKind::Compaction,
        })
    }

    fn delay(&self, check: Check) -> Result<Delay, EntryError> {
        for (key, value) in [("latency_ms", self.latency_ms), ("latency_jitter_ms", self.latency_jitter_ms)] {
            if let Some(value) = value {
                check.range(key, &value, (1..=LONGEST_DELAY_MS).contains(&value), DELAY)?;
            }
        }
        Ok(Delay {
            latency_ms: self.latency_ms.unwrap_or(0),
            latency_jitter_ms: self.latency_jitter_ms.unwrap_or(0),
        })
    }

    fn brownout(&self, check: Check) -> Result<Brownout, EntryError> {
        let delay = self.delay(check)?;
        if let Some(bandwidth) = self.bandwidth_bytes_per_s {
            let allowed = "bytes per second, 1000 to 1000000000000";
            let fits = (1_000..=1_000_000_000_000).contains(&bandwidth);
            check.range("bandwidth_bytes_per_s", &bandwidth, fits, allowed)?;
        }
        let (reset_ratio, unavailable_ratio) =
            (self.reset_ratio.unwrap_or(0.0), self.unavailable_ratio.unwrap_or(0.0));
        for (key, value) in [("reset_ratio", reset_ratio), ("unavailable_ratio", unavailable_ratio)] {
            check.range(key, &value, (0.0..=1.0).contains(&value), RATIO)?;
        }
        let sum = reset_ratio + unavailable_ratio;
        check.range("unavailable_ratio", &unavailable_ratio, sum <= 1.0, "with reset_ratio at most 1")?;
        let brownout = Brownout {
            delay,
            bandwidth_bytes_per_s: self.bandwidth_bytes_per_s,
            reset_ratio,
            unavailable_ratio,
        };
        if brownout == Brownout::default() {
            let allowed = "or latency_jitter_ms, bandwidth_bytes_per_s, reset_ratio or unavailable_ratio; nothing would be ill";
            return Err(EntryError::Missing { kind: check.kind, key: "latency_ms", allowed });
        }
        Ok(brownout)
    }
}

/// Keys of a kind beside [`WHEN`].
fn own_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "engine_kill" | "engine_pause" | "broker_restart" | "broker_pause" => &["duration_s"],
        "catalog_outage" | "store_outage" => &["duration_s", "manner"],
        "catalog_slow" => &["duration_s", "latency_ms", "latency_jitter_ms"],
        "store_brownout" => &[
            "duration_s",
            "latency_ms",
            "latency_jitter_ms",
            "bandwidth_bytes_per_s",
            "reset_ratio",
            "unavailable_ratio",
        ],
        "partition_growth" => &["partitions"],
        "rebalance" => &["duration_s", "leave"],
        _ => &[],
    }
}

/// Makes errors of one entry.
#[derive(Clone, Copy)]
struct Check {
    kind: &'static str,
}

impl Check {
    fn needed<T>(self, key: &'static str, value: Option<T>, allowed: &'static str) -> Result<T, EntryError> {
        value.ok_or(EntryError::Missing { kind: self.kind, key, allowed })
    }

    fn range(
        self,
        key: &'static str,
        value: &impl ToString,
        fits: bool,
        allowed: &'static str,
    ) -> Result<(), EntryError> {
        if fits {
            return Ok(());
        }
        Err(EntryError::OutOfRange { kind: self.kind, key, value: value.to_string(), allowed })
    }
}

impl From<Fault> for Entry {
    fn from(fault: Fault) -> Self {
        let some = |seconds: f64| (seconds > 0.0).then_some(seconds);
        let entry = Self {
            kind: fault.kind.name().to_owned(),
            at_s: Some(fault.at_s),
            duration_s: some(fault.duration_s),
            every_s: some(fault.every_s),
            count: (fault.count > 1).then_some(fault.count),
            jitter_s: some(fault.jitter_s),
            ..Self::default()
        };
        let delayed = |delay: Delay| Self {
            latency_ms: (delay.latency_ms > 0).then_some(delay.latency_ms),
            latency_jitter_ms: (delay.latency_jitter_ms > 0).then_some(delay.latency_jitter_ms),
            ..entry.clone()
        };
        match fault.kind {
            FaultKind::CatalogOutage(manner) | FaultKind::StoreOutage(manner) => {
                Self { manner: Some(manner), ..entry }
            }
            FaultKind::CatalogSlow(delay) => delayed(delay),
            FaultKind::StoreBrownout(brownout) => Self {
                bandwidth_bytes_per_s: brownout.bandwidth_bytes_per_s,
                reset_ratio: some(brownout.reset_ratio),
                unavailable_ratio: some(brownout.unavailable_ratio),
                ..delayed(brownout.delay)
            },
            FaultKind::PartitionGrowth { partitions } => Self { partitions: Some(partitions), ..entry },
            FaultKind::Rebalance { leave } => Self { leave: Some(leave), ..entry },
            FaultKind::EngineKill
            | FaultKind::EnginePause
            | FaultKind::BrokerRestart
            | FaultKind::BrokerPause
            | FaultKind::Compaction => entry,
        }
    }
}

#[cfg(test)]
mod tests;
