"""What the daily tables of gold and the baselines must hold, from the silver of cold_silver.py (a table of the DuckDB session).

Written from docs/adr/0027-cold-path.md and the domain, apart from the SQL that it verifies: with what DuckDB has for these
questions, and with loops where they are plainer. Each function makes a table `expected_NAME`.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import groupby

import duckdb
import pyarrow as pa

from cold_silver import DAY_US, DOUBLE, LONG, TEXT, Versions, day_start_us

DAY = pa.date32()
MINUTE_US = 60_000_000
NIGHT_HOURS = (23, 0, 1, 2, 3, 4)
REOPENED_US = 60 * MINUTE_US
STREAK = 5
"""Skips without anything better between them, from which on a session is one of the bad kind."""

COUNTS = """
    count(*) FILTER (event_type = 'impression') AS impressions,
    count(*) FILTER (event_type = 'play_start') AS play_start,
    count(*) FILTER (event_type = 'play_finish') AS play_finish,
    count(*) FILTER (event_type = 'like') AS likes,
    count(*) FILTER (event_type = 'share') AS shares,
    count(*) FILTER (event_type = 'skip') AS skips,
    coalesce(sum(watch_time_ms), 0)::BIGINT AS watch_time_sum_ms"""
COUNTED = ("impressions", "play_start", "play_finish", "likes", "shares", "skips", "watch_time_sum_ms")
RATES = {
    "completion_rate": "play_finish / greatest(play_start, 1)",
    "skip_rate": "skips / greatest(play_start, 1)",
    "velocity": "(likes + 5 * shares) / greatest(impressions, 100)",
}
COUNT_THRESHOLD, RATE_THRESHOLD = 0.08, 0.03


def prepare(session: duckdb.DuckDBPyConnection, videos: Versions) -> None:
    """The tables that all of them read: silver with its day, and the videos' versions."""
    session.execute("CREATE VIEW events AS SELECT *, CAST(event_timestamp AS DATE) AS date FROM silver")
    session.register("video_versions", videos.as_table("video_id", {"category": TEXT, "region": TEXT}))


def video_daily(session: duckdb.DuckDBPyConnection) -> None:
    session.execute(f"""
        CREATE TABLE expected_batch_video_daily AS
        WITH counted AS (
            SELECT date, video_id, {COUNTS}, count(DISTINCT user_id) FILTER (event_type = 'play_start') AS unique_viewers,
                (date + 1)::TIMESTAMP AT TIME ZONE 'UTC' - INTERVAL 1 MICROSECOND AS last_moment
            FROM events GROUP BY ALL),
        viewers AS (SELECT DISTINCT date, video_id, user_id FROM events WHERE event_type = 'play_start'),
        active AS (SELECT DISTINCT date, user_id FROM viewers),
        came_back AS (
            SELECT viewers.date, viewers.video_id, count(active.user_id) / count(*) AS share
            FROM viewers LEFT JOIN active ON active.user_id = viewers.user_id AND active.date = viewers.date + 1
            GROUP BY ALL)
        SELECT date, counted.video_id, version.category AS category_at_date, impressions, play_start, play_finish, likes, shares,
            skips, watch_time_sum_ms / 3600000 AS total_watch_time_hrs, play_finish / greatest(play_start, 1) AS completion_rate,
            unique_viewers, CASE WHEN date + 1 IN (SELECT date FROM events) THEN came_back.share END AS retention_d1
        FROM counted
        LEFT JOIN came_back USING (date, video_id)
        ASOF LEFT JOIN video_versions AS version ON version.video_id = counted.video_id AND version.started_at <= last_moment""")


def quality_daily(session: duckdb.DuckDBPyConnection) -> None:
    session.execute(f"""
        CREATE TABLE expected_batch_quality_daily AS
        WITH binned AS (
            SELECT *, CASE WHEN video_duration_ms IS NULL THEN 'unknown' ELSE ['0-15s', '15-30s', '30-60s', '1-3m', '3m+'][
                1 + len(list_filter([15000, 30000, 60000, 180000], lambda bound: bound <= video_duration_ms))] END AS duration_bin
            FROM events),
        counted AS (SELECT date, category, duration_bin, count(DISTINCT video_id) AS videos, {COUNTS} FROM binned GROUP BY ALL)
        SELECT date, category, duration_bin, videos, impressions, play_start, play_finish, skips, watch_time_sum_ms AS watch_time_ms,
            {RATES["completion_rate"]} AS completion_rate, {RATES["skip_rate"]} AS skip_rate
        FROM counted""")


