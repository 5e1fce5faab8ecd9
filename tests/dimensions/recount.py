"""Reads the topics of changes themselves and compares them with the tables: what went in against what came out.

    recount.py --brokers 127.0.0.1:9092 --videos TOPIC --users TOPIC --data-dir DIR

For both entities, judged anew and naively, every record by itself:
- the history has each distinct version exactly once, under the offset of its first delivery, with its row, and no other;
- the dimension has the last version of each key by the source's order, and no row of a deleted one;
- no two versions of a key are the same one, and in the source's order no version begins before the one it follows;
- the quarantine has each rejected record exactly once, with its bytes and its code;
- the tables have a column for every field of an accepted row, and none of a rejected one;
- the ledgers of history and dimension say how many records of each kind there were, and that all are consumed.
Exits with 1 and names each difference. The tables are read by DuckDB, equality deletes included.
"""

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pyiceberg.table import Table

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "verify"))
from lake_tables import open_catalog, read_with_duckdb, view_name  # noqa: E402
from report import finish  # noqa: E402
from topic_recount import Differences, read_topic  # noqa: E402

BASE = {
    "videos": {
        "video_id": "key",
        "creator_id": "text",
        "category": "text",
        "region": "text",
        "hashtags": "texts",
        "duration_ms": "whole",
        "upload_time": "moment",
        "status": "text",
    },
    "users": {
        "user_id": "key",
        "register_country": "text",
        "device_os": "text",
        "is_creator": "boolean",
        "ltv_segment": "text",
        "join_at": "moment",
    },
}
"""Entity -> the columns that every build keeps, the key first, and how they are written."""
DIMENSION_OWN = ["updated_at", "source_ts_ms"]
HISTORY_OWN = [
    *DIMENSION_OWN,
    "op",
    "valid_from",
    "source_position",
    "source_position_minor",
    "version_hash",
    "source_topic",
    "source_partition",
    "source_offset",
]
"""What the engine adds."""

Place = tuple[int, int]
"""(partition, offset)."""
Order = tuple[int, int, int]
"""(position or -1, minor or -1, source_ts_ms)."""


class Rejected(Exception):
    """A record that must be in quarantine, with its code."""


@dataclass
class Version:
    key: str
    order: Order
    op: str
    row: dict[str, object]
    """Attributes that are not null; none of a deletion."""
    place: Place
    """Of its first delivery."""

    def identity(self) -> tuple[object, ...]:
        return (self.key, self.order, self.op, json.dumps(self.row, sort_keys=True))


@dataclass
class Expected:
    """What a topic comes to."""

    versions: dict[tuple[object, ...], Version] = field(default_factory=dict)
    last: dict[str, Version] = field(default_factory=dict)
    rejected: dict[Place, tuple[str, bytes]] = field(default_factory=dict)
    counts: dict[int, Counter[str]] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    def total(self, kind: str) -> int:
        return sum(counts[kind] for counts in self.counts.values())


def moment_us(value: object) -> int:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Rejected("BAD_TIMESTAMP") from None
        return round(moment.timestamp() * 1_000) * 1_000
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 1_000
    raise Rejected("WRONG_TYPE")


def attribute(form: str, value: object) -> object:
    if form == "moment":
        return moment_us(value)
    fits = {
        "key": lambda: isinstance(value, str),
        "text": lambda: isinstance(value, str),
        "texts": lambda: isinstance(value, list) and all(isinstance(text, str) for text in value),
        "whole": lambda: isinstance(value, int) and not isinstance(value, bool),
        "boolean": lambda: isinstance(value, bool),
    }
    if not fits[form]():
        raise Rejected("WRONG_TYPE")
    return value


def key_of(entity: str, row: dict[str, object]) -> str:
    value = row.get(next(iter(BASE[entity])))
    if value is None or value == "":
        raise Rejected("MISSING_FIELD")
    if not isinstance(value, str):
        raise Rejected("WRONG_TYPE")
    return value


