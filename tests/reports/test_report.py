"""Test the sections of reports for every kind of data, the escaping of text, and the scores."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import datasets, metrics

import glassnet as gn
from glassnet.data.tables import as_table
from glassnet.diagnosis.findings import Diagnosis, Finding
from glassnet.display.charts import svg
from glassnet.display.thumbnails import pixel_map
from glassnet.errors import DataError
from glassnet.evaluation.evaluation import Evaluation, evaluate
from glassnet.evaluation.single_split import baselines, verdict_of, with_baselines
from glassnet.evaluation.suspicions import Suspicion
from glassnet.fit.estimators import NeuralClassifier, NeuralRegressor
from glassnet.reports.facts import ReportContent
from glassnet.reports.mistakes import confusion
from glassnet.reports.network import network_section
from glassnet.reports.report import SECTIONS, Facts, report_html
from glassnet.training.history import History

VOID = {"meta", "br", "img", "use", "path", "rect", "link"}


class Page(HTMLParser):
    """Collect the tags and texts of a page; fail on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style",):
            self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in tags]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def table_rows(n: int, seed: int = 0) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, n)
    age[::7] = np.nan
    city = rng.choice(["Ulm", "Bonn", "Kiel", None], n)
    member = rng.choice([True, False], n)
    day = np.datetime64("2024-01-01") + rng.integers(0, 300, n)
    columns = {"age": age, "city": city.astype(object), "member": member, "day": day}
    return as_table(columns | {"unit": ["cm"] * n}), member.astype(int)


def classifier(X: Any, y: Any, **parameters: Any) -> NeuralClassifier:
    return NeuralClassifier(hidden=(8,), random_state=0, epochs=3, **parameters).fit(X, y)


def regressor(X: Any, y: Any) -> NeuralRegressor:
    return NeuralRegressor(hidden=(8,), random_state=0, epochs=3).fit(X, y)


def binary() -> tuple[Any, Any, Any]:
    X, y = table_rows(60)
    return (
        classifier(X, np.array(["no", "yes"])[y], early_stopping=True),
        X,
        np.array(["no", "yes"])[y],
    )


def flowers() -> tuple[Any, Any, Any]:
    X, y = datasets.load_iris(return_X_y=True)
    return classifier(X, y), X, y


def pictures() -> tuple[Any, Any, Any]:
    digits = datasets.load_digits()
    X, y = digits.images[:200].astype(np.uint8), digits.target[:200]
    return classifier(X, y), X, y


def colours() -> tuple[Any, Any, Any]:
    X = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3)).astype(np.uint8)
    y = np.arange(40) % 2
    return classifier(X, y), X, y


def many_classes() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(160) % 40
    return classifier(rng.normal(size=(160, 5)), y), rng.normal(size=(160, 5)), y


def labels() -> tuple[Any, Any, Any]:
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = (X > [0, 0.3, 3]).astype(int)  # no row has the last label
    return classifier(X, y), X, y


def values() -> tuple[Any, Any, Any]:
    X, y = datasets.load_diabetes(return_X_y=True)
    return regressor(X, y), X, y


def several_values() -> tuple[Any, Any, Any]:
    X = np.random.default_rng(0).normal(size=(60, 3))
    return regressor(X, X * [1, 1000, 0.001]), X, X * [1, 1000, 0.001]


def one_class_row() -> tuple[Any, Any, Any]:
    estimator, X, y = fitted("flowers")
    return estimator, X[:1], y[:1]


def one_value_row() -> tuple[Any, Any, Any]:
    estimator, X, y = fitted("values")
    return estimator, X[:1], y[:1]


CASES = {
    case.__name__: case
    for case in (
        binary, flowers, pictures, colours, many_classes, labels, values, several_values,
        one_class_row, one_value_row,
    )
}  # fmt: skip

