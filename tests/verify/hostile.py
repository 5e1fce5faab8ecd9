"""Reads `tests/fixtures/hostile_records.json`, the corpus that the decoder's own tests read too."""

import base64
import json
from pathlib import Path
from typing import NamedTuple

EXPECTED_HEADER = "pulselake-test-expected"
"""The Kafka record header that carries a hostile record's `expect`."""

VALID = "valid"
"""`expect` of a record that only looks hostile."""


class HostileRecord(NamedTuple):
    """A record that no good producer would send, and what has to become of it."""

    name: str
    value: bytes
    timestamp_ms: int
    expect: str
    """VALID or the error code."""


def read_hostile_records(path: Path) -> list[HostileRecord]:
    """The file's records, in its order."""
    return [
        HostileRecord(entry["name"], value_of(entry), entry["timestamp_ms"], entry["expect"])
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]


def value_of(entry: dict) -> bytes:
    """`value_base64`, or the texts of `repeat`, each so many times."""
    if "value_base64" in entry:
        return base64.b64decode(entry["value_base64"])
    return "".join(piece["text"] * piece["times"] for piece in entry["repeat"]).encode()
