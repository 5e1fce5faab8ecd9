"""*Pulselake: engine and tables*: what the engine does inside, and what shape its tables are in."""

from grafana_foundation_sdk.models import units

from . import engine, tables
from .frame import TABLE, Rows, assemble
from .panels import AMBER, GREEN, RED, number
from .sources import (
    level,
    now,
    rise,
)

OVERVIEW: Rows = [
    (
        "Now",
        [
            number("Engines", "That answer Prometheus.", units.Short, now(level("count", "pulselake_build_info")), limits=[(1, GREEN)], below=RED),
            number(
                "Paused partitions",
                "Held back by back-pressure.",
                units.Short,
                now(level("sum", "pulselake_paused_partitions")),
                limits=[(1, AMBER)],
                runbook="BackPressure",
            ),
            number(
                "Restarts in an hour",
                "Of shards, all engines.",
                units.Short,
                now(rise("pulselake_shard_restarts_total", "1h")),
                limits=[(1, AMBER), (5, RED)],
                decimals=0,
                runbook="RestartStorm",
            ),
            number(
                "Slowest commit, P95",
                "Of the slowest table, over ten minutes.",
                units.Seconds,
                now(f"max(histogram_quantile(0.95, {rise('pulselake_commit_duration_seconds_bucket', '10m', by='le, table')}))"),
                limits=[(10, AMBER)],
                runbook="CommitsSlow",
            ),
            number(
                "Fullest partition",
                "Files in it, over all tables.",
                units.Short,
                now(level("max", "pulselake_fullest_partition_files")),
                limits=[(120, AMBER)],
                runbook="SmallFilesGrowing",
            ),
            number(
                "Failed maintenance",
                "Runs in three hours, all tables.",
                units.Short,
                now(rise("pulselake_maintenance_failures_total", "3h")),
                limits=[(1, AMBER), (3, RED)],
                decimals=0,
                runbook="MaintenanceFailing",
            ),
        ],
    )
]

DASHBOARD = assemble(
    uid="pulselake-engine",
    title="Pulselake: engine and tables",
    description="What the engine does inside, and what shape its tables are in. docs/grafana.md",
    refresh="30s",
    since="now-3h",
    rows=[*OVERVIEW, *engine.ACTORS, *tables.ROWS, *engine.CHANGES, *engine.MEMORY, *engine.PROCESS],
    further=[TABLE],
    uses_trino=False,
)