FACTS = Facts(
    title="data.csv",
    target="answer",
    rows={"training": 48, "validation": 12, "test": 60},
    seconds=1.25,
    command="glassnet train data.csv --target answer",
    notes=("Read 60 rows.",),
    suspicions=(Suspicion("constant", ("unit",), "Column 'unit' is constant: --drop unit"),),
)


@cache
def fitted(case: str) -> tuple[Any, Any, Any]:
    return CASES[case]()


@cache
def outcome(case: str) -> tuple[Any, Evaluation]:
    estimator, X, y = fitted(case)
    evaluation = evaluate(estimator.model_, X, y)
    return estimator, with_baselines(evaluation, X, y, X, y, estimator.model_)


@cache
def written(case: str) -> str:
    estimator, evaluation = outcome(case)
    return report_html(estimator.model_, estimator.history_, evaluation, FACTS)


def section(html: str, key: str) -> str:
    """Return one section of a page."""
    return html.split(f'<section id="{key}"')[1].split("</section>")[0]


# ------------------------------------------------------------------------------------------- the page


@pytest.mark.parametrize("case", CASES)
def test_the_page_has_every_section_and_is_well_formed(case):
    html = written(case)
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    # nothing was diagnosed, and of one row there is nothing to shuffle
    left_out = {"diagnosis", *(["reasons"] if case in ("one_class_row", "one_value_row") else [])}
    keys = [key for key, _, _ in SECTIONS if key not in left_out]
    assert [a["id"] for a in page.all("section")] == keys
    assert ("html", {"lang": "en"}) in page.tags
    assert len(page.all("h1")) == len(page.all("main")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in attributes for attributes in page.all("th"))
    assert all(attributes["alt"] for attributes in page.all("img"))
    references = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)|aria-labelledby="([^"]*)"', html)
    assert {name for names in references for name in names if name} <= set(ids)


@pytest.mark.parametrize("case", CASES)
def test_the_page_loads_nothing_and_runs_nothing(case):
    html = written(case)
    page = Page(html)
    assert not page.all("script", "iframe", "link", "object", "embed", "form")
    assert not re.search(r"https?:|//|@import|\bon\w+=", re.sub(r"base64,[^\"]*", "", html))
    assert all(a["src"].startswith("data:image/png;base64,") for a in page.all("img"))
    assert any("default-src 'none'" in (a.get("content") or "") for a in page.all("meta"))


@pytest.mark.parametrize("case", ["pictures", "values"])
def test_the_same_input_gives_the_same_bytes(case):
    estimator, evaluation = outcome(case)
    again = report_html(estimator.model_, estimator.history_, evaluation, FACTS)
    assert again == written(case)


@pytest.mark.parametrize("case", ["flowers", "values"])
def test_drawings_have_alternative_texts_and_the_colours_of_the_page(case):
    html = written(case)
    drawings = re.findall(r"<svg.*?</svg>", html, flags=re.S)
    assert len(drawings) >= 2
    for drawing in drawings:
        assert 'role="img"' in drawing and re.search(r"<title [^>]*>[^<]{20,}</title>", drawing)
        assert "<text" in drawing and "mathdefault" not in drawing
        assert "var(--first)" in drawing
        assert not re.search(r"(fill|stroke): #(?!000000)", drawing)


def test_a_drawing_restores_the_settings_of_matplotlib():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    svg("key", "A line.", lambda ax: ax.plot([1, 2]))
    assert dict(mpl.rcParams) == before


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\x1b[31mred\x00\x07",
    "two\nlines\u2028more",
    "right\u202eto left\u2066",
    "lone \ud800 surrogate",
    "$x_{$ \\frac",
    "</style></title>",
    "名前 👩‍🚀",
    "w" * 5000,
]


