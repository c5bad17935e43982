"""The estimators: scikit-learn's tools, all kinds of rows and targets, parameters, and bad input."""

from __future__ import annotations

import datetime
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import optax
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glassnet as gn
from glassnet.data.tables import as_table
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.errors import ConfigurationError, DataError
from glassnet.fit.estimator_inputs import estimator_job
from glassnet.fit.parameters import seed_of
from glassnet.fit.recipes import picture_front, table_front
from glassnet.fit.train import network_job
from glassnet.nn.augmentation import RandomShift
from helpers import assert_same_bits, blobs

X, y = blobs(60)
LABELS = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
VALUES = np.stack([X[:, 0] + 2 * X[:, 1], X[:, 2] ** 2], axis=1)
SMALL = {
    "hidden": (8,),
    "dropout": 0.0,
    "epochs": 15,
    "random_state": 0,
    "optimizer": gn.Adam(0.02),
    "members": 1,
    "embedding": "none",
    "early_stopping": False,
    "batch_size": 32,
}


def classifier(**chosen: Any) -> gn.NeuralClassifier:
    return gn.NeuralClassifier(**SMALL | chosen)


def regressor(**chosen: Any) -> gn.NeuralRegressor:
    return gn.NeuralRegressor(**SMALL | chosen)


# --------------------------------------------------------------------------- scikit-learn's tools


def test_pipeline_search_clone_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), classifier())
    search = GridSearchCV(pipeline, {"neuralclassifier__l2": [0.0, 10.0]}, cv=2).fit(X, y)
    # with 10 the weights shrink almost to 0
    assert search.best_params_ == {"neuralclassifier__l2": 0.0}
    assert search.score(X, y) > 0.8
    assert cross_val_score(classifier(), X, y, cv=2).mean() > 0.7
    fitted = classifier().fit(X, y)
    copy = clone(fitted)
    assert not hasattr(copy, "model_")
    assert copy.get_params() == fitted.get_params()
    assert_same_bits(copy.fit(X, y).model_.params, fitted.model_.params)


def test_pickle_and_model_file_predict_the_same_bits(tmp_path):
    for fitted in (classifier().fit(X, y), regressor(dtype="float32").fit(X, VALUES)):
        assert_same_bits(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))
        fitted.save(tmp_path / "model.glassnet")
        loaded = gn.load(tmp_path / "model.glassnet")
        assert_same_bits(loaded.predict(X), fitted.predict(X))
        assert_same_bits(loaded.outputs(X), fitted.model_.outputs(X))


def test_random_state_fixes_every_bit():
    assert_same_bits(*(classifier().fit(X, y).model_.params for _ in range(2)))
    one, other = (classifier(random_state=seed).fit(X, y).predict_proba(X) for seed in (0, 1))
    assert not np.array_equal(one, other)
    drawn = classifier(random_state=np.random.RandomState(0)).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(one, drawn)


# ----------------------------------------------------------------------------------- row weights


@pytest.mark.parametrize("class_weight", [None, "balanced", {1: 3.0}])
def test_a_weight_equals_repeated_rows(class_weight):
    weight = np.random.default_rng(1).integers(0, 4, len(X))
    chosen = {"batch_size": None, "dtype": "float64", "class_weight": class_weight}
    weighted = classifier(**chosen).fit(X, y, sample_weight=weight)
    repeated = classifier(**chosen).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7, atol=1e-9
    )


def test_weights_of_one_change_nothing():
    plain = classifier().fit(X, y).predict_proba(X)
    for class_weight in (
        {},
        {0: 1, 1: 1.0},
        "balanced",
    ):  # balanced: the classes have equally many rows
        weighted = classifier(class_weight=class_weight).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(weighted, plain, rtol=1e-9)


@pytest.mark.parametrize("names", [(0, 1), ("no", "yes"), (False, True)], ids=str)
def test_a_larger_class_weight_raises_its_share_of_predictions(names):
    noise = np.random.default_rng(0).normal(size=(len(X), 2))
    rare = np.asarray(names)[(np.arange(len(X)) % 5 == 0).astype(int)]

    def share(class_weight):
        predictions = (
            classifier(class_weight=class_weight, hidden=()).fit(noise, rare).predict(noise)
        )
        return np.mean(predictions == names[1])

    assert share(None) < 0.1
    assert share({names[1]: 100.0}) > 0.9
    assert 0.2 < share("balanced") < 0.8


