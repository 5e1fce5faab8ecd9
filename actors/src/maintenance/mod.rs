//! Maintenance beside the stream: for each table a [`CompactionActor`] and a [`SnapshotJanitor`], on a thread of their own.
//!
//! They share nothing with the shards but the catalog, and keep no state that a round could lose: what fails or panics is
//! counted, logged and tried again later (one for one). The stream never waits for them. Compaction works in a further
//! thread, takes at most its share of a core, and less while events wait.

mod compaction;
mod janitor;
mod pace;
mod schedule;
mod work;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use iceberg::TableIdent;
use pulselake_commit::CommitLimits;
use pulselake_lake::Lake;
use pulselake_maintain::RoundSettings;
use pulselake_telemetry::MaintenanceMetrics;

use crate::status::EngineStatus;
use compaction::CompactionActor;
use janitor::SnapshotJanitor;
use work::TableWork;

/// How long the end of a run waits for a round to notice that it is to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// One table and what its rounds do.
#[derive(Clone)]
pub struct MaintainedTable {
    /// Which.
    pub ident: TableIdent,
    /// What a whole round does; compaction and janitor each take their part.
    pub round: RoundSettings,
}

/// When and how hard to work.
#[derive(Clone, Copy, Debug)]
pub struct MaintenancePace {
    /// Time between two rounds.
    pub interval: Duration,
    /// Time between two looks at how the table has grown.
    pub check_interval: Duration,
    /// Files that a table may gain before it is planned early.
    pub urgent_files: u64,
    /// The part of a core that compaction takes at most, percent.
    pub cpu_share_percent: u8,
}

/// The running actors.
pub struct Maintenance {
    arbiter: Arbiter,
    tables: Vec<(Arc<TableWork>, Addr<CompactionActor>, Addr<SnapshotJanitor>)>,
}

/// Asks an actor to end.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Maintenance {
    /// Starts the actors of these tables.
    pub fn start(
        lake: &Lake,
        tables: Vec<MaintainedTable>,
        pace: MaintenancePace,
        limits: CommitLimits,
        status: &EngineStatus,
    ) -> Self {
        let arbiter = Arbiter::new();
        let handle = arbiter.handle();
        let tables = tables
            .into_iter()
            .map(|table| {
                let work = Arc::new(TableWork {
                    metrics: MaintenanceMetrics::new(&table.ident.to_string()),
                    lake: lake.clone(),
                    table,
                    limits,
                    turn: tokio::sync::Mutex::new(()),
                });
                let janitor_work = work.clone();
                let janitor = SnapshotJanitor::start_in_arbiter(&handle, move |_| {
                    SnapshotJanitor::new(janitor_work, pace)
                });
                let (compaction_work, progress) = (work.clone(), status.clone());
                let compaction = CompactionActor::start_in_arbiter(&handle, move |_| {
                    CompactionActor::new(compaction_work, pace, progress)
                });
                (work, compaction, janitor)
            })
            .collect();
        Self { arbiter, tables }
    }

    /// Ends them. A round under way stops at its next step and gives its lease back; what it has committed stays.
    pub async fn stop(self) {
        for (work, _, _) in &self.tables {
            work.cancel();
        }
        // An actor takes its round along when it ends, and the lease would stay: the rounds come first.
        let deadline = tokio::time::Instant::now() + STOP_PATIENCE;
        for (work, _, _) in &self.tables {
            // A round that does not end in time is left: killing it at any point does no harm.
            let _ = tokio::time::timeout_at(deadline, work.turn.lock()).await;
        }
        for (_, compaction, janitor) in &self.tables {
            compaction.do_send(Stop);
            janitor.do_send(Stop);
        }
        self.arbiter.stop();
    }
}
