"""The Engine Room and the Diagnosis on a running engine."""

import unittest

import shown
from case import PagesCase
from engine_api import get, wait_for

CELLS = "(all) => all.map((row) => [...row.children].map((cell) => cell.textContent))"


class EngineRoom(PagesCase):
    def rows(self, page, selector):
        return page.eval_on_selector_all(f"{selector} tbody tr", CELLS)

    def test_partitions_and_tables_are_those_of_the_health(self):
        page = self.open("/engine-room")
        page.wait_for_selector("#partitions tbody tr")
        health = get("health")
        self.assertEqual([row[0] for row in self.rows(page, "#partitions")], [str(one["partition"]) for one in health["partitions"]])

        def tables_equal():
            expected = [(one["table"], f"{one['files']:,}" if one["files"] is not None else shown.UNKNOWN) for one in get("health")["tables"]]
            return [(row[0], row[2]) for row in self.rows(page, "#tables")] == expected

        wait_for("the tables' files are the API's", tables_equal)
        self.assertEqual(page.text_content("#restarts-value"), "0")

    def test_rate_actors_and_histories_are_shown(self):
        page = self.open("/engine-room")
        page.wait_for_selector("#actors tbody tr")
        engine = get("engine")
        names = {row[0] for row in self.rows(page, "#actors")}
        self.assertEqual(names, {f"{one['actor']} {one['index']}" for one in engine["actors"]})
        for chart in ("freshness", "rate", "files", "size"):
            wait_for(f"the {chart} chart has a line", lambda: page.locator(f"#{chart}-chart path.line").count() == 1)
        self.assertIn("gold.rt_video_stats_1min", page.locator("#files-table option").all_text_contents())

    def test_quarantine_is_shown_by_code_and_record(self):
        page = self.open("/engine-room")
        expected = wait_for("records were rejected", lambda: [one for one in get("engine")["quarantine"] if one["records"] > 0])
        wait_for("each code has a row", lambda: {row[0] for row in self.rows(page, "#quarantine-codes")} >= {one["code"] for one in expected})
        sample = wait_for("a record is shown", lambda: next(iter(self.rows(page, "#quarantine-samples")), None))
        self.assertIn(sample[1], {one["code"] for one in expected})


class Diagnosis(PagesCase):
    def test_it_shows_the_last_day_and_says_what_is_missing(self):
        page = self.open("/diagnosis")
        wait_for("the tables answer", lambda: "24 hours up to" in page.text_content("#window"))
        self.assertIn("batch tables (T+1) are not there yet", page.text_content("#window"))
        page.wait_for_selector("#heatmap table")
        page.wait_for_selector("#cohorts table")
        page.wait_for_selector("#daily table")
        self.assertIn("gold.batch_video_daily is not there yet", page.text_content("#daily"))
        self.assertIn("gold.rt_video_stats_1min", page.text_content("#heatmap-source"))
        rates = page.eval_on_selector_all("#heatmap td:not(.nothing)", "all => all.map((cell) => parseFloat(cell.textContent))")
        self.assertGreater(len(rates), 0)
        self.assertTrue(all(0 <= rate <= 100 for rate in rates), rates)


if __name__ == "__main__":
    unittest.main()
