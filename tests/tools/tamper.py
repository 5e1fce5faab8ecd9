"""Changes a warehouse as people and other programs do, for tests of what the engine says to it.

    tamper.py lock DATA_DIR                    holds the catalog's database locked until standard input ends
    tamper.py roll-back DATA_DIR TABLE STEPS   makes an earlier snapshot the current one, through PyIceberg; STEPS may
                                               be `all`: the first one
    tamper.py set-property DATA_DIR TABLE KEY VALUE
    tamper.py remove-property DATA_DIR TABLE KEY
    tamper.py append-nothing DATA_DIR TABLE    puts a snapshot without rows, of another program, on top
    tamper.py delete-rows DATA_DIR TABLE       deletes every row of the table
    tamper.py expire-others DATA_DIR TABLE     expires every snapshot but the current one
    tamper.py drop-files DATA_DIR TABLE PERCENT  takes so many in a hundred of the data files out of the table, as a delete of
                                               whole files does
    tamper.py foreign-catalog DATA_DIR         makes a catalog that another program has used before
    tamper.py no-catalog DATA_DIR              makes a database that is no catalog
"""

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField
from sqlalchemy.exc import OperationalError

CONFLICTS = 50
"""Commits of the engine that a change of ours may lose against."""


def database(data_dir: Path) -> sqlite3.Connection:
    """The catalog's database; transactions begin where they are asked for."""
    return sqlite3.connect(data_dir / "catalog.db", timeout=60, isolation_level=None)


def catalog(data_dir: Path, name: str = "pulselake") -> SqlCatalog:
    """The catalog as PyIceberg opens it."""
    return SqlCatalog(name, uri=f"sqlite:///{data_dir / 'catalog.db'}", warehouse=f"file://{data_dir / 'warehouse'}")


def lock(data_dir: Path) -> None:
    """Says `locked` when nobody else can read or write, and keeps it so until standard input ends."""
    connection = database(data_dir)
    connection.execute("BEGIN EXCLUSIVE")
    print("locked", flush=True)
    sys.stdin.read()
    connection.execute("ROLLBACK")


def roll_back(table: Table, steps: str) -> None:
    """Goes `steps` snapshots back from the current one."""
    ancestors = []
    snapshot = table.current_snapshot()
    while snapshot is not None:
        ancestors.append(snapshot)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    back = len(ancestors) - 1 if steps == "all" else int(steps)
    if not 0 < back < len(ancestors):
        sys.exit(f"{table.name()} has no snapshot {steps} steps back, it has {len(ancestors)}")
    snapshot = ancestors[back]
    table.manage_snapshots().rollback_to_snapshot(snapshot.snapshot_id).commit()


def set_property(table: Table, key: str, value: str) -> None:
    """Sets one table property."""
    with table.transaction() as transaction:
        transaction.set_properties({key: value})


def remove_property(table: Table, key: str) -> None:
    """Removes one table property."""
    with table.transaction() as transaction:
        transaction.remove_properties(key)


def append_nothing(table: Table) -> None:
    """Commits a snapshot that adds no row and knows nothing of Pulselake."""
    before = table.metadata.current_snapshot_id
    table.append(table.schema().as_arrow().empty_table())
    if table.metadata.current_snapshot_id == before:
        sys.exit(f"{table.name()} got no new snapshot")


def delete_rows(table: Table) -> None:
    """Deletes all rows that the table has."""
    table.delete()


def expire_others(table: Table) -> None:
    """Expires every snapshot but the current one."""
    current = table.metadata.current_snapshot_id
    others = [snapshot.snapshot_id for snapshot in table.metadata.snapshots if snapshot.snapshot_id != current]
    table.maintenance.expire_snapshots().by_ids(others).commit()


def drop_files(table: Table, percent: str) -> None:
    """Commits a snapshot without the first `percent` of the table's data files."""
    files = [task.file for task in table.scan().plan_files()]
    dropped = sorted(files, key=lambda file: file.file_path)[: len(files) * int(percent) // 100]
    if not dropped:
        sys.exit(f"{table.name()} has {len(files)} files, of which {percent} % are none")
    with table.transaction() as transaction, transaction.update_snapshot().overwrite() as change:
        for file in dropped:
            change.delete_data_file(file)


def on_table(data_dir: Path, name: str, change: Callable[..., None], *words: str) -> None:
    """Changes the table as it is now, again when another program's commit was faster."""
    for _ in range(CONFLICTS):
        try:
            return change(catalog(data_dir).load_table(name), *words)
        except (CommitFailedException, OperationalError):
            continue
    sys.exit(f"another commit to {name} was faster {CONFLICTS} times")


def main() -> None:
    action, data_dir, *words = sys.argv[1:]
    directory = Path(data_dir).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    match action, words:
        case "lock", []:
            lock(directory)
        case "roll-back", [table, steps]:
            on_table(directory, table, roll_back, steps)
        case "set-property", [table, key, value]:
            on_table(directory, table, set_property, key, value)
        case "remove-property", [table, key]:
            on_table(directory, table, remove_property, key)
        case "append-nothing", [table]:
            on_table(directory, table, append_nothing)
        case "delete-rows", [table]:
            on_table(directory, table, delete_rows)
        case "expire-others", [table]:
            on_table(directory, table, expire_others)
        case "drop-files", [table, percent]:
            on_table(directory, table, drop_files, percent)
        case "foreign-catalog", []:
            foreign = catalog(directory, name="another")
            foreign.create_namespace("bronze")
            foreign.create_table("bronze.raw_events", Schema(NestedField(1, "id", LongType(), required=True)))
        case "no-catalog", []:
            database(directory).execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
