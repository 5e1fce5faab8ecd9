"""Writes a small data directory by PyIceberg, to test the verifiers on.

The schemas are the real ones; there is no partitioning, since PyIceberg computes hours and buckets only with pyiceberg-core,
which is built from the same Iceberg library as Pulselake.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import BinaryType, IcebergType, IntegerType, LongType, NestedField, StringType, TimestamptzType

from event_time import EPOCH
from lake_tables import BRONZE, CATALOG_NAME, COUNT_COLUMNS, GOLD, QUARANTINE
from naive import WATCH_TIME, Recount

STRING, INT, LONG, TIME, BINARY = StringType(), IntegerType(), LongType(), TimestamptzType(), BinaryType()
INGESTED_AT = datetime(2026, 2, 7, 12, 0, tzinfo=timezone.utc)

COLUMNS: dict[str, list[tuple[str, IcebergType]]] = {
    BRONZE: [
        ("event_id", STRING),
        ("event_timestamp", TIME),
        ("video_id", STRING),
        ("user_id", STRING),
        ("event_type", STRING),
        ("schema_version", STRING),
        ("payload_json", STRING),
        ("header_extra_json?", STRING),
        ("source_topic", STRING),
        ("source_partition", INT),
        ("source_offset", LONG),
        ("ingested_at", TIME),
    ],
    QUARANTINE: [
        ("invalid_event_id", STRING),
        ("raw_value", BINARY),
        ("source_topic", STRING),
        ("source_partition", INT),
        ("source_offset", LONG),
        ("schema_version?", STRING),
        ("error_code", STRING),
        ("error_reason", STRING),
        ("ingested_at", TIME),
        ("record_timestamp?", TIME),
    ],
    GOLD: [
        ("source_partition", INT),
        ("video_id", STRING),
        ("window_start", TIME),
        ("window_end", TIME),
        *((column, LONG) for column in COUNT_COLUMNS.values()),
        ("watch_time_sum_ms", LONG),
        ("revision", INT),
        ("processed_at", TIME),
    ],
}
"""Columns in table order; a question mark marks an optional one."""


@dataclass
class SampleLake:
    """Rows of the three tables, before they are written."""

    bronze: list[dict] = field(default_factory=list)
    quarantine: list[dict] = field(default_factory=list)
    gold: list[dict] = field(default_factory=list)

    def accept(self, topic: str, partition: int, offset: int, event: dict, body: str) -> None:
        """Adds the bronze row of an event whose `event_timestamp` is a datetime."""
        self.bronze.append(
            {
                **event,
                "schema_version": "1.0",
                "payload_json": body,
                "header_extra_json": None,
                "source_topic": topic,
                "source_partition": partition,
                "source_offset": offset,
                "ingested_at": INGESTED_AT,
            }
        )

    def reject(self, topic: str, partition: int, offset: int, value: bytes, code: str) -> None:
        """Adds a quarantine row."""
        self.quarantine.append(
            {
                "invalid_event_id": f"{topic}-{partition}-{offset}",
                "raw_value": value,
                "source_topic": topic,
                "source_partition": partition,
                "source_offset": offset,
                "schema_version": None,
                "error_code": code,
                "error_reason": "made by a test",
                "ingested_at": INGESTED_AT,
                "record_timestamp": None,
            }
        )

    def derive_gold(self) -> None:
        """Makes the gold rows that the bronze rows demand."""
        recount = Recount()
        partitions = {}
        for row in self.bronze:
            moment_us = (row["event_timestamp"] - EPOCH) // timedelta(microseconds=1)
            partition, event_id, video_id = row["source_partition"], row["event_id"], row["video_id"]
            recount.add(partition, event_id, video_id, moment_us, row["event_type"], row["payload_json"])
            partitions[video_id] = partition
        for video_id, minute_us in sorted({(video_id, minute_us) for video_id, minute_us, _ in recount.counts}):
            start = EPOCH + timedelta(microseconds=minute_us)
            self.gold.append(
                {
                    "source_partition": partitions[video_id],
                    "video_id": video_id,
                    "window_start": start,
                    "window_end": start + timedelta(minutes=1),
                    **{column: recount.counts[video_id, minute_us, kind] for kind, column in COUNT_COLUMNS.items()},
                    "watch_time_sum_ms": recount.counts[video_id, minute_us, WATCH_TIME],
                    "revision": 0,
                    "processed_at": INGESTED_AT,
                }
            )

    def write(self, data_dir: Path) -> None:
        """Creates catalog.db and warehouse/ in `data_dir`."""
        data_dir.mkdir(parents=True)
        catalog = SqlCatalog(
            CATALOG_NAME, uri=f"sqlite:///{data_dir}/catalog.db", warehouse=f"file://{data_dir}/warehouse"
        )
        for namespace in ("bronze", "gold"):
            catalog.create_namespace(namespace)
        for name, rows in ((BRONZE, self.bronze), (QUARANTINE, self.quarantine), (GOLD, self.gold)):
            table = catalog.create_table(name, table_schema(name))
            if rows:
                table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


def table_schema(table: str) -> Schema:
    """The table's Iceberg schema."""
    return Schema(
        *(
            NestedField(number, name.rstrip("?"), kind, required=not name.endswith("?"))
            for number, (name, kind) in enumerate(COLUMNS[table], start=1)
        )
    )
