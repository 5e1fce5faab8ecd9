"""Fills topics with Pulselake's own generator: the same options give the same bytes."""

import subprocess
import sys
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

START = "2026-02-07T10:00:00Z"
"""Time of the first event of a drained topic."""

# Malformed records and late events are left out: what becomes of them is not the same in the three engines (see
# README.md). Repeated events stay in.
RATIOS = ["--invalid-ratio", "0", "--late-ratio", "0"]


def create(brokers: str, topic: str, partitions: int) -> None:
    """Makes a topic and waits until each partition has a leader."""
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, partitions, 1, config={"retention.ms": "-1"})])[topic].result(timeout=30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        metadata = admin.list_topics(topic, timeout=10).topics.get(topic)
        if (
            metadata
            and len(metadata.partitions) == partitions
            and all(p.leader >= 0 for p in metadata.partitions.values())
        ):
            return
        time.sleep(0.1)
    sys.exit(f"topic {topic} has no leader for every partition after 30 s")


def delete(brokers: str, topic: str) -> None:
    """Removes a topic, so that the next one has the disk to itself."""
    # The client has to live until the answer is there.
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.delete_topics([topic])[topic].result(timeout=30)


def generator_command(program: Path, brokers: str, topic: str, count: int, rate: int, seed: int) -> list[str]:
    """`pulselake generate` for one topic."""
    words = [
        str(program),
        "generate",
        "--brokers",
        brokers,
        "--topic",
        topic,
        "--count",
        str(count),
        "--rate",
        str(rate),
    ]
    return [*words, "--seed", str(seed), *RATIOS]


def stream_rate(small_events: int) -> int:
    """Events per second of event time of drained topics.

    200,000 a minute, or fewer where the small topic would not last two minutes.
    """
    return max(1, min(200_000 // 60, small_events // 120))


def fill(command: list[str]) -> None:
    """Runs the generator to its end.

    Raises:
        RuntimeError: when it fails, with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the generator ended with exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