def test_class_weights_of_several_labels():
    noise = np.random.default_rng(0).normal(size=(len(X), 2))
    rare = np.stack([np.arange(60) % 5 == 0, np.arange(60) % 6 == 0], axis=1).astype(int)

    def shares(class_weight):
        fitted = classifier(class_weight=class_weight, hidden=(), epochs=60)
        return fitted.fit(noise, rare).predict(noise).mean(axis=0)

    assert (shares(None) < 0.1).all()
    first, second = shares([{1: 100.0}, None])
    assert first > 0.9 and second < 0.1
    assert (shares({1: 100.0}) > 0.9).all()
    n, count = len(rare), rare.sum(axis=0)
    by_hand = [{0: n / 2 / (n - c), 1: n / 2 / c} for c in count]
    np.testing.assert_allclose(shares("balanced"), shares(by_hand))


def test_class_weights_allow_a_label_that_is_always_zero():
    labels = np.stack([LABELS[:, 0], np.zeros(60, int)], axis=1)
    assert not classifier(class_weight={1: 3.0}).fit(X, labels).predict(X)[:, 1].any()


# ---------------------------------------------------------------------- continued training


def test_partial_fit_equals_fit_epoch_by_epoch():
    whole = classifier(epochs=4).fit(X, y)
    parts = classifier()
    for _ in range(4):
        parts.partial_fit(X, y)
    assert_same_bits(parts.model_.params, whole.model_.params)
    assert parts.n_iter_ == len(parts.history_["loss"]) == 4


def test_partial_fit_accepts_classes_that_appear_later():
    parts = classifier(class_weight={0: 1.0, 2: 2.0}).partial_fit(
        X[y == 0], y[y == 0], classes=[0, 1, 2]
    )
    assert parts.classes_.tolist() == [0, 1, 2]
    for _ in range(20):
        for c in (1, 2, 0):  # one class in each call
            parts.partial_fit(X[y == c], y[y == c])
    assert parts.score(X, y) > 0.6
    with pytest.raises(DataError, match="class 5, which was not in the training data"):
        parts.partial_fit(X, y + 5)


