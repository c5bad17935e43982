"""Model files keep every bit, replace old files safely, and are refused with one error if damaged."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as to_bytes

from glassnet import keys
from glassnet._precision import precision
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError, GlassnetError, ModelFormatError
from glassnet.models import layer_records
from glassnet.models.layer_records import INITIALIZER_TYPES, LOSS_TYPES
from glassnet.models.model import Model
from glassnet.models.model_file import load, save
from glassnet.nn.activations import ACTIVATIONS, LeakyReLU
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.initializers import INITIALIZERS, Initializer, Normal
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Layer, Rescale
from glassnet.nn.losses import LOSSES, CrossEntropy, CustomLoss, Huber
from glassnet.nn.network import LAYER_TYPES, Network
from helpers import assert_same_bits, blobs

pytestmark = pytest.mark.lowest

X, Y = blobs(10)
EVERYTHING = Network(
    [
        RandomShift(2),
        Rescale(1 / 255, -0.5),
        Flatten(),
        Dense(3, Normal(0.3)),
        BatchNorm(0.8, 1e-3),
        LeakyReLU(0.2),
        Dropout(0.25),
        Network([*ACTIVATIONS.values()]),
        Scale(2.0),
        Periodic(2, waves=3, outputs=1, slowest=0.5, fastest=2.0),
        Embedding((2, 3), size=4),
        Dense(3, "glorot", bias=False),
    ]
)


def random_model(network: Network, in_shape: tuple[int, ...] = (4,), **settings: Any) -> Model:
    """Return a model with random arrays instead of trained ones."""
    dtype = settings.get("dtype", "float32")
    with precision(dtype):
        params, state, _ = network.init(keys.key(0), in_shape)
    rng = np.random.default_rng(0)

    def drawn(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {
                name: array if name == "rate" else rng.uniform(0.1, 1, array.shape).astype(dtype)
                for name, array in tree.items()
            }
        return tuple(drawn(branch) for branch in tree)

    loss = settings.pop("loss", CrossEntropy())
    return Model(
        network=network,
        params=drawn(params),
        layer_state=drawn(state),
        loss=loss,
        in_shape=in_shape,
        **settings,
    )


SMALL = random_model(
    Network([Dense(3)]), target_encoder=ClassEncoder.fit(np.array(["a", "b", "ç"]))
)


def round_trip(model: Model, path: Path) -> Model:
    save(model, path)
    loaded = load(path)
    assert_same_bits((loaded.params, loaded.layer_state), (model.params, model.layer_state))
    for name in ("network", "loss", "in_shape", "dtype", "target_encoder", "info"):
        assert getattr(loaded, name) == getattr(model, name)
    return loaded


# --- round trips ----------------------------------------------------------------------------------


def layers_inside(network: Network) -> set[str]:
    names = {type(layer).__name__ for layer in network} | {type(network).__name__}
    return names.union(*(layers_inside(part) for part in network if isinstance(part, Network)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_predicts_the_same_bits_after_a_round_trip(dtype: str, tmp_path: Path) -> None:
    assert layers_inside(EVERYTHING) == set(LAYER_TYPES)
    model = random_model(EVERYTHING, (2, 2, 1), dtype=dtype)
    loaded = round_trip(model, tmp_path / "all.glassnet")
    pictures = np.random.default_rng(0).integers(0, 256, (7, 2, 2, 1), np.uint8)
    assert_same_bits(loaded.predict_proba(pictures), model.predict_proba(pictures))
    assert_same_bits(loaded.predict(pictures), model.predict(pictures))


@pytest.mark.parametrize("initializer", [*INITIALIZERS, *INITIALIZERS.values(), Normal(0.125)])
def test_every_initializer_is_kept(initializer: Any, tmp_path: Path) -> None:
    round_trip(random_model(Network([Dense(3, initializer)])), tmp_path / "m")


CLASSES = [
    np.array(["no", "yes", "maybe"]),
    np.array([3, 1, 2]),
    np.array([True, False]),
    np.array(["", 'ç 漢 \n"', "\\"], dtype=object),
    np.array([2.0, 7.0, -1.0]),
]
CASES = {
    **{
        f"classes {i}": (CrossEntropy(0.1), ClassEncoder.fit(labels), len(labels))
        for i, labels in enumerate(CLASSES)
    },
    "one label": (LOSSES["binary_cross_entropy"], ClassEncoder.fit(np.array(["n", "y"])), 1),
    "labels": (LOSSES["binary_cross_entropy"], LabelsEncoder.fit(np.eye(3, dtype=int)), 3),
    "values": (Huber(0.7), TargetScaler.fit(np.random.default_rng(0).normal(5, 3, (9, 2))), 2),
    "one value": (LOSSES["absolute_error"], TargetScaler.fit(np.arange(9.0)), 1),
    "squared": (LOSSES["squared_error"], None, 2),
    "no target": (LOSSES["cross_entropy"], None, 3),
}


@pytest.mark.parametrize(("loss", "target", "k"), CASES.values(), ids=CASES)
def test_every_loss_and_target_predicts_the_same_after_a_round_trip(
    loss: Any, target: Any, k: int, tmp_path: Path
) -> None:
    assert {type(case[0]) for case in CASES.values()} == {type(loss) for loss in LOSSES.values()}
    model = random_model(Network([Dense(k)]), loss=loss, target_encoder=target)
    loaded = round_trip(model, tmp_path / "m.glassnet")
    one, other = model.predict(X), loaded.predict(X)
    assert one.dtype == other.dtype and one.tolist() == other.tolist()


def test_a_table_encoder_is_kept(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame(
        {
            "age": [1.0, 2.5, None, 4.0] * 3,
            "town": ["Köln", "Rom", None, "Rom"] * 3,
            "seen": pd.to_datetime(["2024-01-01", "2024-06-01", None, "2025-01-01"] * 3),
            "member": [True, False, True, True] * 3,
        }
    )
    encoder = TableEncoder.fit(table)
    model = random_model(Network([Dense(3)]), (encoder.n_features,), encoder=encoder)
    loaded = round_trip(model, tmp_path / "m.glassnet")
    assert loaded.encoder == encoder
    unseen = table.assign(town="Oslo")
    assert_same_bits(loaded.predict_proba(unseen), model.predict_proba(unseen))


def test_plain_info_and_numpy_numbers_are_kept(tmp_path: Path) -> None:
    info = {"target": "é", "scores": {"accuracy": 0.5, "rows": [1, 2, None, True]}}
    network = Network([Dense(np.int64(3)), Dropout(np.float32(0.25))])
    loaded = round_trip(random_model(network, info=info), tmp_path / "m.glassnet")
    assert type(loaded.network.layers[0].units) is int  # type: ignore[attr-defined]


def test_labels_that_are_not_valid_text_are_kept(tmp_path: Path) -> None:
    odd = ClassEncoder.fit(np.array(["a", "b\udc80", "c"], dtype=object))  # an undecodable byte
    round_trip(random_model(Network([Dense(3)]), target_encoder=odd), tmp_path / "m.glassnet")


def test_other_programs_can_read_the_files_as_safetensors(tmp_path: Path) -> None:
    save(SMALL, tmp_path / "m.glassnet")
    tensors = tensors_of((tmp_path / "m.glassnet").read_bytes())
    assert set(tensors) == {"params/0/W", "params/0/b"}
    np.testing.assert_array_equal(tensors["params/0/W"], SMALL.params[0]["W"])


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    call: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.glassnet"
    path.write_bytes(b"the old one")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise failure

    monkeypatch.setattr(os, call, fail)
    expected = DataError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(
        expected, match="No space left.*untouched" if expected is DataError else "^$"
    ):
        save(SMALL, path)
    monkeypatch.undo()
    assert path.read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["m.glassnet"]


def test_a_folder_that_cannot_be_synced_is_not_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = []

    def only_files(descriptor: int) -> None:
        forced.append(descriptor)
        if len(forced) > 1:
            raise OSError(22, "Invalid argument")  # as some network file systems answer

    monkeypatch.setattr(os, "fsync", only_files)
    save(SMALL, tmp_path / "m.glassnet")
    assert len(forced) == 2 and os.listdir(tmp_path) == ["m.glassnet"]


def test_saving_replaces_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "m.glassnet"
    save(random_model(EVERYTHING, (2, 2, 1)), path)
    save(SMALL, str(path))
    assert load(path).network == SMALL.network
    assert os.listdir(tmp_path) == ["m.glassnet"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("where", ["no such folder/m.glassnet", ".", "a file/m.glassnet"])
def test_paths_that_cannot_be_written_are_data_errors(where: str, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    with pytest.raises(DataError, match="Cannot write"):
        save(SMALL, tmp_path / where)
    assert os.listdir(tmp_path) == ["a file"]


class CustomLayer(Layer):
    def forward(self, params: Any, state: Any, x: Any, **context: Any) -> Any:
        return x, state, None


class Dense2(Dense):
    """A class that only looks like one of glassnet's."""


