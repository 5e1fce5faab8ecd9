"""Which columns new fields of the bodies make in silver, and what silver.payload_fields must say of them, by the rules of
docs/adr/0027-cold-path.md.

A registry sees the days in their order, as the batch does.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from cold_bodies import Value, fields, text, video_duration_ms, watch_time_ms

KNOWN = ("watch_time_ms", "video_duration_ms", "device_os", "app_version", "network_type", "referral_source")
"""Fields that silver has a fixed column for."""
LEAST_EVENTS = 2
MOST_COLUMNS = 100
LARGEST_EXACT = 2**53
LONGEST_DIGITS = 15
"""Of a whole number in a double."""
LARGEST_DOUBLE = float.fromhex("0x1.fffffffffffffp+1023")

KINDS = {"long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_(), "string": pa.string()}


def as_long(value: Value) -> int | None:
    whole = value.whole()
    if whole is None:
        return None
    largest = 2**63 - 1 if isinstance(value.value, int) else LARGEST_EXACT - 1
    return whole if -largest - 1 <= whole <= largest else None


def as_double(value: Value) -> float | None:
    if not value.is_number() or abs(value.value) > LARGEST_DOUBLE:
        return None
    is_long_whole = isinstance(value.value, int) and len(value.source.lstrip("-")) > LONGEST_DIGITS
    return None if is_long_whole else float(value.value)


def as_boolean(value: Value) -> bool | None:
    return value.value if isinstance(value.value, bool) else None


def as_text(value: Value) -> str | None:
    """Anything that is not null: what is nested as it is written."""
    if value.value is None:
        return None
    return value.source if isinstance(value.value, (dict, list)) else value.text()


TAKES = {"long": as_long, "double": as_double, "boolean": as_boolean, "string": as_text}


def kind_of(values: list[Value]) -> str | None:
    """What a day's values are together; nothing where all are null."""
    filled = [value for value in values if value.value is not None]
    if not filled:
        return None
    if all(isinstance(value.value, int) and as_long(value) is not None for value in filled) and not any(
        isinstance(value.value, bool) for value in filled
    ):
        return "long"
    return next(kind for kind in ("double", "boolean", "string") if all(TAKES[kind](value) is not None for value in filled))


def joined(one: str | None, other: str | None) -> str | None:
    if one is None or other is None or one == other:
        return one or other
    return "double" if {one, other} == {"long", "double"} else "string"


def snake_case(key: str) -> str:
    """Words of letters and digits of all scripts; a capital begins one, of several capitals the last before a small letter."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key)
    name = "_".join(word for word in re.split(r"[\W_]+", parted.lower()) if word)
    return f"x_{name}" if name[:1].isdigit() else name or "field"


@dataclass
class Field:
    """What is known of a field."""

    kind: str | None = None
    column: str | None = None
    has_conflict: bool = False
    is_over_cap: bool = False
    first_seen_us: int = 2**62
    last_seen_us: int = -(2**62)
    events: int = 0
    """Rows with a value that is not null, of the newest day that has the key; as the next two."""
    share: float = 0.0
    conflicts: int = 0


@dataclass
class OfDay:
    """A key's values on one day."""

    values: list[Value] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    first_us: int = 2**62
    last_us: int = -(2**62)

    def filled(self) -> int:
        """Rows with a value that is not null."""
        return sum(count for value, count in zip(self.values, self.counts) if value.value is not None)


