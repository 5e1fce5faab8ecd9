"""The SQL of the dashboards, tried on DuckDB over the serving views and made-up tables: it runs, and has the columns that its panel names.

Trino says the last word on its dialect; what DuckDB calls by another name is added to it here.
"""

import json
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/verify"))

from test_serving_views import made_up, session_of  # noqa: E402

import what_there_is  # noqa: E402

MACROS = """
CREATE MACRO from_iso8601_timestamp(moment) AS CAST(moment AS timestamptz);
CREATE MACRO array_join(list, separator) AS array_to_string(list, separator);
"""
TABLES = {
    "gold.rt_action_queue": ("decisions.rs", "action_queue"),
    "gold.rt_batch_reconciliation": ("cold.rs", "batch_reconciliation"),
    "qa.batch_runs": ("cold.rs", "batch_runs"),
}
VARIABLES = {
    "${catalog}": "memory",
    "${views}": "serving",
    "${__from:date:iso}": "2026-02-07T23:00:00.000Z",
    "${__to:date:iso}": "2026-02-08T02:00:00.000Z",
}
TIME_SERIES = 0


def statements() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Where it stands, the panel and the query."""
    for file in sorted((ROOT / "config/grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                if "rawSQL" in target:
                    yield f"{file.name}: {panel['title']}", panel, target


def session(seed: int) -> duckdb.DuckDBPyConnection:
    made = session_of(made_up(seed), {})
    made.execute(f"CREATE SCHEMA qa; {MACROS}")
    for table, (file, function) in TABLES.items():
        made.execute(f"CREATE TABLE {table} ({what_there_is.columns(file, function)})")
    return made


def ask(made: duckdb.DuckDBPyConnection, statement: str) -> tuple[dict[str, str], list[tuple]]:
    """Columns with their types, and the rows."""
    for variable, value in VARIABLES.items():
        statement = statement.replace(variable, value)
    assert "$" not in statement, f"a variable that this test does not know: {statement}"
    asked = made.execute(statement)
    return {column[0]: str(column[1]) for column in asked.description}, asked.fetchall()


class Statements(unittest.TestCase):
    def test_they_run_and_have_the_columns_that_their_panels_name(self):
        made = session(1)
        found = list(statements())
        self.assertGreater(len(found), 10)
        for where, panel, target in found:
            with self.subTest(where):
                columns, _ = ask(made, target["rawSQL"])
                named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
                field = panel["options"].get("reduceOptions", {}).get("fields", "")
                named |= {field.strip("/^$")} if field else set()
                self.assertLessEqual(named, set(columns))
                self.assertEqual(target["format"] == TIME_SERIES, panel["type"] == "timeseries")

    def test_time_series_have_a_time_and_numbers_and_one_name_at_most(self):
        made = session(1)
        for where, _, target in statements():
            if target["format"] != TIME_SERIES:
                continue
            with self.subTest(where):
                columns, rows = ask(made, target["rawSQL"])
                kinds = list(columns.values())
                self.assertEqual((next(iter(columns)), kinds[0]), ("time", "TIMESTAMP WITH TIME ZONE"))
                self.assertLessEqual(kinds.count("VARCHAR"), 1)
                self.assertGreater(len(kinds) - 1 - kinds.count("VARCHAR"), 0)
                self.assertEqual([row[0] for row in rows], sorted(row[0] for row in rows), "the plugin wants them in the order of time")

    def test_the_made_up_tables_give_rows_so_that_something_is_tried(self):
        sessions = [session(seed) for seed in range(4)]
        empty = {where for where, _, target in statements() if not any(ask(made, target["rawSQL"])[1] for made in sessions)}
        without_rows = {where for where, _, target in statements() if any(f".{table} " in target["rawSQL"].replace("\n", " ") for table in TABLES)}
        self.assertLessEqual(empty, without_rows)

    def test_a_column_that_there_is_not_is_noticed(self):
        with self.assertRaises(duckdb.Error):
            ask(session(1), "SELECT velocity FROM ${catalog}.${views}.trending_videos")


if __name__ == "__main__":
    unittest.main()
