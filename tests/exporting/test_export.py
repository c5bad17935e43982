"""Compare exported models in JAX, NumPy, ONNX Runtime and ONNX's reference evaluator on all kinds of rows."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli, numpy_predict
from glassnet._precision import precision
from glassnet.data.tables import as_table
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError
from glassnet.exporting import export as exporting
from glassnet.exporting import onnx_layers
from glassnet.exporting.export import OUTPUTS, export, graph_of, onnx_inputs
from glassnet.exporting.onnx_columns import sample
from glassnet.exporting.onnx_layers import WRITERS
from glassnet.models.layer_records import LOSS_TYPES
from glassnet.models.model import Model
from glassnet.models.model_file import load, save
from glassnet.nn.activations import ACTIVATIONS, Identity, LeakyReLU
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Layer, Rescale
from glassnet.nn.losses import LOSSES, CrossEntropy, CustomLoss, MeanSquaredError
from glassnet.nn.network import LAYER_TYPES, Network
from helpers import blobs

pytestmark = pytest.mark.lowest

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
EXACT = {"float32": 1e-7, "float64": 1e-14}  # for features without a network
RNG = np.random.default_rng(0)


FAST: dict[str, Any] = {
    "hidden": (4,), "epochs": 2, "embedding": "none", "optimizer": "sgd", "early_stopping": False,
    "members": 2, "random_state": 0,
}  # fmt: skip


def model_of(network: Network, in_shape: tuple[int, ...], seed: int = 0, **given: Any) -> Model:
    """Return a model with random arrays, of typical size after training."""
    dtype, members = given.setdefault("dtype", "float32"), given.setdefault("members", 1)
    rng = np.random.default_rng(seed)

    def drawn(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tuple(drawn(branch) for branch in tree)
        actual = {}
        for name, array in tree.items():
            shape = (members, *array.shape) if members > 1 else array.shape
            scale = 1 / np.sqrt(array.shape[-1]) if name == "W" else 1
            noise = (
                rng.uniform(0.2, 2, shape) if name == "variance" else rng.normal(0, scale, shape)
            )
            actual[name] = (array + 0 * noise if name == "rate" else noise).astype(dtype)
        return actual

    with precision(dtype):
        params, state, _ = network.init(gn.keys.key(0), in_shape)
    given.setdefault("loss", MeanSquaredError())
    return Model(
        network=network, params=drawn(params), layer_state=drawn(state), in_shape=in_shape, **given
    )


class Exported:
    """A model in all its forms."""

    def __init__(self, model: Model, folder: Path, **given: Any) -> None:
        self.model, path = model, folder / "model.onnx"
        export(model, path, **given)
        save(model, folder / "model.glassnet")
        self.numpy = numpy_predict.load(folder / "model.glassnet")
        self.runtime = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.reference = ReferenceEvaluator(str(path))
        self.proto = onnx.load(path)
        _, self.inputs, self.outputs = graph_of(model, **given)

    def onnx(self, X: Any) -> list[list[np.ndarray]]:
        """Return the predictions of both ONNX runtimes."""
        fed = onnx_inputs(self.model, X, self.inputs)
        with np.errstate(all="ignore"):  # NumPy's warnings in the reference evaluator
            return [self.runtime.run(None, fed), self.reference.run(None, fed)]

    def agrees(self, X: Any, tolerance: float | None = None) -> None:
        """Fail unless all predict the same, for all rows and for only the first row."""
        model, limit = self.model, tolerance or TOLERANCE[self.model.dtype]
        classes = model.loss.task != "regression"
        label = model.predict(X)
        expected = model.predict_proba(X) if classes else model.outputs(X)
        for count in (len(X), 1):
            self.answers(X[:count], label[:count], expected[:count], limit)

    def answers(self, X: Any, label: np.ndarray, expected: np.ndarray, limit: float) -> None:
        """Fail unless NumPy and ONNX predict these labels and numbers."""
        if self.model.loss.task == "regression":
            scale = getattr(self.model.target_encoder, "scale", 1.0)
            close(self.numpy.outputs(X), expected, limit)
            close(self.numpy.predict(X), label, limit, scale)
            for (values,) in self.onnx(X):
                close(values.reshape(label.shape), label, limit, scale)
            return
        sure = certain(label, expected, limit, self.model.loss.task)
        assert self.numpy.predict(X).dtype.kind == label.dtype.kind
        for actual, p in [(self.numpy.predict(X), self.numpy.predict_proba(X)), *self.onnx(X)]:
            close(p, expected, limit)
            assert (actual == label)[sure].all()


def certain(label: np.ndarray, p: np.ndarray, limit: float, task: str) -> Any:
    """Return which rows have a label that rounding cannot change."""
    if task == "labels":
        sure = np.abs(p - 0.5) > 2 * limit
        return sure[:, -1] if label.ndim == 1 else sure
    top = np.sort(p, axis=1)
    return top[:, -1] - top[:, -2] > 2 * limit


def close(actual: np.ndarray, expected: np.ndarray, limit: float, scale: Any = 1.0) -> None:
    """Fail unless numbers agree to `limit`, relative to numbers above 1 and absolutely below."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    size = np.abs(expected / scale)
    worst = (np.abs(actual - expected) / scale / np.maximum(1, size)).max(initial=0)
    assert worst <= limit, worst


