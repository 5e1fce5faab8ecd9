"""Opens Pulselake's tables with two programs that are not Pulselake: PyIceberg and DuckDB."""

import importlib.resources
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

CATALOG_NAME = "pulselake"
BRONZE = "bronze.raw_events"
QUARANTINE = "bronze.invalid_events_content"
GOLD = "gold.rt_video_stats_1min"
HOT_TABLES = (BRONZE, QUARANTINE, GOLD)

COUNT_COLUMNS = {
    "impression": "impressions",
    "play_start": "play_start",
    "play_finish": "play_finish",
    "like": "likes",
    "share": "shares",
    "skip": "skips",
}
"""Event type -> the column of gold that counts it."""


def open_catalog(data_dir: Path) -> SqlCatalog:
    """The data directory's catalog; ends the program with a sentence when there is none."""
    catalog_file = data_dir / "catalog.db"
    if not catalog_file.is_file():
        sys.exit(f"{catalog_file} does not exist: --data-dir must be a directory that `pulselake` wrote to")
    return SqlCatalog(
        CATALOG_NAME,
        uri=f"sqlite:///{catalog_file.resolve()}",
        warehouse=f"file://{(data_dir / 'warehouse').resolve()}",
        init_catalog_tables="false",
    )


def load_hot_tables(data_dir: Path) -> dict[str, Table]:
    """The three tables of the hot path."""
    catalog = open_catalog(data_dir)
    return {name: catalog.load_table(name) for name in HOT_TABLES}


def read_with_pyiceberg(
    tables: dict[str, Table], columns: dict[str, list[str]] | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB session over rows that PyIceberg read: DuckDB adds up, but the Iceberg metadata is PyIceberg's affair."""
    connection = duckdb.connect()
    for name, table in tables.items():
        wanted = tuple((columns or {}).get(name, ("*",)))
        connection.register(view_name(name), table.scan(selected_fields=wanted).to_arrow())
    return connection


def read_with_duckdb(tables: dict[str, Table]) -> duckdb.DuckDBPyConnection:
    """A DuckDB session that reads the same tables by its own Iceberg extension, from the metadata file on."""
    connection = duckdb.connect()
    for extension in ("avro", "iceberg"):
        connection.load_extension(extension_file(extension))
    for name, table in tables.items():
        view = view_name(name)
        if table.current_snapshot() is None:
            # iceberg_scan refuses a table without a snapshot.
            connection.register(view, pa.Table.from_pylist([], schema=table.schema().as_arrow()))
            continue
        location = table.metadata_location.removeprefix("file://").replace("'", "''")
        connection.execute(f"CREATE VIEW {view} AS SELECT * FROM iceberg_scan('{location}')")
    return connection


def view_name(table: str) -> str:
    """The name of a table in the DuckDB sessions: `bronze.raw_events` becomes `raw_events`."""
    return table.split(".", 1)[1]


def extension_file(name: str) -> str:
    """The DuckDB extension that the PyPI package of this name brought along."""
    package = Path(str(importlib.resources.files(f"duckdb_extension_{name}")))
    return str(next(package.rglob("*.duckdb_extension")))
