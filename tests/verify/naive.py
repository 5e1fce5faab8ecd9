"""A recount of events in the plainest way: one dictionary, no windows that close, no watermark, no batches.

What it counts is what SUM over gold must give, whatever the order, the lateness and the crashes were.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timezone

import duckdb

from lake_tables import COUNT_COLUMNS

LONGEST_WATCH_TIME_MS = 7 * 24 * 3600 * 1000
"""A longer watch time is a broken client's and counts 0."""

WATCH_TIME = "watch_time_ms"
"""Beside the event types, the other thing that is added up."""

MINUTE_US = 60_000_000

Key = tuple[str, int, str]
"""(video_id, start of the minute in microseconds since the epoch, event type or WATCH_TIME)."""


@dataclass
class Recount:
    """Counts per video, minute and kind; an event_id counts once in its partition."""

    counts: Counter[Key] = field(default_factory=Counter)
    duplicates: int = 0
    _seen: set[tuple[int, str]] = field(default_factory=set)

    def add(self, partition: int, event_id: str, video_id: str, time_us: int, kind: str, body: str) -> None:
        """Counts one event, if it is the first of its id."""
        if (partition, event_id) in self._seen:
            self.duplicates += 1
            return
        self._seen.add((partition, event_id))
        minute_us = time_us - time_us % MINUTE_US
        self.counts[video_id, minute_us, kind] += 1
        watch_time_ms = watch_time(body)
        if watch_time_ms:
            self.counts[video_id, minute_us, WATCH_TIME] += watch_time_ms


def watch_time(body: str) -> int:
    """`watch_time_ms` of a body; 0 where it is absent, no whole number or not between 0 and seven days."""
    try:
        value = json.loads(body).get("watch_time_ms", 0)
    except (ValueError, AttributeError, RecursionError):
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        return 0
    return int(value) if 0 <= value <= LONGEST_WATCH_TIME_MS else 0


def gold_sums(connection: duckdb.DuckDBPyConnection) -> Counter[Key]:
    """SUM over gold per video and minute, in the form of Recount.counts; zeros are left out."""
    columns = {**COUNT_COLUMNS, WATCH_TIME: "watch_time_sum_ms"}
    sums = ", ".join(f"CAST(sum({column}) AS BIGINT)" for column in columns.values())
    rows = connection.execute(
        f"SELECT video_id, epoch_us(window_start), {sums} FROM rt_video_stats_1min GROUP BY ALL"
    ).fetchall()
    counts: Counter[Key] = Counter()
    for video_id, minute_us, *values in rows:
        for kind, value in zip(columns, values):
            if value:
                counts[video_id, minute_us, kind] = value
    return counts


def compare(
    expected: Counter[Key], found: Counter[Key], expected_name: str, found_name: str, dropped: int = 0
) -> list[str]:
    """The differences as sentences, ten at most in full; none when the counts agree.

    `dropped` events may be absent from `found`, but then exactly so many and nothing may be too much.
    """
    differing = sorted(key for key in expected.keys() | found.keys() if expected[key] != found[key])
    missing_events = sum(expected[key] - found[key] for key in differing if key[2] != WATCH_TIME)
    if dropped and missing_events == dropped and all(expected[key] > found[key] for key in differing):
        return []
    messages = [
        f"{kind} of {video_id} in the minute {as_text(minute_us)}: "
        f"{expected[video_id, minute_us, kind]} by {expected_name}, {found[video_id, minute_us, kind]} by {found_name}"
        for video_id, minute_us, kind in differing[:10]
    ]
    if len(differing) > 10:
        messages.append(f"and {len(differing) - 10} more counts differ")
    if differing and dropped:
        messages.append(f"{dropped} events were expected to be absent from {found_name}, {missing_events} are")
    return messages


def as_text(moment_us: int) -> str:
    """A moment for people; the plain number where the calendar ends."""
    try:
        return datetime.fromtimestamp(moment_us / 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%MZ")
    except (ValueError, OverflowError, OSError):
        return f"{moment_us} µs"
