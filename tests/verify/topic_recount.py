"""Reads the topic itself and compares it with the tables: what went in against what came out.

    topic_recount.py --brokers 127.0.0.1:9092 --topic content_events --data-dir ./pulselake-data

Checked, for every record of the topic (committed transactions only):
- its offset is exactly once in bronze or in quarantine, and neither table holds an offset that the topic does not;
- quarantine keeps its bytes; bronze has its ids, type, time and body;
- a record with the header `pulselake-test-expected` (produce.py --hostile) went where the header says;
- a naive recount of the records that bronze accepted gives SUM over gold.
Exits with 1 and names each difference.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from event_time import time_us
from hostile import EXPECTED_HEADER, VALID
from lake_tables import BRONZE, COUNT_COLUMNS, GOLD, QUARANTINE, load_hot_tables, read_with_pyiceberg
from naive import Recount, compare, gold_sums
from report import finish

SHOWN = 10

Position = tuple[int, int]
"""(partition, offset)."""


class Differences:
    """Sentences by kind: the first few of each kind in full, the rest counted."""

    def __init__(self) -> None:
        self._messages: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, message: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= SHOWN:
            self._messages.setdefault(kind, []).append(message)

    def all(self) -> list[str]:
        found = []
        for kind, messages in self._messages.items():
            found += messages
            if self._counts[kind] > SHOWN:
                found.append(f"and {self._counts[kind] - SHOWN} more: {kind}")
        return found


def read_topic(brokers: str, topic: str, idle_s: float = 30) -> Iterator[Message]:
    """Every committed record from each partition's start to the end seen at the beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"pulselake-topic-recount-{time.time_ns()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    metadata = consumer.list_topics(topic, timeout=30).topics[topic]
    if metadata.error is not None:
        sys.exit(f"topic {topic} on {brokers}: {metadata.error}")
    ends: dict[int, int] = {}
    starts = []
    for partition in metadata.partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
        if high > low:
            ends[partition] = high
            starts.append(TopicPartition(topic, partition, low))
    consumer.assign(starts)
    # Not "saw the record end - 1": the last offsets of a partition may be transaction markers.
    unfinished = set(ends)
    last_progress = time.monotonic()
    while unfinished:
        messages = consumer.consume(10_000, timeout=1)
        for message in messages:
            if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
                continue
            if message.error():
                sys.exit(f"reading {topic}: {message.error()}")
            if message.offset() < ends[message.partition()]:
                yield message
        for position in consumer.position([TopicPartition(topic, p) for p in unfinished]):
            if position.offset >= ends[position.partition]:
                unfinished.discard(position.partition)
        if messages:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > idle_s:
            sys.exit(
                f"reading {topic}: no record for {idle_s:.0f} s, partitions {sorted(unfinished)} are not at their end"
            )
    consumer.close()


def rows_by_position(
    table: Any, topic: str, columns: tuple[str, ...], name: str, found: Differences
) -> dict[Position, tuple]:
    """The table's rows of this topic by their source position; a position that comes twice is a difference."""
    selected = ("source_topic", "source_partition", "source_offset", *columns)
    rows = table.scan(selected_fields=selected).to_arrow()
    if "event_timestamp" in columns:
        index = rows.schema.get_field_index("event_timestamp")
        rows = rows.set_column(index, "event_timestamp", rows.column("event_timestamp").cast(pa.int64()))
    by_position: dict[Position, tuple] = {}
    lists = [rows.column(column).to_pylist() for column in selected]
    for source_topic, partition, offset, *values in zip(*lists):
        if source_topic != topic:
            continue
        if (partition, offset) in by_position:
            found.add(
                f"rows of {name} that are doubled", f"{name} holds the record {partition}-{offset} more than once"
            )
        by_position[partition, offset] = tuple(values)
    return by_position


