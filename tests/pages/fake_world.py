"""Canned numbers for working on the pages: a catalogue of videos, one of which goes viral. Nothing of this is a test's truth."""

import math
import random
from datetime import datetime, timedelta, timezone

CATEGORIES = ["comedy", "music", "dance", "food", "travel", "sports", "gaming", "beauty", "education", "pets", "news", "diy"]
REGIONS = ["US", "BR", "IN", "ID", "DE", "JP", "MX", "NG"]
TABLES = ["bronze.raw_events", "bronze.invalid_events_content", "gold.rt_video_stats_1min", "dims.dim_videos", "dims.dim_users"]
VELOCITY_P90, COMPLETION = 0.18, 0.55
REASONS = {
    "BOOST": ["HIGH_VELOCITY_P90", "GATE_PASS"],
    "REVIEW": ["HIGH_VELOCITY_P90", "LOW_COMPLETION", "HIGH_SKIP"],
    "RESCUE": ["NEW_UPLOAD_LT_60M", "UNDER_EXPOSED_P40", "GATE_PASS"],
}


def text(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class World:
    """`scene`: calm, alert (doomscroll too high), early (the board is not covered), empty (nothing yet)."""

    def __init__(self, scene):
        self.scene = scene
        self.random = random.Random(7)
        self.started = datetime.now(timezone.utc)
        self.videos = [] if scene == "empty" else [self.video(number) for number in range(48)]
        self.actions = {} if scene in ("empty", "early") else dict(map(self.action, self.candidates()))

    def video(self, number):
        chance = self.random
        is_fast = chance.random() < 0.22
        completion = min(0.95, max(0.05, chance.gauss(0.52, 0.16)))
        velocity = chance.uniform(0.18, 0.32) if is_fast else abs(chance.gauss(0.08, 0.05))
        if number == 0:
            completion, velocity = 0.71, 0.47
        return {
            "video_id": f"v_{chance.randrange(1, 20_000)}",
            "category": CATEGORIES[number % 12] if number % 17 else None,
            "region": REGIONS[number * 5 % 8],
            "status": "banned" if number == 9 else "active",
            "age_s": chance.uniform(300, 400_000) if number else 1_500,
            "impressions": int(chance.paretovariate(0.9) * 180) if number else 21_400,
            "completion": completion,
            "velocity": velocity,
            "skip": max(0.02, 0.85 - completion - chance.uniform(0, 0.2)),
            "surprise": chance.gauss(0, 2) if number else 18.4,
        }

    def candidates(self):
        fast = [video for video in self.videos if video["velocity"] >= VELOCITY_P90]
        return fast[:7] + self.videos[30:32]

    def action(self, video):
        is_fast = video["velocity"] >= VELOCITY_P90
        kind = ("BOOST" if video["completion"] >= COMPLETION else "REVIEW") if is_fast else "RESCUE"
        decided = self.started - timedelta(minutes=self.random.randrange(1, 9))
        action_id = f"00000000-0000-4000-8000-{self.random.randrange(10**12):012}"
        return action_id, {
            "action_id": action_id,
            "video_id": video["video_id"],
            "decision_type": kind,
            "priority": 1,
            "state": "PENDING",
            "decided_at": text(decided),
            "window_start": text(decided),
            "window_end": text(decided + timedelta(minutes=1)),
            "expires_at": text(decided + timedelta(minutes=15 if kind == "BOOST" else 30)),
            "rule_version": "2026-02-01",
            "velocity_30m": video["velocity"],
            "completion_rate_30m": video["completion"],
            "skip_rate_30m": video["skip"],
            "impressions_30m": video["impressions"],
            "reason_codes": REASONS[kind],
            "created_at": text(decided),
            "updated_at": text(decided),
            "state_updated_at": text(decided),
        }

    def now(self):
        return datetime.now(timezone.utc)

    def age_s(self):
        return (self.now() - self.started).total_seconds()

    def shown(self, video):
        wave = 1 + 0.04 * math.sin(self.age_s() / 5 + video["age_s"])
        velocity, completion = video["velocity"] * wave, video["completion"]
        fast, finished = velocity >= VELOCITY_P90, completion >= COMPLETION
        quadrant = ("supernova" if finished else "clickbait") if fast else ("steady" if finished else "quiet")
        impressions = int(video["impressions"] * (1 + self.age_s() / 600))
        started = int(impressions * 0.85)
        of_video = [action for action in self.actions.values() if action["video_id"] == video["video_id"]]
        keys = ("action_id", "decision_type", "state", "expires_at")
        return {
            **{key: video[key] for key in ("video_id", "category", "region", "status", "age_s")},
            "upload_time": text(self.now() - timedelta(seconds=video["age_s"])),
            "velocity_30m": velocity,
            "completion_rate_30m": completion,
            "skip_rate_30m": video["skip"],
            "impressions_30m": impressions,
            "play_start_30m": started,
            "play_finish_30m": int(started * completion),
            "likes_30m": int(impressions * velocity * 0.6),
            "shares_30m": int(impressions * velocity * 0.08),
            "skips_30m": int(started * video["skip"]),
            "surprise_z": video["surprise"],
            "velocity_shrunk": velocity * 0.9,
            "quadrant": quadrant,
            "action": {key: of_video[0][key] for key in keys} if of_video else None,
        }

    def trending(self, query):
        fields = {"surprise": "surprise_z", "shrunken": "velocity_shrunk", "impressions": "impressions_30m"}
        by = fields.get(query.get("order", ""), "velocity_30m")
        kept = [video for video in map(self.shown, self.videos) if all(query.get(key) in (None, "", video[key]) for key in ("category", "region"))]
        kept.sort(key=lambda video: -video[by])
        for rank, video in enumerate(kept, 1):
            video["rank"] = rank
        covered = {"early": 12, "empty": 0}.get(self.scene, 30)
        minute = None if self.scene == "empty" else text(self.now().replace(second=0, microsecond=0))
        return {
            "as_of": text(self.now()),
            "minute": minute,
            "coverage": {"complete": covered == 30, "covered_minutes": covered, "partitions": []},
            "videos": kept[: int(query.get("limit", 50))],
        }

    def pulse(self):
        base = self.now().replace(second=0, microsecond=0)
        level = 0.455 if self.scene == "alert" else 0.365
        minutes = []
        for ago in range(29 if self.scene != "early" else 11, -1, -1):
            rate = level + 0.03 * math.sin(ago / 3.1) + 0.012 * math.sin(ago * 1.7)
            minutes.append({"minute": text(base - timedelta(minutes=ago)), "rate": rate, "skips": int(60_000 * rate), "impressions": 60_000})
        rate = minutes[-1]["rate"]
        state = "alert" if rate > 0.45 else "warn" if rate > 0.4 else "ok"
        if self.scene == "empty":
            minutes, rate, state = [], None, "ok"
        videos = 0 if self.scene == "empty" else 212
        return {
            "as_of": text(self.now()),
            "doomscroll": {"rate": rate, "state": state, "minutes": minutes},
            "cold_start": {"videos": videos, "share": 0.17, "state": "amber", "target": 0.2, "red": 0.1},
            "fresh_supply": {"active": videos * 11, "fresh": videos, "ratio": 0.091},
            "thresholds": {"velocity_p90": VELOCITY_P90, "completion": COMPLETION},
        }

    def decisions(self):
        actions = sorted(self.actions.values(), key=lambda action: action["decided_at"], reverse=True)
        minute = None if self.scene in ("empty", "early") else text(self.now().replace(second=0, microsecond=0))
        return {"as_of": text(self.now()), "freshness": "fresh", "rule_version": "2026-02-01", "rules_error": None, "last_decided_minute": minute, "actions": actions}

    def detail(self, video_id):
        found = next((video for video in self.videos if video["video_id"] == video_id), None)
        if found is None:
            return None
        base, shown = self.now().replace(second=0, microsecond=0), self.shown(found)
        minutes = []
        for ago in range(29, -1, -1):
            impressions = int(shown["impressions_30m"] / 30 * (1.9 - ago / 17 if found is self.videos[0] else 1 + 0.3 * math.sin(ago)))
            impressions = max(0, impressions)
            minutes.append({
                "minute": text(base - timedelta(minutes=ago)),
                "impressions": impressions,
                "play_start": int(impressions * 0.85),
                "play_finish": int(impressions * 0.85 * found["completion"]),
                "likes": int(impressions * found["velocity"] * 0.6),
                "shares": int(impressions * found["velocity"] * 0.08),
                "skips": int(impressions * 0.85 * found["skip"]),
            })
        return {**shown, "rank": 1, "source": "board", "minutes": minutes}
