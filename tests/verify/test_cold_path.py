"""The cold path's verifier on days that were made by hand, whose silver and gold are written down here; and that its comparison
notices whatever is wrong."""

import unittest
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone

import duckdb
import pyarrow as pa

from cold_bodies import fields, text, video_duration_ms, watch_time_ms
from cold_drift import Registry
from cold_path import TABLES, Compared, compare, compute, days_of
from cold_silver import COLUMNS

FIRST = date(2026, 2, 6)
TIME = pa.timestamp("us", "UTC")
KINDS = {
    "event_timestamp": TIME,
    "ingested_at": TIME,
    "upload_time": TIME,
    "valid_from": TIME,
    "window_start": TIME,
    "source_partition": pa.int32(),
    "source_offset": pa.int64(),
    "source_position": pa.int64(),
    "source_position_minor": pa.int64(),
    "source_ts_ms": pa.int64(),
    "duration_ms": pa.int64(),
    "is_creator": pa.bool_(),
}


def at(clock: str, day: int = 0) -> datetime:
    """A moment of the first day (0), or of another one: '10:00', '10:00:00.000001'."""
    moment = datetime.fromisoformat(f"{FIRST}T{clock}").replace(tzinfo=timezone.utc)
    return moment + timedelta(days=day)


class Days:
    """Tables of the hot path that are made by hand."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.videos: list[dict] = []
        self.users: list[dict] = []
        self.gold: list[dict] = []

    def event(
        self, moment: datetime, kind: str = "impression", body: str = "{}", user: str = "u", video: str = "v", **where: object
    ) -> None:
        """`name` is the event's id, `place` the partition and offset."""
        number = len(self.events)
        name, (partition, offset) = where.get("name"), where.get("place", (0, number))
        self.events.append(
            {"event_id": name or f"e{number:05}", "event_timestamp": moment, "video_id": video, "user_id": user, "event_type": kind}
            | {"schema_version": "1.0", "payload_json": body, "header_extra_json": None, "source_topic": "t"}
            | {"source_partition": partition, "source_offset": offset, "ingested_at": moment}
        )

    def version(self, moment: datetime, op: str = "c", video: str = "v", **facts: object) -> None:
        known = dict.fromkeys(("category", "region", "creator_id", "status", "upload_time", "duration_ms"))
        self.videos.append({"video_id": video} | known | facts | self.place(self.videos, moment, op))

    def user_version(self, moment: datetime, segment: str | None, op: str = "c", user: str = "u") -> None:
        facts = {"ltv_segment": segment, "register_country": "DE", "is_creator": False}
        self.users.append({"user_id": user} | facts | self.place(self.users, moment, op))

    def place(self, rows: list[dict], moment: datetime, op: str) -> dict:
        offset = len(rows)
        order = {"source_position": offset, "source_position_minor": None, "source_ts_ms": int(moment.timestamp() * 1000)}
        return {"op": op, "valid_from": moment, "source_offset": offset} | order

    def minute(self, moment: datetime, video: str = "v", **counts: int) -> None:
        known = dict.fromkeys(("impressions", "play_start", "play_finish", "likes", "shares", "skips", "watch_time_sum_ms"), 0)
        self.gold.append({"video_id": video, "window_start": moment} | known | counts)

    def computed(self, days: int = 1) -> duckdb.DuckDBPyConnection:
        """A session with the tables `expected_NAME` of so many days."""
        if not self.videos:
            self.version(at("00:00", -100), video="nobody's")
        if not self.users:
            self.user_version(at("00:00", -100), None, user="nobody")
        if not self.gold:
            self.minute(at("00:00", -100))
        session = duckdb.connect()
        session.execute("SET TimeZone = 'UTC'")
        tables = {"raw_events": self.events, "dim_videos_history": self.videos, "dim_users_history": self.users, "rt_video_stats_1min": self.gold}
        for name, rows in tables.items():
            kinds = {column: KINDS.get(column, pa.int64() if isinstance(value, int) else pa.string()) for column, value in rows[0].items()}
            session.register(name, pa.table({column: pa.array([row[column] for row in rows], kind) for column, kind in kinds.items()}))
        compute(session, days_of(FIRST, FIRST + timedelta(days=days - 1)), "rules-2")
        return session