def check_bronze_row(message: Message, row: tuple, recount: Recount, found: Differences) -> None:
    """Compares one accepted record with its bronze row, and counts it."""
    place = f"record {message.partition()}-{message.offset()}"
    event_id, video_id, user_id, event_type, moment_us, payload_json = row
    try:
        text = message.value().decode()
        event = json.loads(text)
        ids = (event["event_id"], event["video_id"], event["user_id"], event["event_type"])
        topic_us = time_us(event["event_timestamp"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        found.add(
            "accepted records that are no event",
            f"{place} is in bronze, but is no event: {type(error).__name__}: {error}",
        )
        return
    if ids != (event_id, video_id, user_id, event_type) or event_type not in COUNT_COLUMNS:
        found.add("bronze rows with other ids", f"{place} is {ids} in the topic, {row[:4]} in bronze")
    if topic_us != moment_us:
        found.add(
            "bronze rows with another time",
            f"{place} has the time {topic_us} µs in the topic, {moment_us} µs in bronze",
        )
    if not is_body_kept(event, text, payload_json):
        message_text = f"{place}: the body in bronze is not, byte for byte, the one in the topic"
        found.add("bronze rows with another body", message_text)
    recount.add(message.partition(), ids[0], ids[1], topic_us, ids[3], payload_json)


def is_body_kept(event: dict, text: str, payload_json: str) -> bool:
    """Whether bronze has the body as it came: an object in `payload`, else a string in `payload_json`, else `{}`."""
    payload = event.get("payload")
    if payload is not None:
        return payload_json in text and json.loads(payload_json) == payload
    body = event.get("payload_json")
    return payload_json == ("{}" if body is None else body)


def check_expected_header(message: Message, error_code: str | None, found: Differences) -> None:
    """A hostile record must have gone where its producer says."""
    for header, value in message.headers() or []:
        if header != EXPECTED_HEADER:
            continue
        went_to = error_code or VALID
        if went_to != value.decode():
            found.add(
                "records with another verdict",
                f"record {message.partition()}-{message.offset()} ({(message.key() or b'').decode()}): "
                f"expected {value.decode()}, got {went_to}",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--dropped", type=int, default=0, help="events that must be absent from gold: beyond the allowed lateness"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    tables = load_hot_tables(arguments.data_dir)
    found = Differences()
    columns = ("event_id", "video_id", "user_id", "event_type", "event_timestamp", "payload_json")
    bronze = rows_by_position(tables[BRONZE], arguments.topic, columns, "bronze", found)
    quarantine = rows_by_position(tables[QUARANTINE], arguments.topic, ("raw_value", "error_code"), "quarantine", found)
    table_rows = {"bronze rows": len(bronze), "quarantine rows": len(quarantine)}

    recount = Recount()
    records = 0
    by_code: Counter[str] = Counter()
    for message in read_topic(arguments.brokers, arguments.topic):
        records += 1
        position = (message.partition(), message.offset())
        accepted = bronze.pop(position, None)
        rejected = quarantine.pop(position, None)
        if accepted is None and rejected is None:
            found.add(
                "records that were lost", f"record {position[0]}-{position[1]} is in neither bronze nor quarantine"
            )
            continue
        if accepted is not None and rejected is not None:
            found.add("records in both", f"record {position[0]}-{position[1]} is in bronze and in quarantine")
        if accepted is not None:
            check_bronze_row(message, accepted, recount, found)
        error_code = None
        if rejected is not None:
            raw_value, error_code = rejected
            by_code[error_code] += 1
            if raw_value != (message.value() or b""):
                found.add(
                    "quarantined records with other bytes",
                    f"record {position[0]}-{position[1]}: quarantine holds {len(raw_value)} bytes that are not the record's",
                )
        check_expected_header(message, error_code, found)
    for name, leftovers in (("bronze", bronze), ("quarantine", quarantine)):
        for partition, offset in leftovers:
            found.add(
                f"rows of {name} without a record", f"{name} holds {partition}-{offset}, which the topic does not"
            )

    gold = gold_sums(read_with_pyiceberg({GOLD: tables[GOLD]}))
    differences = found.all() + compare(recount.counts, gold, "the topic", "gold", arguments.dropped)
    facts = {"topic records": records, **table_rows, "records that repeat an event_id": recount.duplicates}
    facts |= {f"quarantined as {code}": count for code, count in sorted(by_code.items())}
    finish("topic_recount", facts, differences, arguments.json)


if __name__ == "__main__":
    main()
