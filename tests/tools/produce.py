"""Produces a file of events to Kafka, keyed and stamped as the real producers of `content_events` do.

    produce.py --brokers 127.0.0.1:9092 --topic content_events --file events.ndjson.gz --create-topic

Each line becomes one record: the key is the event's video_id, the record timestamp its event time, the partition what
Kafka's own (Java) producer would choose. Prints one JSON object with the number of records per partition.

With --hostile, the bad records of that file are spread evenly among the good ones; its valid but odd ones come before
or after all good ones, by their time, so that none of them makes the good ones late. Their key is their name, and the
header `pulselake-test-expected` says what must become of them: an error code or `valid`. topic_recount.py checks it.
With --transaction-size, records are written in transactions, so that offsets have gaps (the commit markers).
"""

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

# The modules that the verifiers share with this script.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "verify"))
from event_time import time_us
from hostile import EXPECTED_HEADER, VALID, HostileRecord, read_hostile_records

LARGEST_RECORD_BYTES = 16 * 1024 * 1024


class Record(NamedTuple):
    """What goes to Kafka."""

    key: bytes
    value: bytes
    timestamp_ms: int
    headers: list[tuple[str, bytes]]


def read_events(path: Path, key_field: str, limit: int | None) -> Iterator[Record]:
    """The file's lines as records."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as lines:
        for number, line in enumerate(lines):
            if limit is not None and number >= limit:
                return
            value = line.rstrip(b"\r\n")
            event = json.loads(value)
            yield Record(str(event[key_field]).encode(), value, time_us(event["event_timestamp"]) // 1000, [])


def spread(good: list[Record], bad: list[Record]) -> Iterator[Record]:
    """The good records in their order, with the bad ones at even distances between them."""
    due = 0
    for number, record in enumerate(good, start=1):
        yield record
        while due < len(bad) and due * len(good) < number * len(bad):
            yield bad[due]
            due += 1
    yield from bad[due:]


def mix(good: list[Record], hostile: list[HostileRecord]) -> Iterator[Record]:
    """Good and hostile records in the order in which they are produced."""
    first_ms = good[0].timestamp_ms if good else 0
    before, bad, after = [], [], []
    for entry in hostile:
        headers = [(EXPECTED_HEADER, entry.expect.encode())]
        record = Record(entry.name.encode(), entry.value, entry.timestamp_ms, headers)
        if entry.expect != VALID:
            bad.append(record)
            continue
        event_ms = time_us(json.loads(entry.value)["event_timestamp"]) // 1000
        (before if event_ms < first_ms else after).append((event_ms, record))
    for odd_ones, rest in ((before, spread(good, bad)), (after, iter(()))):
        yield from (record for _, record in sorted(odd_ones, key=lambda timed: timed[0]))
        yield from rest


def create_topic(brokers: str, topic: str, partitions: int) -> None:
    """Creates the topic, or leaves it as it is when it exists; waits until every partition has a leader."""
    admin = AdminClient({"bootstrap.servers": brokers})
    config = {"retention.ms": "-1", "max.message.bytes": str(LARGEST_RECORD_BYTES)}
    future = admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic]
    try:
        future.result(timeout=30)
    except KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            raise
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        metadata = admin.list_topics(topic, timeout=10).topics[topic]
        leaders = [p.leader for p in metadata.partitions.values()]
        if metadata.error is None and leaders and min(leaders) >= 0:
            return
        time.sleep(0.1)
    sys.exit(f"topic {topic} has no leader for every partition after 30 s")


class Delivery:
    """Counts what the broker has acknowledged."""

    def __init__(self) -> None:
        self.per_partition: Counter[int] = Counter()
        self.failures: list[str] = []

    def __call__(self, error: object, message: Message) -> None:
        if error is None:
            self.per_partition[message.partition()] += 1
        else:
            self.failures.append(str(error))


def produce(arguments: argparse.Namespace, records: Iterator[Record]) -> Delivery:
    """Sends every record and waits for the broker's acknowledgements."""
    config = {
        "bootstrap.servers": arguments.brokers,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "linger.ms": 20,
        "message.max.bytes": LARGEST_RECORD_BYTES,
        "queue.buffering.max.kbytes": 262_144,
    }
    if arguments.transaction_size:
        config["transactional.id"] = f"pulselake-produce-{time.time_ns()}"
    producer = Producer(config)
    delivery = Delivery()
    if arguments.transaction_size:
        producer.init_transactions(60)
        producer.begin_transaction()
    started = time.monotonic()
    for number, record in enumerate(records, start=1):
        while True:
            try:
                producer.produce(
                    arguments.topic,
                    record.value,
                    record.key,
                    timestamp=record.timestamp_ms,
                    headers=record.headers,
                    on_delivery=delivery,
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        if arguments.transaction_size and number % arguments.transaction_size == 0:
            producer.commit_transaction(60)
            producer.begin_transaction()
        if arguments.rate:
            ahead_s = number / arguments.rate - (time.monotonic() - started)
            if ahead_s > 0.01:
                time.sleep(ahead_s)
    if arguments.transaction_size:
        producer.commit_transaction(60)
    unsent = producer.flush(120)
    if unsent:
        delivery.failures.append(f"{unsent} records were not acknowledged within 120 s")
    return delivery


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, help="host:port of a Kafka broker")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--file", type=Path, required=True, help="events, one JSON object a line; .gz is unpacked")
    parser.add_argument("--limit", type=int, help="only the first LIMIT lines of the file")
    parser.add_argument("--partitions", type=int, default=12, help="of a topic that --create-topic makes (default 12)")
    parser.add_argument("--create-topic", action="store_true")
    parser.add_argument(
        "--key-field", default="video_id", help="the event's field that becomes the key (default video_id)"
    )
    parser.add_argument("--hostile", type=Path, help="hostile_records.json: bad records to spread among the good ones")
    parser.add_argument(
        "--transaction-size", type=int, default=0, help="records per transaction (default: no transactions)"
    )
    parser.add_argument("--rate", type=float, default=0, help="records per second (default: as fast as it goes)")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.create_topic:
        create_topic(arguments.brokers, arguments.topic, arguments.partitions)
    events = read_events(arguments.file, arguments.key_field, arguments.limit)
    hostile_count = 0
    if arguments.hostile:
        hostile = read_hostile_records(arguments.hostile)
        hostile_count = len(hostile)
        events = mix(list(events), hostile)
    delivery = produce(arguments, events)
    print(
        json.dumps(
            {
                "records": sum(delivery.per_partition.values()),
                "hostile": hostile_count,
                "partitions": {str(p): n for p, n in sorted(delivery.per_partition.items())},
                "failures": delivery.failures[:20],
            }
        )
    )
    if delivery.failures:
        sys.exit(f"{len(delivery.failures)} records did not reach the broker: {delivery.failures[0]}")


if __name__ == "__main__":
    main()