UNSAVABLE = [
    random_model(Network([CustomLayer()])),
    random_model(Network([Network([Dense2(3)])])),
    replace(SMALL, loss=CustomLoss(lambda z, y: z - y)),
    replace(SMALL, info={"score": float("nan")}),
    replace(SMALL, info={"score": object()}),
]


@pytest.mark.parametrize("model", UNSAVABLE)
def test_a_model_that_cannot_be_saved_is_refused_before_anything_is_written(
    model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "m.glassnet"
    path.write_bytes(b"the old one")
    with pytest.raises(ConfigurationError):
        save(model, path)
    assert path.read_bytes() == b"the old one" and os.listdir(tmp_path) == ["m.glassnet"]


# --- the fields of layers, losses and initializers ---------------------------------------------------

WRONG: dict[Any, list[Any]] = {
    bool: [1, "yes", None],
    int: [1.0, True, "3", None, [1], 10**400],
    float: [True, "1", None, [], float("nan"), 10**400],
    tuple[int, ...]: [3, None, "3", ["3"], [0], [1.5], [True]],
    Initializer | str: [3, None, True, []],
}
FIELDS = [
    (types, cls, field.name)
    for types in (LAYER_TYPES, LOSS_TYPES, INITIALIZER_TYPES)
    for cls in types.values()
    if cls is not Network
    for field in fields(cls)  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("types", "cls", "name"), FIELDS)
def test_every_field_is_read_by_its_type(types: Any, cls: Any, name: str) -> None:
    """A layer with a field of a new type needs a row in `FIELD_TYPES`."""
    example = {bool: True, int: 2, float: 0.5, tuple[int, ...]: (3,), Initializer | str: "he"}
    required = [f.name for f in fields(cls) if f.default is f.default_factory is MISSING]
    value = cls(**{field: example[get_type_hints(cls)[field]] for field in required})
    record = layer_records.describe_object(value, types, "layer")
    record = json.loads(json.dumps(record))
    assert layer_records.object_of(record, types, "layer") == value
    for wrong in WRONG[get_type_hints(cls)[name]]:
        with pytest.raises(ModelFormatError, match=f"layer.{name} should be"):
            layer_records.object_of(record | {name: wrong}, types, "layer")


# --- reading damaged files ------------------------------------------------------------------------


def bytes_of(model: Model, folder: Path) -> bytes:
    save(model, folder / "whole")
    return (folder / "whole").read_bytes()


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    data, path = bytes_of(SMALL, tmp_path), tmp_path / "cut"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ModelFormatError, match="Use another copy"):
            load(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(ModelFormatError):
        load(path)


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_flipped_bits_give_a_model_or_one_error(tmp_path: Path, data: Any) -> None:
    whole = bytearray(bytes_of(SMALL, tmp_path))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    check_loads_or_refuses(bytes(whole), tmp_path)


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_replaced_json_gives_a_model_or_one_error(tmp_path: Path, data: Any) -> None:
    """Replace any value of the record by any JSON value."""
    save(
        random_model(EVERYTHING, (2, 2, 1), target_encoder=SMALL.target_encoder), tmp_path / "whole"
    )
    tensors, record = read_parts(tmp_path / "whole")
    path = data.draw(st.sampled_from(list(paths_in(record))))
    strange = st.sampled_from(
        [None, True, -1, 0, 1.5, 10**400, 1e308, "", "he", [], [[]], {}, {"type": "He"},
         {"type": "Network"}, {"type": []}, [1, "a", None]]
    )  # fmt: skip
    whole = file_bytes(tensors, with_value(record, path, data.draw(strange)))
    check_loads_or_refuses(whole, tmp_path, (2, 2, 1))


def check_loads_or_refuses(data: bytes, folder: Path, in_shape: Any = (4,)) -> None:
    path = folder / "damaged"
    path.write_bytes(data)
    try:
        model = load(path)
    except ModelFormatError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        return
    if model.encoder is None and model.in_shape == in_shape:
        with np.errstate(all="ignore"):  # a flipped exponent bit may have made weights huge
            assert len(model.logits(np.ones((2, *in_shape)))) == 2
    save(model, folder / "again")  # a model that loads is complete


def read_parts(path: Path) -> tuple[Any, Any]:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return tensors_of(data), json.loads(header["__metadata__"]["glassnet"])


def file_bytes(tensors: Any, record: Any) -> bytes:
    text = record if isinstance(record, str) else json.dumps(record)
    return to_bytes(tensors, metadata={"glassnet": text})


def paths_in(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, branch in items:
        yield from paths_in(branch, (*path, key))


def with_value(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = with_value(tree[path[0]], path[1:], value)
    return copy


def with_fields(**changes: Any) -> Any:
    return lambda tensors, record: file_bytes(tensors, record | changes)


def with_tensors(**arrays: Any) -> Any:
    def change(tensors: Any, record: Any) -> bytes:
        new = tensors | {name.replace("__", "/"): array for name, array in arrays.items()}
        return file_bytes({name: array for name, array in new.items() if array is not None}, record)

    return change


def with_dense(**fields: Any) -> Any:
    layer = {"type": "Dense", "units": 3, "initializer": "he", "bias": True} | fields
    return with_fields(network={"type": "Network", "layers": [layer]})


def with_layers(*records: Any) -> Any:
    return with_fields(network={"type": "Network", "layers": list(records)})


def with_nested_networks(depth: int) -> Any:
    network = '{"type": "Network", "layers": [' * depth + "]}" * depth
    return lambda tensors, record: file_bytes(
        tensors, json.dumps(record | {"network": "@"}).replace('"@"', network)
    )


W = SMALL.params[0]["W"]
DAMAGE = {
    "later format": (with_fields(format=2), "format 2, but"),
    "no format": (lambda t, r: file_bytes(t, {k: v for k, v in r.items() if k != "format"}), "format"),
    "an extra field": (with_fields(code="print()"), "model"),
    "a missing field": (lambda t, r: file_bytes(t, {k: v for k, v in r.items() if k != "info"}), "model"),
    "no record": (lambda t, r: file_bytes(t, "3"), "model"),
    "not JSON": (lambda t, r: file_bytes(t, "{"), "JSON"),
    "name twice": (lambda t, r: file_bytes(t, json.dumps(r)[:-1] + ', "dtype": "float64"}'), "twice"),
    "NaN in JSON": (lambda t, r: file_bytes(t, json.dumps(r | {"info": {"a": float("nan")}})), "NaN"),
    "no glassnet": (lambda t, r: to_bytes(t, metadata={"format": "pt"}), "not a glassnet model"),
    "no metadata": (lambda t, r: to_bytes(t), "not a glassnet model"),
    "other shape": (with_tensors(params__0__W=W[:2]), r"\(2, 4\), but should be float32\(3, 4\)"),
    "other dtype": (with_tensors(params__0__W=W.astype(np.float64)), "float64"),
    "whole numbers": (with_tensors(params__0__W=W.astype(np.int32)), "I32"),
    "array missing": (with_tensors(params__0__b=None), "missing"),
    "unexpected array": (with_tensors(params__9__W=W), "unexpected"),
    "NaN": (with_tensors(params__0__W=W * np.nan), "undefined"),
    "infinite": (with_tensors(params__0__W=W * np.inf), "infinite"),
    "unknown layer": (with_layers({"type": "Exec", "code": "1"}), "unknown layer"),
    "layer that is a list": (with_layers([]), "unknown layer"),
    "no layer": (with_layers(), "at least one layer"),
    "not a network": (with_fields(network={"type": "Tanh"}), "network"),
    "unknown initializer": (with_dense(initializer="hee"), "initializer"),
    "units": (with_dense(units=4), r"\(4, 4\)"),
    "no units": (with_dense(units=0), "units"),
    "units of float": (with_dense(units=3.0), "units"),
    "units that are true": (with_dense(units=True), "units"),
    "far too many units": (with_dense(units=10**15), "should be float32"),
    "far too many places": (with_layers({"type": "Embedding", "places": [10**9], "size": 10**6}), "missing"),
    "places of text": (with_layers({"type": "Embedding", "places": ["3"], "size": 2}), "places"),
    "places not a list": (with_layers({"type": "Embedding", "places": 3, "size": 2}), "places"),
    "far too many waves": (
        with_layers({"type": "Periodic", "columns": 10**5, "waves": 10**5, "outputs": 1,
                "slowest": 1.0, "fastest": 1.0}),
        "waves of 100000 columns",
    ),
    "temperature": (with_fields(temperature=0.0), "temperature"),
    "temperatures": (with_fields(temperature=[1.0]), "temperature"),
    "errors of other outputs": (with_tensors(errors=np.zeros((2, 4))), "errors"),
    "errors out of order": (with_tensors(errors=-np.arange(6.0).reshape(3, 2)), "order"),
    "errors of float32": (with_tensors(errors=np.zeros((3, 2), np.float32)), "float32"),
    "no errors": (with_tensors(errors=np.zeros((3, 0))), "errors"),
    "undefined errors": (with_tensors(errors=np.full((3, 2), np.nan)), "undefined"),
    "bias of text": (with_dense(bias="yes"), "bias"),
    "bias of an object": (with_dense(bias={"type": "He"}), "bias"),
    "no scale": (with_layers({"type": "Rescale", "scale": 1e308 * 10, "shift": 0.0}), "Infinity"),
    "object for a number": (
        with_layers({"type": "Rescale", "scale": {"type": "He"}, "shift": 0.0}),
        "scale",
    ),
    "number beyond float": (
        with_layers({"type": "Rescale", "scale": 10**400, "shift": 0.0}),
        "401 digits",
    ),
    "number that overflows": (
        lambda t, r: file_bytes(
            t,
            json.dumps(
                r | {"network": {"type": "Network", "layers": [
                    {"type": "LeakyReLU", "slope": "@"}]}}
            ).replace('"@"', "1e999"),
        ),
        "1e999",
    ),
    "nested too deeply": (with_nested_networks(70), "too deeply"),
    "nested too deeply to be read": (with_nested_networks(20_000), "too deeply"),
    "unknown loss": (with_fields(loss={"type": "Loss"}), "unknown loss"),
    "loss out of range": (with_fields(loss={"type": "Huber", "delta": -1.0}), "delta"),
    "unknown dtype": (with_fields(dtype="float16"), "dtype"),
    "no inputs": (with_fields(in_shape=[]), "in_shape"),
    "inputs of 0": (with_fields(in_shape=[0]), "in_shape"),
    "inputs of text": (with_fields(in_shape=["4"]), "in_shape"),
    "far too many inputs": (with_fields(in_shape=[10**9, 10**9]), "in_shape"),
    "unknown target": (with_fields(target={"type": "code", "record": {}}), "target"),
    "too few classes": (
        with_fields(target={"type": "classes", "record": {"dtype": "str", "classes": ["a", "b"]}}),
        "outputs",
    ),
    "values for classes": (
        with_fields(target={"type": "values", "record": TargetScaler.fit(np.eye(3)).to_spec()}),
        "outputs",
    ),
    "info": (with_fields(info=[1]), "info"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE)
def test_the_message_names_the_damage(damage: Any, message: str, tmp_path: Path) -> None:
    save(SMALL, tmp_path / "m")
    (tmp_path / "m").write_bytes(damage(*read_parts(tmp_path / "m")))
    with pytest.raises(ModelFormatError, match=message):
        load(tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "value"), [("1/variance", -1.0), ("2/rate", 1.0), ("2/rate", -0.5)]
)
def test_state_out_of_range_is_refused(name: str, value: float, tmp_path: Path) -> None:
    save(random_model(Network([Dense(3), BatchNorm(), Dropout(0.5)])), tmp_path / "m")
    tensors, record = read_parts(tmp_path / "m")
    tensors[f"state/{name}"] = np.full_like(tensors[f"state/{name}"], value)
    (tmp_path / "m").write_bytes(file_bytes(tensors, record))
    with pytest.raises(ModelFormatError, match=name):
        load(tmp_path / "m")


NOT_MODELS = {
    "empty": b"",
    "a byte": b"\0",
    "text": b"id,age\n1,2\n" * 50,
    "JSON": json.dumps({"format": 1}).encode(),
    "zeros": bytes(5000),
    "ones": b"\xff" * 5000,
    "huge header": (2**63).to_bytes(8, "little") + b"{}" * 50,
    "bad text": (50).to_bytes(8, "little") + b"{" + b"\xff" * 60,
    "two names": (40).to_bytes(8, "little")
    + b'{"__metadata__":{},"__metadata__":{}}   '
    + bytes(9),
}


@pytest.mark.parametrize("data", NOT_MODELS.values(), ids=NOT_MODELS)
def test_a_file_in_another_format_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(ModelFormatError, match="not a usable glassnet model file"):
        load(tmp_path / "m")


class Trap:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("ran",))


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelFormatError):
        load(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]


def test_missing_files_are_data_errors(tmp_path: Path) -> None:
    save(SMALL, tmp_path / "churn.glassnet")
    with pytest.raises(DataError, match=r"does not exist.*Did you mean 'churn\.glassnet'"):
        load(tmp_path / "chrun.glassnet")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "no folder" / "m")
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)
    assert issubclass(ModelFormatError, GlassnetError) and issubclass(ModelFormatError, ValueError)
