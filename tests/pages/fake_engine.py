"""Canned numbers of the engine's inside and of the tables, for working on the Engine Room and the Diagnosis."""

import math
import random
from datetime import timedelta

from fake_world import CATEGORIES, TABLES, text

ACTORS = ["PartitionConsumer", "VelocityAggregator", "IcebergWriter", "GoldWriter", "Committer"]
CODES = {"MISSING_FIELD": 412, "INVALID_JSON": 230, "UNKNOWN_EVENT_TYPE": 96, "FUTURE_TIMESTAMP": 41, "NOT_UTF8": 12}


def health(world):
    now = world.now()
    partitions = [{"partition": number, "lag_records": (number * 7) % 5 * 40, "watermark": text(now - timedelta(seconds=11)), "paused": number == 7} for number in range(12)]
    tables = [{"table": name, "last_commit": text(now - timedelta(seconds=3 + place)), "commits": 400 - place * 60, "files": 40 + place, "average_file_bytes": 1_400_000, "rows": 3_000_000 // (place + 1)} for place, name in enumerate(TABLES)]
    return {
        "as_of": text(now),
        "ok": True,
        "state": "running",
        "reason": None,
        "freshness": {"gold_p95_s": 14.2, "target_s": 180, "state": "fresh"},
        "partitions": partitions,
        "tables": tables,
        "streams": [{"name": "events", "phase": "running"}, {"name": "videos", "phase": "running"}, {"name": "users", "phase": "running"}],
        "restarts": 1,
    }


def engine(world):
    now = world.now()
    times = [now - timedelta(seconds=10 * ago) for ago in range(360, -1, -1)]
    wave = [{"at": text(at), "records_per_s": 5_000 + 300 * math.sin(place / 20) + 120 * math.sin(place * 1.3)} for place, at in enumerate(times)]
    fresh = [{"at": text(at), "gold_p95_s": 14 + 4 * math.sin(place / 30) + (40 if 200 < place < 215 else 0)} for place, at in enumerate(times)]
    actors = [{"actor": actor, "index": str(index), "mailbox_depth": (index * 3) % 4, "mailbox_capacity": 8, "backpressure_s": 2.5 * place + world.age_s() * 0.02 * place, "busy_s": 100 + place * 30} for place, actor in enumerate(ACTORS) for index in range(2)]
    tables = []
    for place, name in enumerate(TABLES):
        history = []
        for step, at in enumerate(times):
            files = 12 + (step % 120) * (3 - place / 2) / 2
            history.append({"at": text(at), "files": round(files), "average_file_bytes": 24e6 / files * (1 + step / 500)})
        tables.append({"table": name, **{key: history[-1][key] for key in ("files", "average_file_bytes")}, "rows": 3_000_000 // (place + 1), "history": history})
    return {
        "as_of": text(now),
        "uptime_s": 4_210 + world.age_s(),
        "freshness": {"gold_p50_s": 9.1, "gold_p95_s": 14.2, "board_p95_s": 0.21, "target_s": 180, "state": "fresh", "history": fresh},
        "rate": {"records_per_s": wave[-1]["records_per_s"], "bytes_per_s": 1_240_000, "history": wave},
        "actors": actors,
        "commits": [{"table": name, "commits": 400 - place * 60, "conflicts": place % 2, "p50_s": 0.021 + place / 100, "p95_s": 0.084 + place / 50} for place, name in enumerate(TABLES)],
        "restarts": {"total": 1, "remaining": 9, "last": [{"shard": "1", "reason": "commit answered 503", "at": text(now - timedelta(minutes=31))}]},
        "compaction": [{"table": name, "runs": 3, "rewritten_bytes": 81_000_000} for name in TABLES[:3]],
        "tables": tables,
        "quarantine": [{"code": code, "records": records} for code, records in CODES.items()],
    }


def quarantine(world):
    values = ['{"event_id":"5b1d…","video_id":"v_77","event_type":"lik', '{"event_id":"9c","event_timestamp":"2026-02-07T10:00:00Z","event_type":"like"}', "\ufffd\ufffd\u0001<script>alert(1)</script>"]
    codes = ["INVALID_JSON", "MISSING_FIELD", "NOT_UTF8"]
    records = [{"code": codes[n % 3], "reason": "expected `}` at column 54" if n % 3 == 0 else "video_id is missing", "topic": "content_events", "partition": n % 12, "offset": 81_000 + n, "ingested_at": text(world.now() - timedelta(seconds=20 * n)), "value": values[n % 3]} for n in range(8)]
    return {"records": records}


def sql(world, query):
    """Rows by what the query mentions; only the pages' own queries come here."""
    chance = random.Random(3)
    if "information_schema" in query:
        return table(["table_schema", "table_name"], [name.split(".") for name in TABLES])
    if "max(window_start)" in query:
        return table(["newest"], [[text(world.now())]])
    if "duration_bin" in query:
        return table(["category", "duration_bin", "play_start", "play_finish"], [[name, bin_, 4_000, int(4_000 * min(0.95, chance.gauss(0.75 - bin_ * 0.08, 0.07)))] for name in CATEGORIES for bin_ in range(6)])
    if "min(upload_time)" in query:
        return table(["first_upload", "last_upload"], [[text(world.now() - timedelta(days=9)), text(world.now())]])
    if "cohort" in query:
        base = world.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=8)
        rows = []
        for day in range(9):
            for later in range(9 - day):
                creators = 120 + day * 9 if later == 0 else int((120 + day * 9) * max(0.03, 0.55 / later**0.7 + chance.gauss(0, 0.03)))
                rows.append([text(base + timedelta(days=day)), text(base + timedelta(days=day + later)), creators])
        return table(["cohort", "period", "creators"], rows)
    rows = [[f"v_{chance.randrange(20_000)}", CATEGORIES[n % 12], int(90_000 / (n + 1)), int(70_000 / (n + 1)), int(41_000 / (n + 1)), 340.5 / (n + 1)] for n in range(25)]
    return table(["video_id", "category", "impressions", "play_start", "play_finish", "watch_hours"], rows)


def table(names, rows):
    return {"columns": [{"name": name, "type": "Utf8"} for name in names], "rows": rows, "row_count": len(rows), "truncated": False, "elapsed_ms": 12}
