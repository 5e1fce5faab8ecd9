"""The rows of *engine and tables* about the engine: actors, windows, changes, memory, HTTP, the process."""

from grafana_foundation_sdk.models import units

from .frame import Rows
from .panels import AMBER, RED, series
from .sources import (
    level,
    of,
    over_time,
    quantile,
    rate,
    rise,
    summed,
)

ACTORS: Rows = [
    (
        "Actors and back-pressure",
        [
            series(
                "Time spent waiting",
                "Share of its time that an actor waited for room in the next one's mailbox, the worst of each kind. "
                "Whoever comes behind the last that waits is the bottleneck.",
                units.PercentUnit,
                over_time(f"max by (actor) ({rate('pulselake_backpressure_wait_seconds_total')})", "{{actor}}"),
                limits=[(0.5, AMBER)],
                maximum=1,
                runbook="BackPressure",
            ),
            series(
                "Time spent working",
                "Share of its time that an actor worked on batches, the busiest of each kind: near 100 % it can take no more.",
                units.PercentUnit,
                over_time(f"max by (actor) ({rate('pulselake_actor_busy_seconds_total')})", "{{actor}}"),
                limits=[(0.9, AMBER)],
                maximum=1,
            ),
            series(
                "Mailboxes",
                "Batches that wait, the fullest mailbox of each kind of actor. Mailboxes are small: one that stays full holds back everything before it.",
                units.Short,
                over_time(level("max", "pulselake_mailbox_depth_batches", by="actor"), "{{actor}}"),
            ),
            series(
                "Partitions",
                "Consumed by each engine, and of these held back by back-pressure.",
                units.Short,
                over_time(of("pulselake_assigned_partitions"), "{{instance}}"),
                over_time(of("pulselake_paused_partitions"), "{{instance}} paused"),
            ),
            series(
                "Restarts of shards",
                "In ten minutes. Each one reads events again, and has its cause in the log (event generation_killed). Three are a storm.",
                units.Short,
                over_time(rise("pulselake_shard_restarts_total", "10m", by="instance, shard"), "{{instance}} shard {{shard}}"),
                limits=[(3, RED)],
                runbook="RestartStorm",
            ),
            series(
                "Restarts left",
                "Before the service gives up; all shards of a stream share them, and they come back with time.",
                units.Short,
                over_time(
                    f"min by (instance) ({of('pulselake_remaining_restarts')})",
                    "{{instance}}",
                ),
            ),
        ],
    ),
    (
        "Windows and deduplication",
        [
            series(
                "Open windows",
                "One-minute windows that are not closed yet.",
                units.Short,
                over_time(level("sum", "pulselake_open_windows", by="instance"), "{{instance}}"),
            ),
            series(
                "Remembered ids",
                "Event ids in memory for deduplication, and those that the cap put out before their horizon: duplicates of these are not noticed.",
                units.Short,
                over_time(level("sum", "pulselake_remembered_ids", by="instance"), "{{instance}}"),
                over_time(summed("pulselake_evicted_ids_total", by="instance"), "{{instance}} put out per second"),
            ),
            series(
                "Read again",
                "Records read again after a start, to rebuild windows and deduplication.",
                units.RecordsPerSecond,
                over_time(summed("pulselake_replayed_records_total", by="instance"), "{{instance}}"),
            ),
        ],
    ),
]

PROCESS: Rows = [
    (
        "The process",
        [
            series(
                "Processor",
                "Cores that each engine uses.",
                units.Short,
                over_time(summed("process_cpu_seconds_total", by="instance"), "{{instance}}"),
            ),
            series(
                "Memory",
                "Resident memory of each engine. It follows partitions, remembered ids and videos on the board; one that only rises is a defect.",
                units.BytesIEC,
                over_time(level("max", "process_resident_memory_bytes", by="instance"), "{{instance}}"),
            ),
            series(
                "Open files",
                "Files and connections of each engine.",
                units.Short,
                over_time(level("max", "process_open_fds", by="instance"), "{{instance}}"),
            ),
        ],
    ),
]

