//! The one list of metrics: name, kind, unit, labels and help of each.
//!
//! Names are `pulselake_<noun>_<unit>`, counters with `_total` behind it. Labels have few values: a partition, a
//! shard, a table, an actor, an error code; never an id of a video, a user or an event.

use metrics::{Unit, describe_counter, describe_gauge};

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, in whole steps.
    Counter,
    /// Only rises, in fractions: seconds spent.
    FractionalCounter,
    /// Goes up and down.
    Gauge,
    /// The time since something, computed when it is read.
    Age,
    /// A distribution over fixed buckets.
    Histogram,
}

/// Every metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Records taken from the source.
    SourceRecords,
    /// Bytes of their values.
    SourceBytes,
    /// Records read again after a restart.
    ReplayedRecords,
    /// Records that the source deleted before they were consumed.
    LostRecords,
    /// Distance to the end of the partition.
    ConsumerLag,
    /// Partitions this process consumes.
    AssignedPartitions,
    /// Of these, held back by back-pressure.
    PausedPartitions,
    /// Decode errors by code.
    RejectedRecords,
    /// Decode errors by partition.
    QuarantinedRecords,
    /// Batches waiting in a mailbox.
    MailboxDepth,
    /// Time spent waiting for a full mailbox.
    BackpressureWait,
    /// Time spent at work.
    ActorBusy,
    /// Restarts of a shard.
    ShardRestarts,
    /// Restarts left before the service gives up.
    RestartBudget,
    /// Age of the watermark.
    WatermarkLag,
    /// Windows not closed yet.
    OpenWindows,
    /// Event ids remembered for deduplication.
    DedupIds,
    /// Events counted by a correction.
    LateRecords,
    /// Events too late for a correction.
    DroppedRecords,
    /// Events counted once before.
    DuplicateRecords,
    /// Ids evicted by the cap before their horizon.
    DedupEvictions,
    /// Rows committed.
    TableRows,
    /// Commits that landed.
    TableCommits,
    /// Time that a commit takes.
    CommitDuration,
    /// Commits that had to be based on a newer snapshot.
    CommitConflicts,
    /// Commits whose answer was lost.
    CommitUnknownOutcomes,
    /// Attempts that failed and are tried again.
    CommitFailures,
    /// Commits refused because another owner has gone on.
    CommitFences,
    /// Data files committed.
    WrittenFiles,
    /// Bytes of these.
    WrittenBytes,
    /// Time since the last commit.
    LastCommitAge,
    /// Time from an event to its visible row.
    EndToEndLatency,
    /// Live data files of a table.
    LiveFiles,
    /// Bytes of these.
    LiveBytes,
    /// Average size of these.
    AverageFileBytes,
    /// Live delete files of a table.
    DeleteFiles,
    /// Files in the fullest partition.
    FullestPartition,
    /// Snapshots in a table's metadata.
    TableSnapshots,
    /// Compaction runs.
    CompactionRuns,
    /// Bytes that compaction read.
    RewrittenBytes,
    /// Time that compaction worked.
    CompactionBusy,
    /// Maintenance commits that had to be planned anew.
    MaintenanceConflicts,
    /// Maintenance runs that failed.
    MaintenanceFailures,
    /// Snapshots expired.
    ExpiredSnapshots,
    /// Files deleted by expiry.
    RemovedFiles,
    /// Orphans deleted.
    RemovedOrphans,
    /// Partitions of changes this process consumes.
    ChangePartitions,
    /// Distance to the end of a partition of changes.
    ChangeLag,
    /// Records of changes taken from the source.
    ChangeRecords,
    /// Of these, without a value.
    Tombstones,
    /// Of these, rejected.
    RejectedChanges,
    /// Changes that the history has already.
    RepeatedVersions,
    /// Changes older than their key's last one.
    LateVersions,
    /// Keys looked up in the history.
    HistoryLookups,
    /// Columns added or widened.
    SchemaChanges,
    /// Requests for a schema.
    RegistryRequests,
    /// Keys whose last version is in memory.
    IndexedKeys,
    /// Memory of these.
    KeyIndexBytes,
    /// Videos in the live path's cache.
    CachedVideos,
    /// Videos that were asked for and are not there.
    CacheMisses,
    /// Videos taken out because the cache was full.
    CacheEvictions,
    /// Decisions that entered the queue.
    TakenDecisions,
    /// Decisions that were held back.
    SuppressedDecisions,
    /// Reviews that wait for plays to end.
    ImmatureReviews,
    /// Actions whose time was over.
    ExpiredActions,
    /// Actions in memory by state.
    QueuedActions,
    /// Rounds of decisions.
    DecisionRounds,
    /// Time that a round takes.
    DecisionRoundDuration,
    /// Rounds decided anew.
    DecisionRetries,
    /// Rounds that failed.
    DecisionFailures,
    /// Age of the newest decided minute.
    DecidedMinuteAge,
    /// Partitions that are not decided about.
    UndecidedPartitions,
    /// P95 of gold's age.
    GoldAge,
    /// The freshness state.
    FreshnessState,
    /// Rules files that were refused.
    RefusedRules,
    /// Actions sent to the topic.
    SentActions,
    /// Actions that wait to be sent.
    UnsentActions,
    /// Failures of the outbox.
    OutboxFailures,
    /// Requests answered over HTTP.
    HttpRequests,
    /// Time that an answer takes.
    HttpDuration,
    /// Clients of live updates.
    EventStreams,
    /// Clients of live updates that were too slow.
    DroppedEventStreams,
    /// Queries of SQL.
    SqlQueries,
    /// Videos on the live board.
    BoardVideos,
    /// Memory of these.
    BoardBytes,
    /// Videos put out because the board was full.
    BoardEvictions,
    /// Time from an event to the board.
    BoardLatency,
    /// Skips of the newest minute that is over.
    NewestMinuteSkips,
    /// Impressions of it.
    NewestMinuteImpressions,
    /// Active videos on the board.
    ActiveVideos,
    /// Of these, the young ones.
    YoungVideos,
    /// Constant 1, with the version as label.
    BuildInfo,
}

