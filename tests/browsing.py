"""A real browser for tests: Debian's Chromium, headless, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

SCREENSHOTS = Path(__file__).resolve().parents[1] / "var" / "screenshots"
TELEPHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 860}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """Where the browser is; None where there is none."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextmanager
def browsing(executable: str) -> Iterator[Browser]:
    """A browser that ends with the block."""
    with sync_playwright() as playwright:
        # As root in a container there is no sandbox to be had; what is shown is the project's own.
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()
