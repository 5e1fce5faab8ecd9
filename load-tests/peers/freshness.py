"""When what an engine committed could be read: the catalog is asked all the time, as a reader would."""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lake import BRONZE, GOLD, DataFile, local_path, metadata_locations
from truth import MINUTE_US, Truth, parquet

POLL_S = 0.05


@dataclass(frozen=True)
class Latencies:
    """Seconds, of so many rows."""

    rows: int
    p50_s: float
    p95_s: float
    p99_s: float
    most_s: float


class Watch:
    """Notes when each snapshot of the tables in `home` was first seen. Use it in a `with`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[str, dict[int, int]] = {BRONZE: {}, GOLD: {}}
        self._locations: dict[str, str] = {}
        self._total_rows = {BRONZE: 0, GOLD: 0}
        self._error: Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(10)

    @property
    def locations(self) -> dict[str, str]:
        """The newest metadata seen of each table.

        Raises:
            RuntimeError: when the catalog or the metadata can no longer be read.
        """
        if self._error:
            raise RuntimeError(f"the tables in {self._home} can't be watched: {self._error!r}") from self._error
        return dict(self._locations)

    def total_rows(self, table: str) -> int:
        """Rows of the newest snapshot, by its summary."""
        return self._total_rows[table]

    def visible_ms(self, table: str) -> dict[int, int]:
        """When each snapshot was first seen, in milliseconds since the epoch."""
        return dict(self._seen[table])

    def _run(self) -> None:
        try:
            while not self._stopping.wait(POLL_S):
                for table, location in metadata_locations(self._home).items():
                    if table in self._seen and self._locations.get(table) != location:
                        self._note(table, location)
        # Told to whoever asks next: a thread's exception would be lost.
        except Exception as error:
            self._error = error

    def _note(self, table: str, location: str) -> None:
        metadata = json.loads(Path(local_path(location)).read_text())
        # Only now that it has been read can it be read.
        now_ms = time.time_ns() // 1_000_000
        for snapshot in metadata.get("snapshots", []):
            self._seen[table].setdefault(snapshot["snapshot-id"], now_ms)
            if snapshot["snapshot-id"] == metadata.get("current-snapshot-id"):
                self._total_rows[table] = int(snapshot["summary"].get("total-records", 0))
        self._locations[table] = location


def _register_files(truth: Truth, files: list[DataFile], visible_ms: dict[int, int]) -> None:
    rows = {"filename": [file.path for file in files], "visible_ms": [visible_ms[file.snapshot_id] for file in files]}
    truth.connection.register("files", pa.table(rows))


def _latencies(truth: Truth, query: str) -> Latencies | None:
    """Of a query with one column `late_ms`."""
    quantile_list = ", ".join(f"quantile_disc(late_ms, {share})" for share in (0.5, 0.95, 0.99))
    rows, *quantiles = truth.connection.execute(
        f"SELECT count(*), {quantile_list}, max(late_ms) FROM ({query})"
    ).fetchone()
    truth.connection.unregister("files")
    return Latencies(rows, *(value / 1000 for value in quantiles)) if rows else None


def bronze_latencies(truth: Truth, files: list[DataFile], visible_ms: dict[int, int], from_ms: int) -> Latencies | None:
    """From the record time of each event, which is when it was meant to be sent, until bronze had it.

    Events before `from_ms` don't count.
    """
    _register_files(truth, files, visible_ms)
    rows = f"SELECT source_partition, source_offset, filename FROM {parquet(files, ', filename = true')}"
    return _latencies(
        truth,
        f"""SELECT visible_ms - record_ms AS late_ms FROM ({rows}) JOIN files USING (filename)
            JOIN events ON events."partition" = source_partition AND events."offset" = source_offset
            WHERE record_ms >= {from_ms}""",
    )


def gold_latencies(truth: Truth, files: list[DataFile], visible_ms: dict[int, int], from_ms: int) -> Latencies | None:
    """From the end of each video's window until gold had its row.

    Windows that ended by `from_ms`, or that need not have closed, don't count.
    """
    _register_files(truth, files, visible_ms)
    rows = f"SELECT epoch_us(window_start) AS start_us, filename FROM {parquet(files, ', filename = true')}"
    return _latencies(
        truth,
        f"""SELECT visible_ms - (start_us + {MINUTE_US}) // 1000 AS late_ms FROM ({rows}) JOIN files USING (filename)
            WHERE start_us + {MINUTE_US} > {from_ms} * 1000 AND start_us + {MINUTE_US} <= {truth.closed_us}""",
    )