# --- generated architectures ----------------------------------------------------------------------


@st.composite
def fronts(draw: Any, features: int) -> list[Layer]:
    """Draw layers that precede the first Dense layer."""
    layers: list[Layer] = []
    if draw(st.booleans()):
        layers.append(Embedding((3, 2), size=draw(st.integers(1, 3))))
    if draw(st.booleans()):
        layers.append(Scale())
    if draw(st.booleans()):
        columns, outputs = draw(st.integers(1, features - 2)), draw(st.integers(1, 3))
        layers.append(Periodic(columns, waves=draw(st.integers(1, 5)), outputs=outputs))
    return layers


@st.composite
def bodies(draw: Any, depth: int = 0) -> list[Layer]:
    """Draw hidden layers, nested networks among them."""
    plain = st.sampled_from(
        [BatchNorm(), Dropout(0.3), LeakyReLU(1.5), LeakyReLU(-0.2), Scale(), *ACTIVATIONS.values()]
    )
    dense = st.builds(Dense, st.integers(1, 9), bias=st.booleans())
    kinds = [dense, dense, plain, plain]
    if depth < 2:
        kinds.append(bodies(depth + 1).filter(bool).map(Network))
    return draw(st.lists(st.one_of(kinds), max_size=4))


TARGETS: list[tuple[Any, Any, int]] = [
    (CrossEntropy(0.1), ClassEncoder.fit(np.array(["no", "ja", "ç 漢"])), 3),
    (CrossEntropy(), ClassEncoder.fit(np.array([7, -3], np.int16)), 2),
    (CrossEntropy(), None, 4),
    (LOSSES["binary_cross_entropy"], ClassEncoder.fit(np.array([False, True])), 1),
    (LOSSES["binary_cross_entropy"], ClassEncoder.fit(np.array([2.0, 5.0], np.float32)), 1),
    (LOSSES["binary_cross_entropy"], LabelsEncoder.fit(np.eye(3, dtype=int)), 3),
    (LOSSES["binary_cross_entropy"], LabelsEncoder(("only",)), 1),
    (LOSSES["binary_cross_entropy"], None, 1),
    (LOSSES["binary_cross_entropy"], None, 3),
    (LOSSES["huber"], TargetScaler.fit(RNG.normal(5e4, 3e3, 9)), 1),
    (LOSSES["absolute_error"], TargetScaler.fit(RNG.normal([5, -1e-3], [3, 1e-4], (9, 2))), 2),
    (LOSSES["squared_error"], None, 2),
]


