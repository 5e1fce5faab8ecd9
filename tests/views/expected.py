"""What each serving view must give, counted once more in the plainest way: dictionaries and loops over the raw tables' rows.

Nothing here was made from the views' SQL; the formulas are those of the domain. Moments are microseconds since the epoch.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache

MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
KINDS = ("impressions", "play_start", "play_finish", "likes", "shares", "skips", "watch_time_sum_ms")

Row = dict[str, object]

RULE_VERSION = "rules-2"
SEED = (0.2, 200.0, "seed", None)
"""Velocity, impressions, origin and day of the thresholds where nothing was published."""


@dataclass
class Tables:
    """Rows of the raw tables, by column."""

    gold: list[Row]
    events: list[Row]
    videos: list[Row]
    users: list[Row]
    videos_history: list[Row]
    users_history: list[Row]
    baselines: list[Row]
    minutes: dict[str, dict[int, Counter[str]]] = field(default_factory=dict)
    """Video -> start of the minute -> counts, revisions added up."""

    def __post_init__(self) -> None:
        counted: dict[str, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for row in self.gold:
            counts = counted[row["video_id"]][row["window_start"]]
            for kind in KINDS:
                counts[kind] += row[kind]
        self.minutes = {video: dict(minutes) for video, minutes in counted.items()}

    @property
    def present(self) -> int | None:
        """The newest minute in gold."""
        return max((row["window_start"] for row in self.gold), default=None)

    def facts(self) -> dict[str, Row]:
        return {row["video_id"]: row for row in self.videos}


def last_minutes(minutes: dict[int, Counter[str]], minute: int, length: int) -> Counter[str]:
    """The sum over the minute and those before, `length` in all."""
    total: Counter[str] = Counter()
    for back in range(length):
        total.update(minutes.get(minute - back * MINUTE_US, {}))
    return total


def rates(counts: Counter[str]) -> Row:
    plays = max(counts["play_start"], 1)
    return {
        "velocity_30m": (counts["likes"] + 5 * counts["shares"]) / max(counts["impressions"], 100),
        "completion_rate_30m": counts["play_finish"] / plays,
        "skip_rate_30m": counts["skips"] / plays,
    }


def sums(counts: Counter[str]) -> Row:
    return {f"{kind}_30m": counts[kind] for kind in KINDS[:-1]}


def is_filled(value: object) -> bool:
    return value is not None and value != ""


def is_eligible(video: Row | None) -> bool:
    if video is None or video["status"] != "active" or video["upload_time"] is None:
        return False
    return is_filled(video["category"]) and is_filled(video["region"])


def age_s(video: Row | None, moment: int) -> float | None:
    """To the millisecond, as the views have it."""
    if video is None or video["upload_time"] is None:
        return None
    return (moment // 1_000 - video["upload_time"] // 1_000) / 1_000


def dimension_columns(video: Row | None, *names: str) -> Row:
    return {name: None if video is None else video[name] for name in names}


def minute_stats(tables: Tables) -> Iterable[Row]:
    for video, minutes in tables.minutes.items():
        for minute, counts in minutes.items():
            yield {
                "video_id": video,
                "window_start": minute,
                "window_end": minute + MINUTE_US,
                **{kind: counts[kind] for kind in KINDS},
            }


def metrics(tables: Tables) -> Iterable[Row]:
    for video, minutes in tables.minutes.items():
        for minute in minutes:
            counts = last_minutes(minutes, minute, 30)
            yield {
                "video_id": video,
                "metric_minute": minute,
                "window_end": minute + MINUTE_US,
                **sums(counts),
                **rates(counts),
                **{f"play_start_{n}m": last_minutes(minutes, minute, n)["play_start"] for n in (2, 3, 4, 5)},
            }


def day_of(moment: int) -> str:
    return datetime.fromtimestamp(moment // 1_000_000, timezone.utc).date().isoformat()


def thresholds(tables: Tables) -> Callable[[Row | None, int], tuple[float, float, str, str | None]]:
    """A function of a video and a moment: velocity, impressions, origin and day of what is in force."""
    wanted = {("velocity_30m", 90): "velocity", ("impressions_30m", 40): "impressions"}
    ours = [row for row in tables.baselines if row["rule_version"] == RULE_VERSION]

    @cache
    def on(day: str) -> tuple[str | None, dict[tuple[str | None, str | None], dict[str, float]]]:
        """The newest complete baseline on a day: since when, and its thresholds by cohort."""
        found: dict[str, dict[tuple[str | None, str | None], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for row in ours:
            name = wanted.get((row["metric_name"], row["percentile"]))
            is_valid = row["effective_from"] <= day and (row["effective_to"] is None or day < row["effective_to"])
            if name and is_valid:
                found[row["effective_from"]][row["cohort_category"], row["cohort_region"]][name] = row["threshold_value"]
        since = max((since for since, cohorts in found.items() if len(cohorts[None, None]) == 2), default=None)
        return since, found[since] if since else {}

    def of(video: Row | None, moment: int) -> tuple[float, float, str, str | None]:
        since, cohorts = on(day_of(moment))
        if since is None:
            return SEED
        own = None
        if video is not None and video["category"] is not None and video["region"] is not None:
            own = cohorts.get((video["category"], video["region"]))
        if own and len(own) == 2:
            return own["velocity"], own["impressions"], "cohort", since
        found = cohorts[None, None]
        return found["velocity"], found["impressions"], "global", since

    return of


def running_plays(row: Row, video: Row | None) -> int:
    duration_ms = None if video is None else video["duration_ms"]
    minutes = 5 if duration_ms is None or duration_ms <= 0 else min(5, -(-duration_ms // 60_000) + 1)
    unended = row["play_start_30m"] - row["play_finish_30m"] - row["skips_30m"]
    return min(max(unended, 0), row[f"play_start_{minutes}m"])


def decision(row: Row, eligible: bool, gate: bool, candidate: bool, waits: bool, new: bool, unseen: bool) -> str:
    if not eligible:
        return "NO_ACTION"
    if candidate:
        return "BOOST" if gate else "NO_ACTION" if waits else "REVIEW"
    return "RESCUE" if gate and new and unseen else "NO_ACTION"


def context(tables: Tables) -> Iterable[Row]:
    facts, in_force = tables.facts(), thresholds(tables)
    for row in metrics(tables):
        video, moment = facts.get(row["video_id"]), row["window_end"]
        velocity_p90, impressions_p40, origin, day = in_force(video, moment)
        completes, stays = row["completion_rate_30m"] >= 0.55, row["skip_rate_30m"] <= 0.35
        played = row["play_start_30m"] >= 30
        gate = completes and stays and played
        candidate = row["velocity_30m"] >= velocity_p90 and row["impressions_30m"] >= 100
        unseen = row["impressions_30m"] <= impressions_p40
        age = age_s(video, moment)
        new = age is not None and age <= 3_600
        eligible, running = is_eligible(video), running_plays(row, video)
        immature = not completes and stays and played and running > 0.2 * row["play_start_30m"]
        waits = eligible and candidate and immature
        for minutes in (2, 3, 4, 5):
            del row[f"play_start_{minutes}m"]
        yield {
            **row,
            **dimension_columns(video, "category", "region", "status", "duration_ms", "upload_time"),
            "upload_age_s": age,
            "is_eligible": eligible,
            "velocity_p90": velocity_p90,
            "impressions_p40": impressions_p40,
            "threshold_origin": origin,
            "effective_from": day,
            "rule_version": RULE_VERSION,
            "passes_gate": gate,
            "is_candidate": candidate,
            "is_under_exposed": unseen,
            "is_new": new,
            "running_plays": running,
            "waits_for_plays": waits,
            "decision_type": decision(row, eligible, gate, candidate, waits, new, unseen),
        }


def present_velocity(tables: Tables) -> Iterable[Row]:
    now, facts = tables.present, tables.facts()
    for video, minutes in tables.minutes.items():
        if not any(now - 30 * MINUTE_US < minute <= now for minute in minutes):
            continue
        counts, known = last_minutes(minutes, now, 30), facts.get(video)
        yield {
            "video_id": video,
            "metric_minute": now,
            "window_end": now + MINUTE_US,
            **sums(counts),
            **rates(counts),
            **dimension_columns(known, "category", "region", "status", "upload_time"),
            "upload_age_s": age_s(known, now + MINUTE_US),
        }


def trending(tables: Tables) -> Iterable[Row]:
    best = sorted(present_velocity(tables), key=lambda row: (-row["velocity_30m"], row["video_id"]))
    for number, row in enumerate(best[:50], start=1):
        yield {"rank": number, **row}


def doomscroll(tables: Tables) -> Iterable[Row]:
    by_minute: dict[int, Counter[str]] = defaultdict(Counter)
    for minutes in tables.minutes.values():
        for minute, counts in minutes.items():
            by_minute[minute].update(counts)
    for minute, counts in by_minute.items():
        rate = counts["skips"] / counts["impressions"] if counts["impressions"] else None
        state = None if rate is None else "alert" if rate > 0.45 else "warn" if rate > 0.40 else "ok"
        yield {
            "metric_minute": minute,
            "impressions": counts["impressions"],
            "skips": counts["skips"],
            "doomscroll_rate": rate,
            "state": state,
        }


def is_young(video: Row, moment: int) -> bool:
    age = age_s(video, moment)
    return video["status"] == "active" and age is not None and age < 3_600


def cold_start(tables: Tables) -> Iterable[Row]:
    moment = tables.present + MINUTE_US
    seen = {row["video_id"]: row["velocity_30m"] for row in present_velocity(tables)}
    young = [row["video_id"] for row in tables.videos if is_young(row, moment)]
    watched = [video for video in young if video in seen]
    rising = sum(seen[video] > 0.05 for video in watched)
    share = rising / len(watched) if watched else None
    yield {
        "window_end": moment,
        "videos": len(watched),
        "rising": rising,
        "rising_share": share,
        "state": None if share is None else "green" if share > 0.2 else "red" if share < 0.1 else "amber",
        "unseen": len(young) - len(watched),
    }


def supply(tables: Tables) -> Iterable[Row]:
    moment = tables.present + MINUTE_US
    active = [row for row in present_velocity(tables) if row["status"] == "active"]
    fresh = sum(row["upload_age_s"] is not None and row["upload_age_s"] < 3_600 for row in active)
    yield {
        "window_end": moment,
        "active": len(active),
        "fresh": fresh,
        "fresh_ratio": fresh / len(active) if active else None,
    }


def first_of_each_key(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def app_version(body: str) -> str | None:
    """As it is written, if it is a text, a number or a truth value."""
    value = json.loads(body, parse_float=str, parse_int=str, object_pairs_hook=first_of_each_key)
    version = value.get("app_version") if isinstance(value, dict) else None
    if isinstance(version, bool):
        return json.dumps(version)
    return version if isinstance(version, str) else None


def interaction(tables: Tables) -> Iterable[Row]:
    counted: dict[tuple[int, str | None], Counter[str]] = defaultdict(Counter)
    for event in tables.events:
        minute = event["event_timestamp"] - event["event_timestamp"] % MINUTE_US
        counted[minute, app_version(event["payload_json"])][event["event_type"]] += 1
    for (minute, version), counts in counted.items():
        acts = counts["like"] + counts["share"]
        yield {
            "metric_minute": minute,
            "app_version": version,
            "impressions": counts["impression"],
            "play_start": counts["play_start"],
            "likes": counts["like"],
            "shares": counts["share"],
            "interaction_rate": acts / counts["impression"] if counts["impression"] else None,
        }


def videos_now(tables: Tables) -> Iterable[Row]:
    names = "video_id creator_id category region hashtags duration_ms upload_time status updated_at source_ts_ms".split()
    for video in tables.videos:
        yield {**{name: video[name] for name in names}, "is_eligible": is_eligible(video)}


def users_now(tables: Tables) -> Iterable[Row]:
    names = "user_id register_country device_os is_creator ltv_segment join_at updated_at source_ts_ms".split()
    for user in tables.users:
        yield {name: user[name] for name in names}


def validities(rows: list[Row], key: str) -> Iterable[Row]:
    """Each version with its number, and from when to when it was valid."""

    def order(row: Row) -> tuple:
        places = [-(2**63) if row[name] is None else row[name] for name in ("source_position", "source_position_minor")]
        return (*places, row["source_ts_ms"], row["source_offset"])

    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row[key]].append(row)
    for versions in by_key.values():
        versions.sort(key=order)
        starts: list[int] = []
        for row in versions:
            starts.append(max([row["valid_from"], *starts[-1:]]))
        for number, row in enumerate(versions):
            until = starts[number + 1] if number + 1 < len(versions) else None
            gone = row["op"] == "d"
            yield {
                **row,
                "started_at": starts[number],
                "version": number + 1,
                "valid_to": until,
                "is_current": until is None and not gone,
                "is_deleted": gone,
            }


VIEWS: dict[str, tuple[tuple[str, ...], Callable[[Tables], Iterable[Row]]]] = {
    "v_rt_video_stats_1min": (("video_id", "window_start"), minute_stats),
    "v_rt_video_metrics_30m_1m": (("video_id", "metric_minute"), metrics),
    "v_rt_video_decision_context_30m_1m": (("video_id", "metric_minute"), context),
    "viral_velocity_30m": (("video_id",), present_velocity),
    "trending_videos": (("rank",), trending),
    "global_doomscroll_rate": (("metric_minute",), doomscroll),
    "cold_start_health": ((), cold_start),
    "fresh_supply": ((), supply),
    "interaction_rate_by_app_version": (("metric_minute", "app_version"), interaction),
    "v_dim_videos": (("video_id",), videos_now),
    "v_dim_users": (("user_id",), users_now),
    "v_dim_videos_history": (("video_id", "version"), lambda tables: validities(tables.videos_history, "video_id")),
    "v_dim_users_history": (("user_id", "version"), lambda tables: validities(tables.users_history, "user_id")),
}
"""View -> the columns that tell its rows apart, and the rows."""