@cache
def hostile() -> tuple[tuple[Any, Evaluation], ...]:
    """Return a classifier and a regressor whose columns, levels and classes all have hostile names."""
    numbers = np.random.default_rng(0).normal(size=(40, len(HOSTILE)))
    y = np.array(HOSTILE * 4, dtype=object)
    X = as_table(dict(zip(HOSTILE, numbers.T, strict=True)) | {"level": np.roll(y, 1)})
    pairs = ((classifier(X, y), y), (regressor(X, numbers[:, 0]), numbers[:, 0]))
    return tuple((fit, evaluate(fit.model_, X, target)) for fit, target in pairs)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(text, monkeypatch):
    suspicion = Suspicion(text, (text,), text)
    ill = Diagnosis((Finding(text, "severe", text, text, text, text),), text, {}, text)
    facts = Facts(text, text, {text: 3}, 1.0, text, (text,), (suspicion,), None, text, ill)
    if "script" not in text:  # these sections know nothing of the facts
        rest = [section for section in SECTIONS if section[0] not in ("network", "reasons")]
        monkeypatch.setattr("glassnet.reports.report.SECTIONS", rest)
    for estimator, evaluation in hostile():
        # drawings take most of the time: one text is enough to see that they escape their words
        history = estimator.history_ if "script" in text else History()
        html = report_html(estimator.model_, history, evaluation, facts)
        html.encode("utf-8")
        page = Page(html)
        assert not page.all("script") and len(page.all("style")) == 1
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u2028\u202a-\u202e\u2066-\u2069]", html)
        assert "w" * 1100 not in html


# ------------------------------------------------------------------------------------------- contents


def with_errors(task: str, **errors: Any) -> Evaluation:
    """Return an evaluation with these errors of the guess, the linear model, boosting and the network."""
    names = {"guess": "mean" if task == "regression" else "majority"}
    rows = {names.get(name, name): np.asarray(by_row, float) for name, by_row in errors.items()}
    score = "rmse" if task == "regression" else "accuracy"
    shown = {name: {score: float(by_row.mean() if score == "rmse" else 1 - by_row.mean())}
             for name, by_row in rows.items()}  # fmt: skip
    network = shown.pop("network")
    y = np.zeros(len(rows["network"]))
    return Evaluation(task, y, y, None, None, network, shown, rows)  # type: ignore[arg-type]


def wrong(count: int, of: int = 200) -> np.ndarray:
    """Return errors of which the first `count` are 1."""
    return (np.arange(of) < count).astype(float)


@pytest.mark.parametrize(
    ("task", "linear", "boosting", "network", "message"),
    [
        ("classification", 40, 30, 4, "Use the network: accuracy 0.98 against 0.85 for gradient boosting"),
        ("classification", 40, 41, 39, "Use the linear model, not the network: it is simpler, and the"
         " network's lead, accuracy 0.805 against 0.8, is within the noise of 200 test rows"),
        ("classification", 40, 42, 42, "the network is no better, accuracy 0.79 against 0.8"),
        ("classification", 4, 8, 60, "Use the linear model, not the network: it is better, accuracy 0.98"),
        ("classification", 100, 100, 100, "Use no model: nothing beats guessing the most frequent class"),
        ("regression", 60, 20, 3, "Use the network: RMSE 0.015 against 0.1 for gradient boosting"),
        ("regression", 60, 5, 60, "Use gradient boosting, not the network: it is better, RMSE 0.025"),
        ("regression", 120, 120, 120, "Use no model: nothing beats guessing the mean beyond chance"),
    ],
)  # fmt: skip
def test_the_verdict(task, linear, boosting, network, message):
    models = {"linear": wrong(linear), "boosting": wrong(boosting), "network": wrong(network)}
    tested = with_errors(task, guess=wrong(100), **models)
    assert message in verdict_of(tested)
    estimator, _ = outcome("flowers" if task == "classification" else "values")
    html = report_html(estimator.model_, estimator.history_, tested, FACTS)
    assert message in Page(html).words


def test_paired_errors_show_leads_that_two_accuracies_do_not():
    """Eight rows that only one model predicts correctly are significant, although 0.80 and 0.84 are close."""
    linear, network = wrong(40), wrong(32)
    tested = with_errors("classification", guess=wrong(100), linear=linear, network=network)
    assert verdict_of(tested).startswith("Use the network")
    elsewhere = with_errors(
        "classification", guess=wrong(100), linear=linear, network=network[::-1]
    )
    assert verdict_of(elsewhere).startswith("Use the linear model")


