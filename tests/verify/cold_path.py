"""Computes silver and gold of the cold path once more, from bronze and the dimensions' histories, and compares row by row.

    cold_path.py (--data-dir DIR | --rest URL) --from 2026-02-07 --to 2026-02-13 [--rule-version rules-2] [--skip TABLE]…

The days are those that `pulselake batch run` has made, in their order and no others. Unique viewers may be off by what
HyperLogLog is off; everything else has to agree, percentiles to the last digits. Ends as the verifiers do.
"""

import argparse
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog, load_catalog

import cold_gold
from cold_drift import Registry
from cold_silver import COLUMNS, Silver, Versions
from lake_tables import open_catalog, read_with_duckdb

SOURCES = ("bronze.raw_events", "gold.rt_video_stats_1min", "dims.dim_videos_history", "dims.dim_users_history")
HLL_SHARE = 0.03
"""What an estimate of unique viewers may be off."""
HLL_STANDARD_ERROR = 0.0081
"""Of 2^14 registers: sqrt of the mean of the squared errors over many estimates."""
NEAR = 1e-12
"""Interpolated values may differ in their last digits."""
SHOWN = 3
"""Differences that are told, of each column."""


@dataclass
class Compared:
    """A table that is compared: its key, and the columns that are not exact, or not known beforehand."""

    name: str
    key: tuple[str, ...]
    near: tuple[str, ...] = ()
    estimated: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


TABLES = (
    Compared("silver.payload_fields", ("field",), ignored=("sample", "renamed_from")),
    Compared("silver.fact_user_engagement", ("event_id", "event_timestamp")),
    Compared("gold.batch_video_daily", ("date", "video_id"), estimated=("unique_viewers",)),
    Compared("gold.batch_quality_daily", ("date", "category", "duration_bin")),
    Compared("gold.session_health_daily", ("date", "user_segment")),
    Compared("gold.creator_retention_weekly", ("date", "cohort_week", "week_number")),
    Compared("gold.rt_batch_reconciliation", ("date", "metric_name"), near=("p95_difference",), ignored=("computed_at",)),
    Compared(
        "dims.rt_rule_quantile_baselines",
        ("rule_version", "effective_from", "metric_name", "percentile", "cohort_category", "cohort_region"),
        near=("threshold_value",),
        ignored=("computed_at",),
    ),
)


