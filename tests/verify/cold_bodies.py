"""Reads the bodies of events for the cold path's verifier: which fields there are, and what they come to in silver.

Written from docs/adr/0027-cold-path.md, apart from the SQL and the functions that it verifies.
"""

import json
import re
from json.decoder import scanstring

LONGEST_WATCH_TIME_MS = 7 * 24 * 3600 * 1000
"""A longer watch time is a broken client's."""
LARGEST_LONG = 2**63 - 1

SPACE = re.compile(r"[ \t\n\r]*")


class Value:
    """A value of a body: what it is, and its source text."""

    __slots__ = ("value", "source")

    def __init__(self, value: object, source: str) -> None:
        self.value, self.source = value, source

    def is_number(self) -> bool:
        return isinstance(self.value, (int, float)) and not isinstance(self.value, bool)

    def whole(self) -> int | None:
        """The number, where it is a whole one: `5400.0` and `5.4e3` are."""
        if not self.is_number() or self.value != self.value // 1:
            return None
        return int(self.value)

    def text(self) -> str | None:
        """Texts as they are, numbers and booleans as they are written; nothing for the rest."""
        if isinstance(self.value, str):
            return self.value if is_storable(self.value) else None
        return self.source if self.is_number() or isinstance(self.value, bool) else None


def is_storable(text: str) -> bool:
    """Half of a surrogate pair can't be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


DECODER = json.JSONDecoder(parse_constant=refuse)


def fields(body: str) -> dict[str, Value]:
    """The fields of a body, the last of several with one key; none where it is not one JSON object."""
    try:
        return read_object(body)
    except (ValueError, RecursionError, StopIteration):
        return {}


def read_object(body: str) -> dict[str, Value]:
    def skip(position: int) -> int:
        return SPACE.match(body, position).end()

    def expect(position: int, signs: str) -> str:
        sign = body[position : position + 1]
        if not sign or sign not in signs:
            raise ValueError(f"{signs} was expected at {position}")
        return sign

    found: dict[str, Value] = {}
    at = skip(0)
    expect(at, "{")
    at = skip(at + 1)
    sign = expect(at, '}"')
    while sign != "}":
        expect(at, '"')
        key, at = scanstring(body, at + 1, True)
        at = skip(at)
        expect(at, ":")
        start = skip(at + 1)
        value, end = DECODER.raw_decode(body, start)
        found[key] = Value(value, body[start:end])
        at = skip(end)
        sign = expect(at, ",}")
        if sign == ",":
            at = skip(at + 1)
    if skip(at + 1) != len(body):
        raise ValueError("something follows the object")
    return found


def watch_time_ms(found: dict[str, Value]) -> int | None:
    value = found.get("watch_time_ms")
    whole = None if value is None else value.whole()
    return whole if whole is not None and 0 <= whole <= LONGEST_WATCH_TIME_MS else None


def video_duration_ms(found: dict[str, Value]) -> int | None:
    value = found.get("video_duration_ms")
    whole = None if value is None else value.whole()
    return whole if whole is not None and 0 < whole <= LARGEST_LONG else None


def text(found: dict[str, Value], key: str) -> str | None:
    value = found.get(key)
    return None if value is None else value.text()