@dataclass
class Session:
    """What of a session lies in one day."""

    user: str
    segment: str
    started_us: int
    first_us: int
    last_us: int
    events: int = 0
    plays: int = 0
    skips: int = 0
    longest_streak: int = 0
    is_reopened: bool = False

    @property
    def length_ms(self) -> int:
        return (self.last_us - self.started_us) // 1_000

    @property
    def is_of_the_night(self) -> bool:
        return datetime.fromtimestamp(self.started_us // 1_000_000, timezone.utc).hour in NIGHT_HOURS


def sessions_of_days(session: duckdb.DuckDBPyConnection) -> Iterator[tuple[date, list[Session]]]:
    rows = session.execute("""
        SELECT date, user_id, session_id, epoch_us(session_started_at), epoch_us(event_timestamp), event_type, user_segment
        FROM events ORDER BY date, user_id, event_timestamp, event_id""").fetchall()
    for day, of_day in groupby(rows, lambda row: row[0]):
        found: list[Session] = []
        for (user, _), of_session in groupby(of_day, lambda row: row[1:3]):
            one = None
            streak = 0
            for *_, started_us, moment, kind, segment in of_session:
                one = one or Session(user, "", started_us, moment, moment)
                one.last_us, one.segment = moment, "unknown" if segment is None else segment
                one.events += 1
                one.plays += kind == "play_start"
                one.skips += kind == "skip"
                streak = streak + 1 if kind == "skip" else 0 if kind in ("play_finish", "like", "share") else streak
                one.longest_streak = max(one.longest_streak, streak)
            before = found[-1] if found and found[-1].user == user else None
            one.is_reopened = before is not None and one.started_us - before.last_us < REOPENED_US
            found.append(one)
        yield day, found


def nearest_rank(values: list[int], percent: int) -> int:
    """The smallest value that at least so many percent of the values don't exceed."""
    place = -(-percent * len(values) // 100)
    return sorted(values)[place - 1]


def health_of(day: date, segment: str | None, found: list[Session]) -> dict:
    count = len(found)
    plays, skips, lengths = sum(one.plays for one in found), sum(one.skips for one in found), [one.length_ms for one in found]
    return {
        "date": day,
        "user_segment": segment,
        "sessions": count,
        "users": len({one.user for one in found}),
        "events": sum(one.events for one in found),
        "plays": plays,
        "skips": skips,
        "avg_session_ms": sum(lengths) / count,
        "p50_session_ms": nearest_rank(lengths, 50),
        "p95_session_ms": nearest_rank(lengths, 95),
        "swipe_rate": skips / max(plays, 1),
        "skip_streak_share": sum(one.longest_streak >= STREAK for one in found) / count,
        "longest_skip_streak": max(one.longest_streak for one in found),
        "night_share": sum(one.is_of_the_night for one in found) / count,
        "reopen_share": sum(one.is_reopened for one in found) / count,
    }


def session_health(session: duckdb.DuckDBPyConnection) -> None:
    rows = []
    for day, found in sessions_of_days(session):
        rows.append(health_of(day, None, found))
        for segment in sorted({one.segment for one in found}):
            rows.append(health_of(day, segment, [one for one in found if one.segment == segment]))
    whole = dict.fromkeys(("sessions", "users", "events", "plays", "skips", "p50_session_ms", "p95_session_ms", "longest_skip_streak"), LONG)
    kinds = {"date": DAY, "user_segment": TEXT} | whole
    store(session, "session_health_daily", rows, health_of(date(2000, 1, 1), None, [Session("", "", 0, 0, 0)]).keys(), kinds)


def store(session: duckdb.DuckDBPyConnection, name: str, rows: list[dict], columns: object, kinds: dict[str, pa.DataType]) -> None:
    """Makes a table of rows; columns without a kind of their own are doubles."""
    table = pa.table({column: pa.array([row[column] for row in rows], kinds.get(column, DOUBLE)) for column in columns})
    session.register("made", table)
    session.execute(f"CREATE TABLE expected_{name} AS SELECT * FROM made")
    session.unregister("made")


def monday_of(moment_us: int) -> date:
    day = date(1970, 1, 1) + timedelta(days=moment_us // DAY_US)
    return day - timedelta(days=day.weekday())


def creator_retention(session: duckdb.DuckDBPyConnection, videos: Versions, days: list[date]) -> None:
    rows = []
    for day in days:
        end_us = day_start_us(day) + DAY_US
        weeks: dict[str, set[date]] = defaultdict(set)
        for video in videos.starts:
            version = videos.at(video, end_us - 1)
            if version and version["creator_id"] and version["upload_time"] is not None and version["upload_time"] < end_us:
                weeks[version["creator_id"]].add(monday_of(version["upload_time"]))
        cohorts: dict[date, list[set[date]]] = defaultdict(list)
        for active in weeks.values():
            cohorts[min(active)].append(active)
        for cohort, creators in cohorts.items():
            for number in range((monday_of(end_us - 1) - cohort).days // 7 + 1):
                active = sum(cohort + timedelta(weeks=number) in weeks_of_one for weeks_of_one in creators)
                rows.append((day, cohort, number, len(creators), active, active / len(creators)))
    kinds = {"date": DAY, "cohort_week": DAY, "week_number": pa.int32(), "creators": LONG, "active_creators": LONG}
    columns = (*kinds, "retention")
    store(session, "creator_retention_weekly", [dict(zip(columns, row)) for row in rows], columns, kinds)


def reconciliation(session: duckdb.DuckDBPyConnection) -> None:
    """`gold` is gold.rt_video_stats_1min."""
    session.execute(f"""
        CREATE TABLE minutes_of_batch AS
        SELECT date, date_trunc('minute', event_timestamp) AS minute, {COUNTS} FROM events GROUP BY ALL;
        CREATE TABLE minutes_of_gold AS
        SELECT CAST(window_start AS DATE) AS date, window_start AS minute, {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTED)}
        FROM rt_video_stats_1min WHERE CAST(window_start AS DATE) IN (SELECT date FROM events) GROUP BY ALL""")
    parts = []
    for name in (*COUNTED, *RATES):
        kind, threshold = ("count", COUNT_THRESHOLD) if name in COUNTED else ("rate", RATE_THRESHOLD)
        value = RATES.get(name, name)
        apart = "abs(rt - batch) / greatest(batch, 100)" if kind == "count" else "abs(rt - batch)"
        sums = ", ".join(f"coalesce(sum({one}), 0) AS {one}" for one in COUNTED)
        totals = {
            side: f"(SELECT {value} FROM (SELECT {sums} FROM minutes_of_{side} AS minutes WHERE minutes.date = found.date))"
            for side in ("gold", "batch")
        }
        parts.append(f"""
            SELECT date, '{name}' AS metric_name, '{kind}' AS kind, count(*) AS minutes, quantile_cont(apart, 0.95) AS p95_difference,
                max(apart) AS max_difference, {threshold}::DOUBLE AS threshold,
                {totals["gold"]}::DOUBLE AS rt_total, {totals["batch"]}::DOUBLE AS batch_total
            FROM (SELECT date, ({apart})::DOUBLE AS apart FROM (
                SELECT date, coalesce(g.value, 0) AS rt, coalesce(b.value, 0) AS batch
                FROM (SELECT date, minute, ({value})::DOUBLE AS value FROM minutes_of_gold) AS g
                FULL JOIN (SELECT date, minute, ({value})::DOUBLE AS value FROM minutes_of_batch) AS b USING (date, minute))) AS found
            GROUP BY date""")
    session.execute(f"""
        CREATE TABLE expected_rt_batch_reconciliation AS
        SELECT date, metric_name, kind, minutes, p95_difference, max_difference, threshold,
            CASE WHEN p95_difference <= threshold THEN 'PASS' WHEN p95_difference <= 2 * threshold THEN 'WARN' ELSE 'CRIT' END AS status,
            rt_total, batch_total
        FROM ({" UNION ALL ".join(parts)})""")


def baselines(session: duckdb.DuckDBPyConnection, rule_version: str) -> None:
    """After the reconciliation, which holds some back."""
    session.execute(f"""
        CREATE TABLE minutes_of_videos AS
        SELECT video_id, date, date_trunc('minute', event_timestamp) AS minute, {COUNTS} FROM events GROUP BY ALL;
        CREATE TABLE rolling AS
        WITH sums AS (
            SELECT one.date, one.video_id, one.minute, sum(past.impressions) AS impressions_30m,
                (sum(past.likes) + 5 * sum(past.shares)) / greatest(sum(past.impressions), 100) AS velocity_30m
            FROM minutes_of_videos AS one
            JOIN minutes_of_videos AS past ON past.video_id = one.video_id AND past.minute BETWEEN one.minute - INTERVAL 29 MINUTES AND one.minute
            GROUP BY one.date, one.video_id, one.minute HAVING sum(past.impressions) >= 100)
        SELECT sums.date, version.category, version.region, impressions_30m, velocity_30m
        FROM sums ASOF LEFT JOIN video_versions AS version
            ON version.video_id = sums.video_id AND version.started_at <= sums.minute + INTERVAL 59999999 MICROSECONDS;
        CREATE TABLE expected_rt_rule_quantile_baselines AS
        WITH large AS (
            SELECT date FROM rolling GROUP BY date HAVING count(*) >= 1000
            EXCEPT SELECT date FROM expected_rt_batch_reconciliation WHERE status = 'CRIT'),
        samples AS (
            SELECT date, NULL AS category, NULL AS region, impressions_30m, velocity_30m FROM rolling
            UNION ALL SELECT date, category, region, impressions_30m, velocity_30m FROM rolling
                WHERE category IS NOT NULL AND region IS NOT NULL),
        found AS (
            SELECT date, category, region, count(*) AS sample_size, quantile_cont(velocity_30m, 0.9) AS velocity,
                quantile_cont(impressions_30m::DOUBLE, 0.4) AS impressions
            FROM samples WHERE date IN (SELECT date FROM large) GROUP BY ALL HAVING category IS NULL OR count(*) >= 200)
        SELECT '{rule_version}' AS rule_version, date + 1 AS effective_from, NULL::DATE AS effective_to, metric.name AS metric_name,
            metric.percentile::INTEGER AS percentile, category AS cohort_category, region AS cohort_region,
            CASE metric.name WHEN 'velocity_30m' THEN velocity ELSE impressions END AS threshold_value, sample_size, false AS is_fallback
        FROM found, (VALUES ('velocity_30m', 90), ('impressions_30m', 40)) AS metric(name, percentile)""")
