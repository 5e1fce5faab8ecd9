"""The serving views on DuckDB, over made-up tables, against a plain count of their rows (tests/views/expected.py); and that the
comparison notices a view that was made wrong."""

import random
import sys
import unittest
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "views"))

from compare import MOMENTS, compare  # noqa: E402
from expected import MINUTE_US, VIEWS, Row, Tables  # noqa: E402

START_US = 1_770_506_400_000_000
"""2026-02-07T23:20:00Z: an hour of minutes goes on over midnight."""

COLUMNS = {
    "gold.rt_video_stats_1min": "source_partition int, video_id text, window_start timestamptz, window_end timestamptz, impressions bigint,"
    " play_start bigint, play_finish bigint, likes bigint, shares bigint, skips bigint, watch_time_sum_ms bigint, revision int",
    "bronze.raw_events": "event_id text, event_timestamp timestamptz, event_type text, payload_json text",
    "dims.dim_videos": "video_id text, creator_id text, category text, region text, hashtags text[], duration_ms bigint,"
    " upload_time timestamptz, status text, updated_at timestamptz, source_ts_ms bigint",
    "dims.dim_users": "user_id text, register_country text, device_os text, is_creator boolean, ltv_segment text, join_at timestamptz,"
    " updated_at timestamptz, source_ts_ms bigint",
    "dims.dim_videos_history": "video_id text, status text, source_ts_ms bigint, op text, valid_from timestamptz, source_position bigint,"
    " source_position_minor bigint, source_offset bigint",
    "dims.dim_users_history": "user_id text, ltv_segment text, source_ts_ms bigint, op text, valid_from timestamptz, source_position bigint,"
    " source_position_minor bigint, source_offset bigint",
    "dims.rt_rule_quantile_baselines": "rule_version text, effective_from date, effective_to date, metric_name text, percentile int, cohort_category text,"
    " cohort_region text, threshold_value double",
}
BODIES = ['{"app_version":"15.0"}', '{"app_version":15.0}', '{"app_version":null}', '{"app_version":[1]}', "{}", '"text"']


def made_up(seed: int) -> Tables:
    """Tables of three videos near the bounds of the rules."""
    pick = random.Random(seed)
    gold = []
    for number in range(pick.choice([1, 30, 150])):
        start = START_US + pick.randrange(75) * MINUTE_US
        counts = dict(zip(("impressions", "play_start", "play_finish", "likes", "shares", "skips"), map(pick.randrange, (25, 12, 8, 4, 2, 5))))
        gold.append(
            {"source_partition": 0, "video_id": pick.choice("abc"), "window_start": start, "window_end": start + MINUTE_US}
            | counts
            | {"watch_time_sum_ms": pick.randrange(9), "revision": number}
        )
    videos = [
        {
            "video_id": name,
            "creator_id": "u",
            "category": pick.choice(["music", "dance", "", None]),
            "region": pick.choice(["DE", "DE", None]),
            "hashtags": ["x"],
            "duration_ms": pick.choice([None, 0, 60_000, 60_001, 150_000, 180_001]),
            "upload_time": pick.choice([None, START_US + pick.randrange(-3_600, 3_600) * 1_000_000 + 123_000]),
            "status": pick.choice(["active", "active", "banned"]),
            "updated_at": START_US,
            "source_ts_ms": 0,
        }
        for name in "abd"
    ]
    events = [
        {
            "event_id": str(number),
            "event_timestamp": START_US + pick.randrange(4 * MINUTE_US),
            "event_type": pick.choice(["impression", "impression", "play_start", "play_finish", "like", "share", "skip"]),
            "payload_json": pick.choice(BODIES),
        }
        for number in range(60)
    ]
    return Tables(gold, events, videos, [], history(pick, "video_id", "status"), [], baselines(pick))


def history(pick: random.Random, key: str, value: str) -> list[Row]:
    rows = []
    for offset in range(30):
        moment_ms = pick.randrange(1_000)
        order = {"source_position": pick.choice([None, *range(9)]), "source_position_minor": None, "source_offset": offset}
        rows.append(
            {key: pick.choice("ab"), value: str(offset), "source_ts_ms": moment_ms, "op": pick.choice("cuurd")}
            | {"valid_from": moment_ms * 1_000}
            | order
        )
    return rows


def baselines(pick: random.Random) -> list[Row]:
    rows = []
    for version in ("rules-2", "rules-0"):
        for day, end in (("2026-02-05", "2026-02-07"), ("2026-02-06", None), ("2026-02-07", "2026-02-08"), ("2026-02-08", None), ("2026-02-09", None)):
            for cohort in ((None, None), ("music", "DE"), ("dance", "DE")):
                for metric, percentile, value in (("velocity_30m", 90, pick.random() / 2), ("impressions_30m", 40, 400 * pick.random())):
                    if pick.random() < 0.8:
                        rows.append(
                            {"rule_version": version, "effective_from": day, "effective_to": end, "metric_name": metric, "percentile": percentile}
                            | {"cohort_category": cohort[0], "cohort_region": cohort[1], "threshold_value": value}
                        )
    return rows