def judge(entity: str, value: bytes, place: Place) -> list[Version]:
    """The versions that a record brings."""
    try:
        envelope = json.loads(value.decode("utf-8"))
    except UnicodeDecodeError:
        raise Rejected("NOT_UTF8") from None
    except json.JSONDecodeError:
        raise Rejected("MALFORMED_JSON") from None
    if not isinstance(envelope, dict):
        raise Rejected("MALFORMED_JSON")
    envelope = envelope.get("payload", envelope)
    op = envelope.get("op")
    if op is None:
        raise Rejected("MISSING_FIELD")
    if op not in ("c", "u", "d", "r"):
        raise Rejected("UNKNOWN_OPERATION")
    source = envelope["source"]
    order = (source.get("lsn", -1), 0 if "lsn" in source else -1, source["ts_ms"])
    before, after = envelope.get("before"), envelope.get("after")
    if (before if op == "d" else after) is None:
        raise Rejected("MISSING_FIELD")
    if op == "d":
        return [Version(key_of(entity, before), order, "d", {}, place)]
    key = key_of(entity, after)
    forms = BASE[entity]
    present = {name: value for name, value in after.items() if value is not None}
    row = {name: attribute(forms[name], value) if name in forms else value for name, value in present.items()}
    versions = [Version(key, order, op, row, place)]
    if op == "u" and before is not None and key_of(entity, before) != key:
        versions.insert(0, Version(key_of(entity, before), order, "d", {}, place))
    return versions


def expect(entity: str, brokers: str, topic: str) -> Expected:
    expected = Expected()
    for message in read_topic(brokers, topic):
        partition, offset = message.partition(), message.offset()
        counts = expected.counts.setdefault(partition, Counter())
        expected.ends[partition] = max(expected.ends.get(partition, 0), offset + 1)
        counts["records"] += 1
        value = message.value()
        if value is None:
            counts["tombstones"] += 1
            continue
        try:
            versions = judge(entity, value, (partition, offset))
        except Rejected as rejected:
            counts["quarantined"] += 1
            counts[str(rejected)] += 1
            expected.rejected[partition, offset] = (str(rejected), value)
            continue
        fresh = [version for version in versions if version.identity() not in expected.versions]
        if not fresh:
            counts["duplicates"] += 1
        is_late = False
        for version in fresh:
            expected.versions[version.identity()] = version
            last = expected.last.get(version.key)
            # Of equal ones the later delivered is the newer.
            if last is None or version.order >= last.order:
                expected.last[version.key] = version
            else:
                is_late = True
        counts["late"] += is_late
    return expected


