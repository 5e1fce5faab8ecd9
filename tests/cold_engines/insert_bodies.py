"""insert_bodies.py TRINO_URL DAY: puts events with the bodies of odd_bodies.ndjson into bronze, in the noon of DAY, two of each.

On the day before there are events with decent values of the same fields, which give these the types of their columns.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools")]
from trino_sql import ask  # noqa: E402

COPIES = 2
"""A field of a single event gets no column."""
PARTITION = 1_000
"""No partition of the stream's."""
DECENT_BODY = '{"whole":1,"number":1.5,"flag":true,"words":"one"}'


def values(name: str, day: str, bodies: list[str]) -> list[str]:
    """Rows of bronze, as SQL writes them."""
    rows = []
    for number, body in enumerate(bodies):
        text = body.replace("'", "''")
        moment = f"TIMESTAMP '{day} 12:{number // 60:02}:{number % 60:02} UTC'"
        ids = f"'{name}-{number}', {moment}, 'v_{name}', 'u_{name}_{number}'"
        rows.append(f"({ids}, 'play_start', '1.0', '{text}', NULL, '{name}', {PARTITION}, {number}, {moment})")
    return rows


def main() -> None:
    url, day = sys.argv[1:]
    day_before = (date.fromisoformat(day) - timedelta(days=1)).isoformat()
    odd_bodies = (HERE / "odd_bodies.ndjson").read_text().splitlines()
    rows = values("decent", day_before, [DECENT_BODY] * COPIES) + values("odd", day, odd_bodies * COPIES)
    columns = """event_id, event_timestamp, video_id, user_id, event_type, schema_version, payload_json, header_extra_json,
        source_topic, source_partition, source_offset, ingested_at"""
    [[inserted]] = ask(url, f"INSERT INTO bronze.raw_events ({columns}) VALUES {', '.join(rows)}")
    if inserted != len(rows):
        sys.exit(f"{inserted} of {len(rows)} events were inserted")


if __name__ == "__main__":
    main()