def test_partial_fit_keeps_learning_with_the_defaults():
    parts = gn.NeuralClassifier(hidden=(8,), dropout=0.0, random_state=0)
    for _ in range(120):
        parts.partial_fit(X, y)
    assert parts.score(X, y) > 0.8  # fails if a schedule ended with each call
    assert parts.history_["learning_rate"][-1] == pytest.approx(4e-3)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_warm_start_continues_the_last_fit(make):
    whole = make(epochs=6).fit(X, y)
    parts = make(epochs=3, warm_start=True).fit(X, y).fit(X, y)
    assert_same_bits(parts.model_.params, whole.model_.params)
    assert parts.n_iter_ == 6
    assert parts.history_["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    restarted = make(epochs=3).fit(X, y).fit(X, y)
    assert restarted.n_iter_ == 3


def test_a_warm_start_may_begin_to_watch_validation_rows():
    model = regressor(epochs=2, early_stopping=False, warm_start=True).fit(X, y)
    model.fit(X, y, validation=(X[:10], y[:10]))
    losses = model.history_["validation_loss"]
    assert np.isnan(losses).tolist() == [True, True, False, False]
    assert model.history_.best_epoch in (3, 4)


# ------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize("labels", [["a", "b", "c"], [-1, 5, 7], [0.0, 1.0, 2.0]])
def test_predicted_classes_keep_their_type(labels):
    given = np.asarray(labels)[y]
    for form in (given, given.tolist(), pd.Series(given), pl.Series(given.tolist())):
        fitted = classifier().fit(X, form)
        assert fitted.classes_.tolist() == labels
        assert (fitted.predict(X) == given).mean() > 0.8
        np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_several_labels():
    fitted = classifier(epochs=60).fit(X, LABELS)
    assert fitted.predict_proba(X).shape == fitted.predict(X).shape == (60, 2)
    assert fitted.score(X, LABELS) > 0.8
    np.testing.assert_array_equal(fitted.predict(X), fitted.predict_proba(X) > 0.5)


def test_predicted_values_are_in_the_units_of_the_targets():
    units = np.array([1.0, 1e6])
    one = regressor(epochs=60).fit(X, VALUES)
    assert one.score(X, VALUES) > 0.7
    assert one.predict(X).shape == (60, 2)
    scaled = regressor(epochs=60).fit(X, VALUES * units)
    np.testing.assert_allclose(scaled.predict(X), one.predict(X) * units, rtol=1e-6)
    assert scaled.score(X, VALUES * units) == pytest.approx(one.score(X, VALUES))
    frame = pd.DataFrame(VALUES, columns=["u", "v"])
    np.testing.assert_array_equal(regressor(epochs=60).fit(X, frame).predict(X), one.predict(X))


# ---------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_rows_equal_dense_rows(form):
    rows = np.where(np.abs(X) > 1, X, 0)
    dense = classifier().fit(rows, y)
    fitted = classifier().fit(form(rows), y)
    assert_same_bits(fitted.predict_proba(form(rows)), dense.predict_proba(rows))


@pytest.mark.parametrize("colours", [(), (3,)], ids=["gray", "colour"])
def test_pictures(colours):
    digits = load_digits()
    images, kinds = digits.images[:120].astype(np.uint8), digits.target[:120]
    if colours:
        images = np.repeat(images[..., None], 3, axis=-1)
    fitted = classifier(epochs=30).fit(images, kinds)
    assert fitted.score(images, kinds) > 0.9
    assert fitted.n_features_in_ == 64 * (3 if colours else 1)
    assert fitted.model_.in_shape == (8, 8, *colours)
    with pytest.raises(DataError, match="rows of shape"):
        fitted.predict(images[:, :4])


def test_pictures_are_shifted_by_a_28th_of_their_side_in_training():
    """By size, number of pictures and the user's choice; the choices for tables are refused."""

    def shifts(shape, embedding="auto"):
        front = picture_front(np.zeros(shape, np.uint8), embedding)
        return [layer.pixels for layer in front if isinstance(layer, RandomShift)]

    assert [shifts((50, side, 64)) for side in (8, 14, 15, 28, 64)] == [[], [], [1], [1], [2]]
    assert shifts((39, 28, 28)) == []  # too few pictures
    assert shifts((50, 28, 28, 3)) == [1]
    assert shifts((50, 28, 28), "none") == [] and shifts((50, 8, 8), RandomShift(3)) == [3]
    for wrong in ("periodic", "scale", None):
        with pytest.raises(ConfigurationError, match="for pictures"):
            shifts((50, 28, 28), wrong)
    images = np.random.default_rng(0).integers(0, 256, (40, 15, 15), np.uint8)
    kinds = np.arange(40) % 2
    network = classifier(epochs=1, embedding="auto").fit(images, kinds).model_.network
    assert network.layers[1] == RandomShift(1)


def test_redundant_columns_get_no_periodic_embedding():
    rng = np.random.default_rng(0)
    independent = rng.normal(size=(60, 12))
    redundant = rng.normal(size=(60, 1)) + 0.1 * rng.normal(size=(60, 12))

    def front(X, embedding="auto"):
        layers = table_front(embedding, X, TableEncoder.fit(X))
        return [type(layer).__name__ for layer in layers]

    assert front(independent) == ["Scale", "Periodic"] and front(redundant) == ["Scale"]
    assert front(redundant, "periodic") == ["Scale", "Periodic"]  # the user's choice
    assert front(redundant[:39]) == ["Scale", "Periodic"]  # too few rows to compare columns
    assert front(np.ones((60, 12)) * np.arange(60)[:, None] % 2) == ["Scale"]
    assert front(as_table({f"c{i}": column for i, column in enumerate(redundant.T)})) == ["Scale"]


def table(rows: int = 60) -> dict[str, list[Any]]:
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=9 * i) for i in range(rows)]
    return {
        "size": [None if i % 7 == 0 else float(X[i, 0]) for i in range(rows)],
        "count": list(range(rows)),
        "city": [None if i % 11 == 0 else ["Ulm", "Bonn", "Köln"][y[i]] for i in range(rows)],
        "member": [bool(i % 2) for i in range(rows)],
        "since": days,
    }


FRAMES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": lambda columns: pd.DataFrame(columns).astype({"city": "category"}),
    "pandas of text": lambda columns: pd.DataFrame(columns).assign(
        since=pd.to_datetime(pd.Series(columns["since"]))
    ),
    "polars": pl.DataFrame,
    "polars categories": lambda c: pl.DataFrame(c).with_columns(
        pl.col("city").cast(pl.Categorical)
    ),
    "arrow": pa.table,
    "dictionary": lambda columns: columns,
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_kind_of_table_gives_the_same_result(name):
    plain = classifier().fit(gn.Table(dict(_normal(table()))), y)
    frame = FRAMES[name](table())
    fitted = classifier().fit(frame, y)
    assert_same_bits(fitted.predict_proba(frame), plain.predict_proba(table()))
    assert fitted.feature_names_in_.tolist() == list(table())
    assert fitted.n_features_in_ == 5
    assert fitted.score(frame, y) > 0.95  # the city reveals the class, unless it is missing