def shared_form(value: object) -> object:
    """Numbers of all kinds are equal when they are; lists stay, what JSON text holds a list is one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def rows_of(session: Any, view: str) -> tuple[list[str], list[dict[str, object]]]:
    types = {row[0]: row[1] for row in session.execute(f"DESCRIBE {view}").fetchall()}
    terms = [f'epoch_us("{name}")' if types[name].startswith("TIMESTAMP") else f'"{name}"' for name in types]
    rows = session.execute(f"SELECT {', '.join(terms)} FROM {view}").fetchall()
    return list(types), [dict(zip(types, map(shared_form, row), strict=True)) for row in rows]


def check_row(found: Differences, where: str, columns: list[str], row: dict[str, object], wanted: dict[str, object]) -> None:
    for name in columns:
        expected = shared_form(wanted.get(name))
        if row[name] != expected:
            found.add(f"{where.split(':')[0]} values", f"{where}: {name} is {row[name]!r} instead of {expected!r}")


def check_history(found: Differences, entity: str, topic: str, expected: Expected, columns: list[str], rows: list[dict[str, Any]]) -> None:
    key_column = next(iter(BASE[entity]))
    attributes = [name for name in columns if name not in HISTORY_OWN]
    wanted = {(version.place, version.key): version for version in expected.versions.values()}
    seen: Counter[object] = Counter()
    by_key: dict[str, list[tuple[Order, Place, int]]] = {}
    for row in rows:
        place = (row["source_partition"], row["source_offset"])
        key = row[key_column]
        seen[place, key] += 1
        position, minor = row["source_position"], row["source_position_minor"]
        order = (-1 if position is None else position, -1 if minor is None else minor, row["source_ts_ms"])
        by_key.setdefault(key, []).append((order, place, row["version_hash"]))
        version = wanted.get((place, key))
        where = f"history of {entity}: {key} of {place}"
        if version is None:
            found.add(f"history of {entity}, extra", f"{where} is not the first delivery of a version")
            continue
        own = {
            "source_ts_ms": version.order[2],
            "op": version.op,
            "valid_from": version.order[2] * 1_000,
            "source_position": None if version.order[0] < 0 else version.order[0],
            "source_position_minor": None if version.order[1] < 0 else version.order[1],
            "source_topic": topic,
        }
        check_row(found, where, [*attributes, *own], row, {**version.row, **own, key_column: version.key})
        if row["updated_at"] is None:
            found.add(f"history of {entity}, updated_at", f"{where}: no updated_at")
    for (place, key), count in seen.items():
        if count > 1:
            found.add(f"history of {entity}, doubled", f"history of {entity}: {key} of {place} is there {count} times")
    for place, key in wanted.keys() - seen.keys():
        found.add(f"history of {entity}, missing", f"history of {entity}: {key} of {place} is missing")
    for key, versions in by_key.items():
        identities = Counter((order, version_hash) for order, _, version_hash in versions)
        for (order, _), count in identities.items():
            if count > 1:
                found.add(f"history of {entity}, same", f"history of {entity}: {key} at {order} is the same version {count} times")
        # From here to the next one's begin: what a view makes of it has to have no overlap.
        moments = [order[2] for order, _, _ in sorted(versions)]
        if moments != sorted(moments):
            found.add(f"history of {entity}, overlap", f"history of {entity}: versions of {key} overlap: {moments}")


def check_dimension(found: Differences, entity: str, expected: Expected, columns: list[str], rows: list[dict[str, Any]]) -> None:
    key_column = next(iter(BASE[entity]))
    attributes = [name for name in columns if name not in DIMENSION_OWN]
    wanted = {key: version for key, version in expected.last.items() if version.op != "d"}
    seen: Counter[str] = Counter()
    for row in rows:
        key = row[key_column]
        seen[key] += 1
        version = wanted.get(key)
        where = f"dimension of {entity}: {key}"
        if version is None:
            what = "is deleted" if key in expected.last else "was never there"
            found.add(f"dimension of {entity}, extra", f"{where} {what}")
            continue
        own = {"source_ts_ms": version.order[2]}
        check_row(found, where, [*attributes, *own], row, {**version.row, **own, key_column: key})
    for key, count in seen.items():
        if count > 1:
            found.add(f"dimension of {entity}, doubled", f"dimension of {entity}: {key} is there {count} times")
    for key in wanted.keys() - seen.keys():
        found.add(f"dimension of {entity}, missing", f"dimension of {entity}: {key} is missing")


def check_quarantine(found: Differences, entity: str, topic: str, expected: Expected, rows: list[dict[str, Any]]) -> None:
    seen: Counter[Place] = Counter()
    for row in rows:
        place = (row["source_partition"], row["source_offset"])
        seen[place] += 1
        code, value = expected.rejected.get(place, (None, None))
        where = f"quarantine of {entity}: {place}"
        if row["error_code"] != code:
            found.add(f"quarantine of {entity}, code", f"{where} has {row['error_code']} ({row['error_reason']}) instead of {code}")
        elif bytes(row["raw_value"]) != value or row["source_topic"] != topic:
            found.add(f"quarantine of {entity}, bytes", f"{where} has other bytes, or another topic")
    for place in expected.rejected.keys() - seen.keys():
        found.add(f"quarantine of {entity}, missing", f"quarantine of {entity}: {place} is missing")
    for place, count in seen.items():
        if count > 1:
            found.add(f"quarantine of {entity}, doubled", f"quarantine of {entity}: {place} is there {count} times")


def check_columns(found: Differences, entity: str, expected: Expected, columns: dict[str, list[str]]) -> None:
    fields = {name for version in expected.versions.values() for name in version.row}
    for ending, own in (("", DIMENSION_OWN), ("_history", HISTORY_OWN)):
        wanted = {*BASE[entity], *own, *fields}
        if set(columns[ending]) != wanted:
            difference = sorted(set(columns[ending]) ^ wanted)
            found.add(f"columns of {entity}", f"dim_{entity}{ending} has other columns than the accepted rows: {difference}")


def check_ledgers(found: Differences, entity: str, topic: str, expected: Expected, tables: dict[str, Table]) -> None:
    for ending in ("", "_history"):
        name = f"dims.dim_{entity}{ending}"
        text = tables[name].properties.get("pulselake.ledger")
        entries = json.loads(text)["topics"].get(topic, {}) if text else {}
        for partition, end in expected.ends.items():
            entry = entries.get(str(partition), {})
            if entry.get("next") != end:
                found.add(f"ledger of {entity}", f"{name} has consumed {topic}-{partition} to {entry.get('next')}, its end is {end}")
            for kind in ("records", "quarantined", "tombstones", "duplicates", "late"):
                counted = entry.get("counts", {}).get(kind, 0)
                if counted != expected.counts[partition][kind]:
                    message = f"{name} counts {counted} {kind} in {topic}-{partition}, there are {expected.counts[partition][kind]}"
                    found.add(f"ledger of {entity}", message)


def recount(entity: str, topic: str, brokers: str, data_dir: Path, found: Differences) -> dict[str, object]:
    catalog = open_catalog(data_dir)
    names = [f"dims.dim_{entity}", f"dims.dim_{entity}_history", f"bronze.invalid_events_cdc_{entity}"]
    tables = {name: catalog.load_table(name) for name in names}
    session = read_with_duckdb(tables)
    dimension, history, quarantine = (rows_of(session, view_name(name)) for name in names)
    expected = expect(entity, brokers, topic)
    check_history(found, entity, topic, expected, *history)
    check_dimension(found, entity, expected, *dimension)
    check_quarantine(found, entity, topic, expected, quarantine[1])
    check_columns(found, entity, expected, {"": dimension[0], "_history": history[0]})
    check_ledgers(found, entity, topic, expected, tables)
    summary = tables[names[0]].current_snapshot().summary
    operations = Counter(version.op for version in expected.versions.values())
    facts = {
        "records": expected.total("records"),
        "versions": len(history[1]),
        "snapshots": operations["r"],
        "deletions": operations["d"],
        "repeats": expected.total("duplicates"),
        "late": expected.total("late"),
        "tombstones": expected.total("tombstones"),
        "keys": len(expected.last),
        "rows": len(dimension[1]),
        "columns": len(dimension[0]),
        "delete files": int(summary["total-delete-files"]),
        "data files": int(summary["total-data-files"]),
        **dict(Counter(code for code, _ in expected.rejected.values())),
    }
    return {f"{entity} {name}": value for name, value in facts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--videos", required=True, metavar="TOPIC")
    parser.add_argument("--users", required=True, metavar="TOPIC")
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = Differences()
    facts: dict[str, object] = {}
    for entity, topic in (("videos", arguments.videos), ("users", arguments.users)):
        facts |= recount(entity, topic, arguments.brokers, arguments.data_dir, found)
    finish("recount", facts, found.all(), arguments.json)


if __name__ == "__main__":
    main()
