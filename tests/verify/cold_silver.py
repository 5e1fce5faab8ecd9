"""What silver.fact_user_engagement must hold, counted by loops over bronze and the dimensions' histories.

Written from docs/adr/0027-cold-path.md and the domain, apart from the SQL that it verifies. Moments are microseconds since the
epoch.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

import duckdb
import pyarrow as pa

from cold_bodies import fields, text, video_duration_ms, watch_time_ms
from cold_drift import Registry

DAY_US = 86_400_000_000
PAUSE_US = 30 * 60_000_000
"""What ends a session."""

TIME, LONG, DOUBLE, TEXT = pa.timestamp("us", "UTC"), pa.int64(), pa.float64(), pa.string()

COLUMNS: dict[str, pa.DataType] = {
    "event_id": TEXT,
    "event_timestamp": TIME,
    "video_id": TEXT,
    "user_id": TEXT,
    "event_type": TEXT,
    "schema_version": TEXT,
    "session_id": TEXT,
    "session_started_at": TIME,
    "watch_time_ms": LONG,
    "video_duration_ms": LONG,
    "completion_rate": DOUBLE,
    "device_os": TEXT,
    "app_version": TEXT,
    "network_type": TEXT,
    "referral_source": TEXT,
    "category": TEXT,
    "region": TEXT,
    "creator_id": TEXT,
    "video_status": TEXT,
    "upload_time": TIME,
    "user_segment": TEXT,
    "user_country": TEXT,
    "is_creator": pa.bool_(),
    "header_extra_json": TEXT,
    "source_partition": pa.int32(),
    "source_offset": LONG,
    "ingested_at": TIME,
}
"""The fixed columns, in table order."""
BODY_TEXTS = ("device_os", "app_version", "network_type", "referral_source")
FROM_VIDEO = {"category": "category", "region": "region", "creator_id": "creator_id", "video_status": "status", "upload_time": "upload_time"}
FROM_USER = {"user_segment": "ltv_segment", "user_country": "register_country", "is_creator": "is_creator"}


def day_start_us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp()) * 1_000_000


@dataclass
class Versions:
    """The versions of each key with the moments at which they began."""

    starts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    rows: dict[str, list[dict]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, session: duckdb.DuckDBPyConnection, table: str, key: str, columns: list[str]) -> "Versions":
        """In the source's own order; where it has none, in that of time and delivery. No version begins before the one before."""
        found = cls()
        rows = session.execute(f"SELECT * FROM {table}").to_arrow_table()
        for moment in ("valid_from", "upload_time"):
            if moment in rows.column_names:
                place = rows.column_names.index(moment)
                rows = rows.set_column(place, moment, rows.column(moment).cast(TIME).cast(pa.int64()))
        wanted = [key, *columns, "op", "valid_from", "source_position", "source_position_minor", "source_ts_ms", "source_offset"]

        def order(row: dict) -> tuple:
            places = (row["source_position"], row["source_position_minor"])
            return (*((place is not None, place or 0) for place in places), row["source_ts_ms"], row["source_offset"])

        for row in sorted(rows.select(wanted).to_pylist(), key=order):
            starts = found.starts[row[key]]
            starts.append(max(row["valid_from"], starts[-1]) if starts else row["valid_from"])
            found.rows[row[key]].append(row)
        return found

    def as_table(self, key: str, columns: dict[str, pa.DataType]) -> pa.Table:
        """Those that were valid at all, with the moment at which they began; of deletions the columns are null."""
        kept = []
        for name, starts in self.starts.items():
            ends = [*starts[1:], None]
            for started, end, row in zip(starts, ends, self.rows[name]):
                if started != end:
                    facts = {column: None if row["op"] == "d" else row[column] for column in columns}
                    kept.append({key: name, **facts, "is_deleted": row["op"] == "d", "started_at": started})
        kinds = {key: TEXT, **columns, "is_deleted": pa.bool_(), "started_at": TIME}
        return pa.table({name: pa.array([row[name] for row in kept], kind) for name, kind in kinds.items()})

    def at(self, key: str, moment: int) -> dict | None:
        """The version that was valid then; nothing before the first one, and where it was deleted."""
        known = bisect_right(self.starts.get(key, []), moment)
        if not known:
            return None
        version = self.rows[key][known - 1]
        return None if version["op"] == "d" else version


@dataclass
class OpenSession:
    """A user's last event of a day, and the session that it belongs to."""

    last_us: int
    started_us: int