def test_without_errors_there_is_no_verdict():
    y = np.zeros(10)
    assert verdict_of(Evaluation("classification", y, y, None, None, {"accuracy": 0.5})) == ""


def test_the_confusion_matrix_counts_true_rows_down_and_predicted_columns_across():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.choice(list("abc"), 50), rng.choice(list("abc"), 50)
    _, counts = confusion(
        Evaluation("classification", y_true, y_pred, None, np.array(list("abc")), {})
    )
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(y_true, y_pred))


def test_many_classes_are_listed_and_not_drawn_as_a_matrix():
    assert "Confusion matrix" in written("flowers")
    page = Page(written("many_classes"))
    assert "A confusion matrix of 40 classes would be unreadable" in page.words
    assert not [a for a in page.all("table") if "matrix" in (a.get("class") or "")]


def test_the_worst_rows_have_the_largest_errors_and_their_row_numbers():
    estimator, evaluation = outcome("flowers")
    numbers = np.arange(150) + 1000
    html = report_html(
        estimator.model_, estimator.history_, evaluation, replace(FACTS, test_rows=numbers)
    )
    shown = [
        int(row) for row in re.findall(r'<th scope="row">(\d+)</th>', section(html, "examples"))
    ]
    of_truth = evaluation.proba[np.arange(150), evaluation.y_true]
    np.testing.assert_allclose(of_truth[np.array(shown) - 1000], np.sort(of_truth)[:10])


def test_pictures_are_shown_with_their_own_pixels():
    html = section(written("colours"), "examples")
    _, evaluation = outcome("colours")
    shown = re.findall(r"base64,([^\"]*)", html)[::2]  # each is followed by its map
    assert len(shown) == 10
    for encoded in shown:
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        assert any(np.array_equal(pixels, picture) for picture in evaluation.X)


def test_pixel_maps_are_light_for_support_and_dark_for_opposition():
    values = np.array([[-2.0, 0.0], [1.0, 2.0]])
    encoded = re.findall(r'base64,([^"]*)', pixel_map(values, "words"))[0]
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"))
    order = np.argsort(values, axis=None)
    assert (np.diff(grey.ravel()[order].astype(int)) > 20).all()