def days_of(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def compute(session: duckdb.DuckDBPyConnection, days: list[date], rule_version: str) -> None:
    """Makes the tables `expected_NAME`."""
    video_facts = ["category", "region", "creator_id", "status", "upload_time", "duration_ms"]
    videos = Versions.read(session, "dim_videos_history", "video_id", video_facts)
    users = Versions.read(session, "dim_users_history", "user_id", ["ltv_segment", "register_country", "is_creator"])
    silver = Silver(session, videos, users, Registry(frozenset(COLUMNS)))
    silver.learn(days)
    for day in days:
        silver.add(day)
    session.execute("CREATE VIEW expected_fact_user_engagement AS SELECT * FROM silver")
    session.register("expected_payload_fields", silver.payload_fields())
    cold_gold.prepare(session, videos)
    cold_gold.video_daily(session)
    cold_gold.quality_daily(session)
    cold_gold.session_health(session)
    cold_gold.creator_retention(session, videos, days)
    cold_gold.reconciliation(session)
    cold_gold.baselines(session, rule_version)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def compare(session: duckdb.DuckDBPyConnection, table: Compared, expected: str, found: str) -> list[str]:
    """Differences between two tables of the session, as sentences."""

    def columns_of(name: str) -> dict[str, str]:
        columns = session.execute(f"SELECT column_name, column_type FROM (DESCRIBE {name})").fetchall()
        return {column: kind for column, kind in columns if column not in table.ignored}

    wanted, given = columns_of(expected), columns_of(found)
    if set(wanted.items()) != set(given.items()):
        lacking, besides = wanted.items() - given.items(), given.items() - wanted.items()
        return [f"{table.name}: columns {sorted(lacking)} are missing, {sorted(besides)} are not expected"]
    said = []
    key = ", ".join(map(quoted, table.key))
    for side in (expected, found):
        rows, keys = session.execute(f"SELECT count(*), count(DISTINCT ({key})) FROM {side}").fetchone()
        if rows != keys:
            said.append(f"{table.name}: {rows} rows of {side} have {keys} keys ({key})")
    same_key = " AND ".join(f"e.{quoted(name)} IS NOT DISTINCT FROM f.{quoted(name)}" for name in table.key)
    for one, other, what in ((expected, found, "lacks"), (found, expected, "has too much")):
        missing = session.execute(f"SELECT ({key})::VARCHAR FROM {one} AS e ANTI JOIN {other} AS f ON {same_key} ORDER BY ALL").fetchall()
        said += [f"{table.name} {what} {row}" for row, in missing[:SHOWN]]
        if len(missing) > SHOWN:
            said.append(f"{table.name} {what} {len(missing) - SHOWN} more rows")
    session.execute(f"CREATE OR REPLACE TEMP TABLE pairs AS SELECT e, f FROM {expected} AS e JOIN {found} AS f ON {same_key}")
    for name in wanted.keys() - set(table.key):
        said += differences(session, table, name)
    return said


def differences(session: duckdb.DuckDBPyConnection, table: Compared, name: str) -> list[str]:
    """Of one column, over the `pairs`."""
    one, other = f"e.{quoted(name)}", f"f.{quoted(name)}"
    differs = f"{one} IS DISTINCT FROM {other}"
    if name in table.near:
        differs = f"({one} IS NULL) <> ({other} IS NULL) OR abs({one} - {other}) > {NEAR} * greatest(abs({one}), 1)"
    if name in table.estimated:
        differs = f"({one} IS NULL) <> ({other} IS NULL) OR abs({one} - {other}) > greatest({HLL_SHARE} * {one}, 1)"
    key = ", ".join(f"e.{quoted(part)}" for part in table.key)
    rows = session.execute(f"SELECT ({key})::VARCHAR, {one}::VARCHAR, {other}::VARCHAR FROM pairs WHERE {differs} ORDER BY ALL").fetchall()
    said = [f"{table.name} {row} {name}: expected {expected}, found {found}" for row, expected, found in rows[:SHOWN]]
    if len(rows) > SHOWN:
        said.append(f"{table.name} {name}: {len(rows) - SHOWN} more differ")
    if name in table.estimated:
        error = session.execute(
            f"SELECT sqrt(avg(((e.{quoted(name)} - f.{quoted(name)}) / e.{quoted(name)}) ** 2)) FROM pairs WHERE e.{quoted(name)} > 0"
        ).fetchone()[0]
        if error and error > 3 * HLL_STANDARD_ERROR:
            said.append(f"{table.name} {name}: the estimates are off by {error:.4f} on the whole")
    return said


def catalog_of(arguments: argparse.Namespace) -> Catalog:
    if arguments.rest:
        return load_catalog("lake", type="rest", uri=arguments.rest)
    return open_catalog(arguments.data_dir)


def main() -> None:
    from report import finish

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--data-dir", type=Path)
    place.add_argument("--rest", help="URL of a REST catalog")
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True)
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True)
    parser.add_argument("--rule-version", default="rules-2")
    parser.add_argument("--skip", action="append", default=[], metavar="TABLE", help="a table that is not compared; may be repeated")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    catalog = catalog_of(arguments)
    compared = [table for table in TABLES if table.name not in arguments.skip]
    names = [*SOURCES, *(table.name for table in compared)]
    session = read_with_duckdb({name: catalog.load_table(name) for name in names})
    session.execute("SET TimeZone = 'UTC'")
    if "payload_fields" in (table.name.split(".")[1] for table in compared):
        # The rows '*' count what is no field.
        session.execute("CREATE VIEW known_fields AS SELECT * FROM payload_fields WHERE field <> '*'")
    days = days_of(arguments.first, arguments.last)
    compute(session, days, arguments.rule_version)
    facts: dict[str, object] = {"days": len(days)}
    said: list[str] = []
    for table in compared:
        name = table.name.split(".")[1]
        facts[f"rows of {table.name}"] = session.execute(f"SELECT count(*) FROM expected_{name}").fetchone()[0]
        said += compare(session, table, f"expected_{name}", "known_fields" if name == "payload_fields" else name)
    finish("cold_path", facts, said, arguments.json)


if __name__ == "__main__":
    main()
