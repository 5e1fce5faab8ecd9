"""Reads `tests/fixtures/hostile_records.json`."""

import base64
import json
from pathlib import Path
from typing import NamedTuple

EXPECTED_HEADER = "pulselake-test-expected"
"""The record header that says which error code (or VALID) the record must end with."""


class HostileRecord(NamedTuple):
    """A record that no good producer would send."""

    name: str
    value: bytes | None
    expected: str
    timestamp_ms: int | None


def read_hostile_records(path: Path) -> list[HostileRecord]:
    """The file's records, in its order."""
    return [
        HostileRecord(
            entry["name"], base64.b64decode(entry["value_base64"]), entry["expected"], entry.get("timestamp_ms")
        )
        for entry in json.loads(path.read_text())
    ]
