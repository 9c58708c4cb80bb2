"""A headless Chromium for tests of pages, and what it saw of each page that it opened."""

from __future__ import annotations

import io
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def started():
    """Where there is no Chromium the test is skipped, but never in continuous integration."""
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        message = "no Chromium that could look at pages: apt install chromium"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with sync_playwright() as driver, driver.chromium.launch(executable_path=found[0]) as browser:
        yield browser


@dataclass
class Sight:
    """An open page; `said` is what its console and its errors said, `asked` what it requested."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def pixel(self, x, y):
        return Image.open(io.BytesIO(self.page.screenshot())).convert("RGB").getpixel((x, y))


@contextmanager
def sight_of(browser, path, **options):
    """The page at `path`, which may ask nobody anything and must have nothing to complain of."""
    with browser.new_context(**options) as context:
        sight = Sight(context.new_page())
        sight.page.on("console", lambda message: sight.said.append(message.text))
        sight.page.on("pageerror", lambda error: sight.said.append(str(error)))
        sight.page.on("request", lambda request: sight.asked.append(request.url))
        sight.page.goto(path.as_uri())
        yield sight
        assert sight.said == []
        assert [url for url in sight.asked if not url.startswith("data:image/")] == [path.as_uri()]