/// What is to be known of one metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
}

const fn spec(name: &'static str, kind: Kind, unit: &'static str, help: &'static str) -> Spec {
    Spec { name, kind, unit, help }
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 92] = [
        Self::SourceRecords,
        Self::SourceBytes,
        Self::ReplayedRecords,
        Self::LostRecords,
        Self::ConsumerLag,
        Self::AssignedPartitions,
        Self::PausedPartitions,
        Self::RejectedRecords,
        Self::QuarantinedRecords,
        Self::MailboxDepth,
        Self::BackpressureWait,
        Self::ActorBusy,
        Self::ShardRestarts,
        Self::RestartBudget,
        Self::WatermarkLag,
        Self::OpenWindows,
        Self::DedupIds,
        Self::LateRecords,
        Self::DroppedRecords,
        Self::DuplicateRecords,
        Self::DedupEvictions,
        Self::TableRows,
        Self::TableCommits,
        Self::CommitDuration,
        Self::CommitConflicts,
        Self::CommitUnknownOutcomes,
        Self::CommitFailures,
        Self::CommitFences,
        Self::WrittenFiles,
        Self::WrittenBytes,
        Self::LastCommitAge,
        Self::EndToEndLatency,
        Self::LiveFiles,
        Self::LiveBytes,
        Self::AverageFileBytes,
        Self::DeleteFiles,
        Self::FullestPartition,
        Self::TableSnapshots,
        Self::CompactionRuns,
        Self::RewrittenBytes,
        Self::CompactionBusy,
        Self::MaintenanceConflicts,
        Self::MaintenanceFailures,
        Self::ExpiredSnapshots,
        Self::RemovedFiles,
        Self::RemovedOrphans,
        Self::ChangePartitions,
        Self::ChangeLag,
        Self::ChangeRecords,
        Self::Tombstones,
        Self::RejectedChanges,
        Self::RepeatedVersions,
        Self::LateVersions,
        Self::HistoryLookups,
        Self::SchemaChanges,
        Self::RegistryRequests,
        Self::IndexedKeys,
        Self::KeyIndexBytes,
        Self::CachedVideos,
        Self::CacheMisses,
        Self::CacheEvictions,
        Self::TakenDecisions,
        Self::SuppressedDecisions,
        Self::ImmatureReviews,
        Self::ExpiredActions,
        Self::QueuedActions,
        Self::DecisionRounds,
        Self::DecisionRoundDuration,
        Self::DecisionRetries,
        Self::DecisionFailures,
        Self::DecidedMinuteAge,
        Self::UndecidedPartitions,
        Self::GoldAge,
        Self::FreshnessState,
        Self::RefusedRules,
        Self::SentActions,
        Self::UnsentActions,
        Self::OutboxFailures,
        Self::HttpRequests,
        Self::HttpDuration,
        Self::EventStreams,
        Self::DroppedEventStreams,
        Self::SqlQueries,
        Self::BoardVideos,
        Self::BoardBytes,
        Self::BoardEvictions,
        Self::BoardLatency,
        Self::NewestMinuteSkips,
        Self::NewestMinuteImpressions,
        Self::ActiveVideos,
        Self::YoungVideos,
        Self::BuildInfo,
    ];

    /// The name on `/metrics`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// How it behaves.
    pub fn kind(self) -> Kind {
        self.spec().kind
    }

    /// The unit, in the plural, as it stands in the name.
    pub fn unit(self) -> &'static str {
        self.spec().unit
    }

    /// One sentence for whoever reads a dashboard.
    pub fn help(self) -> &'static str {
        self.spec().help
    }

    #[rustfmt::skip]
    pub(crate) fn spec(self) -> Spec {
        use Kind::{Age, Counter, FractionalCounter, Gauge, Histogram};
        match self {
            Self::SourceRecords => spec("pulselake_source_records_total", Counter, "records", "Records taken from the source, by partition."),
            Self::SourceBytes => spec("pulselake_source_bytes_total", Counter, "bytes", "Bytes of the values taken from the source, by partition."),
            Self::ReplayedRecords => spec("pulselake_replayed_records_total", Counter, "records", "Records read again after a start to rebuild windows and deduplication, by partition."),
            Self::LostRecords => spec("pulselake_lost_records_total", Counter, "records", "Offsets that the source deleted before they were consumed, by partition."),
            Self::ConsumerLag => spec("pulselake_consumer_lag_records", Gauge, "records", "Records between the position and the end of the partition."),
            Self::AssignedPartitions => spec("pulselake_assigned_partitions", Gauge, "partitions", "Partitions that this process consumes."),
            Self::PausedPartitions => spec("pulselake_paused_partitions", Gauge, "partitions", "Partitions whose fetching back-pressure holds back."),
            Self::RejectedRecords => spec("pulselake_rejected_records_total", Counter, "records", "Records that the decoder rejected, by error code."),
            Self::QuarantinedRecords => spec("pulselake_quarantined_records_total", Counter, "records", "Records that the decoder rejected, by partition."),
            Self::MailboxDepth => spec("pulselake_mailbox_depth_batches", Gauge, "batches", "Batches that wait in an actor's mailbox, by actor and index (its partition or shard)."),
            Self::BackpressureWait => spec("pulselake_backpressure_wait_seconds_total", FractionalCounter, "seconds", "Time an actor waited for room in the mailbox of the next, by actor and index."),
            Self::ActorBusy => spec("pulselake_actor_busy_seconds_total", FractionalCounter, "seconds", "Time an actor worked on batches, by actor and index."),
            Self::ShardRestarts => spec("pulselake_shard_restarts_total", Counter, "restarts", "Restarts of a shard's generation after a failure."),
            Self::RestartBudget => spec("pulselake_remaining_restarts", Gauge, "restarts", "Restarts that a shard has left before the service gives up."),
            Self::WatermarkLag => spec("pulselake_watermark_lag_seconds", Age, "seconds", "How far a partition's watermark is behind the clock."),
            Self::OpenWindows => spec("pulselake_open_windows", Gauge, "windows", "One-minute windows of a partition that are not closed yet."),
            Self::DedupIds => spec("pulselake_remembered_ids", Gauge, "ids", "Event ids that a partition remembers for deduplication."),
            Self::LateRecords => spec("pulselake_late_records_total", Counter, "records", "Events that came after their window closed and make a correction, by partition."),
            Self::DroppedRecords => spec("pulselake_dropped_records_total", Counter, "records", "Events later than the allowed lateness: in bronze, not in gold, by partition."),
            Self::DuplicateRecords => spec("pulselake_duplicate_records_total", Counter, "records", "Events seen before within the deduplication horizon, by partition."),
            Self::DedupEvictions => spec("pulselake_evicted_ids_total", Counter, "ids", "Event ids that the cap evicted before their horizon: duplicates of these are not noticed."),
            Self::TableRows => spec("pulselake_table_rows_total", Counter, "rows", "Rows committed, by table."),
            Self::TableCommits => spec("pulselake_table_commits_total", Counter, "commits", "Commits that landed, by table."),
            Self::CommitDuration => spec("pulselake_commit_duration_seconds", Histogram, "seconds", "Time from the start of a commit to its outcome, by table."),
            Self::CommitConflicts => spec("pulselake_commit_conflicts_total", Counter, "conflicts", "Attempts that lost against another commit and were repeated on its snapshot, by table."),
            Self::CommitUnknownOutcomes => spec("pulselake_unknown_outcomes_total", Counter, "outcomes", "Attempts whose answer was lost and whose outcome was looked up, by table."),
            Self::CommitFailures => spec("pulselake_commit_failures_total", Counter, "failures", "Attempts to commit that failed and are tried again (catalog or store away, an answer lost), by table; lost races are conflicts."),
            Self::CommitFences => spec("pulselake_commit_fences_total", Counter, "fences", "Commits refused because another owner has gone on, by table."),
            Self::WrittenFiles => spec("pulselake_written_files_total", Counter, "files", "Data files committed, by table."),
            Self::WrittenBytes => spec("pulselake_written_bytes_total", Counter, "bytes", "Bytes of the data files committed, by table."),
            Self::LastCommitAge => spec("pulselake_last_commit_age_seconds", Age, "seconds", "Time since the last commit of this process, by table."),
            Self::EndToEndLatency => spec("pulselake_end_to_end_latency_seconds", Histogram, "seconds", "Time from an event's timestamp (gold: its window's end) to its visible row, by table."),
            Self::LiveFiles => spec("pulselake_live_files", Gauge, "files", "Live data files, by table; looked at once per maintenance check."),
            Self::LiveBytes => spec("pulselake_live_file_bytes", Gauge, "bytes", "Bytes of the live data files, by table."),
            Self::AverageFileBytes => spec("pulselake_average_file_bytes", Gauge, "bytes", "Average size of the live data files, by table."),
            Self::DeleteFiles => spec("pulselake_live_delete_files", Gauge, "files", "Live delete files, by table: each read of an upserted table has to apply them."),
            Self::FullestPartition => spec("pulselake_fullest_partition_files", Gauge, "files", "Data files in the partition that holds the most, by table."),
            Self::TableSnapshots => spec("pulselake_table_snapshots", Gauge, "snapshots", "Snapshots in the metadata, by table."),
            Self::CompactionRuns => spec("pulselake_compaction_runs_total", Counter, "runs", "Compaction runs that ended well, by table."),
            Self::RewrittenBytes => spec("pulselake_rewritten_bytes_total", Counter, "bytes", "Bytes of the files that compaction replaced, by table."),
            Self::CompactionBusy => spec("pulselake_compaction_busy_seconds_total", FractionalCounter, "seconds", "Time that compaction worked, by table; with the rewritten bytes, its speed."),
            Self::MaintenanceConflicts => spec("pulselake_maintenance_conflicts_total", Counter, "conflicts", "Maintenance commits that were planned anew because the table had changed, by table."),
            Self::MaintenanceFailures => spec("pulselake_maintenance_failures_total", Counter, "failures", "Maintenance runs that failed and will be tried again, by table."),
            Self::ExpiredSnapshots => spec("pulselake_expired_snapshots_total", Counter, "snapshots", "Snapshots that expired, by table."),
            Self::RemovedFiles => spec("pulselake_removed_files_total", Counter, "files", "Files deleted because no snapshot refers to them since an expiry, by table."),
            Self::RemovedOrphans => spec("pulselake_removed_orphans_total", Counter, "orphans", "Orphans deleted: files that no snapshot refers to and that are older than the safety age, by table."),
            Self::ChangePartitions => spec("pulselake_change_partitions", Gauge, "partitions", "Partitions of an entity's topic of changes that this process consumes."),
            Self::ChangeLag => spec("pulselake_change_lag_records", Gauge, "records", "Records between the position and the end of a partition of changes, by entity and partition."),
            Self::ChangeRecords => spec("pulselake_change_records_total", Counter, "records", "Records taken from a topic of changes, by entity."),
            Self::Tombstones => spec("pulselake_tombstone_records_total", Counter, "records", "Records of changes without a value, by entity."),
            Self::RejectedChanges => spec("pulselake_rejected_change_records_total", Counter, "records", "Changes that went to quarantine, by entity; by code in pulselake_rejected_records_total."),
            Self::RepeatedVersions => spec("pulselake_repeated_versions_total", Counter, "versions", "Changes that the history has already, by entity: deliveries repeated by their producer."),
            Self::LateVersions => spec("pulselake_late_versions_total", Counter, "versions", "Changes older than their key's last one, by entity: in the history, not in the dimension."),
            Self::HistoryLookups => spec("pulselake_history_lookup_keys_total", Counter, "keys", "Keys looked up in the history to place a change that memory can't place, by entity."),
            Self::SchemaChanges => spec("pulselake_schema_change_columns_total", Counter, "columns", "Columns added to a dimension or widened because the source's were, by entity."),
            Self::RegistryRequests => spec("pulselake_schema_registry_requests_total", Counter, "requests", "Requests to the schema registry for a schema that records name, by outcome: found, unknown, failed."),
            Self::IndexedKeys => spec("pulselake_indexed_keys", Gauge, "keys", "Keys whose last version is in memory, by entity."),
            Self::KeyIndexBytes => spec("pulselake_key_index_bytes", Gauge, "bytes", "Memory of the last versions, by entity."),
            Self::CachedVideos => spec("pulselake_cached_videos", Gauge, "videos", "Videos whose dimension is in memory for the live path."),
            Self::CacheMisses => spec("pulselake_video_cache_misses_total", Counter, "misses", "Videos that the live path asked for and the cache did not have."),
            Self::CacheEvictions => spec("pulselake_evicted_videos_total", Counter, "videos", "Videos taken out of the cache because it was full."),
            Self::TakenDecisions => spec("pulselake_taken_decisions_total", Counter, "decisions", "Decisions that entered the queue of actions, by type."),
            Self::SuppressedDecisions => spec("pulselake_suppressed_decisions_total", Counter, "decisions", "Decisions that the rules called for and something held back, by reason."),
            Self::ImmatureReviews => spec("pulselake_immature_reviews_total", Counter, "reviews", "Videos that would be a REVIEW, had their plays had time to end."),
            Self::ExpiredActions => spec("pulselake_expired_actions_total", Counter, "actions", "Actions whose time was over before they were carried out."),
            Self::QueuedActions => spec("pulselake_queued_actions", Gauge, "actions", "Actions of the queue that this process has in memory, by state."),
            Self::DecisionRounds => spec("pulselake_decision_rounds_total", Counter, "rounds", "Rounds of decisions that ended well, also those that decided nothing."),
            Self::DecisionRoundDuration => spec("pulselake_decision_round_seconds", Histogram, "seconds", "Time that a round of decisions takes, its commit included."),
            Self::DecisionRetries => spec("pulselake_decision_retries_total", Counter, "retries", "Times that a round was decided anew because somebody else had committed to the queue."),
            Self::DecisionFailures => spec("pulselake_decision_failures_total", Counter, "failures", "Rounds of decisions that failed and are made again."),
            Self::DecidedMinuteAge => spec("pulselake_decided_minute_age_seconds", Age, "seconds", "How long ago the newest minute that was decided about ended."),
            Self::UndecidedPartitions => spec("pulselake_undecided_partitions", Gauge, "partitions", "Partitions that are not decided about at the moment, by reason."),
            Self::GoldAge => spec("pulselake_gold_age_seconds", Gauge, "seconds", "P95 of the age of gold over the last minutes: from an event to its visible row, as decisions see it."),
            Self::FreshnessState => spec("pulselake_freshness_state", Gauge, "state", "What decisions make of gold's age: 0 fresh, 1 degraded (only REVIEW), 2 stale (nothing)."),
            Self::RefusedRules => spec("pulselake_refused_rules_files_total", Counter, "files", "Files of rules or baselines that were refused; the old ones stay in force."),
            Self::SentActions => spec("pulselake_sent_actions_total", Counter, "actions", "Actions that were sent to the topic of actions and acknowledged."),
            Self::UnsentActions => spec("pulselake_unsent_actions", Gauge, "actions", "Actions that are committed and wait to be sent to the topic of actions."),
            Self::OutboxFailures => spec("pulselake_outbox_failures_total", Counter, "failures", "Failures of the outbox, which tries again: nothing is lost."),
            Self::HttpRequests => spec("pulselake_http_requests_total", Counter, "requests", "Requests answered over HTTP, by endpoint and status."),
            Self::HttpDuration => spec("pulselake_http_request_seconds", Histogram, "seconds", "Time from a request to the beginning of its answer, by endpoint."),
            Self::EventStreams => spec("pulselake_open_event_streams", Gauge, "streams", "Clients that have live updates sent to them."),
            Self::DroppedEventStreams => spec("pulselake_dropped_event_streams_total", Counter, "streams", "Clients that did not take their live updates in time and were dropped."),
            Self::SqlQueries => spec("pulselake_sql_queries_total", Counter, "queries", "Queries of SQL over HTTP, by outcome: answered, refused, busy, unavailable."),
            Self::BoardVideos => spec("pulselake_board_videos", Gauge, "videos", "Videos on the live board, one in two partitions counted twice."),
            Self::BoardBytes => spec("pulselake_board_bytes", Gauge, "bytes", "Memory of the live board's videos: ids, counts by minute, scores and the index of them."),
            Self::BoardEvictions => spec("pulselake_board_evicted_videos_total", Counter, "videos", "Videos put out of the live board because it was full (board.max_videos)."),
            Self::BoardLatency => spec("pulselake_board_latency_seconds", Histogram, "seconds", "Time from an event (its timestamp or its record's, whichever is earlier) to its count on the live board; what a start reads again is left out."),
            Self::NewestMinuteSkips => spec("pulselake_newest_minute_skips", Gauge, "skips", "Skips in the newest minute on the live board that is over, all videos of this process."),
            Self::NewestMinuteImpressions => spec("pulselake_newest_minute_impressions", Gauge, "impressions", "Impressions in the newest minute on the live board that is over; skips by them are the doomscroll rate."),
            Self::ActiveVideos => spec("pulselake_active_videos", Gauge, "videos", "Active videos with an event in the last 30 minutes, of this process; known where changes of videos are followed."),
            Self::YoungVideos => spec("pulselake_young_videos", Gauge, "videos", "Active videos with an event in the last 30 minutes that are younger than an hour; by the active ones they are the fresh supply."),
            Self::BuildInfo => spec("pulselake_build_info", Gauge, "info", "Constant 1; the version is the label."),
        }
    }
}

