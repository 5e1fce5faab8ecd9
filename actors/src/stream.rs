//! What the supervisor runs: a source, the shards that read it, and the services that their commits go through.
//!
//! The event stream and the streams of changes differ in all that happens between a record and its commit, and in
//! nothing of how runs are started, watched, drained and replaced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulselake_source::Source;
use tokio::sync::mpsc::UnboundedSender;

use crate::kill_switch::KillSwitch;
use crate::messages::GenerationKey;
use crate::recovery::StartError;
use crate::settings::PipelineSettings;
use crate::status::EngineStatus;

/// The event stream's name. Its shards are called by their numbers alone, those of other streams by the stream's name too.
pub(crate) const EVENTS: &str = "events";

/// A stream as its supervisor sees it. Cheap to clone.
pub trait Stream: Clone + 'static {
    /// What its shards share.
    type Services: StreamServices;
    /// A run of one of its shards.
    type Run: StreamRun<Services = Self::Services>;

    /// Its name in logs, beside other streams.
    fn name(&self) -> &'static str;

    /// How many shards it has.
    fn shards(&self) -> usize;

    /// Numbers.
    fn settings(&self) -> &PipelineSettings;

    /// Where its records come from.
    fn source(&self) -> &Arc<dyn Source>;

    /// Where it shows how it is.
    fn status(&self) -> &EngineStatus;

    /// Starts what its shards share.
    fn start_services(&self) -> Self::Services;

    /// Reads the ledgers and starts a shard's next generation on them. `stop_at` gives the offsets at which a bounded
    /// run ends.
    fn start_run(
        &self,
        services: &Self::Services,
        start: ShardStart<'_>,
    ) -> impl Future<Output = Result<Self::Run, StartError>>;

    /// A partition is not this process's any more.
    fn forget_partition(&self, partition: i32);

    /// How many partitions this process reads now.
    fn show_assigned(&self, partitions: usize);

    /// Shows how many records a partition's reader is behind its end; called on another thread.
    fn lag_shown(&self) -> impl Fn(i32, u64) + Send + 'static;
}

/// Which shard is to be started, and how.
#[derive(Clone, Copy)]
pub struct ShardStart<'a> {
    /// Its number.
    pub shard: usize,
    /// Its partitions.
    pub partitions: &'a [i32],
    /// Where a bounded run ends.
    pub stop_at: &'a BTreeMap<i32, i64>,
    /// Where it reports to.
    pub reports: &'a ShardReports,
    /// The least number that its generation may have.
    pub at_least_generation: u64,
}

/// Where a shard reports to while it runs.
#[derive(Clone)]
pub struct ShardReports {
    /// Partitions whose bounded reader is through, with the run that read them.
    pub finished: UnboundedSender<(GenerationKey, i32)>,
    /// Positions that are committed.
    pub committed: UnboundedSender<Vec<(i32, i64)>>,
}

/// What the shards of a stream share.
pub trait StreamServices {
    /// Tripped when one of them fails.
    fn kill_switch(&self) -> &KillSwitch;

    /// Ends runs everywhere outside their shards, and returns when nothing of them can be committed any more, or when
    /// the services have died: then whatever still lands fences the next run (rule 1).
    fn close_generations(&self, keys: &[GenerationKey]) -> impl Future<Output = ()>;

    /// Ends them.
    fn stop(&self);
}

/// One run (generation) of one shard.
pub trait StreamRun {
    /// What the shard shares with others.
    type Services: StreamServices;

    /// Its name everywhere outside.
    fn key(&self) -> GenerationKey;

    /// Tripped by the first failure.
    fn kill_switch(&self) -> &KillSwitch;

    /// Stops reading, commits what was read, and ends. With `close_windows` every window seen so far is closed first.
    fn drain(
        &self,
        services: &Self::Services,
        close_windows: bool,
        timeout: Duration,
    ) -> impl Future<Output = Drained>;

    /// Ends every actor and the thread. A thread that hangs is left behind: its generation is closed everywhere.
    fn stop(&self);
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything that was read is in the tables.
    Committed,
    /// It failed or took too long: the rest comes again from the ledgers.
    GaveUp,
}