def rows(session: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    return session.execute(sql).fetchall()


class Silver(unittest.TestCase):
    def sessions(self, moments: Iterable[datetime], days: int) -> list[tuple]:
        made = Days()
        for moment in moments:
            made.event(moment)
        found = made.computed(days)
        return rows(found, "SELECT strftime(session_started_at, '%d %H:%M:%S.%f') FROM expected_fact_user_engagement ORDER BY event_timestamp")

    def test_thirty_minutes_end_a_session(self):
        found = self.sessions([at("10:00"), at("10:29:59.999999"), at("10:59:59.999999"), at("11:29:59.999998")], 1)
        self.assertEqual([start for start, in found], ["06 10:00:00.000000"] * 2 + ["06 10:59:59.999999"] * 2)

    def test_a_session_goes_on_over_midnight(self):
        moments = [at("23:50"), at("00:10", 1), at("00:39:59", 1), at("01:10", 1), at("23:40", 1), at("23:59", 1), at("00:29", 2)]
        found = [start[:8] for start, in self.sessions(moments, 3)]
        self.assertEqual(found, ["06 23:50"] * 3 + ["07 01:10"] + ["07 23:40"] * 2 + ["08 00:29"])
        # The day before was not made: its sessions are those of its own events.
        self.assertEqual(self.sessions([at("23:50", -1), at("00:10")], 1), [("05 23:50:00.000000",)])

    def test_the_id_names_user_and_start(self):
        made = Days()
        made.event(at("10:00:00.000001"), user="u@1")
        self.assertEqual(rows(made.computed(), "SELECT session_id FROM expected_fact_user_engagement"), [("u@1@1770372000000001",)])

    def test_an_event_counts_once_a_day_as_it_was_delivered_first(self):
        made = Days()
        made.event(at("10:00"), "like", name="a", place=(1, 5))
        made.event(at("11:00"), "skip", name="a", place=(0, 9))
        made.event(at("12:00"), "share", name="a", place=(0, 10))
        made.event(at("12:00", 1), "share", name="a", place=(0, 11))
        found = rows(made.computed(2), "SELECT event_type FROM expected_fact_user_engagement ORDER BY event_timestamp")
        self.assertEqual(found, [("skip",), ("share",)])

    def test_versions_hold_from_their_moment_to_before_the_next(self):
        made = Days()
        made.version(at("10:00"), category="one", duration_ms=1_000)
        made.version(at("11:00"), category="never", duration_ms=0)
        made.version(at("11:00"), "u", category="two", duration_ms=0)
        made.version(at("12:00"), "d")
        made.version(at("13:00"), category="three")
        made.user_version(at("10:30"), "VIP")
        for clock in "09:59:59.999999 10:00 10:59:59.999999 11:00 11:59:59.999999 12:00 12:59:59.999999 13:00".split():
            made.event(at(clock), body='{"watch_time_ms":250}')
        columns = "category, user_segment, video_duration_ms, completion_rate"
        found = rows(made.computed(), f"SELECT {columns} FROM expected_fact_user_engagement ORDER BY event_timestamp")
        one, two = ("one", "VIP", 1_000, 0.25), ("two", "VIP", None, None)
        gone = (None, "VIP", None, None)
        self.assertEqual(found, [(None,) * 4, ("one", None, 1_000, 0.25), one, two, two, gone, gone, ("three", "VIP", None, None)])

    def test_values_of_bodies(self):
        for body, expected in (
            ('{"watch_time_ms":5.4e3,"video_duration_ms":5400.0}', (5_400, 5_400)),
            ('{"watch_time_ms":604800000}', (604_800_000, None)),
            ('{"watch_time_ms":604800001,"video_duration_ms":0}', (None, None)),
            ('{"watch_time_ms":"7","video_duration_ms":true}', (None, None)),
            ('{"watch_time_ms":1,"watch_time_ms":2}', (2, None)),
            ('{"watch\\u005ftime_ms":9}', (9, None)),
            ('{"watch_time_ms":5} x', (None, None)),
            ('{"watch_time_ms":1e999,"video_duration_ms":9223372036854775808}', (None, None)),
            ("[]", (None, None)),
        ):
            found = fields(body)
            self.assertEqual((watch_time_ms(found), video_duration_ms(found)), expected, body)
        found = fields('{"a":"x","b":15.0,"c":false,"d":null,"e":{"f":1},"g":"\\ud800"}')
        self.assertEqual([text(found, key) for key in "abcdegh"], ["x", "15.0", "false", None, None, None, None])

    def test_new_fields_become_columns(self):
        registry = Registry(frozenset(COLUMNS))
        first = '{"n":1,"rate":1.5,"playbackRate":true,"region":"x","watch_time_ms":5.5}'
        registry.observe([(first, 2, 1, 2), ('{"n":2,"rate":2,"playback_rate":"y"}', 3, 0, 5)])
        registry.observe([('{"once":1}', 1, 10, 10), ('{"n":null}', 4, 11, 12), ("no JSON", 1, 10, 10)])
        registry.observe([('{"n":1.5,"rate":"fast","once":{"a": 1}}', 2, 20, 21)])
        columns = ("column_name", "type", "status", "events", "conflicts")
        status = {row["field"]: tuple(row[column] for column in columns) for row in registry.rows()}
        self.assertEqual(
            status,
            {
                "n": ("n", "long", "conflict", 2, 2),
                "rate": ("rate", "double", "conflict", 2, 2),
                "playback_rate": ("playback_rate", "string", "column", 3, 0),
                "playbackRate": ("playback_rate_2", "boolean", "column", 2, 0),
                "region": ("x_region", "string", "column", 2, 0),
                "watch_time_ms": ("watch_time_ms", "long", "conflict", 2, 2),
                "once": ("once", "string", "column", 2, 0),
            },
        )
        values = dict(registry.values(fields('{"n":7.0,"rate":"fast","once":{"a": 1},"watch_time_ms":-1}')))
        self.assertEqual(values, {"n": 7, "rate_text": "fast", "once": '{"a": 1}', "watch_time_ms_text": "-1"})


class Gold(unittest.TestCase):
    def test_a_video_and_who_comes_back(self):
        made = Days()
        made.version(at("00:00"), category="morning")
        made.version(at("23:59:59.999999"), "u", category="evening")
        made.version(at("00:00", 1), "d")
        for user in ("a", "b", "c"):
            made.event(at("10:00"), "play_start", user=user)
            made.event(at("10:01"), "play_finish", '{"watch_time_ms":1800000}', user)
        made.event(at("10:00", 1), "play_start", user="a", video="other")
        made.event(at("10:00", 1), "impression", user="b")
        columns = "* EXCLUDE (date, impressions, likes, shares, skips)"
        found = rows(made.computed(2), f"SELECT {columns} FROM expected_batch_video_daily ORDER BY date, video_id")
        next_day = [("other", None, 1, 0, 0.0, 0.0, 1, None), ("v", None, 0, 0, 0.0, 0.0, 0, None)]
        self.assertEqual(found, [("v", "evening", 3, 3, 1.5, 1.0, 3, 1 / 3), *next_day])

    def test_bins_hold_their_lower_end(self):
        made = Days()
        for duration in (14_999, 15_000, 29_999, 30_000, 60_000, 179_999, 180_000):
            made.event(at("10:00"), "skip", f'{{"video_duration_ms":{duration}}}')
        made.event(at("10:00"), "play_start")
        found = rows(made.computed(), "SELECT duration_bin, skips, skip_rate FROM expected_batch_quality_daily ORDER BY ALL")
        expected = [("0-15s", 1, 1.0), ("1-3m", 2, 2.0), ("15-30s", 2, 2.0), ("30-60s", 1, 1.0), ("3m+", 1, 1.0)]
        self.assertEqual(found, [*expected, ("unknown", 0, 0.0)])

    def test_the_health_of_sessions(self):
        made = Days()
        made.user_version(at("00:00"), "VIP", user="a")
        # Carried over midnight; five skips in a row; opened again after 40 minutes; and one of another user at night.
        made.event(at("23:59:59.999", -1), user="a")
        for second, kind in enumerate(("skip", "skip", "play_start", "skip", "impression", "skip", "skip", "like", "skip")):
            made.event(at(f"00:10:0{second}"), kind, user="a")
        made.event(at("00:50:08"), "play_start", user="a")
        made.event(at("22:59:59.999999"), user="b")
        made.event(at("23:20:00.000999"), user="b")
        columns = (
            "user_segment, avg_session_ms, sessions, users, events, plays, skips, p50_session_ms, p95_session_ms, swipe_rate,"
            " skip_streak_share, longest_skip_streak, night_share, reopen_share"
        )
        found = rows(made.computed(), f"SELECT {columns} FROM expected_session_health_daily ORDER BY user_segment NULLS FIRST")
        self.assertEqual(
            found,
            [
                (None, (608_001 + 0 + 1_200_001) / 3, 3, 2, 12, 2, 6, 608_001, 1_200_001, 3.0, 1 / 3, 5, 2 / 3, 1 / 3),
                ("VIP", 608_001 / 2, 2, 1, 10, 2, 6, 0, 608_001, 3.0, 0.5, 5, 1.0, 0.5),
                ("unknown", 1_200_001.0, 1, 1, 2, 0, 0, 1_200_001, 1_200_001, 0.0, 0.0, 0, 0.0, 0.0),
            ],
        )

    def test_cohorts_of_creators(self):
        made = Days()
        # 2026-02-06 is a Friday: weeks begin on Monday, 02-02.
        for creator, day in (("a", -20), ("a", -4), ("b", -14), ("b", -13), ("c", 0), ("c", 1), ("", -30), (None, -30)):
            made.version(at("00:00", -40), video=f"{creator}{day}", creator_id=creator, upload_time=at("12:00", day))
        made.event(at("10:00"))
        columns = "cohort_week, week_number, creators, active_creators, retention"
        found = rows(made.computed(), f"SELECT {columns} FROM expected_creator_retention_weekly ORDER BY ALL")
        first, second, last = date(2026, 1, 12), date(2026, 1, 19), date(2026, 2, 2)
        self.assertEqual(
            found,
            [(first, 0, 1, 1, 1.0), (first, 1, 1, 0, 0.0), (first, 2, 1, 0, 0.0), (first, 3, 1, 1, 1.0)]
            + [(second, 0, 1, 1, 1.0), (second, 1, 1, 0, 0.0), (second, 2, 1, 0, 0.0), (last, 0, 1, 1, 1.0)],
        )

    def test_real_time_against_batch(self):
        made = Days()
        for _ in range(200):
            made.event(at("10:00"))
        made.event(at("10:01"), "play_start")
        made.event(at("10:01"), "play_finish")
        made.minute(at("10:00"), impressions=150)
        made.minute(at("10:00"), impressions=26)
        made.minute(at("10:01"), play_start=1)
        made.minute(at("10:02"), video="other", impressions=10)
        columns = "metric_name, minutes, round(p95_difference, 9), max_difference, status, rt_total, batch_total"
        found = rows(made.computed(), f"SELECT {columns} FROM expected_rt_batch_reconciliation")
        of = {name: values for name, *values in found}
        # Differences 0.12, 0 and 0.1.
        self.assertEqual(of["impressions"], [3, 0.118, 0.12, "WARN", 186.0, 200.0])
        self.assertEqual(of["completion_rate"], [3, 0.9, 1.0, "CRIT", 0.0, 1.0])
        self.assertEqual(of["likes"], [3, 0.0, 0.0, "PASS", 0.0, 0.0])

    def test_a_baseline_of_a_large_enough_sample(self):
        def found(minutes: int, wrong: int) -> list[tuple]:
            made = Days()
            made.version(at("00:00"), category="music", region="DE")
            for minute in range(minutes):
                moment = at("05:00") + timedelta(minutes=minute)
                made.event(moment, "like", place=(0, minute))
                for _ in range(4):
                    made.event(moment)
                made.minute(moment, impressions=4 + wrong, likes=1)
            columns = "effective_from, metric_name, percentile, cohort_category, cohort_region, threshold_value, sample_size"
            return rows(made.computed(), f"SELECT {columns} FROM expected_rt_rule_quantile_baselines ORDER BY ALL")

        # The first 24 minutes have fewer than 100 impressions behind them.
        tomorrow = FIRST + timedelta(days=1)
        of_all = [(tomorrow, "impressions_30m", 40, None, None, 120.0, 1_000), (tomorrow, "velocity_30m", 90, None, None, 0.25, 1_000)]
        of_cohort = [(*row[:3], "music", "DE", *row[5:]) for row in of_all]
        self.assertEqual(found(1_024, 0), [of_cohort[0], of_all[0], of_cohort[1], of_all[1]])
        self.assertEqual(found(1_023, 0), [])
        self.assertEqual(found(1_024, 17), [], "CRIT")


class Comparison(unittest.TestCase):
    def test_whatever_is_wrong_is_noticed(self):
        made = Days()
        made.version(at("00:00", -9), category="music", creator_id="c", upload_time=at("00:00", -9), duration_ms=9_000)
        made.user_version(at("00:00", -9), "VIP")
        for number in range(40):
            kind = ("impression", "play_start", "skip", "like")[number % 4]
            made.event(at("10:00") + timedelta(seconds=20 * number), kind, '{"watch_time_ms":9,"new":1}', video=f"v{number % 3}")
        session = made.computed(1)
        for table in TABLES:
            name = table.name.split(".")[1]
            expected = f"expected_{name}"
            session.execute(f"CREATE TABLE {name} AS SELECT * FROM {expected}")
            self.assertEqual(compare(session, table, expected, name), [])
            if not rows(session, f"SELECT 1 FROM {name} LIMIT 1"):
                continue
            with self.subTest(table.name):
                self.assert_noticed(session, table, expected, name)

    def assert_noticed(self, session: duckdb.DuckDBPyConnection, table: Compared, expected: str, name: str) -> None:
        right = session.execute(f"FROM {name}").to_arrow_table()
        others = {pa.string(): "other", pa.bool_(): True, pa.date32(): FIRST - timedelta(days=999), TIME: at("00:00", -999)}
        for column in set(right.column_names) - set(table.ignored):
            kind, values = right.schema.field(column).type, right.column(column).to_pylist()
            for value in {others.get(kind, 123_456), None} - {values[0]}:
                place = right.column_names.index(column)
                session.register("wrong", right.set_column(place, column, pa.array([value, *values[1:]], kind)))
                self.assertNotEqual(compare(session, table, expected, "wrong"), [], f"{column} = {value}")
        session.unregister("wrong")
        for what, sql in (
            ("a row is missing", f"SELECT * FROM {name} OFFSET 1"),
            ("a row is there twice", f"SELECT * FROM {name} UNION ALL (SELECT * FROM {name} LIMIT 1)"),
            ("a column too much", f"SELECT *, 1 AS besides FROM {name}"),
        ):
            session.execute(f"CREATE OR REPLACE TABLE spoilt AS {sql}")
            self.assertNotEqual(compare(session, table, expected, "spoilt"), [], what)

    def test_estimates_may_be_off_by_a_little(self):
        table = Compared("t", ("key",), estimated=("n",), near=("x",))
        session = duckdb.connect()
        session.execute("CREATE TABLE e AS SELECT range AS key, 1000 AS n, 1.0::DOUBLE AS x FROM range(3)")
        for n, x, count in ((1029, 1 + 1e-14, 0), (1031, 1.0, 2), (970, 1 + 1e-9, 3), (1000, 1 + 1e-9, 3)):
            session.execute(f"CREATE OR REPLACE TABLE f AS SELECT key, CASE key WHEN 0 THEN {n} ELSE 1000 END AS n, {x}::DOUBLE AS x FROM e")
            found = compare(session, table, "e", "f")
            self.assertEqual(len([one for one in found if "on the whole" not in one]), {0: 0, 2: 1, 3: 3}[count], found)


if __name__ == "__main__":
    unittest.main()