def line() -> tuple[Any, Any, Any]:
    """Return a network of one neuron that computes 3 a - 2 b and ignores c."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    run = gn.train(gn.Network([gn.Dense(1)]), X, X[:, 0], epochs=1)
    params = ({"W": np.array([[3.0, -2.0, 0.0]], np.float32), "b": np.zeros(1, np.float32)},)
    model = replace(run.model, params=params, target_encoder=None)
    return model, X, 3 * X[:, 0] - 2 * X[:, 1] + (np.arange(60) == 7)


def test_importance_and_movers_are_those_of_a_known_network():
    model, X, y = line()
    html = report_html(model, History(), evaluate(model, X, y), Facts("a", "b"))
    assert re.findall("<bdi>(x.)</bdi></th>", section(html, "reasons")) == ["x0", "x1", "x2"]
    worst = section(html, "examples").split("<tbody>")[1].split("</tr>")[0]
    assert '<th scope="row">7</th>' in worst
    moved = re.findall(r"<bdi>x(.)</bdi> [^ ]* \(([^)]*)\)", worst.replace("−", "-"))
    effects = {int(column): float(by) for column, by in moved}
    np.testing.assert_allclose([effects[0], effects[1]], X[7, :2] * [3, -2], rtol=1e-3)
    assert effects[2] == 0


def test_the_diagram_is_left_out_for_networks_that_it_cannot_show():
    drawing = section(written("flowers"), "network").split("</svg>")[0]
    shown = re.findall("<text[^>]*>([^<]*)</text>", drawing)
    assert "8 neurons" in shown and "3 neurons" in shown
    X, _ = datasets.load_iris(return_X_y=True)
    model = gn.train(gn.Network([gn.Scale()]), X, X, epochs=1).model
    html = report_html(model, History(), evaluate(model, X, X), Facts("a", "b"))
    assert "<svg" not in section(html, "network") and "Scale" in section(html, "network")


def test_the_diagram_of_members_with_as_many_hidden_neurons_as_columns():
    """Weights of members have one more axis, so hidden neurons must not be taken for inputs."""
    X, y = datasets.load_iris(return_X_y=True)
    fit = NeuralClassifier(hidden=(4,), members=2, epochs=2, random_state=0).fit(X, y)
    drawing = network_section(ReportContent(fit.model_, History(), outcome("flowers")[1], FACTS))
    shown = re.findall("<text[^>]*>([^<]*)</text>", drawing.split("</svg>")[0])
    assert shown[shown.index("inputs") + 1] == "16" and "x₁₆" in shown  # of four columns' waves


def test_findings_say_what_to_change():
    estimator, evaluation = outcome("flowers")
    finding = Finding(
        "dead ReLU neurons", "severe", "7 of 8", "layer 1", "the rate", "--learning-rate 0.1"
    )
    for findings, message in (
        ((finding,), "Dead ReLU neurons (severe)"),
        ((), "Nothing keeps the network"),
    ):
        facts = replace(FACTS, diagnosis=Diagnosis(findings, "a network", {}, "these rows"))
        html = report_html(estimator.model_, History(), evaluation, facts)
        words = Page(section(html, "diagnosis").partition(">")[2]).words
        assert message in words and ("--learning-rate 0.1" in words) == bool(findings)


def test_columns_are_listed_with_encodings_and_reasons_for_dropping():
    words = Page(written("binary")).words
    for text in (
        "age",
        "one more input is 1 where the value is missing",
        "one-hot",
        "days since the median",
    ):
        assert text in words
    assert "dropped every value is the same" in words


def test_a_run_without_epochs_and_a_test_without_baselines_still_make_a_page():
    estimator, evaluation = outcome("flowers")
    bare = replace(evaluation, baselines={}, X=None)
    page = Page(report_html(estimator.model_, History(), bare, Facts("", "")))
    assert "learning" not in [a["id"] for a in page.all("section")]


# ---------------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("case", ["binary", "flowers", "many_classes", "one_class_row"])
def test_scores_of_classes_are_those_of_scikit_learn(case):
    estimator, X, y = fitted(case)
    evaluation = evaluate(estimator.model_, X, y)
    predicted, proba = estimator.predict(X), estimator.predict_proba(X)
    np.testing.assert_array_equal(evaluation.y_true, y)
    np.testing.assert_array_equal(evaluation.y_pred, predicted)
    recalls = [(predicted[y == c] == c).mean() for c in np.unique(y)]
    assert evaluation.scores == {
        "accuracy": pytest.approx(metrics.accuracy_score(y, predicted)),
        "balanced_accuracy": pytest.approx(np.mean(recalls)),
        "macro_f1": pytest.approx(metrics.f1_score(y, predicted, average="macro", zero_division=0)),
        "log_loss": pytest.approx(metrics.log_loss(y, proba, labels=estimator.classes_)),
    }


def test_scores_of_labels_are_those_of_scikit_learn():
    estimator, X, y = fitted("labels")
    evaluation, predicted = evaluate(estimator.model_, X, y), estimator.predict(X)
    proba = np.clip(estimator.predict_proba(X), 1e-15, 1 - 1e-15)
    cross_entropy = -(y * np.log(proba) + (1 - y) * np.log(1 - proba)).mean()
    assert evaluation.task == "labels"
    assert evaluation.scores == {
        "subset_accuracy": pytest.approx(metrics.accuracy_score(y, predicted)),
        "macro_f1": pytest.approx(metrics.f1_score(y, predicted, average="macro", zero_division=0)),
        "log_loss": pytest.approx(cross_entropy),
    }


@pytest.mark.parametrize("case", ["values", "several_values"])
def test_scores_of_values_are_those_of_scikit_learn(case):
    estimator, X, y = fitted(case)
    evaluation, predicted = evaluate(estimator.model_, X, y), estimator.predict(X)
    assert evaluation.scores == {
        "r2": pytest.approx(metrics.r2_score(y, predicted)),
        "rmse": pytest.approx(np.mean(np.sqrt(((y - predicted) ** 2).mean(axis=0)))),
        "mae": pytest.approx(metrics.mean_absolute_error(y, predicted)),
    }


def test_one_row_has_no_r2_and_no_warning():
    assert list(outcome("one_value_row")[1].scores) == ["rmse", "mae"]


def test_values_near_the_largest_float_give_scores_or_none_but_no_error():
    X = np.arange(20.0).reshape(-1, 1)
    y = X[:, 0] * 1e300
    model = regressor(X, y).model_
    evaluation = evaluate(model, X, y).scores | baselines(X, y, X, y, model)["linear"]
    assert all(np.isfinite(score) for score in evaluation.values())


@pytest.mark.parametrize("values", [np.zeros(20), np.arange(20) * 1e300, np.arange(20) * 1e-300])
def test_the_report_of_values_of_any_size(values):
    X = np.arange(20.0).reshape(-1, 1)
    estimator = regressor(X, values)
    evaluation = evaluate(estimator.model_, X, values)
    for y_pred in (evaluation.y_pred, values):
        Page(report_html(estimator.model_, History(), replace(evaluation, y_pred=y_pred), FACTS))


def test_wrong_targets_are_refused_with_a_reason():
    estimator, X, y = fitted("flowers")
    for rows, target, message in ((X, y[:-1], "149"), (X, y + 1, "3"), (X, None, "give y")):
        with pytest.raises(DataError, match=message):
            evaluate(estimator.model_, rows, target)


# ----------------------------------------------------------------------------------------- baselines


def test_baselines_are_a_guess_a_linear_model_and_boosting_under_the_same_names():
    for case, first in (("flowers", "majority"), ("labels", "majority"), ("values", "mean")):
        _, evaluation = outcome(case)
        assert list(evaluation.baselines) == [first, "linear", "boosting"]
        for scores in evaluation.baselines.values():
            assert list(scores) == list(evaluation.scores)
    assert outcome("flowers")[1].baselines["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert outcome("flowers")[1].baselines["majority"]["log_loss"] == pytest.approx(np.log(3))
    assert outcome("flowers")[1].baselines["linear"]["accuracy"] > 0.95
    assert outcome("values")[1].baselines["mean"]["r2"] == pytest.approx(0)
    assert outcome("values")[1].baselines["linear"]["r2"] > 0.45


def test_a_class_that_the_training_rows_lack_has_no_probability_and_no_error():
    estimator, X, y = fitted("flowers")
    scores = baselines(X[y < 2], y[y < 2], X, y, estimator.model_)
    assert scores["linear"]["accuracy"] == pytest.approx(2 / 3, abs=0.02)


def test_large_data_are_sampled_and_every_class_stays(monkeypatch):
    monkeypatch.setattr("glassnet.evaluation.contestants.MAX_NUMBERS", 480)
    estimator, X, y = fitted("flowers")
    scores = baselines(X, y, X, y, estimator.model_)
    assert scores["linear"].pop("fitted_on") == 120
    assert scores["linear"]["accuracy"] > 0.9
    assert "fitted_on" not in scores["majority"]


def test_baselines_leave_the_rows_as_they_were():
    from glassnet import Dense, Network, train

    X, y = datasets.load_iris(return_X_y=True)
    kept = X.copy()
    model = train(Network([Dense(3)]), X, y, epochs=1, dtype="float64").model
    baselines(X, y, X, y, model)
    np.testing.assert_array_equal(X, kept)
