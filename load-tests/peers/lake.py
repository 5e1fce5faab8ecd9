"""Reads what an engine has written: the catalog in SQLite, the tables' metadata with PyIceberg."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyiceberg.table import StaticTable

BRONZE = "bronze.raw_events"
GOLD = "gold.rt_video_stats_1min"


@dataclass(frozen=True)
class DataFile:
    """A file that the table's newest snapshot has."""

    path: str
    """In the file system, without a scheme."""
    snapshot_id: int
    """The snapshot that added it."""
    rows: int
    size_bytes: int


def local_path(location: str) -> str:
    """The path of `file:///a%20b`, `file:/a` or `/a`."""
    parts = urlsplit(location)
    return unquote(parts.path) if parts.scheme == "file" else location


def metadata_locations(home: Path) -> dict[str, str]:
    """Where the metadata of each table is, by the catalog in this directory; empty while there is none."""
    catalog = home / "catalog.db"
    if not catalog.exists():
        return {}
    connection = sqlite3.connect(f"file:{catalog}?mode=ro", uri=True, timeout=30)
    try:
        found = connection.execute(
            "SELECT table_namespace || '.' || table_name, metadata_location FROM iceberg_tables"
        ).fetchall()
    except sqlite3.OperationalError:
        # The engine is still making the catalog.
        return {}
    finally:
        connection.close()
    return {name: location for name, location in found if location}


def data_files(location: str) -> list[DataFile]:
    """The data files of the newest snapshot.

    Raises:
        ValueError: when the table has delete files. None of the compared tables may have any.
    """
    table = StaticTable.from_metadata(location)
    snapshot = table.current_snapshot()
    if snapshot is None:
        return []
    found = []
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.data_file.content.value != 0:
                raise ValueError(f"{location} has the delete file {entry.data_file.file_path}")
            path = local_path(entry.data_file.file_path)
            found.append(
                DataFile(path, entry.snapshot_id, entry.data_file.record_count, entry.data_file.file_size_in_bytes)
            )
    return found


def commits(location: str) -> int:
    """Snapshots that the table's metadata has."""
    return len(StaticTable.from_metadata(location).metadata.snapshots)
