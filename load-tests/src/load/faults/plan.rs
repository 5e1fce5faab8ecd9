//! Which faults a scenario file asks for: the `[[faults]]` entries, checked as they are read. A plan that was read is one
//! that can be carried out: every number is in its range, and no entry has a key that its kind does not know.

use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// The faults of a scenario file, in its order: the field `faults` of the file's structure.
///
/// ```toml
/// [[faults]]
/// kind = "engine_kill"   # kill -9, and a new process at once
/// at_s = 20              # seconds since the first event
/// every_s = 15           # again each 15 s,
/// count = 3              # three times in all,
/// jitter_s = 5           # each up to 5 s later (by the scenario's seed)
///
/// [[faults]]
/// kind = "store_brownout"
/// at_s = 70
/// duration_s = 20
/// latency_ms = 300
/// bandwidth_bytes_per_s = 200000
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan {
    /// One for each entry.
    pub faults: Vec<Fault>,
}

/// One entry: a fault, and when it happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// When it begins the first time, seconds since the first event.
    pub at_s: f64,
    /// How long it lasts, seconds; 0 for what happens at once.
    pub duration_s: f64,
    /// From one beginning to the next, seconds; 0 when it happens once.
    pub every_s: f64,
    /// How often it happens, at least once.
    pub count: u32,
    /// Each beginning is up to so many seconds later, evenly spread.
    pub jitter_s: f64,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// The engine is killed (kill -9); a new process starts when the duration is over, by default at once.
    EngineKill,
    /// The engine stands still (SIGSTOP) and goes on.
    EnginePause,
    /// The broker is stopped, is away for the duration, and is started again.
    BrokerRestart,
    /// The broker stands still (SIGSTOP) and goes on.
    BrokerPause,
    /// The catalog can't be used: SQLite is locked by another program; PostgreSQL and REST are away from the network.
    CatalogOutage(Manner),
    /// Each answer of the catalog is late.
    CatalogSlow(Delay),
    /// The object store is away from the network.
    StoreOutage(Manner),
    /// The object store is slow, narrow or moody.
    StoreBrownout(Brownout),
    /// The topic gets more partitions.
    PartitionGrowth {
        /// Partitions of the topic from then on.
        partitions: i32,
    },
    /// A second engine process joins the group, stays for the duration, and leaves.
    Rebalance {
        /// How it leaves.
        leave: Leave,
    },
    /// `pulselake maintain` runs beside the engine, once, to its end.
    Compaction,
}

/// How a service is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Nobody listens: connecting is refused at once, and open connections break.
    #[default]
    Refuse,
    /// Connecting works, and each connection breaks.
    Reset,
    /// Nothing answers; what was sent arrives when it is over.
    BlackHole,
}

/// How the second engine process leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leave {
    /// Asked by SIGTERM: it commits what it has and says goodbye to the group.
    #[default]
    Terminate,
    /// kill -9: the group notices when its session is over.
    Kill,
}

/// How much later answers come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// Added to each answer, milliseconds.
    pub latency_ms: u64,
    /// Up to so much more, evenly spread, milliseconds.
    pub latency_jitter_ms: u64,
}

/// How a store is ill. At least one of these is not nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Brownout {
    /// Late answers.
    pub delay: Delay,
    /// What all connections together may carry in each direction, bytes per second.
    pub bandwidth_bytes_per_s: Option<u64>,
    /// Share of connections that break after a while, 0 to 1.
    pub reset_ratio: f64,
    /// Share of connections that are answered by HTTP status 503, 0 to 1.
    pub unavailable_ratio: f64,
}

impl FaultKind {
    /// Names of all kinds, as they stand in a scenario file.
    pub const NAMES: [&str; 11] = [
        "engine_kill",
        "engine_pause",
        "broker_restart",
        "broker_pause",
        "catalog_outage",
        "catalog_slow",
        "store_outage",
        "store_brownout",
        "partition_growth",
        "rebalance",
        "compaction",
    ];

    /// The name in a scenario file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EngineKill => "engine_kill",
            Self::EnginePause => "engine_pause",
            Self::BrokerRestart => "broker_restart",
            Self::BrokerPause => "broker_pause",
            Self::CatalogOutage(_) => "catalog_outage",
            Self::CatalogSlow(_) => "catalog_slow",
            Self::StoreOutage(_) => "store_outage",
            Self::StoreBrownout(_) => "store_brownout",
            Self::PartitionGrowth { .. } => "partition_growth",
            Self::Rebalance { .. } => "rebalance",
            Self::Compaction => "compaction",
        }
    }

    /// What it happens to.
    pub fn target(&self) -> Target {
        match self {
            Self::EngineKill | Self::EnginePause => Target::Engine,
            Self::BrokerRestart | Self::BrokerPause => Target::Broker,
            Self::CatalogOutage(_) | Self::CatalogSlow(_) => Target::Catalog,
            Self::StoreOutage(_) | Self::StoreBrownout(_) => Target::Store,
            Self::PartitionGrowth { .. } => Target::Topic,
            Self::Rebalance { .. } => Target::Group,
            Self::Compaction => Target::Tables,
        }
    }
}

/// What a fault happens to. Two faults of one target never overlap: the end of one would end the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Target {
    Engine,
    Broker,
    Catalog,
    Store,
    Topic,
    Group,
    Tables,
}

impl FaultPlan {
    /// Whether any fault happens to this.
    pub fn touches(&self, target: Target) -> bool {
        self.faults.iter().any(|fault| fault.kind.target() == target)
    }

    /// Whether events have to come over Kafka: some faults are about brokers, topics and groups.
    pub fn needs_kafka(&self) -> bool {
        [Target::Broker, Target::Topic, Target::Group].into_iter().any(|target| self.touches(target))
    }
}