def _normal(columns):
    from glassnet.data.tables import as_table

    return as_table(columns).columns


def test_new_levels_and_missing_values_at_prediction():
    fitted = classifier().fit(table(), y)
    new = {name: values[:3] for name, values in table().items()}
    new |= {"city": ["Paris", None, "Bonn"], "size": [None] * 3, "member": [None, True, False]}
    proba = fitted.predict_proba(new)
    assert np.isfinite(proba).all()
    unseen = {**new, "city": ["Rom", None, "Bonn"]}
    # all unknown levels are equal
    np.testing.assert_array_equal(fitted.predict_proba(unseen), proba)


def test_arrays_with_missing_values():
    rows = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    assert classifier(epochs=40).fit(rows, y).score(rows, y) > 0.8


def test_names_and_order_of_columns_are_checked():
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = classifier().fit(frame, y)
    with pytest.raises(ValueError, match="must be in the same order"):
        fitted.predict(frame[list("dcba")])
    with pytest.raises(ValueError, match="seen at fit time, yet now missing"):
        fitted.predict(frame[list("abc")])
    columns = {name: X[:, i] for i, name in enumerate("abcd")}
    reordered = dict(reversed(columns.items()))
    np.testing.assert_array_equal(fitted.predict(reordered), fitted.predict(frame))


def test_extreme_numbers_still_train():
    rows = X.copy()
    rows[3, 1] = 1e39  # more than float32 holds
    for dtype in ("float32", "float64"):
        fitted = classifier(dtype=dtype, epochs=40).fit(rows, y)
        assert fitted.score(rows, y) > 0.7
        assert np.isfinite(fitted.predict_proba(np.full((1, 4), 1e39))).all()
    assert np.isfinite(regressor().fit(X, VALUES[:, 0] * 1e39).predict(X)).all()
    empty = X.copy()
    empty[:, 2] = np.nan
    assert classifier(epochs=40).fit(empty, y).score(empty, y) > 0.7


# ---------------------------------------------------------------------------------- parameters


def test_the_users_own_network_is_trained():
    network = gn.Network([gn.Dense(8), gn.BatchNorm(), gn.Tanh(), gn.Dropout(0.1), gn.Dense(3)])
    fitted = classifier(network=network, epochs=40).fit(X, y)
    assert fitted.model_.network is network
    assert fitted.score(X, y) > 0.8


def test_hidden_layers_follow_the_parameters():
    fitted = classifier(
        hidden=(6, 5), activation="relu", dropout=0.2, batch_norm=True, epochs=1
    ).fit(X, y)
    kinds = [type(layer).__name__ for layer in fitted.model_.network.layers]
    block = ["Dense", "BatchNorm", "ReLU", "Dropout"]
    assert kinds == [*block, *block, "Dense"]
    assert [p["W"].shape for p in fitted.model_.params if "W" in p] == [(6, 4), (5, 6), (3, 5)]
    assert classifier(hidden=7, epochs=1).fit(X, y).model_.params[0]["W"].shape == (7, 4)


@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "huber", gn.Huber(0.5), lambda z, t: (z - t) ** 2]
)
def test_losses_of_values(loss):
    fitted = regressor(loss=loss, epochs=60, hidden=()).fit(X, VALUES[:, 0])
    assert fitted.score(X, VALUES[:, 0]) > 0.8


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", gn.CrossEntropy(0.1)])
def test_losses_of_classes(loss):
    fitted = classifier(loss=loss, epochs=40, hidden=()).fit(X, LABELS[:, 0])
    assert fitted.score(X, LABELS[:, 0]) > 0.8
    assert fitted.predict_proba(X).shape == (60, 2)


def test_probabilities_as_target():
    soft = np.eye(3)[y] * 0.7 + 0.1
    fitted = classifier(loss="cross_entropy", epochs=60).fit(X, soft)
    assert (fitted.model_.predict(X) == y).mean() > 0.8


@pytest.mark.parametrize(
    "optimizer",
    ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", gn.SGD(0.1), optax.adam(0.01),
     gn.ClipByNorm(gn.Adam(0.01), 1.0), gn.Adam(gn.Cosine(0.02))],
    ids=lambda o: o if isinstance(o, str) else type(o).__name__,
)  # fmt: skip
def test_every_optimizer_lowers_the_loss(optimizer):
    losses = classifier(optimizer=optimizer, hidden=()).fit(X, y).history_["loss"]
    assert losses[-1] < losses[0]


