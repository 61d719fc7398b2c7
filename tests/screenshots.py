"""Makes the README's pictures anew: the page with one of its examples, read by the live version of a registry."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from browsing import TELEPHONE, browsing, program
from playwright.sync_api import Browser, Page
from running import ROOT, Running, running

EXAMPLE = "harbour-deepfake"
TOPIC = "synthetic-media"
_SETTLED_MILLISECONDS = 400


def main() -> int:
    """Writes page-read.png and page-telephone.png into the folder of documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", type=Path, default=ROOT / "var" / "registry")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    asked = parser.parse_args()
    executable = program()
    if executable is None:
        print("error: needs a browser: apt-get install chromium", file=sys.stderr)
        return 1
    registry = asked.registry.resolve()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), registry=registry) as service,
        browsing(executable) as browser,
    ):
        _take(
            browser, service, asked.out / "page-read.png", "light", {"width": 1240, "height": 800}
        )
        _take(browser, service, asked.out / "page-telephone.png", "dark", TELEPHONE)
    return 0


def _take(browser: Browser, service: Running, path: Path, scheme: str, size: dict) -> None:
    context = browser.new_context(locale="en", color_scheme=scheme, viewport=size)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{service.port}/")
    page.wait_for_selector("html[data-ready]")
    page.click(f'[data-example="{EXAMPLE}"]')
    page.wait_for_selector('#findings[aria-busy="false"] .passage')
    _show(page, TOPIC)
    page.screenshot(path=path)
    context.close()
    print(f"{path}: {path.stat().st_size // 1000} kB")


def _show(page: Page, topic: str) -> None:
    """Shades the words of the first passage with a topic, below the article's own topics."""
    chips = page.locator(f'#passages .chip[data-slug="{topic}"]')
    chip = chips.first if chips.count() else page.locator("#passages .chip").first
    page.locator("#findings").evaluate(
        "findings => scrollTo(0, scrollY + findings.getBoundingClientRect().top - 84)"
    )
    chip.hover()
    page.wait_for_selector(".text mark")
    page.wait_for_timeout(_SETTLED_MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
