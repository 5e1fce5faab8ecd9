//! One value of every metric, for tests of what is rendered.

use std::any::Any;
use std::time::Duration;

use pulselake_model::tables::LakeTable;
use pulselake_model::{Entity, ErrorCode};

use crate::{
    ActorMetrics, CacheMetrics, ChangeCounts, ChangeMetrics, CommitFigures, MaintenanceMetrics, ShardMetrics,
    SourceMetrics, TableFiles, TableMetrics, WindowCounts, WindowMetrics, set_assigned_partitions,
    set_paused_partitions,
};

/// Records something of every metric, under a partition and a table that are this test's own: what is kept outside of the recorder
/// is shared by all tests. The handles that take their series back when they end are given back.
pub(crate) fn record_everything(partition: i32, table: LakeTable) -> Box<dyn Any> {
    let actor = ActorMetrics::new("PartitionConsumer", partition);
    actor.mailbox_depth(3);
    actor.mailbox_depth(2);
    actor.waited(Duration::from_millis(1_500));
    actor.worked(Duration::from_millis(250));
    let source = SourceMetrics::new(partition);
    source.received(4_096, 1_000_000);
    let mut by_code = [0; ErrorCode::COUNT];
    by_code[ErrorCode::NotUtf8 as usize] = 5;
    source.rejected(&by_code);
    source.replayed(10);
    source.lost(1);
    crate::set_consumer_lag(partition, 99);
    let windows = WindowMetrics::new(partition);
    windows.counted(WindowCounts { late: 1, dropped: 2, duplicates: 3, evicted_ids: 4 });
    windows.state(2, 100, Some(0));
    let table = TableMetrics::new(table);
    table.committed(CommitFigures {
        rows: 4_091,
        files: 2,
        bytes: 5_000,
        duration: Duration::from_millis(20),
    });
    table.conflicted();
    table.attempt_failed();
    table.outcome_unknown();
    table.fenced();
    table.became_visible(Duration::from_secs(11), 4_091);
    let shard = ShardMetrics::new("0");
    shard.restarted();
    shard.restarts_left(9);
    set_assigned_partitions(12);
    set_paused_partitions(1);
    let maintenance = MaintenanceMetrics::new("gold.rt_video_stats_1min");
    maintenance.files(TableFiles { data_files: 4, data_bytes: 1_000, ..TableFiles::default() });
    maintenance.compacted(5_000, Duration::from_millis(40), 1);
    maintenance.failed();
    maintenance.expired(2, 3);
    maintenance.removed_orphans(1);
    let changes = ChangeMetrics::new(Entity::Videos);
    changes.received(&ChangeCounts { records: 9, tombstones: 1, rejected_by_code: by_code });
    changes.flushed(2, 3);
    changes.looked_up(4);
    changes.schema_changed(1);
    changes.index(100, 8_200);
    crate::set_change_partitions(Entity::Videos, 3);
    crate::set_change_lag(Entity::Videos, 0, 5);
    let registry = crate::RegistryMetrics::default();
    registry.answered(true);
    registry.failed();
    let cache = CacheMetrics::default();
    cache.holds(7);
    cache.missed();
    cache.evicted(1);
    let board = crate::BoardMetrics::default();
    board.holds(3, 600, 1);
    board.became_visible([Duration::from_millis(120)]);
    crate::PulseMetrics::default().counted(45, 100, 10, 2);
    let decisions = crate::DecisionMetrics::default();
    decisions.decided(&crate::RoundFigures {
        taken: vec![("BOOST", 2)],
        suppressed: vec![("cooldown", 3)],
        ..crate::RoundFigures::default()
    });
    decisions.failed();
    decisions.newest_minute(0);
    decisions.undecided(&[("stale", 1)]);
    decisions.freshness(Some(70.0), 0);
    decisions.queued(&[("PENDING", 2)]);
    decisions.refused_file();
    let outbox = crate::OutboxMetrics::default();
    outbox.sent(2);
    outbox.unsent(1);
    outbox.failed();

    let http = crate::HttpMetrics::default();
    http.answered("/api/v1/trending", 200, Duration::from_millis(3));
    http.open_streams(2);
    http.dropped_stream();
    http.queried("answered");

    Box::new((actor, source, windows))
}
