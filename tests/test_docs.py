"""Every Python block of the documents runs, from top to bottom of its page, and the site is built of them."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot as plt
import pytest

import glassnet as gn

ROOT = Path(__file__).parent.parent
MADE = {"_build", "about", "api"}  # folders that building the site makes
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name not in MADE),
]
GUIDE = sorted((ROOT / "docs" / "guide").glob("*.md"))
CHAPTERS = sorted((ROOT / "docs" / "unit").glob("[0-9]-*.md"))
DECISIONS = ROOT / "docs" / "decisions"
WITHOUT_BLOCKS = (
    "accuracy.md",
    "benchmarks.md",
    "index.md",
    "recipe.md",
)  # measurements and lists of pages


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.M | re.S)


def slow_if_it_computes(page):
    """Leave to the slow tests the pages that train; the README runs with the others."""
    trains = page.name != "README.md" and bool(blocks_of(page))
    return pytest.param(
        page, id=str(page.relative_to(ROOT)), marks=pytest.mark.slow if trains else ()
    )


@pytest.mark.parametrize("page", [slow_if_it_computes(page) for page in PAGES])
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks_of(page):
        exec(compile(block, page.name, "exec"), names)
        plt.close("all")
    assert names or page.name in WITHOUT_BLOCKS or page.parent == DECISIONS


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


@pytest.mark.parametrize("page", [*CHAPTERS, *GUIDE], ids=lambda page: page.stem)
def test_a_picture_is_also_described_in_words(page):
    drawn = [block for block in blocks_of(page) if "gn.figures." in block]
    assert drawn or page in GUIDE
    assert all(block.startswith("#| alt: ") for block in drawn)


def test_the_documents_are_short():
    assert (ROOT / "README.md").read_text("utf-8").count("\n") <= 120
    assert (ROOT / "ARCHITECTURE.md").read_text("utf-8").count("\n") <= 150


def without_numbers(text):
    return re.sub(r"[ -]*\d[\d.]*", " #", text)


@pytest.mark.slow
def test_the_readme_shows_what_the_command_prints(tmp_path, monkeypatch):
    """The README's table, its command and what it prints, but for the numbers."""
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text("utf-8")
    exec(compile(blocks_of(ROOT / "README.md")[0], "README.md", "exec"), {})
    shown = re.search(r"```console\n\$ (.*?)\n(.*?)```", readme, re.S)
    done = subprocess.run(
        [sys.executable, "-m", *shown[1].split()],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines = sorted(done.stdout.splitlines())  # messages and results come through two streams
    assert without_numbers("\n".join(lines)) == without_numbers(
        "\n".join(sorted(shown[2].splitlines()))
    )


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "README.md"])
def test_the_map_of_the_packages_is_what_the_packages_say(document):
    """Each package stands in the map with the first sentence of its docstring."""
    text = (ROOT / document).read_text("utf-8")
    for path in (ROOT / "src" / "glassnet").glob("*/__init__.py"):
        doc = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        row = f"| [{path.parent.name}](src/glassnet/{path.parent.name}/__init__.py) | {doc.splitlines()[0]} |"
        assert row in text


def test_every_decision_stands_in_the_index_with_its_title():
    index = (DECISIONS / "index.md").read_text("utf-8")
    for page in DECISIONS.glob("*.md"):
        title = page.read_text("utf-8").splitlines()[0].removeprefix("# ")
        assert page.name == "index.md" or f"- [{title}]({page.name})" in index


def test_the_way_from_fit_to_the_gradient_is_the_one_in_the_architecture():
    """Each step's functions are entered, and the steps in the order in which they are listed."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    steps = re.findall(r"^\d+\. \[[\w/.]+\]\(([\w/.]+)\), (.*?): ", text, re.M)
    assert 1 < len(steps) <= 10
    entered: list[tuple[str, str]] = []

    def note(frame, event, argument):
        if event == "call":
            entered.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    # no other test has these shapes: a program that is compiled already is not traced again
    estimator = gn.NeuralClassifier((11,), members=1, epochs=1, random_state=0)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        estimator.fit([[0.1 * i, 1.0] for i in range(53)], [i % 2 for i in range(53)])
    finally:
        sys.setprofile(before)
    first: dict[tuple[str, str], int] = {}
    for position, call in enumerate(entered):
        first.setdefault(call, position)
    positions = []
    for path, functions in steps:
        file = str(ROOT / path)
        for name in re.findall(r"`([\w.]+)`", functions):
            calls = [
                position
                for (source, qualified), position in first.items()
                if source == file and f".{qualified}".endswith(f".{name}")
            ]
            assert calls, f"{path}: {name} is not entered"
            positions.append(min(calls))
    assert positions == sorted(positions)


def test_every_test_that_trust_names_exists():
    text = (ROOT / "docs" / "trust.md").read_text("utf-8")
    sources = {path: path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")}
    defined = set(re.findall(r"^ *def (test_\w+)", "\n".join(sources.values()), re.M))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 100
    assert not named - defined
    for path in re.findall(r"(?:tests/)?[\w/]*test_\w+\.py", text):
        assert ROOT / path in sources, path


def test_the_cells_of_trust_are_short():
    text = (ROOT / "docs" / "trust.md").read_text("utf-8")
    for row in re.findall(r"^\|(.*)\|$", text, re.M):
        for cell in row.split("|"):
            assert len(cell.split()) <= 40, cell


def broken_links(site):
    """Return each link of a built site that leads to no page, or to no place on its page."""
    texts = {page: page.read_text("utf-8") for page in site.rglob("*.html")}
    places = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in texts.items()}
    broken = []
    for page, text in texts.items():
        for link in map(unquote, re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text)):
            path, _, place = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if "://" in link or (target.exists() and (not place or place in places[target])):
                continue
            broken.append(f"{page.relative_to(site)}: {link}")
    return broken


@pytest.mark.slow
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
    assert not broken_links(tmp_path)
    assert "<math" in (tmp_path / "unit" / "1-network.html").read_text("utf-8")
    assert "Normalise each neuron" in (tmp_path / "api" / "nn.layers.html").read_text("utf-8")
    drawn = (tmp_path / "api" / "figures.html").read_text("utf-8")
    assert all(f'id="glassnet.figures.{name}"' in drawn for name in gn.figures.__all__)
    assert "backpropag" in (tmp_path / "searchindex.js").read_text("utf-8")
