"""The rows of *engine and tables* about the tables: commits, files, maintenance, and the disks below them."""

from grafana_foundation_sdk.models import units

from .frame import Rows
from .panels import AMBER, listing, series
from .sources import (
    ANY_TABLE,
    level,
    now_as_table,
    over_time,
    quantile,
    rise,
    summed,
)

DISKS = 'job="node",fstype!~"tmpfs|ramfs|squashfs|iso9660|overlay"'
"""The file systems that the alerts watch."""

COMMITS: Rows = [
    (
        "Commits",
        [
            series(
                "Duration of commits, P95",
                "From the start of a commit to its outcome, repetitions included.",
                units.Seconds,
                over_time(quantile(0.95, "pulselake_commit_duration_seconds", ANY_TABLE, by="table"), "{{table}}"),
                limits=[(10, AMBER)],
                runbook="CommitsSlow",
            ),
            series(
                "Duration of commits, median",
                "Half of the commits are quicker.",
                units.Seconds,
                over_time(quantile(0.5, "pulselake_commit_duration_seconds", ANY_TABLE, by="table"), "{{table}}"),
            ),
            series(
                "Commits that landed",
                "Per second, by table.",
                units.OpsPerSecond,
                over_time(summed("pulselake_table_commits_total", ANY_TABLE, by="table"), "{{table}}"),
            ),
            series(
                "Since the last commit",
                "By table. Where events come in, raw_events should stay below some tens of seconds; CDC and actions commit only when there is something.",
                units.Seconds,
                over_time(level("max", "pulselake_last_commit_age_seconds", ANY_TABLE, by="table"), "{{table}}"),
                runbook="CommitOverdue",
            ),
            series(
                "Attempts that did not land at once",
                "In five minutes: lost against another commit and repeated; failed and tried again; answer lost and looked up; refused because another owner has gone on.",
                units.Short,
                over_time(f"{rise('pulselake_commit_conflicts_total', '5m', ANY_TABLE, by='table')} > 0", "{{table}} conflicts"),
                over_time(f"{rise('pulselake_commit_failures_total', '5m', ANY_TABLE, by='table')} > 0", "{{table}} failed"),
                over_time(f"{rise('pulselake_unknown_outcomes_total', '5m', ANY_TABLE, by='table')} > 0", "{{table}} unknown outcomes"),
                over_time(f"{rise('pulselake_commit_fences_total', '5m', ANY_TABLE, by='table')} > 0", "{{table}} fenced"),
                runbook="CommitsFailing",
            ),
            series(
                "Rows committed",
                "Rows that became visible.",
                units.RowsPerSecond,
                over_time(summed("pulselake_table_rows_total", ANY_TABLE, by="table"), "{{table}}"),
            ),
            series(
                "Bytes written",
                "Bytes of the data files committed.",
                units.BytesPerSecondIEC,
                over_time(summed("pulselake_written_bytes_total", ANY_TABLE, by="table"), "{{table}}"),
            ),
            series(
                "Files written",
                "Data files committed in a minute.",
                units.Short,
                over_time(f"60 * {summed('pulselake_written_files_total', ANY_TABLE, by='table')}", "{{table}}"),
            ),
        ],
    )
]


def latest(metric: str) -> str:
    """Several engines may report one table, each as it saw it last: the largest, so that no trouble is hidden."""
    return level("max", metric, ANY_TABLE, by="table")


