"""Tests of what the jobs for Spark and Trino make of rendered statements: sql/rendered.py, sql/trino/job.py. No engine is asked."""

import argparse
import json
import re
import sys
import tempfile
import unittest
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

SQL = Path(__file__).resolve().parent.parent.parent / "sql"
sys.path[:0] = [str(SQL), str(SQL / "trino")]
import job as trino_job  # noqa: E402
from rendered import Statement, add_arguments, days_of, statements_for  # noqa: E402

SILVER = {
    "job": "fact_user_engagement",
    "date": "2026-02-07",
    "target": "silver.fact_user_engagement",
    "columns": ["event_id", 'odd"name'],
    "partition": "day(event_timestamp)",
    "replaces": "event_timestamp >= TIMESTAMP '2026-02-07 00:00:00 UTC'",
    "sql": "SELECT * FROM bronze.raw_events, silver.fact_user_engagement_old, xsilver.fact_user_engagement, silver.fact_user_engagement",
}
BASELINES = {
    "job": "rt_rule_quantile_baselines",
    "date": "2026-02-07",
    "target": "dims.rt_rule_quantile_baselines",
    "columns": ["rule_version"],
    "partition": None,
    "replaces": None,
    "sql": "SELECT 'rules-2' AS rule_version FROM silver.fact_user_engagement",
}
RECONCILIATION = SILVER | {"job": "rt_batch_reconciliation", "target": "gold.rt_batch_reconciliation", "sql": "SELECT 1"}


def statements(words: list[str], dialect: str = "spark") -> list[Statement]:
    """What a job gets from a directory of rendered statements."""
    with tempfile.TemporaryDirectory() as directory:
        document = {"dialect": "spark", "statements": [SILVER, RECONCILIATION, BASELINES]}
        (Path(directory) / "2026-02-07.json").write_text(json.dumps(document))
        return statements_for(parse(["--rendered", directory, *words]), dialect, "2026-02-07")


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser


def parse(words: list[str]) -> argparse.Namespace:
    return options().parse_args(words)


class RenderedTests(unittest.TestCase):
    def test_a_prefix_is_put_before_the_tables_that_are_written_alone(self):
        silver, _, baselines = statements(["--target-namespace-prefix", "try_"])
        self.assertEqual(silver.target, "try_silver.fact_user_engagement")
        self.assertEqual(
            silver.sql,
            "SELECT * FROM bronze.raw_events, silver.fact_user_engagement_old, xsilver.fact_user_engagement, try_silver.fact_user_engagement",
        )
        self.assertIn("FROM try_silver.fact_user_engagement", baselines.sql)
        self.assertIn("FROM try_gold.rt_batch_reconciliation WHERE date = DATE '2026-02-07'", baselines.sql)

    def test_the_prefix_holds_for_tables_of_jobs_that_do_not_run(self):
        [baselines] = statements(["--target-namespace-prefix", "try_", "--job", "rt_rule_quantile_baselines"])
        self.assertIn("FROM try_silver.fact_user_engagement", baselines.sql)

    def test_a_baseline_is_published_once_and_never_while_the_day_is_critical(self):
        sql = statements([])[2].sql
        self.assertIn("AND NOT EXISTS (SELECT 1 FROM gold.rt_batch_reconciliation WHERE date = DATE '2026-02-07' AND status = 'CRIT')", sql)
        self.assertRegex(sql, r"published\.rule_version = made\.rule_version AND published\.effective_from = made\.effective_from")

    def test_statements_of_another_dialect_are_refused(self):
        with self.assertRaisesRegex(SystemExit, "spark's: render them with --dialect trino"):
            statements([], "trino")

    def test_an_unknown_job_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "no job 'fact_user': fact_user_engagement, rt_batch_reconciliation"):
            statements(["--job", "fact_user"])

    def test_days_are_one_or_a_stretch(self):
        self.assertEqual(days_of(parse(["--date", "2026-02-28"]), options()), ["2026-02-28"])
        stretch = days_of(parse(["--from", "2026-02-27", "--to", "2026-03-01"]), options())
        self.assertEqual(stretch, ["2026-02-27", "2026-02-28", "2026-03-01"])
        for words in ([], ["--from", "2026-02-27"], ["--date", "2026-02-28", "--to", "2026-03-01"], ["--from", "2026-03-01", "--to", "2026-02-27"]):
            with self.assertRaises(SystemExit), redirect_stderr(StringIO()):
                days_of(parse(words), options())


class TrinoTests(unittest.TestCase):
    def test_columns_are_quoted_and_conditions_name_the_tables_columns(self):
        merge = trino_job.replacement(statements([])[0])
        self.assertIn('INSERT ("event_id", "odd""name") VALUES (source.made_0, source.made_1)', merge)
        # A column of the source with that name would make it ambiguous.
        source = re.search(r"AS source \((.*)\)", merge)[1]
        self.assertEqual(source, "marker, made_0, made_1")


if __name__ == "__main__":
    unittest.main()
