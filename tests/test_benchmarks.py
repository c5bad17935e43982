"""The benchmarks' own parts that need no peer: our contestant, the floor, the page and its targets."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks import page, steps
from benchmarks.cases import Case, data_for
from benchmarks.contestants import CONTESTANTS, PEERS
from benchmarks.targets import TARGETS, verdicts

DOCS = Path(__file__).parent.parent / "docs"
TINY = Case("tiny", (5, 8, 3), 60, 16, 3)


@pytest.fixture(scope="module")
def known():
    return json.loads((DOCS / "benchmarks.json").read_text())


@pytest.mark.parametrize("name", ["glassnet", "JAX + optax", "scikit-learn"])
def test_a_contestant_goes_on_learning(name):
    X, y = data_for(TINY)
    go = CONTESTANTS[name](TINY, X, y)
    losses = [go() for _ in range(4)]
    assert np.isfinite(losses).all()
    assert losses == sorted(losses, reverse=True)


def test_our_contestant_takes_batch_norm_and_dropout():
    X, y = data_for(TINY)
    assert np.isfinite(CONTESTANTS["glassnet"](TINY, X, y, True)())


def test_the_floor_grows_with_the_network():
    narrow, wide = steps.floor(TINY), steps.floor(TINY._replace(widths=(5, 512, 512, 3)))
    assert 0 < narrow["microseconds"] < wide["microseconds"]
    assert narrow["microseconds"] == pytest.approx(narrow["products"] + narrow["traffic"])


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds():
    times = {
        "glassnet": [1.0, 2.0, 1.0],
        "PyTorch": [5.0, 10.0, 7.0],
        "Keras": [9.0] * 3,
        "floor": [0.5] * 3,
    }
    found = steps._summary(TINY, times, {})
    assert found["times faster than"] == {"PyTorch": 5.0, "Keras": 9.0}
    assert found["times faster than the best peer"] == 5.0
    assert found["times the floor"] == 2.0
    assert found["microseconds"]["glassnet"] == 1.0


def test_every_target_finds_its_number(known):
    found = verdicts(known)
    assert len(found) == len(TARGETS)
    assert all(number > 0 for _, number, _, _ in found)


def test_the_page_is_the_one_that_the_figures_give(known, tmp_path):
    page.write(known, tmp_path)
    assert (tmp_path / "benchmarks.md").read_text() == (DOCS / "benchmarks.md").read_text()
    drawn = (tmp_path / "benchmarks.svg").read_text()
    assert all(name in drawn for name in (*PEERS, "the floor", *(c.name for c in steps.CASES)))


def test_a_part_alone_gives_a_page(known, tmp_path):
    page.write({"prediction": known["prediction"]}, tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert "## Prediction" in text and "predict one row" in text and "## Growth" not in text
    assert not (tmp_path / "benchmarks.svg").exists()
