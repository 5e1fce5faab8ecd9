"""Takes the pictures of docs/screenshots from a running engine.

    PULSELAKE_TEST_CHROMIUM=/usr/bin/chromium python tests/pages/screenshots.py --url http://127.0.0.1:9464 docs/screenshots
"""

import argparse
import os
from pathlib import Path

from playwright.sync_api import sync_playwright

DESKTOP, PHONE = (1280, 1180), (390, 1600)
READY = {"/": "#scatter .bubble", "/diagnosis": "#daily table", "/engine-room": "#actors tbody tr"}
PICTURES = [
    ("pulse-light", "/", DESKTOP, "light"),
    ("pulse-dark", "/", DESKTOP, "dark"),
    ("pulse-phone", "/", PHONE, "light"),
    ("diagnosis-light", "/diagnosis", DESKTOP, "light"),
    ("engine-room-dark", "/engine-room", (1280, 1500), "dark"),
]
MOST_BYTES = 300_000


def take(browser, url, picture, directory):
    name, path, (width, height), theme = picture
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce")
    page.goto(url + path)
    page.wait_for_selector(READY[path], timeout=60_000)
    page.wait_for_selector("#connection[data-state=live]", timeout=60_000)
    # Two looks, so that shares of time are known.
    page.wait_for_timeout(7_000)
    file = directory / f"{name}.png"
    page.screenshot(path=file)
    page.close()
    size = file.stat().st_size
    print(f"{file}: {size:,} bytes{' (too large)' if size > MOST_BYTES else ''}")


def take_detail(browser, url, directory):
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light", reduced_motion="reduce")
    page.goto(url)
    page.locator("#trending-rows .video button").first.click()
    page.locator("dialog svg.chart path").first.wait_for()
    page.wait_for_timeout(1_000)
    page.screenshot(path=directory / "video-light.png")
    page.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:9464")
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["PULSELAKE_TEST_CHROMIUM"])
        for picture in PICTURES:
            take(browser, options.url, picture, options.directory)
        take_detail(browser, options.url, options.directory)
        browser.close()


if __name__ == "__main__":
    main()