def as_moment(value_us: int | None) -> datetime | None:
    return None if value_us is None else datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=value_us)


def session_of(tables: Tables, changed: dict[str, tuple[str, str]]) -> duckdb.DuckDBPyConnection:
    """A session with the tables and all views; `changed` says of a view which text is replaced by which."""
    session = duckdb.connect()
    session.execute("SET TimeZone = 'UTC'; CREATE SCHEMA gold; CREATE SCHEMA bronze; CREATE SCHEMA dims; CREATE SCHEMA serving; USE serving")
    session.execute(
        "CREATE MACRO json_extract_scalar(json, path) AS CASE WHEN json_type(json, path) NOT IN ('ARRAY', 'OBJECT')"
        " THEN json_extract_string(json, path) END"
    )
    rows_of = {
        "gold.rt_video_stats_1min": tables.gold,
        "bronze.raw_events": tables.events,
        "dims.dim_videos": tables.videos,
        "dims.dim_videos_history": tables.videos_history,
        "dims.rt_rule_quantile_baselines": tables.baselines,
    }
    moments = MOMENTS | {"event_timestamp"}
    for table, columns in COLUMNS.items():
        session.execute(f"CREATE TABLE {table} ({columns})")
        rows = [{name: as_moment(value) if name in moments else value for name, value in row.items()} for row in rows_of.get(table, [])]
        if rows:
            session.register("made_up", pa.Table.from_pylist(rows))
            session.execute(f"INSERT INTO {table} BY NAME SELECT * FROM made_up")
    waiting = {file.stem: file.read_text() for file in (TESTS.parent / "sql" / "serving").glob("*.sql")}
    for view, (old, new) in changed.items():
        assert old in waiting[view], f"{old} is not in {view}"
        waiting[view] = waiting[view].replace(old, new)
    while waiting:
        # Those that read others come later.
        ready = [view for view, text in waiting.items() if not any(f" {other}\n" in text or f" {other} " in text for other in waiting if other != view)]
        assert ready, f"views in a circle: {sorted(waiting)}"
        for view in ready:
            session.execute(f"CREATE VIEW {view} AS {waiting.pop(view)}")
    return session


def rows_by_duckdb(session: duckdb.DuckDBPyConnection, view: str) -> list[Row]:
    types = {row[0]: row[1] for row in session.execute(f"DESCRIBE {view}").fetchall()}
    terms = [
        f'epoch_us("{name}")' if kind.startswith("TIMESTAMP") else f'"{name}"::text' if kind == "DATE" else f'"{name}"'
        for name, kind in types.items()
    ]
    rows = session.execute(f"SELECT {', '.join(terms)} FROM {view}").fetchall()
    return [dict(zip(types, row, strict=True)) for row in rows]


def differences(seed: int, views: Iterable[str] = VIEWS, changed: dict[str, tuple[str, str]] | None = None) -> list[str]:
    tables = made_up(seed)
    session = session_of(tables, changed or {})
    found = []
    for view in views:
        found += compare(view, list(VIEWS[view][1](tables)), rows_by_duckdb(session, view), "DuckDB")
    return found


class ServingViews(unittest.TestCase):
    def test_the_rows_are_those_of_a_plain_count(self):
        for seed in range(12):
            self.assertEqual(differences(seed), [], f"seed {seed}")

    def test_a_view_that_is_wrong_is_noticed(self):
        for view, old, new in (
            ("v_rt_video_stats_1min", "sum(shares)", "max(shares)"),
            ("v_rt_video_metrics_30m_1m", "INTERVAL '29' MINUTE", "INTERVAL '30' MINUTE"),
            ("v_rt_video_metrics_30m_1m", "5 * shares_30m", "4 * shares_30m"),
            ("v_rt_video_decision_context_30m_1m", "max(effective_from) AS", "min(effective_from) AS"),
            ("v_rt_video_decision_context_30m_1m", "days.day < effective_to", "days.day <= effective_to"),
            ("v_rt_video_decision_context_30m_1m", "<= 60000 THEN", "< 60000 THEN"),
            ("v_rt_video_decision_context_30m_1m", "running_plays > max", "running_plays < max"),
            ("viral_velocity_30m", "greatest(impressions_30m, 100)", "greatest(impressions_30m, 10)"),
            ("global_doomscroll_rate", "> 0.45", "> 0.35"),
            ("cold_start_health", "> 0.05", "> 0.5"),
            ("fresh_supply", "< 3600", "< 1800"),
            ("interaction_rate_by_app_version", "likes + shares", "likes"),
            ("v_dim_videos", "category <> ''", "true"),
            ("v_dim_videos_history", "op <> 'd'", "true"),
        ):
            changed = {view: (old, new)}
            self.assertTrue(any(differences(seed, [view], changed) for seed in range(60)), f"{view} with {new!r}")


if __name__ == "__main__":
    unittest.main()