def test_l2_shrinks_weights():
    free, bound = (classifier(l2=l2).fit(X, y).model_.params[0]["W"] for l2 in (0.0, 1.0))
    assert np.linalg.norm(bound) < 0.5 * np.linalg.norm(free)


@pytest.mark.parametrize(
    ("chosen", "validation", "watched"),
    [({}, None, 0),
     ({"early_stopping": False}, None, 0),
     ({"early_stopping": True}, None, 8),
     ({"early_stopping": gn.EarlyStopping(3)}, None, 8),
     ({}, 0.25, 15),
     ({"early_stopping": False}, 0.25, 15),
     ({}, (X[:9], y[:9]), 9),
     ({"early_stopping": True}, (X[:9], y[:9], np.ones(9)), 9)],
)  # fmt: skip
def test_the_number_of_validation_rows(chosen, validation, watched):
    fitted = classifier(epochs=3, **chosen).fit(X, y, validation=validation)
    assert fitted.n_validation_ == watched
    assert ("validation_loss" in fitted.history_) == bool(watched)


def test_early_stopping_keeps_the_best_epoch():
    noise = np.random.default_rng(0).normal(size=(60, 8))
    validation = (noise[:20], y[:20])
    fitted = classifier(hidden=(64,), epochs=200, early_stopping=gn.EarlyStopping(5))
    fitted.fit(noise[20:], y[20:], validation=validation)
    assert fitted.status_ == "stopped early"
    assert fitted.n_iter_ == fitted.history_.best_epoch + 5 < 200
    best = -np.log(fitted.predict_proba(noise[:20])[np.arange(20), y[:20]]).mean()
    assert best == pytest.approx(fitted.history_["validation_loss"].min(), rel=1e-5)


def test_from_40_rows_on_an_eighth_is_set_aside():
    options = {"epochs": 1, "early_stopping": "auto"}
    assert classifier(**options).fit(X[:40], y[:40]).n_validation_ == 5
    assert classifier(members=3, **options).fit(X[:40], y[:40]).n_validation_ == 5
    assert classifier(**options).fit(X[:39], y[:39]).n_validation_ == 0


@pytest.mark.parametrize(
    ("dtype", "rows", "expected"),
    [("auto", X[:39], "float64"),
     ("auto", X, "float32"),
     ("auto", X.astype(np.float32), "float32"),
     ("auto", np.zeros((2300, 2)) + np.arange(2), "float32"),
     ("auto", {"a": X[:, 0]}, "float32"),
     ("float32", X, "float32"),
     ("float64", X.astype(np.float32), "float64")],
    ids=["few of float64", "float64", "float32", "large", "table", "as float32", "as float64"],
)  # fmt: skip
def test_dtype(dtype, rows, expected):
    n = len(rows["a"] if isinstance(rows, dict) else rows)
    fitted = classifier(dtype=dtype, epochs=1).fit(rows, np.arange(n) % 2)
    assert fitted.model_.dtype == expected
    assert {str(a.dtype) for layer in fitted.model_.params for a in layer.values()} == {expected}
    assert fitted.predict_proba(rows).dtype == expected


def test_callbacks_are_called_after_every_epoch_and_may_stop():
    epochs: list[int] = []
    classifier(epochs=4, callbacks=[lambda event: epochs.append(event.epoch)]).fit(X, y)
    assert epochs == [1, 2, 3, 4]
    stopped = classifier(callbacks=[lambda event: event.epoch == 2]).fit(X, y)
    assert stopped.n_iter_ == 2


def test_the_arguments_are_not_changed():
    before = X.copy(), y.copy()
    columns = table()
    classifier().fit(X, y).predict(X)
    classifier().fit(columns, y).predict(columns)
    np.testing.assert_array_equal(before[0], X)
    np.testing.assert_array_equal(before[1], y)
    assert columns == table()


# ----------------------------------------------------------------------------------- bad input


def changed(array: Any, index: Any, value: Any) -> Any:
    array = np.array(array, dtype=float)
    array[index] = value
    return array


