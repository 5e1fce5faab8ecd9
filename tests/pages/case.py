"""What the tests of the pages share: a real Chromium that reaches the pages' own host alone, and keeps what it complains about."""

import os
import unittest
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

import engine_api

DESKTOP, PHONE = (1280, 800), (390, 844)


class PagesCase(unittest.TestCase):
    """Each test has a browser context of its own. Errors of the console, of scripts and requests to other hosts fail it."""

    url = engine_api.URL
    token = engine_api.TOKEN

    @classmethod
    def setUpClass(cls):
        if not cls.url:
            raise unittest.SkipTest("PULSELAKE_TEST_PAGES_URL is not set: run through `cargo test --test pages`")
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"]
        cls.chromium = cls.playwright.chromium.launch(executable_path=os.environ["PULSELAKE_TEST_CHROMIUM"], args=quiet)
        cls.addClassCleanup(cls.chromium.close)

    def setUp(self):
        self.complaints = []
        # Refusals that a test provokes: Chromium writes each answer with such a status to the console.
        self.expected = []
        self.contexts = []
        self.addCleanup(self.close)

    def close(self):
        for context in self.contexts:
            context.close()
        unexpected = [text for text in self.complaints if not any(part in text for part in self.expected)]
        self.assertEqual(unexpected, [], "the browser complained")

    def open(self, path="/", size=DESKTOP, theme="light", token=None, url=None, motion="reduce"):
        """A page that has loaded. `token` goes into the address as the demo prints it."""
        width, height = size
        context = self.chromium.new_context(viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion=motion)
        self.contexts.append(context)
        own = urlsplit(url or self.url).netloc
        context.route("**/*", lambda route: self.let_through(route, own))
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: message.type in ("error", "warning") and self.complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        answer = page.goto(f"{url or self.url}{path}" + (f"#token={token}" if token else ""))
        self.assertEqual(answer.status, 200)
        self.assertIn("default-src 'self'", answer.headers["content-security-policy"])
        return page

    def let_through(self, route, own):
        host = urlsplit(route.request.url).netloc
        if host == own:
            route.continue_()
            return
        self.complaints.append(f"a request to another host: {route.request.url}")
        route.abort()

    def assert_no_sideways_scroll(self, page):
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        self.assertLessEqual(wide[0], wide[1], f"{page.url} is wider than the window")