@dataclass
class Silver:
    """The days that were computed so far."""

    session: duckdb.DuckDBPyConnection
    videos: Versions
    users: Versions
    registry: Registry
    made_up_to: date | None = None
    open_sessions: dict[str, OpenSession] = field(default_factory=dict)

    def events_of(self, day: date) -> pa.Table:
        """Bronze's rows of a day, once per id: the one that was delivered first. In each user's order."""
        start = day_start_us(day)
        return self.session.execute(
            f"""SELECT * FROM (
                    SELECT DISTINCT ON (event_id) * FROM raw_events
                    WHERE epoch_us(event_timestamp) >= {start} AND epoch_us(event_timestamp) < {start + DAY_US}
                    ORDER BY event_id, source_partition, source_offset, source_topic)
                ORDER BY user_id, event_timestamp, event_id"""
        ).to_arrow_table()

    def bodies_of(self, day: date) -> list[tuple[str, int, int, int]]:
        """The different bodies of bronze's rows, what was delivered twice too: how many, first and last moment."""
        start = day_start_us(day)
        return self.session.execute(
            f"""SELECT payload_json, count(*), min(epoch_us(event_timestamp)), max(epoch_us(event_timestamp)) FROM raw_events
                WHERE epoch_us(event_timestamp) >= {start} AND epoch_us(event_timestamp) < {start + DAY_US} GROUP BY payload_json"""
        ).fetchall()

    def learn(self, days: list[date]) -> None:
        """Finds the columns of new fields. A day that was made before a field of its had one is made again: so each day has those
        of all."""
        for day in days:
            self.registry.observe(self.bodies_of(day))

    def add(self, day: date) -> None:
        """Computes the next day into the table `silver`."""
        if self.made_up_to != day - timedelta(days=1):
            # Silver doesn't have the day before: sessions begin with that day's events in bronze.
            events = self.events_of(day - timedelta(days=1))
            _, self.open_sessions = sessions_of(users_of(events), moments_of(events), {})
        events = self.events_of(day)
        users, moments = users_of(events), moments_of(events)
        started, self.open_sessions = sessions_of(users, moments, self.open_sessions)
        columns = self.columns_of(events, users, moments, started)
        kinds = COLUMNS | self.registry.columns()
        table = pa.table({name: as_array(columns[name], kind) for name, kind in kinds.items()})
        self.session.register("new_day", table)
        if self.made_up_to is None:
            self.session.execute("CREATE TABLE silver AS SELECT * FROM new_day")
        else:
            known = {row[0] for row in self.session.execute("DESCRIBE silver").fetchall()}
            for name, kind in self.session.execute("SELECT column_name, column_type FROM (DESCRIBE new_day)").fetchall():
                if name not in known:
                    self.session.execute(f'ALTER TABLE silver ADD COLUMN "{name}" {kind}')
            self.session.execute("INSERT INTO silver BY NAME SELECT * FROM new_day")
        self.session.unregister("new_day")
        self.made_up_to = day

    def payload_fields(self) -> pa.Table:
        """What silver.payload_fields must hold."""
        kinds = dict.fromkeys(("field", "column_name", "type", "status"), TEXT)
        kinds |= {"first_seen": TIME, "last_seen": TIME, "events": LONG, "share": DOUBLE, "conflicts": LONG}
        rows = self.registry.rows()
        return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()})

    def columns_of(self, events: pa.Table, users: list[str], moments: list[int], started: list[int]) -> dict[str, list]:
        count = events.num_rows
        copied = ("event_id", "event_timestamp", "video_id", "user_id", "event_type", "schema_version", "header_extra_json")
        copied += ("source_partition", "source_offset", "ingested_at")
        columns: dict[str, object] = {name: events.column(name).combine_chunks() for name in copied}
        columns["session_id"] = [f"{user}@{moment}" for user, moment in zip(users, started)]
        columns["session_started_at"] = started
        computed = [name for name in (COLUMNS | self.registry.columns()) if name not in columns]
        columns |= {name: [None] * count for name in computed}
        read_before: dict[str, dict[str, object]] = {}
        for row, (body, video_id) in enumerate(zip(events.column("payload_json").to_pylist(), events.column("video_id").to_pylist())):
            if body not in read_before:
                read_before[body] = self.columns_of_body(body)
            of_body = read_before[body]
            video, user = self.videos.at(video_id, moments[row]), self.users.at(users[row], moments[row])
            for name, value in of_body.items():
                columns[name][row] = value
            watched, duration = of_body["watch_time_ms"], of_body["video_duration_ms"]
            if duration is None and video and (video["duration_ms"] or 0) > 0:
                duration = columns["video_duration_ms"][row] = video["duration_ms"]
            if watched is not None and duration is not None:
                columns["completion_rate"][row] = min(float(watched) / float(duration), 1.0)
            for facts, names in ((video, FROM_VIDEO), (user, FROM_USER)):
                for name, source in names.items():
                    columns[name][row] = facts and facts[source]
        return columns

    def columns_of_body(self, body: str) -> dict[str, object]:
        found = fields(body)
        fixed = {"watch_time_ms": watch_time_ms(found), "video_duration_ms": video_duration_ms(found)}
        return fixed | {name: text(found, name) for name in BODY_TEXTS} | dict(self.registry.values(found))


def as_array(values: list | pa.Array, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)


def users_of(events: pa.Table) -> list[str]:
    return events.column("user_id").to_pylist()


def moments_of(events: pa.Table) -> list[int]:
    return events.column("event_timestamp").cast(TIME).cast(pa.int64()).to_pylist()


def sessions_of(
    users: list[str], moments: list[int], before: dict[str, OpenSession]
) -> tuple[list[int], dict[str, OpenSession]]:
    """When the session of each event began, and what each user's last event was. Events are in each user's order."""
    started: list[int] = []
    last: dict[str, OpenSession] = {}
    for user, moment in zip(users, moments):
        known = last.get(user) or before.get(user)
        goes_on = known is not None and moment - known.last_us < PAUSE_US
        last[user] = OpenSession(moment, known.started_us if goes_on else moment)
        started.append(last[user].started_us)
    return started, last
