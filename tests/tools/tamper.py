"""Changes a warehouse as people and other programs do, for tests of what the engine says to it.

    tamper.py lock DATA_DIR                    holds the catalog's database locked until standard input ends
    tamper.py roll-back DATA_DIR TABLE STEPS   makes an earlier snapshot the current one, through PyIceberg; STEPS may
                                               be `all`: the first one
    tamper.py set-property DATA_DIR TABLE KEY VALUE
    tamper.py foreign-catalog DATA_DIR         makes a catalog that another program has used before
    tamper.py no-catalog DATA_DIR              makes a database that is no catalog
"""

import sqlite3
import sys
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField


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


def main() -> None:
    action, data_dir, *words = sys.argv[1:]
    directory = Path(data_dir).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    match action, words:
        case "lock", []:
            lock(directory)
        case "roll-back", [table, steps]:
            roll_back(catalog(directory).load_table(table), steps)
        case "set-property", [table, key, value]:
            with catalog(directory).load_table(table).transaction() as transaction:
                transaction.set_properties({key: value})
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
