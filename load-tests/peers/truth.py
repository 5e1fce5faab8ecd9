"""What must come out, recounted from the topic itself with DuckDB: no code of any engine takes part."""

import sys
from pathlib import Path

import duckdb
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "verify"))
from lake_tables import COUNT_COLUMNS
from topic_recount import read_topic

from engines import WATERMARK_S
from lake import BRONZE, GOLD, DataFile, data_files

MINUTE_US = 60_000_000
CHUNK_RECORDS = 200_000
COLUMNS = [*COUNT_COLUMNS.values(), "watch_time_sum_ms"]
"""What gold adds up."""

EVENTS_TABLE = """CREATE TABLE events ("partition" INTEGER, "offset" BIGINT, record_ms BIGINT, event_id VARCHAR,
    video_id VARCHAR, user_id VARCHAR, event_type VARCHAR, event_us BIGINT, watch_time_ms BIGINT)"""
"""Every record of the topic."""

FINGERPRINT = 'sum(hash(event_id, video_id, user_id, event_type, event_us, "partition", "offset")::HUGEINT)'
"""One number for the contents of many rows, whatever their order."""


class Truth:
    """The events of a topic, and the gold that follows from them."""

    def __init__(self, brokers: str, topic: str, database: Path) -> None:
        """Reads the whole topic into `database`, a file that must not exist yet."""
        self.connection = duckdb.connect(str(database))
        self.connection.execute(
            "SET enable_progress_bar = false; SET preserve_insertion_order = false; SET memory_limit = '4GB'"
        )
        self.connection.execute(EVENTS_TABLE)
        chunk: list[tuple] = []
        for message in read_topic(brokers, topic):
            chunk.append((message.partition(), message.offset(), message.timestamp()[1], message.value()))
            if len(chunk) == CHUNK_RECORDS:
                self._add(chunk)
                chunk = []
        self._add(chunk)
        self._count()
        self._summarise()

    def _summarise(self) -> None:
        self.records = self._number("SELECT count(*) FROM events")
        self.events = self._number('SELECT count(*) FROM (SELECT DISTINCT "partition", event_id FROM events)')
        self.closed_us = self._closed_us()

    def _number(self, query: str) -> int:
        return self.connection.execute(query).fetchone()[0]

    def _add(self, chunk: list[tuple]) -> None:
        if not chunk:
            return
        columns = [pa.array(values) for values in zip(*chunk)]
        records = pa.table(columns, names=["partition", "offset", "record_ms", "value"])
        self.connection.register("records", records)
        fields = ("event_id", "video_id", "user_id", "event_type", "event_timestamp", "payload.watch_time_ms")
        paths = ", ".join(f"'$.{field}'" for field in fields)
        self.connection.execute(
            f"""INSERT INTO events SELECT "partition", "offset", record_ms, field[1], field[2], field[3], field[4],
                epoch_us(field[5]::TIMESTAMP), field[6]::BIGINT
                FROM (SELECT *, json_extract_string(decode(value), [{paths}]) AS field FROM records)"""
        )
        self.connection.unregister("records")

    def _count(self) -> None:
        """Makes the table `gold`: each event id once in its partition."""
        types = ", ".join(f"'{event_type}'" for event_type in COUNT_COLUMNS)
        bad = self.connection.execute(
            f"""SELECT "partition", "offset" FROM events
                WHERE event_id IS NULL OR video_id IS NULL OR user_id IS NULL OR event_us IS NULL
                OR watch_time_ms IS NULL OR event_type IS NULL OR event_type NOT IN ({types}) LIMIT 1"""
        ).fetchone()
        if bad:
            sys.exit(
                f"the record {bad[0]}-{bad[1]} of the topic is no valid event in the plain form, which the peers need"
            )
        counts = ", ".join(
            f"count(*) FILTER (event_type = '{kind}') AS {column}" for kind, column in COUNT_COLUMNS.items()
        )
        self.connection.execute(
            f"""CREATE TABLE gold AS SELECT video_id, event_us - event_us % {MINUTE_US} AS minute_us, {counts},
                sum(watch_time_ms)::BIGINT AS watch_time_sum_ms
                FROM (SELECT DISTINCT ON ("partition", event_id) * FROM events) GROUP BY ALL"""
        )

    def _closed_us(self) -> int:
        """How far every engine's watermark has come when it has read everything: later windows may stay open."""
        newest_us = self._number(
            'SELECT min(newest) FROM (SELECT max(event_us) AS newest FROM events GROUP BY "partition")'
        )
        return newest_us - WATERMARK_S * 1_000_000

    def closed_windows(self) -> int:
        """Rows of gold that every engine must have."""
        return self._number(f"SELECT count(*) FROM gold WHERE minute_us + {MINUTE_US} <= {self.closed_us}")

    def records_between(self, from_ms: int, until_ms: int) -> int:
        """Records by their time."""
        return self._number(f"SELECT count(*) FROM events WHERE record_ms >= {from_ms} AND record_ms < {until_ms}")

    def differences(self, locations: dict[str, str]) -> list[str]:
        """What is wrong with an engine's tables, as sentences."""
        missing = [table for table in (BRONZE, GOLD) if table not in locations]
        if missing:
            return [f"the table {missing[0]} is missing"]
        return self._bronze_differences(data_files(locations[BRONZE])) + self._gold_differences(
            data_files(locations[GOLD])
        )

    def _bronze_differences(self, files: list[DataFile]) -> list[str]:
        if not files:
            return ["bronze is empty"]
        rows = f"""(SELECT event_id, video_id, user_id, event_type, epoch_us(event_timestamp) AS event_us,
            source_partition AS "partition", source_offset AS "offset", payload_json FROM {parquet(files)})"""
        facts = f'count(*), {FINGERPRINT}, sum({{watch_time}})::BIGINT, min("offset"), max("offset")'
        watch_time = "json_extract_string(payload_json, '$.watch_time_ms')::BIGINT"
        expected = self.connection.execute(f"SELECT {facts.format(watch_time='watch_time_ms')} FROM events").fetchone()
        found = self.connection.execute(f"SELECT {facts.format(watch_time=watch_time)} FROM {rows}").fetchone()
        fingerprint = "ids, types, times and positions (fingerprint)"
        names = ("rows", fingerprint, "watch_time_ms in the bodies", "smallest offset", "largest offset")
        return [
            f"bronze: {name}: {is_found} in place of {is_expected}"
            for name, is_expected, is_found in zip(names, expected, found)
            if is_expected != is_found
        ]

    def _gold_differences(self, files: list[DataFile]) -> list[str]:
        if not files:
            return [] if self.closed_windows() == 0 else ["gold is empty"]
        sums = ", ".join(f"sum({column})::BIGINT AS {column}" for column in COLUMNS)
        differ = " OR ".join(f"t.{column} <> e.{column}" for column in COLUMNS)
        # A window that the watermark need not have closed may be absent, but must not be wrong.
        rows = f"SELECT video_id, epoch_us(window_start) AS minute_us, {sums} FROM {parquet(files)} GROUP BY ALL"
        query = f"""SELECT coalesce(t.video_id, e.video_id), coalesce(t.minute_us, e.minute_us), t.video_id IS NULL,
            e.video_id IS NULL, {", ".join(f"t.{column}, e.{column}" for column in COLUMNS)}
            FROM gold t FULL JOIN ({rows}) e
            ON t.video_id = e.video_id AND t.minute_us = e.minute_us
            WHERE t.video_id IS NULL OR {differ}
            OR (e.video_id IS NULL AND t.minute_us + {MINUTE_US} <= {self.closed_us})
            ORDER BY 2, 1"""
        found = self.connection.execute(query).fetchall()
        sentences = []
        for video_id, minute_us, is_unknown, is_missing, *counts in found[:5]:
            pairs = zip(COLUMNS, counts[::2], counts[1::2])
            wrong = ", ".join(f"{column} {got} in place of {due}" for column, due, got in pairs if got != due)
            what = "should not be there" if is_unknown else "is missing" if is_missing else wrong
            sentences.append(f"gold: {video_id} in the minute {minute_us // 1_000_000}: {what}")
        if len(found) > 5:
            sentences.append(f"gold: {len(found) - 5} more rows differ")
        return sentences


def parquet(files: list[DataFile], columns: str = "") -> str:
    """A FROM clause over these files."""
    names = ", ".join("'" + file.path.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{names}]{columns})"