@st.composite
def models(draw: Any, dtype: str) -> tuple[Model, Any]:
    """Draw a model of any architecture, and rows for it."""
    loss, target, outputs = draw(st.sampled_from(TARGETS))
    if draw(st.integers(0, 3)) == 0:
        in_shape, X = (2, 3, 1), np.random.default_rng(1).integers(0, 256, (33, 2, 3, 1), np.uint8)
        between = draw(st.sampled_from([[], [BatchNorm()], [RandomShift()]]))
        front = [Rescale(1 / 64, -2.0), *between, Flatten()]
    else:
        in_shape, X = (5,), np.random.default_rng(1).normal(0, 1.5, (33, 5))
        X[:, 3:] = np.random.default_rng(2).integers(-1, 4, (33, 2))
        front = draw(fronts(5))
    layers = [*front, *draw(bodies()), Dense(outputs)]
    model = model_of(
        Network(layers), in_shape, draw(st.integers(0, 99)), loss=loss, target_encoder=target, dtype=dtype,
        members=draw(st.integers(1, 3)), temperature=draw(st.sampled_from([1.0, 0.3, 2.5])),
    )  # fmt: skip
    return model, X if X.dtype == np.uint8 else X.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_runtimes_agree_on_generated_architectures(dtype: str, tmp_path: Path) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(models(dtype))
    def check(drawn: tuple[Model, Any]) -> None:
        model, X = drawn
        forms = Exported(model, tmp_path)
        forms.agrees(X)
        for answer in forms.onnx(X[:0]):
            assert all(len(part) == 0 for part in answer)
        for predict in (model.predict, forms.numpy.predict):
            with pytest.raises(ValueError, match="no row to predict"):
                predict(X[:0])

    check()


# --- single parts ---------------------------------------------------------------------------------


def test_every_layer_and_loss_is_written() -> None:
    assert {*WRITERS, Network} == set(LAYER_TYPES.values())
    assert {*numpy_predict.LAYERS, "Network"} == set(LAYER_TYPES)
    assert set(OUTPUTS) == {*LOSS_TYPES.values(), CustomLoss}
    tasks = {name: loss.task for name, loss in LOSS_TYPES.items() if loss.task != "regression"}
    assert tasks == numpy_predict.TASKS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_on_large_and_tiny_inputs(dtype: str, tmp_path: Path) -> None:
    """A network of all activations in sequence, then each activation separately."""
    z = np.concatenate(
        [[0.0, 1e4, -1e4, 88.0, -88.0, 700.0], np.linspace(-30, 30, 601), [1e-9, -1e-9]]
    )
    X = np.sign(z) * np.minimum(np.abs(z), 80 if dtype == "float32" else 1e4)
    network = Network([Dense(1, bias=False), Identity(), *ACTIVATIONS.values()])
    model = model_of(network, (1,), dtype=dtype)
    forms = Exported(model, tmp_path)
    forms.agrees(X[:, None].astype(dtype))
    for name, activation in ACTIVATIONS.items():
        one = model_of(Network([activation]), (1,), dtype=dtype)
        alone = Exported(one, tmp_path)
        expected = np.asarray(forward_of(one, z[:, None].astype(dtype)))
        for (actual,) in alone.onnx(z[:, None].astype(dtype)):
            close(actual, expected, TOLERANCE[dtype])
            assert np.isfinite(actual).all(), name
        close(alone.numpy.outputs(z[:, None].astype(dtype)), expected, TOLERANCE[dtype])


