"""The Pulse on a running engine: its numbers are the API's, the supernova is first, its BOOST can be taken up."""

import unittest

import shown
from case import PagesCase
from engine_api import get, wait_for

# The generator's first focus video: the one that goes viral in the scenario `supernova`.
SUPERNOVA = "v_1000000000"


class Pulse(PagesCase):
    def open_filled(self, **options):
        page = self.open(**options)
        page.wait_for_selector("#trending-rows tr")
        return page

    def test_the_table_shows_what_the_live_events_say(self):
        page = self.open_filled()
        page.wait_for_selector("#connection[data-state=live]")
        wait_for("the table equals /api/v1/trending", lambda: self.rows_equal(page, "trending?limit=50"))

    def rows_equal(self, page, path):
        expected = shown.trending_rows(get(path)["videos"])
        return len(expected) > 0 and page.evaluate(shown.ROWS_OF_PAGE) == expected

    def answers(self, page):
        """What the page is answered to its questions about trending videos, as it comes."""
        answers = []
        page.on("response", lambda response: "/api/v1/trending?" in response.url and answers.append(response))
        return answers

    def shows_last(self, page, answers, *parameters):
        """Whether the page shows the last answer, which was asked for with these parameters."""
        # Playwright tells of answers only while it waits.
        page.wait_for_timeout(50)
        if not answers or not all(parameter in answers[-1].url for parameter in parameters):
            return False
        asked = len(answers)
        expected = shown.trending_rows(answers[-1].json()["videos"])
        return page.evaluate(shown.ROWS_OF_PAGE) == expected and len(expected) > 0 and asked == len(answers)

    def test_without_the_stream_it_polls_and_shows_the_same(self):
        self.expected = ["net::ERR_FAILED"]
        page = self.open()
        page.route("**/api/v1/events", lambda route: route.abort())
        answers = self.answers(page)
        page.reload()
        page.wait_for_selector("#connection[data-state=polling]")
        wait_for("the table shows what was answered", lambda: self.shows_last(page, answers))

    def test_filters_and_order_ask_the_api(self):
        page = self.open_filled()
        answers = self.answers(page)
        category = wait_for("a category is known", lambda: page.eval_on_selector_all("#category option", "all => all.map(one => one.value).filter(Boolean)[0]"))
        page.select_option("#category", category)
        page.select_option("#order", "impressions")
        wait_for("only this category, by impressions", lambda: self.shows_last(page, answers, f"category={category}", "order=impressions"))
        self.assertEqual({video["category"] for video in answers[-1].json()["videos"]}, {category})
        page.select_option("#category", "")
        page.select_option("#order", "surprise")
        wait_for("all, by surprise", lambda: self.shows_last(page, answers, "order=surprise") and "category" not in answers[-1].url)

    def test_the_numbers_on_top_are_those_of_the_pulse(self):
        page = self.open_filled()

        def equals():
            pulse = get("pulse")
            expected = [pulse["doomscroll"]["rate"], pulse["cold_start"]["share"], pulse["fresh_supply"]["ratio"]]
            found = [page.text_content(f"#{name}-value") for name in ("doomscroll", "cold-start", "fresh-supply")]
            return found == [shown.percent(share) for share in expected]

        wait_for("doomscroll, cold start and fresh supply are the API's", equals)

    def test_the_supernova_rises_to_rank_1_and_lies_in_its_quadrant(self):
        page = self.open_filled()
        first = page.locator("#trending-rows tr").first
        wait_for("the supernova is first", lambda: first.get_attribute("data-video") == SUPERNOVA)
        self.assertIn("(Supernova)", first.locator(".video").text_content())
        bubble = page.locator(f"#scatter .bubble[data-tip^='{SUPERNOVA}:']")
        self.assertIn("supernova", bubble.get_attribute("class"))
        tips = page.eval_on_selector_all("#scatter .bubble", "all => all.map((one) => one.dataset.tip.split(':')[0])")
        self.assertEqual(len(tips), len(set(tips)), "a video is one circle")
        rows = page.eval_on_selector_all("#trending-rows tr", "all => all.map((one) => one.dataset.video)")
        self.assertGreater(len(set(tips) & set(rows)), len(rows) * 0.8, "the table's videos are in the chart")

    def test_a_boost_is_acknowledged_and_done(self):
        action = wait_for("a BOOST of the supernova", lambda: next(iter(get(f"decisions?type=BOOST&video_id={SUPERNOVA}")["actions"]), None))
        if action["state"] != "PENDING":
            self.skipTest(f"the BOOST was {action['state']} before: this test runs once an engine")
        page = self.open_filled(token=self.token)
        self.assertNotIn("token", page.url, "the token has left the address bar")
        row = page.locator(f"#trending-rows tr[data-video={SUPERNOVA}]")
        self.assertEqual(row.locator(".action .badge").text_content(), "BOOST")
        state = lambda: next(one["state"] for one in get(f"decisions?video_id={SUPERNOVA}")["actions"] if one["action_id"] == action["action_id"])
        for verb, button, after in (("ack", "Ack", "ACKED"), ("done", "Done", "DONE")):
            row.get_by_role("button", name=f"BOOST of {SUPERNOVA}").and_(row.locator(f"[data-verb={verb}]")).click()
            wait_for(f"the page says {after}", lambda: row.locator(".state").text_content().startswith(after.lower()))
            self.assertEqual(state(), after, f"the API after {button}")
            self.assertIn(SUPERNOVA, page.text_content("#result"))
        self.assertEqual(row.locator("[data-verb]").count(), 0, "nothing is left to do")

    def test_without_a_token_a_button_explains_what_is_missing(self):
        page = self.open_filled()
        button = page.locator("#decision-rows [data-verb]").first
        button.wait_for()
        button.click()
        dialog = page.get_by_role("dialog")
        self.assertIn("pulselake demo", dialog.text_content())
        page.keyboard.press("Escape")
        wait_for("the dialog is closed", lambda: dialog.count() == 0)

    def test_a_wrong_token_is_said_and_changes_nothing(self):
        self.expected = ["401"]
        before = get("decisions?state=PENDING")["actions"]
        page = self.open_filled(token="guessed")
        button = page.locator("#decision-rows [data-verb=ack]").first
        button.wait_for()
        button.click()
        self.assertIn("missing or wrong", page.get_by_role("dialog").locator(".notice").text_content())
        self.assertEqual({one["action_id"] for one in before} - {one["action_id"] for one in get("decisions?state=PENDING")["actions"]}, set())

    def test_a_video_opens_by_keyboard_and_shows_its_minutes(self):
        page = self.open_filled()
        name = page.locator(f"#trending-rows tr[data-video={SUPERNOVA}] .video button")
        name.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name=SUPERNOVA)
        dialog.locator("svg.chart path").first.wait_for()
        dialog.locator("details summary").first.click()
        video = get(f"videos/{SUPERNOVA}")
        head = dialog.locator("table").first.locator("th").all_text_contents()
        self.assertEqual(head, ["Time (UTC)", "Impressions", "Plays started", "Plays finished", "Skips"])
        minute = next(one for one in video["minutes"] if one["impressions"] > 0)
        self.assertIn(minute["minute"][11:16], dialog.locator("table").first.locator("td:first-child").all_text_contents())
        page.keyboard.press("Escape")
        self.assertTrue(name.evaluate("button => button === document.activeElement"), "the focus is where it was")


if __name__ == "__main__":
    unittest.main()
