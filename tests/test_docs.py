"""Every Python block of the documents runs, from top to bottom of its page, and the site is built of them."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import glassnet as gn

ROOT = Path(__file__).parent.parent
MADE = {"_build", "about", "api"}  # folders that building the site makes
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name not in MADE),
]
CHAPTERS = sorted((ROOT / "docs" / "unit").glob("[0-9]-*.md"))
WITHOUT = ("accuracy.md", "benchmarks.md", "index.md")  # written by a command, or lists of pages


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks_of(page):
        exec(compile(block, page.name, "exec"), names)
        plt.close("all")
    assert names or page.name in WITHOUT


def test_the_links_of_a_page_lead_somewhere():
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_ends_with_questions_each_with_a_computed_answer(page):
    questions = page.read_text("utf-8").partition("\n## Questions\n")[2]
    asked = re.split(r"^\*\*\d+\. ", questions, flags=re.M)[1:]
    assert len(asked) >= 3
    for question in asked:
        answer = re.search(r"<details>\n<summary>Answer</summary>\n(.+)</details>", question, re.S)
        assert answer and "```python" in answer[1]


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_picture_is_also_told_in_words(page):
    drawn = [block for block in blocks_of(page) if re.search(r"\bax(es)? = gn\.figures\.", block)]
    assert drawn and all(block.startswith("#| alt: ") for block in drawn)


def test_the_site_builds_without_a_warning_and_asks_nothing_of_the_network(tmp_path):
    """All but running the blocks, which another test does: formulas, links, docstrings."""
    build = [sys.executable, "-m", "sphinx", "-W", "-q", "-D", "nb_execution_mode=off"]
    done = subprocess.run([*build, ROOT / "docs", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {f"{page.stem}.html" for page in CHAPTERS} <= {page.name for page in pages}
    for page in pages:
        loads = r'<(?:script|img|iframe|link rel="stylesheet")[^>]*(?:src|href)="(?:https?:)?//'
        assert not re.search(loads, page.read_text("utf-8")), page
    assert "<math" in (tmp_path / "unit" / "1-network.html").read_text("utf-8")
    assert "Normalise each neuron" in (tmp_path / "api" / "layers.html").read_text("utf-8")
    drawn = (tmp_path / "api" / "figures.html").read_text("utf-8")
    assert all(f'id="glassnet.figures.{name}"' in drawn for name in gn.figures.__all__)
    assert "backpropag" in (tmp_path / "searchindex.js").read_text("utf-8")