CHANGES: Rows = [
    (
        "Changes of videos and users (CDC)",
        [
            series(
                "Changes",
                "Taken from the topics of changes.",
                units.RecordsPerSecond,
                over_time(summed("pulselake_change_records_total", by="entity"), "{{entity}}"),
            ),
            series(
                "Lag of changes",
                "Records between the position and the end of the topic.",
                units.Short,
                over_time(level("sum", "pulselake_change_lag_records", by="entity"), "{{entity}}"),
            ),
            series(
                "Change to row, P95",
                "From a change in the source to its visible row of a dimension. Promised: below 60 s.",
                units.Seconds,
                over_time(quantile(0.95, "pulselake_end_to_end_latency_seconds", 'table=~"dims[.].+"', by="table"), "{{table}}"),
                limits=[(60, AMBER), (300, RED)],
            ),
            series(
                "Not plain changes",
                "Rejected, without a value, delivered before, older than their key's last.",
                units.RecordsPerSecond,
                over_time(summed("pulselake_rejected_change_records_total", by="entity"), "{{entity}} rejected"),
                over_time(summed("pulselake_tombstone_records_total", by="entity"), "{{entity}} tombstones"),
                over_time(summed("pulselake_repeated_versions_total", by="entity"), "{{entity}} repeated"),
                over_time(summed("pulselake_late_versions_total", by="entity"), "{{entity}} late"),
                width=12,
            ),
            series(
                "Lookups and schema",
                "Keys looked up in the history, requests to the schema registry by outcome, and columns added or widened, per second.",
                units.OpsPerSecond,
                over_time(summed("pulselake_history_lookup_keys_total", by="entity"), "{{entity}} history"),
                over_time(summed("pulselake_schema_registry_requests_total", by="outcome"), "registry {{outcome}}"),
                over_time(summed("pulselake_schema_change_columns_total", by="entity"), "{{entity}} columns"),
                width=12,
            ),
        ],
    )
]

MEMORY: Rows = [
    (
        "Memory, as far as the engine counts it",
        [
            series(
                "Board and key index",
                "Bytes of the live board's videos, and of the last versions of keys; all that the process takes is below, in The process.",
                units.BytesIEC,
                over_time(level("sum", "pulselake_board_bytes", by="instance"), "{{instance}} board"),
                over_time(level("sum", "pulselake_key_index_bytes", by="instance, entity"), "{{instance}} {{entity}}"),
                is_stacked=True,
            ),
            series(
                "What is held",
                "Videos on the board, keys in the index, videos in the cache of the live path.",
                units.Short,
                over_time(level("sum", "pulselake_board_videos", by="instance"), "{{instance}} board"),
                over_time(level("sum", "pulselake_indexed_keys", by="instance, entity"), "{{instance}} {{entity}}"),
                over_time(level("sum", "pulselake_cached_videos", by="instance"), "{{instance}} cache"),
            ),
            series(
                "Put out for want of room",
                "Videos per second that left the board or the cache because it was full, and cache misses. Board: raise board.max_videos.",
                units.OpsPerSecond,
                over_time(summed("pulselake_board_evicted_videos_total", by="instance"), "{{instance}} board"),
                over_time(summed("pulselake_evicted_videos_total", by="instance"), "{{instance}} cache"),
                over_time(summed("pulselake_video_cache_misses_total", by="instance"), "{{instance}} misses"),
            ),
        ],
    ),
    (
        "HTTP and SQL",
        [
            series(
                "Requests",
                "Answered, by status.",
                units.RequestsPerSecond,
                over_time(summed("pulselake_http_requests_total", by="status"), "{{status}}"),
                is_stacked=True,
            ),
            series(
                "Time to the answer, P95",
                "From a request to the beginning of its answer.",
                units.Seconds,
                over_time(quantile(0.95, "pulselake_http_request_seconds", by="endpoint"), "{{endpoint}}"),
            ),
            series(
                "SQL and live updates",
                "Queries of SQL per minute by outcome; clients of live updates, and those dropped because they were too slow.",
                units.Short,
                over_time(f"60 * {summed('pulselake_sql_queries_total', by='outcome')}", "{{outcome}}"),
                over_time(level("sum", "pulselake_open_event_streams"), "clients"),
                over_time(f"60 * {summed('pulselake_dropped_event_streams_total')}", "dropped per minute"),
            ),
        ],
    ),
]
