"""The report in a real browser: nothing on the console, nothing loaded, no serious accessibility finding.

Needs Chromium (`apt-get install chromium`, or its path in CHROMIUM); without it the test is skipped by name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from test_report import written

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
QUIET = (  # it looks for nothing by itself, and starts as root in a container
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SERIOUS = ("serious", "critical")
PHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium to check the report in: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install it")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


def findings(page: Any) -> list[tuple[str, str, str]]:
    """Return what axe-core finds: how grave, which rule, the first element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, options={"resultTypes": ["violations"]}).response
    return [(v["impact"], v["id"], v["nodes"][0]["html"][:200]) for v in found["violations"]]


@pytest.mark.parametrize("case", ["binary", "values", "pictures"])
def test_the_report_in_a_browser(case: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(written(case), "utf-8")
    for colors, screen in (("light", DESK), ("dark", PHONE)):
        with browser.new_context(color_scheme=colors, viewport=screen, offline=True) as context:
            page = context.new_page()
            said: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(file.as_uri())
            assert said == []
            assert {url for url in asked if not url.startswith("data:image/png;")} == {
                file.as_uri()
            }
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= screen["width"]  # a phone scrolls tables sideways, not the page
            shown = page.evaluate(
                "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
            )
            assert shown
            assert [found for found in findings(page) if found[0] in SERIOUS] == []
            if colors == "dark":
                page.emulate_media(media="print")  # ink on paper, whatever the screen's colours
                paper = "getComputedStyle(document.body).backgroundColor"
                assert page.evaluate(paper) == "rgb(255, 255, 255)"


def test_the_check_finds_what_is_wrong(browser: Any) -> None:
    """A picture without words, grey text on grey, and a picture from elsewhere."""
    with browser.new_context(offline=True) as context:
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(
            "<!DOCTYPE html><title>A page</title><p style='color:#999;background:#aaa'>Text</p>"
            "<img src='http://127.0.0.1:9/picture.png'>"
        )
        rules = {found[1] for found in findings(page) if found[0] in SERIOUS}
        assert {"image-alt", "color-contrast"} <= rules and asked
