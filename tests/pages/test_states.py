"""States that a healthy engine does not show: alert, silence, an empty or young board, no SQL. On canned answers (`fake_api.py`)."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

from case import PagesCase
from engine_api import wait_for

FAKE = Path(__file__).with_name("fake_api.py")


class Fake:
    """The canned API as a process; `stop` ends it as a crash would."""

    def __init__(self, *arguments):
        command = [sys.executable, str(FAKE), "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url, self.token = self.process.stdout.readline().strip().split("/#token=")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class States(PagesCase):
    # These need no engine.
    url = "fake"

    def setUp(self):
        self.fakes = []
        # Registered before the pages' closing, and so done after it: a page that is still open would miss its engine.
        self.addCleanup(lambda: [fake.stop() for fake in self.fakes])
        super().setUp()

    def fake(self, *arguments):
        fake = Fake(*arguments)
        self.fakes.append(fake)
        return fake

    def opened(self, *arguments, path="/", token=False, **options):
        fake = self.fake(*arguments)
        page = self.open(path, url=fake.url, token=fake.token if token else None, **options)
        return fake, page

    def test_too_much_doomscrolling_raises_the_alert(self):
        _, page = self.opened("--scene", "alert")
        alert = page.locator("#alert[role=alert]")
        wait_for("the banner is there", lambda: "Doomscroll alert" in alert.text_content())
        self.assertIn("45\u00a0%", alert.text_content())
        self.assertEqual(page.get_attribute("#doomscroll-tile", "data-tone"), "bad")

    def test_a_calm_platform_raises_none(self):
        _, page = self.opened()
        page.wait_for_selector("#trending-rows tr")
        self.assertEqual(page.text_content("#alert"), "")
        self.assertTrue(page.locator("#stale").is_hidden())
        self.assertTrue(page.locator("#coverage").is_hidden())

    def test_an_engine_that_falls_silent_is_said(self):
        self.expected = ["net::ERR_", "Failed to load resource"]
        fake, page = self.opened()
        page.wait_for_selector("#connection[data-state=live]")
        fake.stop()
        page.wait_for_selector("#connection[data-state=stale]")
        notice = page.text_content("#stale")
        self.assertRegex(notice, r"No data for \d+ s.*What you see is of \d\d:\d\d:\d\d UTC")
        self.assertTrue(page.locator("#trending-rows tr").first.is_visible(), "what was there stays")

    def test_without_a_stream_it_polls(self):
        self.expected = ["404"]
        _, page = self.opened("--no-stream")
        page.wait_for_selector("#connection[data-state=polling]")
        page.wait_for_selector("#trending-rows tr")

    def test_a_young_board_says_when_decisions_begin(self):
        _, page = self.opened("--scene", "early")
        page.wait_for_selector("#coverage")
        self.assertRegex(page.text_content("#coverage"), r"covers 12 of 30 minutes: decisions begin at about \d\d:\d\d UTC")

    def test_an_empty_board_says_so_everywhere(self):
        _, page = self.opened("--scene", "empty")
        page.wait_for_selector("#connection[data-state=live]")
        self.assertIn("waits for the first events", page.text_content("#coverage"))
        self.assertTrue(page.locator("#trending-empty").is_visible())
        self.assertTrue(page.locator("#decision-empty").is_visible())
        self.assertIn("No minute has been counted", page.text_content("#doomscroll-chart"))
        self.assertEqual(page.text_content("#cold-start-value"), "–")

    def test_without_sql_the_diagnosis_says_how_to_get_it(self):
        self.expected = ["503"]
        _, page = self.opened("--no-sql", path="/diagnosis")
        wait_for("the reason is shown", lambda: "cargo build --release -p pulselake-query" in page.text_content("#window"))

    def test_a_record_of_the_quarantine_is_text_whatever_it_holds(self):
        _, page = self.opened(path="/engine-room")
        wait_for("a record with markup is shown", lambda: "<script>alert(1)</script>" in (page.text_content("#quarantine-samples") or ""))
        self.assertEqual(page.locator("#quarantine-samples script").count(), 0)

    def test_an_action_that_somebody_else_took_is_said(self):
        self.expected = ["409"]
        _, page = self.opened(token=True)
        row = page.locator("#decision-rows li").filter(has=page.locator("[data-verb=ack]")).first
        row.wait_for()
        taken = {"error": {"code": "wrong_state", "message": "the action is DONE", "state": "DONE"}}
        page.route("**/ack", lambda route: route.fulfill(status=409, body=json.dumps(taken), content_type="application/json"))
        row.locator("[data-verb=ack]").click()
        wait_for("the page says so", lambda: "Somebody was quicker: the action is DONE" in page.text_content("#result"))

    def test_a_press_while_the_engine_works_is_one_request(self):
        _, page = self.opened(token=True)
        asked = []
        page.on("request", lambda request: request.method == "POST" and asked.append(request.url))
        button = page.locator("#decision-rows [data-verb=ack]").first
        button.wait_for()
        button.evaluate("(button) => { button.click(); button.click(); button.click(); }")
        wait_for("the result is said", lambda: "acknowledged" in page.text_content("#result"))
        self.assertEqual(len(asked), 1)

    def test_the_order_is_held_while_somebody_works_in_the_table(self):
        _, page = self.opened()
        rows = page.locator("#trending-rows tr")
        rows.first.wait_for()

        def said_while_the_pointer_moves():
            rows.nth(2).hover()
            rows.nth(3).hover()
            return "order is held" in page.text_content("#trending-note")

        wait_for("it is said", said_while_the_pointer_moves)
        page.mouse.move(5, 5)
        wait_for("the order goes on", lambda: "held" not in page.text_content("#trending-note"))

    def test_a_focused_button_keeps_the_focus_while_numbers_change(self):
        _, page = self.opened()
        button = page.locator("#trending-rows [data-verb]").first
        button.wait_for()
        button.focus()
        row = page.locator("#trending-rows tr:has(:focus)")
        cell = row.locator("[data-label=Velocity]")
        before = cell.text_content()
        wait_for("the row's numbers change", lambda: cell.text_content() != before)
        self.assertTrue(button.evaluate("(button) => button === document.activeElement"))


if __name__ == "__main__":
    unittest.main()