@dataclass
class Registry:
    """Every field of the days so far; `fixed` are names that no new column may have."""

    fixed: frozenset[str]
    seen: dict[str, Field] = field(default_factory=dict)

    def observe(self, bodies: Iterable[tuple[str, int, int, int]]) -> None:
        """Sees a day: each different body of bronze's rows, how many have it, and the first and last moment in microseconds."""
        found: dict[str, OfDay] = defaultdict(OfDay)
        rows = 0
        for body, count, first_us, last_us in bodies:
            rows += count
            for key, value in fields(body).items():
                of_day = found[key]
                of_day.values.append(value)
                of_day.counts.append(count)
                of_day.first_us, of_day.last_us = min(of_day.first_us, first_us), max(of_day.last_us, last_us)
        for key, of_day in found.items():
            one = self.seen.setdefault(key, Field())
            one.first_seen_us, one.last_seen_us = min(one.first_seen_us, of_day.first_us), max(one.last_seen_us, of_day.last_us)
            one.events = of_day.filled()
            one.share = one.events / rows
            if key in KNOWN:
                one.kind = "long" if key in KNOWN[:2] else "string"
            elif one.column is None:
                one.kind = joined(one.kind, kind_of(of_day.values))
        self.make_columns(found)
        for key, of_day in found.items():
            one = self.seen[key]
            if key in KNOWN or one.column is not None:
                pairs = zip(of_day.values, of_day.counts)
                one.conflicts = sum(count for value, count in pairs if value.value is not None and not fits(key, one, value))
                one.has_conflict |= one.conflicts > 0

    def make_columns(self, found: dict[str, OfDay]) -> None:
        """The day's most frequent keys first, then those that were seen first."""
        keys = [key for key, of_day in found.items() if key not in KNOWN and self.seen[key].column is None and of_day.filled() >= LEAST_EVENTS]
        for key in sorted(keys, key=lambda key: (-found[key].filled(), self.seen[key].first_seen_us, key)):
            self.seen[key].is_over_cap = sum(one.column is not None for one in self.seen.values()) >= MOST_COLUMNS
            if not self.seen[key].is_over_cap:
                self.seen[key].column = self.name_for(key)

    def name_for(self, key: str) -> str:
        taken = {f"{name}_text" for name in KNOWN}
        for one in self.seen.values():
            if one.column is not None:
                taken |= {one.column} if one.kind == "string" else {one.column, f"{one.column}_text"}
        name = snake_case(key)
        name = f"x_{name}" if name in self.fixed else name
        candidates = [name, *(f"{name}_{number}" for number in range(2, MOST_COLUMNS + 2))]
        return next(candidate for candidate in candidates if candidate not in taken)

    def rows(self) -> list[dict[str, object]]:
        """Of silver.payload_fields, without samples and guesses."""
        found = []
        for key, one in self.seen.items():
            status = "conflict" if one.has_conflict else "known" if key in KNOWN else "column"
            if key not in KNOWN and one.column is None:
                status = "over_cap" if one.is_over_cap else "pending"
            name = key if key in KNOWN else one.column
            times = {"first_seen": one.first_seen_us, "last_seen": one.last_seen_us}
            of_day = {"events": one.events, "share": one.share, "conflicts": one.conflicts}
            found.append({"field": key, "column_name": name, "type": one.kind, "status": status} | times | of_day)
        return found

    def columns(self) -> dict[str, pa.DataType]:
        """Columns behind the fixed ones."""
        found: dict[str, pa.DataType] = {}
        for key, one in self.seen.items():
            if one.column is not None:
                found[one.column] = KINDS[one.kind]
            if one.has_conflict:
                found[f"{one.column or key}_text"] = KINDS["string"]
        return found

    def values(self, found: dict[str, Value]) -> Iterator[tuple[str, object]]:
        """What a body has for these columns."""
        for key, value in found.items():
            one = self.seen[key]
            if value.value is None or (one.column is None and key not in KNOWN):
                continue
            if fits(key, one, value):
                if one.column is not None:
                    yield one.column, TAKES[one.kind](value)
            else:
                yield f"{one.column or key}_text", as_text(value)


def fits(key: str, one: Field, value: Value) -> bool:
    """Whether the field's own column takes the value."""
    if key not in KNOWN:
        return TAKES[one.kind](value) is not None
    alone = {key: value}
    if key == "watch_time_ms":
        return watch_time_ms(alone) is not None
    return (video_duration_ms(alone) if key == "video_duration_ms" else text(alone, key)) is not None