TABLES: Rows = [
    (
        "Files, looked at once per maintenance check",
        [
            listing(
                "Tables now",
                "Live files as the last maintenance check has seen them.",
                now_as_table(latest("pulselake_live_files")),
                now_as_table(latest("pulselake_live_file_bytes")),
                now_as_table(latest("pulselake_average_file_bytes")),
                now_as_table(latest("pulselake_fullest_partition_files")),
                now_as_table(latest("pulselake_live_delete_files")),
                now_as_table(latest("pulselake_table_snapshots")),
                units={"size": units.BytesIEC, "average file": units.BytesIEC},
                columns={
                    "table": "table",
                    "Value #A": "files",
                    "Value #B": "size",
                    "Value #C": "average file",
                    "Value #D": "fullest partition",
                    "Value #E": "delete files",
                    "Value #F": "snapshots",
                },
                width=24,
            ),
            series(
                "Live data files",
                "Files that a full scan has to open.",
                units.Short,
                over_time(latest("pulselake_live_files"), "{{table}}"),
                runbook="SmallFilesGrowing",
            ),
            series(
                "Average file",
                "Small for the newest partitions until they are compacted.",
                units.BytesIEC,
                over_time(latest("pulselake_average_file_bytes"), "{{table}}"),
            ),
            series(
                "Files in the fullest partition",
                "Should fall again after each round of compaction.",
                units.Short,
                over_time(latest("pulselake_fullest_partition_files"), "{{table}}"),
                limits=[(120, AMBER)],
                runbook="SmallFilesGrowing",
            ),
            series("Bytes", "Of the live data files.", units.BytesIEC, over_time(latest("pulselake_live_file_bytes"), "{{table}}"), is_stacked=True),
            series(
                "Delete files",
                "Each read of an upserted table has to apply them.",
                units.Short,
                over_time(latest("pulselake_live_delete_files"), "{{table}}"),
            ),
            series("Snapshots", "In the metadata: they expire by age.", units.Short, over_time(latest("pulselake_table_snapshots"), "{{table}}")),
        ],
    ),
    (
        "Maintenance",
        [
            series(
                "Compaction runs",
                "That ended well, in an hour.",
                units.Short,
                over_time(rise("pulselake_compaction_runs_total", "1h", ANY_TABLE, by="table"), "{{table}}"),
            ),
            series(
                "Speed of compaction",
                "Bytes replaced for each second of work.",
                units.BytesPerSecondIEC,
                over_time(
                    f"{rise('pulselake_rewritten_bytes_total', '1h', ANY_TABLE, by='table')}"
                    f" / ({rise('pulselake_compaction_busy_seconds_total', '1h', ANY_TABLE, by='table')} > 0)",
                    "{{table}}",
                ),
            ),
            series(
                "Failures and conflicts",
                "In an hour. Conflicts are planned anew at once; failures are tried again, and those that go on need somebody to look.",
                units.Short,
                over_time(rise("pulselake_maintenance_failures_total", "1h", ANY_TABLE, by="table"), "{{table}} failures"),
                over_time(rise("pulselake_maintenance_conflicts_total", "1h", ANY_TABLE, by="table"), "{{table}} conflicts"),
                runbook="MaintenanceFailing",
            ),
            series(
                "Expiry",
                "Snapshots that expired in an hour, and files that only they led to.",
                units.Short,
                over_time(rise("pulselake_expired_snapshots_total", "1h", ANY_TABLE, by="table"), "{{table}} snapshots"),
                over_time(rise("pulselake_removed_files_total", "1h", ANY_TABLE, by="table"), "{{table}} files"),
                width=12,
            ),
            series(
                "Orphans removed",
                "Files that no snapshot refers to, older than the safety age, in a day.",
                units.Short,
                over_time(rise("pulselake_removed_orphans_total", "1d", ANY_TABLE, by="table"), "{{table}}"),
                width=12,
            ),
        ],
    ),
    (
        "Disk, by node_exporter",
        [
            series(
                "Room left",
                "Free share of each file system of the machines that node_exporter watches; of object stores nothing is known. Below a tenth is critical.",
                units.PercentUnit,
                over_time(f"node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes{{{DISKS}}}", "{{instance}} {{mountpoint}}"),
                maximum=1,
                width=12,
                runbook="DiskNearFull",
            ),
            series(
                "Full in",
                "Time until a file system is full, going by the last six hours; only those that fill.",
                units.Seconds,
                over_time(
                    f"node_filesystem_avail_bytes{{{DISKS}}} / (-deriv(node_filesystem_avail_bytes{{{DISKS}}}[6h]) > 0)",
                    "{{instance}} {{mountpoint}}",
                ),
                width=12,
                runbook="DiskFilling",
            ),
        ],
    ),
]


ROWS: Rows = [*COMMITS, *TABLES]
