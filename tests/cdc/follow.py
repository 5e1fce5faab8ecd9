"""The dimensions as others see them, beside PostgreSQL's own rows.

    follow.py compare DATA_DIR POSTGRES_URL [TRINO_URL]  the rows of both dimensions against those of the tables they follow, in all
                                                         columns that PostgreSQL has: {"rows": {TABLE: N}, "differences": […]}
    follow.py query DATA_DIR SQL                         rows that DuckDB gives; the engine's tables are views, by their names without namespace
    follow.py freshness DATA_DIR SINCE_MS                per dimension, of the rows changed at or after that moment: how many, and the P95 of
                                                         source_ts_ms → updated_at and → the commit that made them readable, ms

Prints one JSON value. Reads by DuckDB's Iceberg extension; with TRINO_URL by Trino too, whose catalog 'lake' has the tables.
"""

import json
import math
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg2
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "verify"), str(TESTS / "tools")]
from lake_tables import open_catalog, read_with_duckdb  # noqa: E402
from trino_sql import ask  # noqa: E402

FOLLOWED = {"dim_videos": ("content", "videos", "video_id"), "dim_users": ("users", "profiles", "user_id")}
"""Dimension -> schema and table in PostgreSQL, key."""
TABLES = [
    *(f"dims.{name}{ending}" for name in FOLLOWED for ending in ("", "_history")),
    "bronze.invalid_events_cdc_videos",
    "bronze.invalid_events_cdc_users",
]
SHOWN = 6
"""Differences that are told, of each comparison."""

Rows = dict[str, list[object]]
"""By key: the values of the other columns, in a form that all readers share."""


def shared_form(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, list):
        return [shared_form(element) for element in value]
    return value


def by_key(columns: list[str], key: str, rows: list[tuple[object, ...]]) -> Rows:
    found: Rows = {}
    for row in rows:
        named = dict(zip(columns, map(shared_form, row), strict=True))
        name = named.pop(key)
        if name in found:
            sys.exit(f"{key} {name!r} is there twice")
        found[name] = list(named.values())
    return found


def rows_in_postgres(connection, schema: str, table: str, key: str) -> tuple[list[str], Rows]:
    cursor = connection.cursor()
    cursor.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (schema, table),
    )
    types = dict(cursor.fetchall())
    terms = [
        f'round(extract(epoch FROM "{name}") * 1000000)::bigint' if kind == "timestamp with time zone" else f'"{name}"'
        for name, kind in types.items()
    ]
    cursor.execute(f"SELECT {', '.join(terms)} FROM {schema}.{table}")
    return list(types), by_key(list(types), key, cursor.fetchall())


def rows_by_duckdb(session: duckdb.DuckDBPyConnection, table: str, columns: list[str], key: str) -> Rows:
    types = {row[0]: row[1] for row in session.execute(f"DESCRIBE {table}").fetchall()}
    require(types.keys(), columns, table)
    terms = [f'epoch_us("{name}")' if types[name].startswith("TIMESTAMP") else f'"{name}"' for name in columns]
    return by_key(columns, key, session.execute(f"SELECT {', '.join(terms)} FROM {table}").fetchall())


def rows_by_trino(url: str, table: str, columns: list[str], key: str) -> Rows:
    of_table = f"lake.information_schema.columns WHERE table_schema = 'dims' AND table_name = '{table}'"
    types = dict(ask(url, f"SELECT column_name, data_type FROM {of_table}"))
    require(types.keys(), columns, table)
    terms = [
        f'CAST(round(to_unixtime("{name}") * 1e6) AS bigint)' if types[name].startswith("timestamp") else f'"{name}"' for name in columns
    ]
    decimals = [types[name].startswith("decimal") for name in columns]
    rows = ask(url, f"SELECT {', '.join(terms)} FROM lake.dims.{table}")

    def typed(row: list[object]) -> tuple[object, ...]:
        pairs = zip(row, decimals, strict=True)
        return tuple(Decimal(value) if is_decimal and value is not None else value for value, is_decimal in pairs)

    return by_key(columns, key, [typed(row) for row in rows])


class Missing(Exception):
    """A table or column that is not there (yet)."""


def require(present, wanted: list[str], table: str) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise Missing(f"{table} has no {missing}")


def differences(reader: str, table: str, columns: list[str], expected: Rows, found: Rows) -> list[str]:
    told = []
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            told.append(f"{table} by {reader}, {key}: {found.get(key)} instead of {expected.get(key)} {columns[1:]}")
    return told[:SHOWN]


def load(data_dir: Path) -> dict[str, Table]:
    catalog = open_catalog(data_dir)
    tables = {}
    for name in TABLES:
        try:
            tables[name] = catalog.load_table(name)
        except NoSuchTableError:
            continue
    return tables


def compare(data_dir: Path, postgres: str, trino: str | None = None) -> dict[str, object]:
    report: dict[str, object] = {"rows": {}, "differences": []}
    with psycopg2.connect(postgres) as connection:
        expected = {name: rows_in_postgres(connection, *source) for name, source in FOLLOWED.items()}
    session = read_with_duckdb(load(data_dir))
    views = {row[0] for row in session.execute("SHOW TABLES").fetchall()}
    for name, (columns, rows) in expected.items():
        key = FOLLOWED[name][2]
        readers = {"DuckDB": lambda: rows_by_duckdb(session, name, columns, key)}
        if trino:
            readers["Trino"] = lambda: rows_by_trino(trino, name, columns, key)
        for reader, read in readers.items():
            try:
                require(views, [name], "the lake")
                report["differences"] += differences(reader, name, columns, rows, read())
            except Missing as missing:
                report["differences"].append(str(missing))
        report["rows"][name] = len(rows)
    return report


def query(data_dir: Path, sql: str) -> list[list[object]]:
    return [list(row) for row in read_with_duckdb(load(data_dir)).execute(sql).fetchall()]


def p95(values: list[int]) -> int | None:
    return sorted(values)[math.ceil(len(values) * 0.95) - 1] if values else None


def freshness(data_dir: Path, since_ms: str) -> dict[str, object]:
    """Of the data files as they were committed, also of rows that a later commit has replaced."""
    tables = load(data_dir)
    report = {}
    for name in FOLLOWED:
        table = tables[f"dims.{name}"]
        commits = {snapshot.snapshot_id: snapshot for snapshot in table.snapshots()}
        taken_in, readable = [], []
        for entry in table.inspect.entries().to_pylist():
            commit = commits.get(entry["snapshot_id"])
            if entry["data_file"]["content"] != 0 or commit is None or commit.summary.operation.value == "replace":
                continue
            file = entry["data_file"]["file_path"].removeprefix("file://")
            changed = duckdb.execute(
                "SELECT source_ts_ms, epoch_ms(updated_at) FROM read_parquet(?) WHERE source_ts_ms >= ?", [file, int(since_ms)]
            ).fetchall()
            taken_in += [updated_ms - source_ms for source_ms, updated_ms in changed]
            readable += [commit.timestamp_ms - source_ms for source_ms, _ in changed]
        report[name] = {"rows": len(readable), "taken_in_p95_ms": p95(taken_in), "readable_p95_ms": p95(readable)}
    return report


if __name__ == "__main__":
    command, data_dir, *rest = sys.argv[1:]
    run = {"compare": compare, "query": query, "freshness": freshness}[command]
    print(json.dumps(run(Path(data_dir), *rest)))