def forward_of(model: Model, x: np.ndarray) -> Any:
    """Return the outputs without compiling."""
    with precision(model.dtype):
        return np.asarray(model.network.forward(model.params, model.layer_state, jnp.asarray(x))[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", [LOSSES["cross_entropy"], LOSSES["binary_cross_entropy"]])
def test_extreme_logits_stay_probabilities(loss: Any, dtype: str, tmp_path: Path) -> None:
    model = model_of(Network([Dense(3)]), (2,), loss=loss, dtype=dtype, temperature=1e4, members=2)
    X = np.random.default_rng(0).normal(size=(40, 2)).astype(dtype)
    forms = Exported(model, tmp_path)
    forms.agrees(X, 1e-2 if dtype == "float32" else 1e-9)  # a logit of 1e4 has an ulp of 1e-3
    for _, p in forms.onnx(X):
        assert np.isfinite(p).all()
        assert (np.abs(2 * p - np.round(2 * p)) < 0.02).mean() > 0.9  # both members are certain


# --- columns --------------------------------------------------------------------------------------


def mixed(n: int = 160) -> pd.DataFrame:
    """Return a table with every kind of column, missing values, and columns named like ONNX values."""
    rng = np.random.default_rng(3)
    hours = pd.to_timedelta(rng.integers(0, 900 * 24, n), unit="h")
    frame = pd.DataFrame(
        {
            "label": rng.normal(40, 10, n),
            "count": rng.integers(0, 5, n),
            "steady": np.full(n, 3.0),
            "city": rng.choice(
                ["Ulm", "Bonn", "Köln 漢", "Jena", "rare"], n, p=[0.4, 0.3, 0.2, 0.07, 0.03]
            ),
            "sex": rng.choice(["f", "m"], n),
            "flag": rng.random(n) > 0.5,
            "when": pd.Timestamp("2019-11-01") + hours,
            "zip": [f"{i % 70:03d}" for i in range(n)],
            "Add_3": rng.normal(size=n),
        }
    )
    frame.loc[::7, "label"] = np.nan
    frame.loc[::11, "city"] = None
    frame.loc[::5, "when"] = pd.NaT
    return frame


def unfamiliar(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows with unseen levels, extreme numbers and missing values."""
    frame = frame.iloc[:20].copy()
    frame.loc[0, "city"], frame.loc[1, "sex"], frame.loc[2, "zip"] = "Paris ☃", "x", "999"
    frame.loc[3, ["label", "Add_3", "city", "sex", "zip", "when"]] = None
    frame.loc[4, ["label", "Add_3"]] = 1e300, -1e300
    frame.loc[5, "when"] = pd.Timestamp("1901-02-28 23:59:59.999999")
    return frame


def features_model(encoder: TableEncoder, dtype: str) -> Model:
    """Return a model whose outputs are its features."""
    return model_of(Network([Identity()]), (encoder.n_features,), encoder=encoder, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"scaling": "standard"},
        {"clip": False},
        {"max_levels": 3, "code_above": 20},
        {"scaling": "none"},
    ],
    ids=str,
)
def test_features_are_those_of_the_encoder(how: dict[str, Any], dtype: str, tmp_path: Path) -> None:
    frame = mixed()
    encoder = TableEncoder.fit(as_table(frame), **how)
    assert encoder.dropped
    forms = Exported(features_model(encoder, dtype), tmp_path)
    rows = unfamiliar(frame)
    if not encoder.numeric.clip:  # unclipped, 1e300 would overflow
        rows.loc[4, ["label", "Add_3"]] = 1e30, -1e30
    for X in (as_table(rows), sample(encoder, 50)):
        expected = encoder.transform(X, dtype)
        close(forms.numpy.outputs(X if isinstance(X, dict) else X.columns), expected, EXACT[dtype])
        for (actual,) in forms.onnx(X):
            close(actual, expected, EXACT[dtype])


def test_every_day_of_four_centuries_and_every_hour(tmp_path: Path) -> None:
    days = np.arange(np.datetime64("1890-01-01"), np.datetime64("2110-01-01"), 13).astype(
        "datetime64[us]"
    )
    hours = np.arange(np.datetime64("1969-12-30T00"), np.datetime64("1970-01-03T00")).astype(
        days.dtype
    )
    times = np.concatenate(
        [days, hours, days - np.timedelta64(1, "us"), [np.datetime64("NaT", "us")]]
    )
    encoder = TableEncoder.fit(as_table({"t": times}))
    assert len(encoder.feature_names) == 8  # days, missing, and three circles
    expected = encoder.transform({"t": times}, "float64")
    forms = Exported(features_model(encoder, "float64"), tmp_path)
    for (actual,) in forms.onnx({"t": times}):
        close(actual, expected, 1e-14)
    close(forms.numpy.outputs({"t": times}), expected, 1e-15)


def test_an_array_of_numbers_with_extreme_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4)) * [1, 1e-200, 1e200, 0]
    X[::5, 1] = np.nan
    encoder = TableEncoder.fit(X)
    forms = Exported(features_model(encoder, "float64"), tmp_path)
    rows = np.concatenate([X, np.full((1, 4), np.nan), [[1e308, -1e308, 1e308, 5.0]]])
    for (actual,) in forms.onnx(rows):
        close(actual, encoder.transform(rows, "float64"), 1e-14)
    close(forms.numpy.outputs(rows), encoder.transform(rows, "float64"), 1e-15)
    with pytest.raises(ValueError, match="'x2' is infinite"):
        forms.numpy.predict([[0, 0, np.inf, 0]])


def test_an_empty_text_is_missing_unless_training_had_it(tmp_path: Path) -> None:
    for levels in (["", "a", "b"], ["c", "a", "b"]):
        column = np.array([*levels * 5, *[None] * 5], object)
        encoder = TableEncoder.fit(as_table({"c": column}))
        forms = Exported(features_model(encoder, "float32"), tmp_path)
        texts = np.array([[""], ["a"], ["unseen"]], object)
        expected = np.array(["" if "" in levels else None, "a", "unseen"], object)
        actual = forms.runtime.run(None, {"c": texts})[0]
        close(actual, encoder.transform({"c": expected}), 1e-7)


@pytest.fixture(scope="module")
def trained() -> tuple[gn.NeuralClassifier, pd.DataFrame]:
    frame = mixed()
    y = np.where(frame.label.fillna(40) + 9 * (frame.city == "Ulm") > 42, "ja", "nein ç")
    return gn.NeuralClassifier((8,), members=2, epochs=3, random_state=0).fit(frame, y), frame


def test_a_trained_classifier_of_a_table(trained: Any, tmp_path: Path) -> None:
    classifier, frame = trained
    forms = Exported(classifier.model_, tmp_path)
    rows = unfamiliar(frame)
    forms.agrees(rows)
    assert [value.name for value in forms.proto.graph.output] == ["label_", "probabilities"]
    text = {p.key: p.value for p in forms.proto.metadata_props}
    assert text["classes"] == '["ja", "nein ç"]'
    assert (
        '{"name": "city", "type": "str", "kind": "category", "missing": "\\"\\""}'
        in text["columns"]
    )
    assert "steady" not in text["columns"]
    # rows built from the metadata in the file
    fed = {name: frame[[name]].to_numpy(np.float64) for name in ("label", "count", "Add_3")}
    words = frame[["city", "sex", "zip"]].fillna("").astype(object)
    fed |= {name: words[[name]].to_numpy() for name in words}
    fed["flag"] = frame[["flag"]].to_numpy().astype(str).astype(object)
    fed["when"] = frame[["when"]].to_numpy("datetime64[us]").astype(np.int64)
    label, p = forms.runtime.run(None, fed)
    close(p, classifier.predict_proba(frame), 1e-5)
    assert (label == classifier.predict(frame)).all()


def test_numpy_takes_what_the_model_takes(trained: Any, tmp_path: Path) -> None:
    classifier, frame = trained
    save(classifier.model_, tmp_path / "m")
    predictor = numpy_predict.load(tmp_path / "m")
    frame = unfamiliar(frame)
    expected = classifier.predict_proba(frame)
    texts = frame.astype({"label": str, "when": str}).replace({"nan": None, "NaT": None})
    local = frame.assign(when=frame.when.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
    whole = frame.assign(zip=frame.zip.astype(float), flag=frame.flag.astype("boolean"))
    whole = whole.astype({"city": "category", "count": "Int64"})
    shuffled = frame[frame.columns[::-1]].assign(more=1)
    forms = [frame, pl.from_pandas(frame), pl.from_pandas(frame).to_arrow(), frame.to_dict("list")]
    for X in [*forms, texts, local, whole, shuffled]:
        close(predictor.predict_proba(X), expected, 1e-6)
        close(classifier.model_.predict_proba(X), expected, 1e-6)
    records = np.array([(1.0, "Ulm")], [("label", "f8"), ("city", "U3")])
    for wrong, message in [
        (frame.drop(columns="sex"), "lacks the column 'sex'"),
        (frame.assign(label="tall"), "'label' holds a text that is not a number"),
        (frame.assign(when=1.0), "'when' holds number values"),
        (records, "lacks the column 'count'"),
        (np.zeros((2, 3)), "has 3 columns"),
        (frame.to_numpy(object), "lacks the column 'label'"),
    ]:
        with pytest.raises(ValueError, match=message):
            predictor.predict(wrong)
        with pytest.raises(DataError):
            classifier.model_.predict(wrong)


# --- pictures and values --------------------------------------------------------------------------


def test_pictures_enter_as_bytes(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (40, 3, 3), np.uint8)
    y = (pictures[:, 0, 0] > 127).astype(int)
    model = gn.NeuralClassifier(**FAST).fit(pictures, y).model_
    forms = Exported(model, tmp_path)
    assert forms.inputs[0].dtype == "uint8"
    forms.agrees(pictures)
    shares = gn.NeuralClassifier(**FAST).fit(pictures / 255, y)
    assert graph_of(shares.model_)[1][0].dtype == "float32"
    assert graph_of(shares.model_, "float64")[1][0].dtype == "float64"
    with pytest.raises(ConfigurationError, match="input_type is 'int4'"):
        graph_of(model, "int4")
    with pytest.raises(ValueError, match="takes rows of shape"):
        forms.numpy.predict(pictures[:, 0])


def test_values_are_in_the_unit_of_the_target(tmp_path: Path) -> None:
    X, _ = blobs(60)
    y = X @ [3e6, 1e6, -2e6, 0] + 5e7
    regressor = gn.NeuralRegressor(**FAST).fit(X, y)
    regressor.export(tmp_path / "one.onnx")
    (values,) = onnxruntime.InferenceSession(tmp_path / "one.onnx").run(None, {"X": X})
    assert values.shape == (60, 1)
    np.testing.assert_allclose(values[:, 0], regressor.predict(X), rtol=1e-6)


# --- the file, and what is refused ----------------------------------------------------------------


SMALL = model_of(Network([Dense(3)]), (2,), loss=CrossEntropy())


def test_the_file_conforms_to_the_standard(tmp_path: Path) -> None:
    forms = Exported(SMALL, tmp_path)
    onnx.checker.check_model(forms.proto, full_check=True)
    assert {(o.domain, o.version) for o in forms.proto.opset_import} == {
        ("", 18),
        ("ai.onnx.ml", 3),
    }
    assert (forms.proto.ir_version, forms.proto.producer_name) == (8, "glassnet")
    first = (tmp_path / "model.onnx").read_bytes()
    export(SMALL, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == first


@dataclass(frozen=True)
class Sine(Layer):
    """A layer that the user defines."""

    def forward(self, params: Any, state: Any, x: Any, **context: Any) -> Any:
        return jnp.sin(x), state, None


class CubedError(MeanSquaredError):
    """A user-defined loss, whose outputs are not the logits."""

    def output(self, logits: Any) -> Any:
        return logits**3


REFUSED = {
    "own layer": (
        model_of(Network([Network([Sine()])]), (2,)),
        "m.onnx",
        r"layer of your own \(Sine\)",
    ),
    "own loss": (
        model_of(Network([Dense(1)]), (2,), loss=CubedError()),
        "m.onnx",
        r"loss of your own \(CubedError\)",
    ),
    "own loss in NumPy": (model_of(Network([Sine()]), (2,)), "m.py", r"layer of your own \(Sine\)"),
    "ending": (SMALL, "m.onx", "must end with .onnx.*Did you mean '.onnx'"),
    "no model": (Network([Dense(1)]), "m.onnx", "has no weights"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_is_refused(case: str, tmp_path: Path) -> None:
    model, name, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        export(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_models_without_named_columns_are_not_exported_to_onnx(tmp_path: Path) -> None:
    for table, message in [
        ({"": [1, 2, 3]}, "without a name"),
        ({"a": [1, 1, 1]}, "none of its columns"),
    ]:
        model = features_model(TableEncoder.fit(as_table(table)), "float32")
        with pytest.raises(ConfigurationError, match=message):
            export(model, tmp_path / "m.onnx")
        export(model, tmp_path / "m.py")  # the NumPy file needs no names


def test_a_model_too_large_for_one_file_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(exporting, "LARGEST", 20)
    with pytest.raises(ConfigurationError, match="at most 2 GB"):
        export(SMALL, tmp_path / "m.onnx")


def test_a_custom_loss_on_values_is_exported(tmp_path: Path) -> None:
    model = model_of(Network([Dense(1)]), (2,), loss=CustomLoss(lambda z, y: ((z - y) ** 2)[:, 0]))
    export(model, tmp_path / "m.onnx")
    X = np.ones((3, 2), np.float32)
    actual = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"X": X})[0]
    close(actual, model.outputs(X), 1e-6)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "skl2onnx"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=f"{package}.*pip install"):
        gn.register_skl2onnx() if package == "skl2onnx" else export(SMALL, tmp_path / "m.onnx")
    export(SMALL, tmp_path / "m.py")


def dense_off_by_a_thousandth(layer, arrays, x):
    return (x @ arrays["W"].T + arrays["b"]) * 1.001


@pytest.mark.parametrize("ending", [".onnx", ".py"])
def test_a_file_that_disagrees_is_not_written(
    ending: str, tmp_path: Path, monkeypatch: Any
) -> None:
    path = tmp_path / f"m{ending}"
    path.write_text("before")

    def wrong(g: Any, layer: Any, arrays: Any, x: str, shape: Any) -> str:
        return g.add("Mul", onnx_layers._dense(g, layer, arrays, x, shape), 1.001)

    monkeypatch.setitem(WRITERS, Dense, wrong)
    monkeypatch.setitem(numpy_predict.LAYERS, "Dense", dense_off_by_a_thousandth)
    with pytest.raises(
        ConfigurationError, match=r"was not written: .* predictions differ from the model's"
    ):
        export(SMALL, path)
    assert path.read_text() == "before"


def test_differences_that_rounding_explains_are_accepted(tmp_path: Path, monkeypatch: Any) -> None:
    """If the model's rounding error exceeds the tolerance, the file's may too."""
    monkeypatch.setitem(exporting.TOLERANCE, "float32", 1e-9)
    deep = model_of(Network([Dense(64), "tanh", Dense(64), "tanh", Dense(3)]), (5,))
    export(deep, tmp_path / "m.onnx")
    X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    (actual,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"X": X})
    assert 1e-9 < np.abs(actual - deep.outputs(X)).max() < 1e-5


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    save(SMALL, tmp_path / "m")
    data = (tmp_path / "m").read_bytes()
    later = data.replace(b'\\"format\\": 1', b'\\"format\\": 9')
    assert later != data
    for damaged in (
        b"",
        data[:7],
        data[:100],
        data[:-1],
        b"x" * 99,
        later,
        b"\x02\0\0\0\0\0\0\0{}",
    ):
        with pytest.raises(ValueError, match="not a usable glassnet model file"):
            numpy_predict.loads(damaged)


# --- without JAX, by the command, in a pipeline ---------------------------------------------------


def python(*arguments: str, folder: Path) -> str:
    """Run Python in a folder, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_the_numpy_predictor_imports_no_jax(tmp_path: Path) -> None:
    save(SMALL, tmp_path / "m")
    code = """
import sys
from glassnet.numpy_predict import load
print(load("m").predict([[0.5, 1.5]]).tolist())
print([name for name in sys.modules if name.split(".")[0] in ("jax", "sklearn", "scipy", "safetensors")])
print([name for name in sys.modules if name.split(".")[0] == "glassnet"])
"""
    actual = python("-c", code, folder=tmp_path).splitlines()
    expected = SMALL.predict(np.array([[0.5, 1.5]])).tolist()
    assert actual == [str(expected), "[]", "['glassnet', 'glassnet.numpy_predict']"]


def test_the_command_writes_a_numpy_file(trained: Any, tmp_path: Path) -> None:
    classifier, _ = trained
    classifier.save(tmp_path / "m.glassnet")
    for name in ("m.onnx", "churn.py"):
        arguments = ["export", str(tmp_path / "m.glassnet"), "--out", str(tmp_path / name)]
        result = CliRunner().invoke(cli.app, arguments)
        assert result.exit_code == 0, result.output
        assert "Wrote" in result.stderr
    code = """
import sys
sys.path.insert(0, "")
from churn import predict, predict_proba
row = {"label": [50], "count": [3], "city": ["Ulm"], "sex": ["f"], "flag": [True], "Add_3": [0.5]}
row |= {"when": ["2020-05-17"], "zip": ["007"]}
print(predict(row)[0], predict_proba(row)[0, 0], [name for name in sys.modules if "glassnet" in name])
"""
    label, p, modules = python("-I", "-c", code, folder=tmp_path).rsplit(maxsplit=2)
    row = {
        "label": [50],
        "count": [3],
        "city": ["Ulm"],
        "sex": ["f"],
        "flag": [True],
        "Add_3": [0.5],
    }
    row |= {"when": ["2020-05-17"], "zip": ["007"]}
    assert (label, modules) == (classifier.model_.predict(row)[0], "[]")
    assert float(p) == pytest.approx(classifier.model_.predict_proba(row)[0, 0], abs=1e-6)
    wrong = CliRunner().invoke(
        cli.app, ["export", str(tmp_path / "m.glassnet"), "-o", str(tmp_path / "m.txt")]
    )
    assert wrong.exit_code == 2
    assert "must end with .onnx" in wrong.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx", "ignore::FutureWarning:skl2onnx")
@pytest.mark.parametrize("zipmap", [True, False, "columns"])
def test_a_whole_pipeline_is_converted(zipmap: Any) -> None:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    gn.register_skl2onnx()
    X, codes = blobs(40, features=2)
    frame = pd.DataFrame({"size": X[:, 0], "city": np.array(["Ulm", "Bonn", "Köln"])[codes]})
    types = [("size", DoubleTensorType([None, 1])), ("city", StringTensorType([None, 1]))]
    encode = ColumnTransformer(
        [("n", StandardScaler(), ["size"]), ("c", OneHotEncoder(sparse_output=False), ["city"])]
    )
    net = gn.NeuralClassifier(**FAST)
    fed = {"size": frame[["size"]].to_numpy(), "city": frame[["city"]].to_numpy(object)}
    for steps, y in [((encode, net), np.array(["a", "b", "ç"])[codes]), ((net,), codes > 0)]:
        pipeline = make_pipeline(*steps).fit(frame, y)
        proto = to_onnx(pipeline, initial_types=types, options={"zipmap": zipmap})
        session = onnxruntime.InferenceSession(proto.SerializeToString())
        label, *rest = session.run(None, fed)
        assert (label == pipeline.predict(frame)).all()
        rows = [[*row.values()] for row in rest[0]] if zipmap is True else rest[0]
        actual = np.stack(rest, axis=1) if zipmap == "columns" else np.array(rows)
        np.testing.assert_allclose(actual, pipeline.predict_proba(frame), atol=1e-5)
    if zipmap is False:
        with pytest.raises(ConfigurationError, match="target_opset is 17"):
            to_onnx(pipeline, initial_types=types, target_opset=17)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx", "ignore::FutureWarning:skl2onnx")
def test_a_regression_pipeline_is_converted() -> None:
    from skl2onnx import to_onnx

    gn.register_skl2onnx()
    X, _ = blobs(40)
    net = gn.NeuralRegressor(**{**FAST, "members": 1})
    pipeline = make_pipeline(StandardScaler(), net).fit(X, X[:, :2] * 1e3)
    session = onnxruntime.InferenceSession(to_onnx(pipeline, X[:1]).SerializeToString())
    np.testing.assert_allclose(session.run(None, {"X": X})[0], pipeline.predict(X), rtol=1e-5)


def test_a_saved_and_loaded_model_exports_the_same_bytes(trained: Any, tmp_path: Path) -> None:
    classifier, _ = trained
    classifier.save(tmp_path / "m.glassnet")
    classifier.export(tmp_path / "one.onnx")
    export(load(tmp_path / "m.glassnet"), tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot write"):
        export(SMALL, tmp_path / "none" / "m.py")
