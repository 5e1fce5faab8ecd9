"""Compares the tables with totals that another program counted, through PyIceberg and through DuckDB.

    verify_totals.py --data-dir ./pulselake-data --totals tests/fixtures/kuaishou/totals.json

Exits with 1 and names each difference when a reader's figures are not the totals, or the two readers disagree.
"""

import argparse
import json
from pathlib import Path

import duckdb

from event_time import time_us
from lake_tables import COUNT_COLUMNS, load_hot_tables, read_with_duckdb, read_with_pyiceberg
from report import finish

NEEDED_COLUMNS = {
    "bronze.raw_events": [
        "event_id",
        "event_timestamp",
        "video_id",
        "user_id",
        "event_type",
        "source_topic",
        "source_partition",
        "source_offset",
    ],
    "bronze.invalid_events_content": [
        "invalid_event_id",
        "source_topic",
        "source_partition",
        "source_offset",
        "error_code",
    ],
}

SINGLE_FACTS = """
    SELECT 'bronze rows', count(*) FROM raw_events
    UNION ALL SELECT 'bronze distinct event_ids', count(DISTINCT event_id) FROM raw_events
    UNION ALL SELECT 'bronze distinct source positions',
        count(*) FROM (SELECT DISTINCT source_topic, source_partition, source_offset FROM raw_events)
    UNION ALL SELECT 'bronze videos', count(DISTINCT video_id) FROM raw_events
    UNION ALL SELECT 'bronze users', count(DISTINCT user_id) FROM raw_events
    UNION ALL SELECT 'quarantine rows', count(*) FROM invalid_events_content
    UNION ALL SELECT 'quarantine distinct source positions',
        count(*) FROM (SELECT DISTINCT source_topic, source_partition, source_offset FROM invalid_events_content)
    UNION ALL SELECT 'quarantine distinct ids', count(DISTINCT invalid_event_id) FROM invalid_events_content
    UNION ALL SELECT 'positions in bronze and in quarantine', count(*) FROM (
        SELECT DISTINCT source_topic, source_partition, source_offset FROM raw_events
        INTERSECT SELECT DISTINCT source_topic, source_partition, source_offset FROM invalid_events_content)
    UNION ALL SELECT 'gold rows', count(*) FROM rt_video_stats_1min
    UNION ALL SELECT 'gold distinct keys', count(*) FROM (
        SELECT DISTINCT video_id, window_start, source_partition, revision FROM rt_video_stats_1min)
    UNION ALL SELECT 'gold video-minutes', count(*) FROM (SELECT DISTINCT video_id, window_start FROM rt_video_stats_1min)
    UNION ALL SELECT 'gold windows that are no whole minute', count(*) FROM rt_video_stats_1min
        WHERE epoch_us(window_start) % 60000000 <> 0 OR epoch_us(window_end) - epoch_us(window_start) <> 60000000
    UNION ALL SELECT 'gold watch_time_sum_ms', CAST(coalesce(sum(watch_time_sum_ms), 0) AS BIGINT) FROM rt_video_stats_1min
"""


def gather(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """Every figure that one reader's view of the tables gives."""
    facts: dict[str, object] = dict(connection.execute(SINGLE_FACTS).fetchall())
    by_type = dict(connection.execute("SELECT event_type, count(*) FROM raw_events GROUP BY ALL").fetchall())
    for event_type in sorted(COUNT_COLUMNS.keys() | by_type.keys()):
        facts[f"bronze {event_type}"] = by_type.get(event_type, 0)
    for column in COUNT_COLUMNS.values():
        query = f"SELECT CAST(coalesce(sum({column}), 0) AS BIGINT) FROM rt_video_stats_1min"
        facts[f"gold {column}"] = connection.execute(query).fetchone()[0]
    by_code = connection.execute("SELECT error_code, count(*) FROM invalid_events_content GROUP BY ALL ORDER BY 1")
    for code, count in by_code.fetchall():
        facts[f"quarantine {code}"] = count
    for name, function in (("first", "min"), ("last", "max")):
        moment_us = connection.execute(f"SELECT epoch_us({function}(event_timestamp)) FROM raw_events").fetchone()[0]
        facts[f"bronze {name} event (us)"] = moment_us
    return facts


def expectations(totals: dict[str, object], duplicates: int, quarantined: int) -> dict[str, object]:
    """The figures that the totals demand. Duplicates are in bronze as often as they came, in gold once."""
    events = totals["events"]
    expected: dict[str, object] = {
        "bronze rows": events + duplicates,
        "bronze distinct event_ids": events,
        "bronze distinct source positions": events + duplicates,
        "quarantine rows": quarantined,
        "quarantine distinct source positions": quarantined,
        "quarantine distinct ids": quarantined,
        "positions in bronze and in quarantine": 0,
        "gold windows that are no whole minute": 0,
    }
    optional = {
        "videos": "bronze videos",
        "users": "bronze users",
        "video_minutes": "gold video-minutes",
        "watch_time_sum_ms": "gold watch_time_sum_ms",
    }
    expected |= {name: totals[key] for key, name in optional.items() if key in totals}
    for event_type, column in COUNT_COLUMNS.items():
        if event_type not in totals:
            continue
        expected[f"gold {column}"] = totals[event_type]
        if not duplicates:
            expected[f"bronze {event_type}"] = totals[event_type]
    for name in ("first", "last"):
        if name in totals:
            expected[f"bronze {name} event (us)"] = time_us(totals[name])
    return expected


def differences(reader: str, facts: dict[str, object], expected: dict[str, object]) -> list[str]:
    """Where one reader's figures are not the expected ones."""
    found = [
        f"{reader}: {name} is {facts.get(name)}, expected {value}"
        for name, value in expected.items()
        if facts.get(name) != value
    ]
    if facts["gold rows"] != facts["gold distinct keys"]:
        found.append(
            f"{reader}: gold has {facts['gold rows']} rows, but {facts['gold distinct keys']} distinct "
            "(video_id, window_start, source_partition, revision)"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--totals", type=Path, required=True)
    parser.add_argument(
        "--duplicates", type=int, default=0, help="records in the topic that repeat an event_id (default 0)"
    )
    parser.add_argument("--quarantined", type=int, default=0, help="rejected records to expect (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    tables = load_hot_tables(arguments.data_dir)
    by_pyiceberg = gather(read_with_pyiceberg(tables, NEEDED_COLUMNS))
    by_duckdb = gather(read_with_duckdb(tables))
    expected = expectations(json.loads(arguments.totals.read_text()), arguments.duplicates, arguments.quarantined)

    found = differences("PyIceberg", by_pyiceberg, expected) + differences("DuckDB", by_duckdb, expected)
    for name in sorted(by_pyiceberg.keys() | by_duckdb.keys()):
        if by_pyiceberg.get(name) != by_duckdb.get(name):
            found.append(f"{name}: PyIceberg reads {by_pyiceberg.get(name)}, DuckDB reads {by_duckdb.get(name)}")
    finish("verify_totals", by_pyiceberg, found, arguments.json)


if __name__ == "__main__":
    main()
