"""Compares the rows of the serving views with a count of its own (expected.py) over the raw tables, which DuckDB reads.

    compare.py REST_URL RESULTS [TRINO_URL]

REST_URL is the catalog. RESULTS holds a file VIEW.json for each view, as `pulselake-query sql --format json` wrote it. With
TRINO_URL, whose catalog 'lake' has tables and views, Trino is asked for each view too. Ends as the verifiers do.
"""

import json
import math
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog import load_catalog

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "verify"), str(TESTS / "tools")]
from expected import VIEWS, Row, Tables  # noqa: E402
from lake_tables import extension_file  # noqa: E402
from report import finish  # noqa: E402
from trino_sql import ask  # noqa: E402

TABLES = {
    "gold": "gold.rt_video_stats_1min",
    "events": "bronze.raw_events",
    "videos": "dims.dim_videos",
    "users": "dims.dim_users",
    "videos_history": "dims.dim_videos_history",
    "users_history": "dims.dim_users_history",
    "baselines": "dims.rt_rule_quantile_baselines",
}
NEAR = 1e-9
"""Floats that differ by less are the same."""
SHOWN = 5
"""Differences that are told, of each comparison."""
MOMENTS = {
    "metric_minute", "window_start", "window_end", "upload_time", "updated_at", "join_at", "valid_from", "started_at", "valid_to",
}
"""Columns with timestamps."""


def raw_tables(rest_url: str) -> Tables:
    """Every table's rows; moments as microseconds, days as text."""
    catalog = load_catalog("lake", type="rest", uri=rest_url)
    session = duckdb.connect()
    session.execute("SET TimeZone = 'UTC'")
    for extension in ("avro", "iceberg"):
        session.load_extension(extension_file(extension))
    found = {}
    for name, full_name in TABLES.items():
        table = catalog.load_table(full_name)
        if table.current_snapshot() is None:
            found[name] = []
            continue
        location = table.metadata_location.removeprefix("file://").replace("'", "''")
        columns = {field.name: field.type for field in table.schema().as_arrow()}
        terms = ", ".join(term(name, kind) for name, kind in columns.items())
        rows = session.execute(f"SELECT {terms} FROM iceberg_scan('{location}')").fetchall()
        found[name] = [dict(zip(columns, row, strict=True)) for row in rows]
    return Tables(**found)


def term(name: str, kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return f'epoch_us("{name}")'
    return f'"{name}"::text' if pa.types.is_date(kind) else f'"{name}"'


def by_datafusion(results: Path, view: str) -> list[Row]:
    answer = json.loads((results / f"{view}.json").read_text())
    if answer["truncated"]:
        sys.exit(f"the rows of {view} were cut: allow more of them")
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def by_trino(url: str, view: str) -> list[Row]:
    names = [row[0] for row in ask(url, f"DESCRIBE serving.{view}")]
    rows = ask(url, f"SELECT * FROM serving.{view}", capabilities="PARAMETRIC_DATETIME")
    return [dict(zip(names, row, strict=True)) for row in rows]


def moment_us(value: object) -> object:
    """A timestamp's text, whoever wrote it, as microseconds."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value.replace(" UTC", "+00:00"))
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond


def is_same(expected: object, found: object) -> bool:
    if isinstance(expected, float) and isinstance(found, (int, float)) and not isinstance(found, bool):
        return math.isclose(expected, found, rel_tol=NEAR, abs_tol=NEAR)
    return type(expected) is type(found) and expected == found


def compare(view: str, expected: list[Row], found: list[Row], who: str) -> list[str]:
    """Differences between the rows, as sentences."""
    if not expected and not found:
        return []
    key = VIEWS[view][0]
    columns = list(expected[0]) if expected else []
    if found and set(found[0]) != set(columns):
        return [f"{view}: {who} has the columns {sorted(found[0])}, expected are {sorted(columns)}"]
    for row in found:
        row.update({name: moment_us(row[name]) for name in MOMENTS & row.keys()})

    def by_key(rows: list[Row]) -> dict[tuple, Row]:
        return {tuple(row[name] for name in key): row for row in rows}

    wanted, given = by_key(expected), by_key(found)
    said = []
    if len(given) != len(found):
        said.append(f"{view}: {who} gives {len(found)} rows of {len(given)} keys {key}")
    said += [f"{view}: {who} lacks {name}" for name in wanted.keys() - given.keys()]
    said += [f"{view}: {who} has {name} too much" for name in given.keys() - wanted.keys()]
    for name in wanted.keys() & given.keys():
        differing = [column for column in columns if not is_same(wanted[name][column], given[name][column])]
        for column in differing:
            said.append(f"{view} {name} {column}: expected {wanted[name][column]!r}, {who} gives {given[name][column]!r}")
    return [*said[:SHOWN], f"{view}: and {len(said) - SHOWN} more by {who}"] if len(said) > SHOWN else said


def main() -> None:
    rest_url, results, *trino_url = sys.argv[1:]
    tables = raw_tables(rest_url)
    facts: dict[str, object] = {"rows of gold": len(tables.gold), "rows of bronze": len(tables.events)}
    facts["revisions of gold"] = len({row["revision"] for row in tables.gold})
    differences: list[str] = []
    for view, (_, count) in VIEWS.items():
        expected = list(count(tables))
        facts[f"rows of {view}"] = len(expected)
        differences += compare(view, expected, by_datafusion(Path(results), view), "DataFusion")
        if trino_url:
            differences += compare(view, expected, by_trino(trino_url[0], view), "Trino")
        if view == "v_rt_video_decision_context_30m_1m":
            for column in ("decision_type", "threshold_origin", "waits_for_plays"):
                facts[column] = dict(Counter(str(row[column]) for row in expected))
    finish("views", facts, differences, as_json=True)


if __name__ == "__main__":
    main()
