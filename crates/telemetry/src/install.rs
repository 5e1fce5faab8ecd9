//! The process's recorder and the text of `/metrics`.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use crate::exposition;
use crate::metric::{Metric, describe_all};

/// Why telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// There is a recorder already.
    #[error("can't install the metrics recorder: {0}; telemetry is set up once per process")]
    Recorder(#[from] BuildError),
    /// There is a log subscriber already.
    #[error("can't set up logging: {0}; logging is set up once per process")]
    Logging(String),
    /// No such level.
    #[error("unknown log level {0:?}: use error, warn, info, debug or trace")]
    Level(String),
}

/// Reads what has been recorded.
#[derive(Clone, Debug)]
pub struct TelemetryHandle {
    recorder: PrometheusHandle,
}

impl TelemetryHandle {
    /// All metrics in Prometheus' text format, ages as of now.
    pub fn render(&self) -> String {
        let mut text = self.recorder.render();
        exposition::render(&mut text);
        text
    }
}

/// Installs the recorder of this process. `version` is what `build_info` shows.
///
/// # Errors
/// When the process has a recorder already.
pub fn install(version: &str) -> Result<TelemetryHandle, TelemetryError> {
    let recorder = PrometheusBuilder::new().install_recorder()?;
    describe_all();
    metrics::gauge!(Metric::BuildInfo.name(), "version" => version.to_owned()).set(1.0);
    Ok(TelemetryHandle { recorder })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pulselake_model::tables::LakeTable;
    use pulselake_model::{Entity, ErrorCode};

    use super::*;
    use crate::metric::Kind;
    use crate::{
        ActorMetrics, CacheMetrics, ChangeCounts, ChangeMetrics, CommitFigures, MaintenanceMetrics,
        ShardMetrics, SourceMetrics, TableFiles, TableMetrics, WindowCounts, WindowMetrics,
        set_assigned_partitions, set_paused_partitions,
    };

    fn value_of(text: &str, series: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}")).parse().unwrap()
    }

    /// The one test that installs the process's recorder.
    #[test]
    fn everything_recorded_is_rendered_and_described() {
        let handle = install("1.2.3").unwrap();
        assert!(install("1.2.3").is_err());

        let actor = ActorMetrics::new("PartitionConsumer", 7);
        actor.mailbox_depth(3);
        actor.mailbox_depth(2);
        actor.waited(Duration::from_millis(1_500));
        actor.worked(Duration::from_millis(250));
        let source = SourceMetrics::new(7);
        source.received(4_096, 1_000_000);
        let mut by_code = [0; ErrorCode::COUNT];
        by_code[ErrorCode::NotUtf8 as usize] = 5;
        source.rejected(&by_code);
        source.replayed(10);
        source.lost(1);
        crate::set_consumer_lag(7, 99);
        let windows = WindowMetrics::new(7);
        windows.counted(WindowCounts { late: 1, dropped: 2, duplicates: 3, evicted_ids: 4 });
        windows.state(2, 100, Some(0));
        let table = TableMetrics::new(LakeTable::RawEvents);
        table.committed(CommitFigures {
            rows: 4_091,
            files: 2,
            bytes: 5_000,
            duration: Duration::from_millis(20),
        });
        table.conflicted();
        table.outcome_unknown();
        table.fenced();
        table.pending_rows(8);
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

        let text = handle.render();
        for metric in Metric::ALL {
            let kind = match metric.kind() {
                Kind::Counter | Kind::FractionalCounter => "counter",
                Kind::Gauge | Kind::Age => "gauge",
                Kind::Histogram => "histogram",
            };
            let name = metric.name();
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} has no type\n{text}");
            assert!(
                text.contains(&format!("# HELP {name} {}\n", metric.help())),
                "{name} has no help\n{text}"
            );
        }
        let expected = [
            ("pulselake_build_info{version=\"1.2.3\"}", 1.0),
            ("pulselake_source_records_total{partition=\"7\"}", 4_096.0),
            ("pulselake_rejected_records_total{code=\"NOT_UTF8\"}", 10.0),
            ("pulselake_rejected_change_records_total{entity=\"videos\"}", 5.0),
            ("pulselake_quarantined_records_total{partition=\"7\"}", 5.0),
            ("pulselake_consumer_lag_records{partition=\"7\"}", 99.0),
            ("pulselake_mailbox_depth_batches{actor=\"PartitionConsumer\",index=\"7\"}", 2.0),
            ("pulselake_backpressure_wait_seconds_total{actor=\"PartitionConsumer\",index=\"7\"}", 1.5),
            ("pulselake_evicted_ids_total{partition=\"7\"}", 4.0),
            ("pulselake_table_rows_total{table=\"bronze.raw_events\"}", 4_091.0),
            ("pulselake_end_to_end_latency_seconds_count{table=\"bronze.raw_events\"}", 4_091.0),
            ("pulselake_shard_restarts_total{shard=\"0\"}", 1.0),
        ];
        for (series, value) in expected {
            assert_eq!(value_of(&text, series), value, "{series}");
        }
        let age = value_of(&text, "pulselake_last_commit_age_seconds{table=\"bronze.raw_events\"}");
        assert!((0.0..60.0).contains(&age), "{age}");
        // The watermark of this partition is 1970.
        assert!(value_of(&text, "pulselake_watermark_lag_seconds{partition=\"7\"}") > 1e9);

        drop((actor, source, windows));
        let after = handle.render();
        assert_eq!(
            value_of(&after, "pulselake_mailbox_depth_batches{actor=\"PartitionConsumer\",index=\"7\"}"),
            0.0
        );
        assert_eq!(value_of(&after, "pulselake_consumer_lag_records{partition=\"7\"}"), 0.0);
        assert!(!after.contains("pulselake_watermark_lag_seconds{partition=\"7\"}"));
        assert_eq!(value_of(&after, "pulselake_source_records_total{partition=\"7\"}"), 4_096.0);
    }
}