NOISE = changed(X, (3, 1), np.inf)
BAD_ROWS: dict[str, tuple[Callable[[], Any], str]] = {
    "other lengths": (lambda: classifier().fit(X, y[:-1]), "60 rows and y has 59"),
    "other lengths, table": (lambda: classifier().fit(table(), y[:-1]), "60 rows and y has 59"),
    "missing class": (lambda: classifier().fit(X, changed(y, 3, np.nan)), "1 rows (the first is row 3"),
    "missing text": (lambda: classifier().fit(X, [None] + ["a", "b"] * 29 + ["a"]), "is row 0"),
    "missing value": (lambda: regressor().fit(X, changed(y, 3, np.nan)), "nan in row 3"),
    "infinite value": (lambda: regressor().fit(X, changed(y, 3, np.inf)), "inf in row 3"),
    "infinite X": (lambda: classifier().fit(NOISE, y), "infinity"),
    "infinite column": (lambda: classifier().fit({"a": NOISE[:, 1]}, y), "Column 'a' holds an inf"),
    "one class": (lambda: classifier().fit(X, ["a"] * 60), "every row has the same class, 'a'"),
    "one row": (lambda: classifier().fit(X[:1], y[:1]), "same class"),
    "classes are values": (lambda: classifier().fit(X, X[:, 0]), "use a regression"),
    "classes of mixed types": (lambda: classifier().fit(X, np.array([1, "a"] * 30, object)), "mixes"),
    "labels of 2": (lambda: classifier().fit(X, LABELS * 2), "other than 0 and 1"),
    "text values": (lambda: regressor().fit(X, ["a"] * 60), "'a', which is not a number"),
    "dates": (lambda: regressor().fit(X, np.arange(60).astype("M8[D]")), "not a number"),
    "ragged target": (lambda: regressor().fit(X, [[1], [1, 2]] * 30), "different lengths"),
    "deep target": (lambda: regressor().fit(X, np.zeros((60, 2, 2))), "shape (60, 2, 2)"),
    "target is a dictionary": (lambda: classifier().fit(X, {"y": y}), "y is of type dict"),
    "no target": (lambda: classifier().fit(X, None), "requires y"),
    "no rows": (lambda: classifier().fit(X[:0], y[:0]), "0 sample"),
    "no rows, table": (lambda: classifier().fit({"a": []}, []), "0 sample"),
    "no columns": (lambda: classifier().fit({}, []), "0 sample"),
    "no features": (lambda: classifier().fit(X[:, :0], y), "0 feature"),
    "no X": (lambda: classifier().fit(None, y), "2D array"),
    "one dimension": (lambda: classifier().fit(X[:, 0], y), "reshape"),
    "five dimensions": (lambda: classifier().fit(np.zeros((60, 2, 2, 2, 2)), y), "dim 5"),
    "ragged rows": (lambda: classifier().fit([[1, 2], [3]], [0, 1]), "different lengths"),
    "nested cells": (lambda: classifier().fit({"a": [[1], [2]]}, [0, 1]), "nested"),
    "missing pixels": (lambda: classifier().fit(np.full((60, 2, 2), np.nan), y), "missing or infinite"),
    "negative weights": (lambda: classifier().fit(X, y, -np.ones(60)), "negative"),
    "weights for other rows": (lambda: classifier().fit(X, y, np.ones(59)), "60 rows"),
    "zero weights": (lambda: classifier().fit(X, y, np.zeros(60)), "zero"),
    "weights of text": (lambda: classifier().fit(X, y, ["a"] * 60), "number"),
    "weights leave one class": (lambda: classifier().fit(X, y, (y == 1) * 1.0), "same class, 1"),
    "validation of other lengths": (lambda: classifier().fit(X, y, validation=(X, y[:9])), "y has 9"),
    "validation of one part": (lambda: classifier().fit(X, y, validation=(X,)), "1 parts"),
    "validation of 2": (lambda: classifier().fit(X, y, validation=2), "a number in (0, 1)"),
    "validation of text": (lambda: classifier().fit(X, y, validation="some"), "a number in (0, 1)"),
    "new class in validation": (lambda: classifier().fit(X, y, validation=(X, y + 4)), "not in the training"),
    "partial_fit without the class": (
        lambda: classifier().partial_fit(X, y, classes=[0, 2]), "class 1, which was not in"),
    "partial_fit of other columns": (
        lambda: classifier().partial_fit(X, y).partial_fit(X[:, :2], y), "2 features"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_unusable_rows_are_refused_with_a_reason(name):
    call, reason = BAD_ROWS[name]
    with pytest.raises((DataError, ConfigurationError)) as caught:
        call()
    assert reason.lower() in str(caught.value).lower()


@pytest.fixture(scope="module")
def fitted_on_table():
    return classifier(epochs=1).fit(table(), y)


@pytest.fixture(scope="module")
def fitted_on_array():
    return classifier(epochs=1).fit(X, y)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(X[:, :2], "X has 2 features, but NeuralClassifier is expecting 4"),
     (X[0], "reshape"),
     (X[:0], "0 sample"),
     (NOISE, "infinity"),
     (np.array([["a"] * 4]), "'a'"),
     (np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
     ({"a": X[:, 0]}, "1 feature")],
    ids=["columns", "one row", "no rows", "infinite", "text", "pictures", "table"],
)  # fmt: skip
def test_unusable_arrays_at_prediction(fitted_on_array, rows, reason):
    with pytest.raises(DataError) as caught:
        fitted_on_array.predict(rows)
    assert reason.lower() in str(caught.value).lower()


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"size": ["large"] * 60}, "'large' in row 0"),
     ({"size": None}, "lacks 'size'"),
     ({"city": None, "town": ["Ulm"] * 60}, "lacks 'city'"),
     ({"size": [np.inf] * 60}, "infinite"),
     ({"since": ["soon"] * 60}, "'soon'"),
     ({"size": [1.0]}, "length"),
     ({name: [] for name in table()}, "no row")],
    ids=["text", "absent", "renamed", "infinite", "no date", "ragged", "no rows"],
)  # fmt: skip
def test_unusable_tables_at_prediction(fitted_on_table, change, reason):
    rows = {name: values for name, values in (table() | change).items() if values is not None}
    with pytest.raises(DataError) as caught:
        fitted_on_table.predict(rows)
    assert reason.lower() in str(caught.value).lower()


