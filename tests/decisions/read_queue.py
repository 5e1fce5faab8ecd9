"""Prints the queue of actions as other readers see it, as JSON: by reader, the rows by rising action_id.

Usage: read_queue.py DATA_DIR READER...

Readers: duckdb; pyiceberg, which refuses a table with equality deletes.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).parent.parent / "verify"))

from lake_tables import open_catalog, read_with_duckdb, read_with_pyiceberg, view_name  # noqa: E402

QUEUE = "gold.rt_action_queue"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(since_epoch_us: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    return (EPOCH + timedelta(microseconds=since_epoch_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rows_of(session: duckdb.DuckDBPyConnection) -> list[dict[str, object]]:
    """The rows by rising action_id, moments as texts."""
    view = view_name(QUEUE)
    types = {row[0]: row[1] for row in session.execute(f"DESCRIBE {view}").fetchall()}
    # As numbers: DuckDB gives moments with a time zone to Python by a module that is not a dependency of its own.
    chosen = [f"epoch_us({name}) AS {name}" if "TIME ZONE" in kind else name for name, kind in types.items()]
    rows = session.execute(f"SELECT {', '.join(chosen)} FROM {view} ORDER BY action_id").fetchall()
    return [
        {
            name: moment(value) if "TIME ZONE" in kind else value
            for (name, kind), value in zip(types.items(), row, strict=True)
        }
        for row in rows
    ]


def main() -> None:
    tables = {QUEUE: open_catalog(Path(sys.argv[1])).load_table(QUEUE)}
    readers = {"duckdb": read_with_duckdb, "pyiceberg": read_with_pyiceberg}
    json.dump({reader: rows_of(readers[reader](tables)) for reader in sys.argv[2:]}, sys.stdout)


if __name__ == "__main__":
    main()
