"""Every page in every form: no sideways scroll, landmarks and names, contrast, focus that is seen; judged by axe-core and by own measures."""

import unittest
from importlib.util import find_spec
from pathlib import Path

from case import DESKTOP, PHONE, PagesCase
from engine_api import get, wait_for

PAGES = {"/": "The Pulse", "/diagnosis": "The Diagnosis", "/engine-room": "The Engine Room"}
LEAST_CONTRAST = 4.5
# What axe-core calls rules of WCAG 2.0 to 2.2, levels A and AA, and its best practices.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# Contrast of each text of the charts against the card below it, by WCAG's formula. axe-core does not look into SVG.
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (...colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [bright, dark] = [light(one), light(other)].sort((left, right) => right - left);
    return (bright + 0.05) / (dark + 0.05);
  };
  return [...document.querySelectorAll('svg.chart text')].map((text) => {
    const card = getComputedStyle(text.closest('.card, dialog')).backgroundColor;
    return { text: text.textContent, contrast: contrast(rgb(getComputedStyle(text).fill), rgb(card)) };
  });
}"""


def axe_script():
    package = Path(find_spec("axe_playwright_python").origin).parent
    return next(package.rglob("axe.min.js")).read_text()


class Looks(PagesCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.axe = axe_script()

    def filled(self, path, **options):
        page = self.open(path, **options)
        page.wait_for_selector({"/": "#trending-rows tr", "/diagnosis": "#daily table", "/engine-room": "#partitions tbody tr"}[path])
        return page

    def each_form(self):
        for path in PAGES:
            for size in (DESKTOP, PHONE):
                for theme in ("light", "dark"):
                    yield path, size, theme

    def test_every_page_in_every_form(self):
        for path, size, theme in self.each_form():
            with self.subTest(path=path, size=size, theme=theme):
                page = self.filled(path, size=size, theme=theme)
                self.assertEqual(page.get_by_role("heading", level=1).text_content(), PAGES[path])
                self.assertEqual(page.locator("nav [aria-current=page]").text_content(), PAGES[path])
                self.assert_no_sideways_scroll(page)
                self.assert_accessible(page)
                pale = [one for one in page.evaluate(CONTRASTS) if one["contrast"] < LEAST_CONTRAST]
                self.assertEqual(pale, [])
                page.context.close()

    def assert_accessible(self, page):
        # Evaluated, not inserted as an element: the policy of the pages refuses inline scripts.
        page.evaluate(self.axe)
        found = page.evaluate("(rules) => axe.run(document, { runOnly: rules })", RULES)
        said = [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]
        self.assertEqual(said, [])
        self.assertGreater(len(found["passes"]), 20, "axe-core has looked")

    def test_the_dialog_of_a_video_is_accessible_on_a_phone(self):
        for theme in ("light", "dark"):
            page = self.filled("/", size=PHONE, theme=theme)
            page.locator("#trending-rows .video button").first.click()
            page.locator("dialog svg.chart path").first.wait_for()
            self.assert_accessible(page)
            self.assert_no_sideways_scroll(page)

    def test_the_focus_is_seen_wherever_it_goes(self):
        page = self.filled("/")
        seen = set()
        for _ in range(25):
            page.keyboard.press("Tab")
            name, outline = page.evaluate("[document.activeElement.id || document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]")
            self.assertEqual(outline, "solid", f"the focus on {name!r} can't be seen")
            seen.add(name)
        self.assertIn("Skip to the content", seen)
        self.assertIn("theme", seen)

    def test_the_colours_are_chosen_by_hand_and_kept(self):
        page = self.filled("/", theme="light")
        ground = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = ground()
        page.click("#theme")
        page.click("#theme")
        dark = ground()
        self.assertNotEqual(light, dark)
        page.reload()
        self.assertEqual(ground(), dark)

    def test_nothing_moves_for_those_who_ask_for_it(self):
        page = self.filled("/", motion="reduce")
        wait_for("data has come", lambda: page.get_attribute("#connection", "data-state") == "live")
        self.assertEqual(page.evaluate("document.getAnimations().length"), 0)

    def test_everything_is_served_by_the_engine_itself(self):
        page = self.filled("/")
        hosts = page.evaluate("[...new Set(performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host))]")
        self.assertEqual(hosts, [page.evaluate("location.host")])
        self.assertTrue(get("health")["ok"])


if __name__ == "__main__":
    unittest.main()