/// Gives the recorder kind, unit and help of every metric that it holds; the others are described where they are
/// rendered.
pub fn describe_all() {
    for metric in Metric::ALL {
        let unit = match metric.unit() {
            "bytes" => Unit::Bytes,
            "seconds" => Unit::Seconds,
            _ => Unit::Count,
        };
        match metric.kind() {
            Kind::Counter => describe_counter!(metric.name(), unit, metric.help()),
            Kind::Gauge => describe_gauge!(metric.name(), unit, metric.help()),
            Kind::FractionalCounter | Kind::Age | Kind::Histogram => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for metric in Metric::ALL {
            let name = metric.name();
            let noun_and_unit = name.strip_prefix("pulselake_").unwrap_or_else(|| panic!("{name}: prefix"));
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}: characters");
            let is_counter = matches!(metric.kind(), Kind::Counter | Kind::FractionalCounter);
            assert_eq!(noun_and_unit.ends_with("_total"), is_counter, "{name}: _total is for counters");
            let without_total = noun_and_unit.strip_suffix("_total").unwrap_or(noun_and_unit);
            let noun = without_total.strip_suffix(&format!("_{}", metric.unit()));
            assert!(noun.is_some_and(|noun| !noun.is_empty()), "{name}: must end in _{}", metric.unit());
        }
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_a_unit_and_a_sentence() {
        let names: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        let metrics: BTreeSet<Metric> = Metric::ALL.into_iter().collect();
        assert_eq!(metrics.len(), Metric::ALL.len());
        for metric in Metric::ALL {
            assert!(metric.help().ends_with('.') && metric.help().len() > 20, "{metric:?}");
            assert!(!metric.unit().is_empty(), "{metric:?}");
            if matches!(metric.kind(), Kind::Histogram | Kind::Age | Kind::FractionalCounter) {
                assert_eq!(metric.unit(), "seconds", "{metric:?}");
            }
        }
    }
}
