"""The views over the histories: validities neither overlap nor leave a gap, and the state as of a moment is the right one."""

import random
import unittest
from pathlib import Path

import duckdb

VIEWS = Path(__file__).resolve().parents[2] / "sql" / "serving"
ENTITIES = {"videos": ("video_id", "status"), "users": ("user_id", "ltv_segment")}


class DimensionViews(unittest.TestCase):
    def open_view(self, entity: str, rows: list[tuple]) -> duckdb.DuckDBPyConnection:
        """A session with the view over `rows` of (key, value, op, position, source_ts_ms, offset)."""
        key, value = ENTITIES[entity]
        session = duckdb.connect()
        session.execute("SET TimeZone = 'UTC'; CREATE SCHEMA dims")
        session.execute(
            f"CREATE TABLE dims.dim_{entity}_history ({key} text, {value} text, op text, source_position bigint,"
            " source_position_minor bigint, source_ts_ms bigint, source_offset bigint, valid_from timestamptz)"
        )
        session.executemany(
            f"INSERT INTO dims.dim_{entity}_history VALUES ($1, $2, $3, $4, 0, $5, $6, epoch_ms($5)::timestamptz)", rows
        )
        text = (VIEWS / f"v_dim_{entity}_history.sql").read_text()
        session.execute(f"CREATE VIEW history AS {text}")
        return session

    def test_versions_follow_the_sources_order_whatever_order_they_came_in(self):
        rows = [("a", "third", "u", 30, 3_000, 0), ("a", "first", "c", 10, 1_000, 1), ("a", "second", "u", 20, 2_000, 2)]
        for entity, (key, value) in ENTITIES.items():
            session = self.open_view(entity, rows)
            found = session.execute(
                f"SELECT {value}, epoch_ms(started_at), epoch_ms(valid_to), is_current FROM history ORDER BY version"
            ).fetchall()
            self.assertEqual(
                found,
                [("first", 1_000, 2_000, False), ("second", 2_000, 3_000, False), ("third", 3_000, None, True)],
            )

    def test_a_deleted_key_has_no_current_row(self):
        session = self.open_view("videos", [("a", "x", "c", 1, 1, 0), ("a", None, "d", 2, 2, 1)])
        self.assertEqual(session.execute("SELECT count(*) FROM history WHERE is_current").fetchone(), (0,))
        self.assertEqual(session.execute("SELECT count(*) FROM history WHERE is_deleted").fetchone(), (1,))

    def test_validities_cover_time_once_for_any_versions(self):
        """Also where clocks go backwards, positions are missing and moments are equal."""
        for seed in range(30):
            generator = random.Random(seed)
            rows = [
                (
                    generator.choice("abc"),
                    str(number),
                    generator.choice("cuuurd"),
                    generator.choice([None, *range(20)]),
                    generator.randrange(1_000),
                    number,
                )
                for number in range(40)
            ]
            session = self.open_view("users", rows)
            for moment in [0, *generator.sample(range(1_000), 20), 2_000]:
                at_that_time = session.execute(
                    "SELECT user_id, count(*) FROM history WHERE started_at <= epoch_ms($1::bigint)::timestamptz"
                    " AND (valid_to > epoch_ms($1::bigint)::timestamptz OR valid_to IS NULL) GROUP BY ALL",
                    [moment],
                ).fetchall()
                for key, versions in at_that_time:
                    self.assertEqual(versions, 1, f"seed {seed}: {key} at {moment}")
                started = {
                    row[0] for row in rows if self.first_start(rows, row[0]) <= moment
                }
                self.assertEqual({key for key, _ in at_that_time}, started, f"seed {seed} at {moment}")

    @staticmethod
    def first_start(rows: list[tuple], key: str) -> int:
        def order(row: tuple) -> tuple:
            position = -1 if row[3] is None else row[3]
            return (position, row[4], row[5])

        return min((row for row in rows if row[0] == key), key=order)[4]


if __name__ == "__main__":
    unittest.main()
