"""Test pages in a real browser: an empty console, no requests, and no serious accessibility findings.

Needs Chromium (`apt-get install chromium`, or its path in CHROMIUM), which `.ci/run` installs;
without it these tests are skipped by name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_compare import small as compared
from test_report import FACTS, outcome

import glassnet as gn
from glassnet.diagnosis.findings import Diagnosis, Finding
from glassnet.figures.gallery import Networks, draw_all
from glassnet.reports.comparison_page import comparison_html
from glassnet.reports.report import report_html

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
QUIET = (  # no requests in the background, and able to start as root in a container
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SERIOUS = ("serious", "critical")
PHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium to check the pages in: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install it")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


def findings(page: Any) -> list[tuple[str, str, str]]:
    """Return the serious findings of axe-core: their impact, rule, and first element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    violations = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    reported = [(v["impact"], v["id"], v["nodes"][0]["html"][:200]) for v in violations]
    return [finding for finding in reported if finding[0] in SERIOUS]


# -------------------------------------------------------------------------------------------- the pages


def report(case: str) -> Callable[[Path], str]:
    """Return a function that writes a report with every section, including findings."""

    def written(folder: Path) -> str:
        estimator, evaluation = outcome(case)
        texts = ("7 of 8 neurons output 0", "layer 1", "the rate", "--learning-rate 0.1")
        ill = tuple(Finding("dead ReLU neurons", grave, *texts) for grave in ("severe", "moderate"))
        facts = replace(FACTS, diagnosis=Diagnosis(ill, "a network", {}, "these rows"))
        return report_html(estimator.model_, estimator.history_, evaluation, facts)

    return written


def comparison(folder: Path) -> str:
    return comparison_html(compared(), title="iris", target="species", command="glassnet compare")


def figures(folder: Path) -> str:
    list(draw_all(folder, Networks(), names=["activations", "losses"]))
    return (folder / "index.html").read_text("utf-8")


def notebook(folder: Path) -> str:
    """Return a page with a trace and a diagnosis as a notebook shows them."""
    X, y = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([1, 0])
    run = gn.train(gn.Network([gn.Dense(2), "tanh", gn.Dense(2)]), X, y, epochs=1, diagnose=True)
    step = gn.trace(run, X, y)
    parts = [step, step.neuron(2, 0), run.diagnosis]
    shown = "".join(part._repr_html_() for part in parts)
    title = "<meta name='color-scheme' content='light dark'><title>A notebook</title>"
    head = f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>{title}</head>"
    return f"{head}<main>{shown}</main></html>"


PAGES: dict[str, Callable[[Path], str]] = {
    "report of classes": report("binary"),
    "report of pictures": report("pictures"),
    "comparison": comparison,
    "figures": figures,
    "notebook": notebook,
}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_a_browser(name: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGES[name](tmp_path), "utf-8")
    said: list[str] = []
    asked: list[str] = []
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for colors in ("light", "dark"):
            page.emulate_media(color_scheme=colors)
            for screen in (DESK, PHONE):
                page.set_viewport_size(screen)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= screen["width"]  # a phone scrolls tables sideways, not the page
            assert findings(page) == []
        shown = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        assert page.evaluate(shown)
        page.emulate_media(media="print")  # ink on paper, whatever the screen's colours
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    assert said == []
    own = ("data:image/png;", tmp_path.as_uri())
    assert [url for url in asked if not url.startswith(own)] == [] and len(asked) > 0


def test_the_accessibility_check_finds_planted_faults(browser: Any) -> None:
    """The page has a picture without alternative text, grey text on grey, and a picture from another host."""
    with browser.new_context(offline=True) as context:
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(
            "<!DOCTYPE html><title>A page</title><p style='color:#999;background:#aaa'>Text</p>"
            "<img src='http://127.0.0.1:9/picture.png'>"
        )
        rules = {rule for _, rule, _ in findings(page)}
        assert {"image-alt", "color-contrast"} <= rules and asked