BAD_PARAMETERS = [
    ("hidden", "wide"), ("hidden", 0), ("hidden", (4, -1)), ("hidden", 2.5), ("hidden", None),
    ("activation", "rleu"), ("activation", 3), ("activation", gn.ReLU),
    ("dropout", 1.0), ("dropout", -0.1), ("dropout", "a"), ("dropout", None), ("dropout", np.nan),
    ("batch_norm", "no"), ("batch_norm", None),
    ("network", "net"), ("network", [gn.Dense(3)]), ("network", gn.Network([gn.Dense(5)])),
    ("loss", "mse"), ("loss", 3), ("loss", None), ("loss", "squared_error"), ("loss", gn.CrossEntropy),
    ("loss", "binary_cross_entropy"),
    ("optimizer", "adm"), ("optimizer", 3), ("optimizer", None), ("optimizer", gn.Adam),
    ("optimizer", gn.Adam(-1.0)), ("optimizer", gn.Adam(np.nan)),
    ("l2", -1), ("l2", "a"), ("l2", None), ("l2", np.inf),
    ("batch_size", 0), ("batch_size", 2.5), ("batch_size", "x"),
    ("epochs", 0), ("epochs", -1), ("epochs", 2.5), ("epochs", None),
    ("early_stopping", "yes"), ("early_stopping", 3), ("early_stopping", gn.EarlyStopping),
    ("class_weight", "bal"), ("class_weight", {5: 2}), ("class_weight", {0: "a"}),
    ("class_weight", {0: -1}), ("class_weight", {0: np.nan}), ("class_weight", [1, 2]),
    ("class_weight", {0: 0, 1: 0, 2: 0}),
    ("warm_start", "yes"), ("dtype", "float16"), ("dtype", 32),
    ("random_state", "a"), ("random_state", -1), ("random_state", 2.5),
    ("callbacks", 3), ("callbacks", [3]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS, ids=lambda v: str(v)[:30])
def test_wrong_parameters_are_refused_with_a_reason(name, value):
    with pytest.raises(ConfigurationError) as caught:
        classifier(**{name: value}).fit(X, y)
    message = str(caught.value)
    assert message[-1] in ".)]" and len(message) > 40  # says what was seen and what to do
    fragments = (
        name.split("_")[0].rstrip("s"),
        repr(value)[:20],
        type(value).__name__,
        "learning_rate",
        "for values",
    )
    assert any(part in message for part in fragments)


def test_a_loss_of_the_other_task_is_refused_with_the_right_estimator():
    with pytest.raises(ConfigurationError, match="NeuralRegressor"):
        classifier(loss="huber").fit(X, y)
    with pytest.raises(ConfigurationError, match="NeuralClassifier"):
        regressor(loss="cross_entropy").fit(X, VALUES)
    with pytest.raises(ConfigurationError, match="1 entries for 2 labels"):
        classifier(class_weight=["balanced"]).fit(X, LABELS)


def test_before_fit(tmp_path):
    for call in (classifier().predict, classifier().predict_proba, regressor().predict):
        with pytest.raises(NotFittedError):
            call(X)
    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model.glassnet")
    assert not list(tmp_path.iterdir())
    assert not hasattr(classifier(), "classes_")


# --- one preparation for train and the estimators ---------------------------------------------------


def test_targets_of_float64_keep_their_precision():
    X = np.linspace(-1, 1, 12)[:, None]
    y = 1 + 1e-12 * np.arange(12.0)
    job = estimator_job(gn.NeuralRegressor(random_state=0), X, y, validation=(X, y))
    expected = (y - y.mean()) / y.std()
    for rows in (job.data[0], job.validation[0]):
        assert rows.y.dtype == np.float64
        np.testing.assert_allclose(np.sort(rows.y[:, 0]), np.sort(expected), rtol=1e-3)
        assert (rows.y != rows.y.astype(np.float32)).any()


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_a_share_for_validation_is_stratified_by_class(loss):
    y = np.repeat(["no", "yes"], [90, 10])
    X = np.arange(100.0)[:, None]
    outputs = 2 if loss == "cross_entropy" else 1
    job = network_job(gn.Network([gn.Dense(outputs)]), X, y, loss=loss, validation=0.2)
    assert np.bincount(job.validation[0].y.astype(int)).tolist() == [18, 2]


def test_train_and_an_estimator_prepare_the_same_job():
    """With numbers that need no encoding, the same settings and the same seed."""
    X, y = blobs(60)
    X = X.astype(np.float32)
    net = gn.Network([gn.Dense(4), gn.Tanh(), gn.Dense(len(np.unique(y)))])
    seed = 5
    options = {"optimizer": gn.Adam(), "batch_size": 16, "epochs": 3, "on_divergence": "stop"}
    estimator = gn.NeuralClassifier(
        network=net, random_state=seed, members=1, early_stopping=True, **options
    )
    by_estimator = estimator_job(estimator, X, y, validation=0.25)
    by_train = network_job(
        net,
        X,
        y,
        seed=seed_of(seed),
        early_stopping=True,
        metrics="accuracy",
        validation=0.25,
        **options,
    )
    assert by_estimator.plan == by_train.plan
    assert by_estimator.epochs == by_train.epochs
    assert by_estimator.early_stopping == by_train.early_stopping
    assert by_estimator.on_divergence == by_train.on_divergence
    assert_same_bits(by_estimator.states[0].params, by_train.states[0].params)
    assert_same_bits(by_estimator.data[0].y, by_train.data[0].y)
    assert_same_bits(by_estimator.validation[0].y, by_train.validation[0].y)


def test_a_fitted_estimator_and_its_copies_keep_an_outcome_for_each_member():
    X, y = blobs(60)
    fitted = gn.NeuralClassifier((4,), members=2, epochs=2, random_state=0).fit(X, y)
    copied = pickle.loads(pickle.dumps(fitted))
    for model in (fitted, copied):
        assert [outcome.history for outcome in model.outcomes_] == list(model.histories_)
        assert [outcome.settings.epochs for outcome in model.outcomes_] == [2, 2]
        assert model.n_iter_ == 2 and model.status_ == model.outcomes_[0].status
    assert_same_bits(copied.states_, fitted.states_)
    assert not hasattr(clone(fitted), "n_iter_")


def test_the_regressor_has_the_classifiers_parameters_without_class_weight():
    parameters = inspect.signature(gn.NeuralClassifier).parameters
    shared = {name: value for name, value in parameters.items() if name != "class_weight"}
    assert dict(inspect.signature(gn.NeuralRegressor).parameters) == shared
    assert set(gn.NeuralRegressor().get_params()) == set(shared)


def test_a_run_reads_its_optimizer_and_penalty_from_its_settings():
    X, y = blobs(40)
    net = gn.Network([gn.Dense(len(np.unique(y)))])
    run = gn.train(
        net, X, y, optimizer=gn.SGD(gn.Cosine(0.1)), l1=0.5, l2=0.25, batch_size=16, epochs=4
    )
    assert run.settings.optimizer.learning_rate.steps is None
    assert run.optimizer.learning_rate.steps == 4 * 3
    assert tuple(run.penalty) == (0.5, 0.25) and run.settings is run.outcome.settings
