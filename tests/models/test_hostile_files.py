"""Hostile model files give one error, run and write nothing, and use bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as to_bytes
from test_model_file import (
    EVERYTHING,
    SMALL,
    file_bytes,
    random_model,
    read_parts,
    with_fields,
    with_layers,
)
from typer.testing import CliRunner

import glassnet as gn
from glassnet import cli, keys
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import ClassEncoder, TargetScaler
from glassnet.errors import ConfigurationError, DataError, ModelFormatError
from glassnet.models import model_file
from glassnet.models.model_file import FORMAT, load, save
from glassnet.nn.layers import Dense
from glassnet.nn.losses import LOSSES
from glassnet.nn.network import LAYER_TYPES, Network, each_layer
from glassnet.storage import tensorfile

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.glassnet"))
UNUSABLE = "not a usable glassnet model file|The model file is damaged"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Path:
    """Return the file of a small model."""
    path: Path = tmp_path_factory.mktemp("whole") / "whole.glassnet"
    save(SMALL, path)
    return path


# --- files of released versions -------------------------------------------------------------------


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_predicts_what_it_always_did(path: Path) -> None:
    model = load(path)
    expected = json.loads(path.with_suffix(".json").read_text())
    X = expected.pop("X")
    if isinstance(X, dict):
        X["seen"] = np.array(X["seen"], "datetime64[us]")
    elif path.stem.startswith("pictures"):
        X = np.array(X, np.uint8)
    for method, answer in expected.items():
        predicted = (
            getattr(model, method)(X)
            if method != "predict_interval"
            else model.predict_interval(X, 0.8)
        )
        if isinstance(answer[0], str):
            assert predicted.tolist() == answer
        else:
            np.testing.assert_allclose(predicted, answer, rtol=2e-5, atol=1e-6)


def test_every_version_and_every_layer_has_a_golden_file() -> None:
    names = {path.stem for path in GOLDEN}
    kinds = ("labels", "layers", "pictures", "pictures_moved", "table", "values")
    assert {f"{kind}-{number + 1}" for kind in kinds for number in range(FORMAT)} <= names
    text = b"".join(path.read_bytes() for path in GOLDEN).decode("latin-1")
    assert not [name for name in LAYER_TYPES if f'"type\\": \\"{name}\\"' not in text]


# --- the header -----------------------------------------------------------------------------------

ZEROS = bytes(48)
W, B = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}, "params/0/b"


def raw(header: Any, body: bytes = ZEROS, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def array(**fields: Any) -> bytes:
    return raw({"x": W | fields})


HEADERS: dict[str, bytes] = {
    "length 2^64 - 1": raw({"x": W}, length=2**64 - 1),
    "longer than the file": raw({"x": W}, length=4000),
    "longer than 16 MiB": raw(b"{" + b" " * (1 << 24) + b"}"),
    "not UTF-8": raw(b'{"\xff":1}'),
    "UTF-16": raw('{"x":1}'.encode("utf-16")),
    "a byte order mark": raw(b'\xef\xbb\xbf{"x":1}'),
    "a list": raw(b"[1]"),
    "a space first": raw(b" " + json.dumps({"x": W}).encode()),
    "text after it": raw(json.dumps({"x": W}).encode() + b"{}"),
    "overlap": raw({"x": W, "y": W}),
    "gap": raw({"x": W | {"shape": [2], "data_offsets": [0, 8]},
                 "y": W | {"shape": [2], "data_offsets": [40, 48]}}),
    "gap at the start": raw({"x": W | {"data_offsets": [4, 52]}}, bytes(52)),
    "bytes after the arrays": raw({"x": W}, bytes(49)),
    "cut short": raw({"x": W}, bytes(47)),
    "end before begin": array(data_offsets=[48, 0]),
    "another shape": array(shape=[3, 5]),
    "2^32 x 2^32": array(shape=[2**32, 2**32]),
    "overflow to 0": array(shape=[2**63, 2]),
    "empty of 2^63": array(shape=[0, 2**63], data_offsets=[0, 0]),
    "negative shape": array(shape=[-3, -4]),
    "shape of floats": array(shape=[3.0, 4.0]),
    "shape of true": array(shape=[True, 12]),
    "shape not a list": array(shape=12),
    "100 axes": array(shape=[1] * 99 + [12]),
    "one offset": array(data_offsets=[48]),
    "offsets of floats": array(data_offsets=[0, 48.0]),
    "an extra field": array(code="print()"),
    "a missing field": raw({"x": {"dtype": "F32", "shape": [12]}}),
    "a number as an array": raw({"x": 3}),
    "NUL in a name": raw({"x\0": W}),
    "a path as a name": raw({"../../x": W}),
    "an empty name": raw({"": W}),
    "no arrays": raw({"__metadata__": {"a": "b"}}, b""),
    "100 000 empty arrays": raw(
        {f"{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_000)}, b""),
    "two million values": raw(b'{"x":[' + b"0," * 2_000_000 + b"0]}"),
    "metadata of numbers": raw({"__metadata__": {"glassnet": 3}, "x": W}),
    "metadata of records": raw({"__metadata__": {"glassnet": {}}, "x": W}),
    "metadata a list": raw({"__metadata__": [], "x": W}),
    "a repeated array of two types": raw(
        b'{"x":{"dtype":"U8","shape":[48],"data_offsets":[0,48]},'
        b'"x":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'),
    "a repeated field": raw(b'{"x":{"dtype":"F32","dtype":"F32","shape":[3,4],"data_offsets":[0,48]}}'),
    "nested 10^6 deep": raw(b'{"x":' + b"[" * 10**6 + b"]" * 10**6 + b"}"),
    "nested 300 deep": raw(b'{"x":' + b"[" * 300 + b"]" * 300 + b"}"),
    "10^5 digits": raw(b'{"x":' + b"9" * 10**5 + b"}"),
    **{f"a number {text}": raw(f'{{"x":{text}}}'.encode())
       for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "+1", "0x1")},
    **{f"type {dtype}": array(dtype=dtype)
       for dtype in ("BF16", "F8_E4M3", "F16", "BOOL", "I32", "U8", "C64", "f4", "", None, 3, [])},
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_an_inconsistent_header_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(HEADERS[name])
    assert_refused(tmp_path / "m")


def assert_refused(path: Path, match: str = UNUSABLE) -> None:
    """Fail unless `load` refuses the file with one printable line of moderate length."""
    with pytest.raises(ModelFormatError, match=match) as error:
        load(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 600


# --- the record -----------------------------------------------------------------------------------


def with_record_text(change: Callable[[str], str]) -> Any:
    """Return a function that changes the record's text and returns the file."""
    return lambda tensors, record: file_bytes(tensors, change(json.dumps(record)))


def with_info(text: str) -> Any:
    return with_record_text(lambda whole: whole.replace('"info": {}', f'"info": {{"a": {text}}}'))


def with_more_layers(count: int) -> Any:
    more = '"layers": [' + '{"type": "Tanh"}, ' * count
    return with_record_text(lambda whole: whole.replace('"layers": [', more))


def classes(labels: Any, dtype: Any = "str") -> Any:
    return with_fields(target={"type": "classes", "record": {"dtype": dtype, "classes": labels}})


HOSTILE = (
    "__import__",
    "os.system",
    "keras.config.enable_unsafe_deserialization",
    "../x",
    "\0",
    "x" * 10**6,
)
TANH = {"type": "Tanh"}
RECORDS: dict[str, Any] = {
    "nested 10^6 deep": with_info("[" * 10**6 + "]" * 10**6),
    "nested 300 deep": with_info("[" * 300 + "]" * 300),
    "10^5 digits": with_info("9" * 10**5),
    **{f"a number {text}": with_info(text) for text in ("NaN", "-Infinity", "1e999", "-1e400")},
    "a byte order mark": with_record_text(lambda text: "\ufeff" + text),
    "a million values": with_info("[" + "0," * 10**6 + "0]"),
    "text after it": with_record_text(lambda text: text + " {}"),
    "a list": with_record_text(lambda text: f"[{text}]"),
    **{f"format {value!r}": with_fields(format=value) for value in (0, -1, 2, 1.0, True, "1", None, [1],
    10**300)},
    **{f"layer {name[:20]!r}": with_layers({"type": name}) for name in HOSTILE},
    **{f"loss {name[:20]!r}": with_fields(loss={"type": name}) for name in HOSTILE},
    **{f"initializer {name[:20]!r}": with_layers(
        {"type": "Dense", "units": 3, "initializer": name, "bias": True}) for name in HOSTILE},
    **{f"target {name[:20]!r}": with_fields(target={"type": name, "record": {}}) for name in HOSTILE},
    "type not text": with_layers({"type": ["Dense"]}),
    "type is a record": with_layers({"type": {"type": "Dense"}}),
    "50 000 layers": with_more_layers(50_000),
    "1001 layers": with_more_layers(1000),
    **{f"inputs {shape}": with_fields(in_shape=shape) for shape in
       ([0], [2**31], [-4], [4.0], [True], [4, 1], [1] * 100, [[4]], {}, None, [2**62, 2**62])},
    **{f"members {count!r}": with_fields(members=count) for count in (0, -1, 2, 10**9, 1.0, True, None, "1")},
    **{f"temperature {t!r}": with_fields(temperature=t) for t in (0, -1.0, True, None, "1")},
    "repeated classes": classes(["a", "a", "b"]),
    "classes out of order": classes(["b", "a", "c"]),
    "a missing class": classes(["a", "b"]),
    "classes that are records": classes([{"a": 1}, {"b": 1}, {"c": 1}], "object"),
    "classes that are lists": classes([["a"], ["b"], ["c"]], "object"),
    "classes that become equal": classes([2048.0, 2049.0, 2050.0], "float16"),
    "classes too large": classes([1, 2, 300], "int8"),
    "classes of another type": classes([1, 2, 3], "str"),
    **{f"classes of dtype {d!r}": classes(["a", "b", "c"], d) for d in ("V8", "O,O", "datetime64", None,
    ["str"])},
    "info not a record": with_fields(info=[]),
    "versions not a record": with_fields(versions="1"),
    "encoder of code": with_fields(encoder={"type": "os.system"}),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_an_inconsistent_record_is_refused(name: str, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(RECORDS[name](*read_parts(whole)))
    assert_refused(tmp_path / "m")


@pytest.mark.slow
def test_almost_as_many_layers_as_a_record_can_hold_are_refused(
    whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "m").write_bytes(with_more_layers(450_000)(*read_parts(whole)))
    assert_refused(tmp_path / "m", "450001 layers")


def with_target_scaler(**fields: Any) -> dict[str, Any]:
    record = TargetScaler.fit(np.arange(9.0)).to_spec() | fields
    return {"target": {"type": "values", "record": record}}


def with_numeric_fields(**fields: Any) -> dict[str, Any]:
    encoder = TableEncoder.fit(np.arange(16.0).reshape(4, 4)).to_spec()
    return {"encoder": encoder | {"numeric": encoder["numeric"] | fields}}


VALUES = random_model(
    Network([Dense(1)]),
    loss=LOSSES["squared_error"],
    target_encoder=TargetScaler.fit(np.arange(9.0)),
)
SCALES: dict[str, dict[str, Any]] = {
    **{f"target of scale {s!r}": with_target_scaler(scale=[s])
       for s in (0.0, -1.0, None, "1", [1.0], True)},
    "two centres": with_target_scaler(center=[0.0, 1.0]),
    **{f"input of scale {s!r}": with_numeric_fields(scale=[1.0, 1.0, 1.0, s])
       for s in (-1.0, 5e-324, None, True)},
    "a missing scale": with_numeric_fields(scale=[1.0, 1.0, 1.0]),
    "repeated names": with_numeric_fields(names=["x0", "x0", "x1", "x2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALES)
def test_scales_are_positive(name: str, tmp_path: Path) -> None:
    save(VALUES, tmp_path / "m")
    tensors, record = read_parts(tmp_path / "m")
    (tmp_path / "m").write_bytes(file_bytes(tensors, record | SCALES[name]))
    assert_refused(tmp_path / "m")


def test_a_whole_number_beyond_64_bits_is_read_as_a_float(whole: Path, tmp_path: Path) -> None:
    shift, dense = {"type": "Rescale", "scale": 1, "shift": 2**64}, {"type": "Dense", "units": 3}
    change = with_layers(dense | {"initializer": "he", "bias": True}, shift)
    (tmp_path / "m").write_bytes(change(*read_parts(whole)))
    assert np.isfinite(load(tmp_path / "m").logits(np.ones((1, 4)))).all()


# --- files in other formats -----------------------------------------------------------------------


class Trap:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("ran",))


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        file.addfile(tarfile.TarInfo("../../ran"), io.BytesIO())
    return data.getvalue()


def objects() -> bytes:
    data = io.BytesIO()
    np.savez(data, x=np.array([Trap()], dtype=object))
    return data.getvalue()


OTHER_FORMATS: dict[str, bytes] = {
    **{f"pickle {protocol}": pickle.dumps(Trap(), protocol) for protocol in range(6)},
    "npz of objects": objects(),
    "zip with path traversal": zipped(**{"..__..__ran": b"x"}),
    "keras": zipped(**{"config.json": b'{"module": "os", "class_name": "system"}',
    "model.weights.h5": b"\x89HDF"}),
    "tar": tarred(),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(500),
    "ONNX": b"\x08\x0a\x12\x07pytorch\x3a\x10\x0a\x04node" + bytes(200),
    "PyTorch": zipped(archive__data_pkl=pickle.dumps(Trap())),
    "a shell script": b"#!/bin/sh\nmkdir ran\n",
    "a web page": b"<html><script>alert(1)</script></html>",
    "gzip": gzip.compress(GOLDEN[0].read_bytes()),
    "a model after an extra byte": b" " + GOLDEN[0].read_bytes(),
    "two models": GOLDEN[0].read_bytes() * 2,
}  # fmt: skip


@pytest.mark.parametrize("ending", ["glassnet", "pkl", "h5"])
def test_files_in_other_formats_are_refused_whatever_their_name(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for data in OTHER_FORMATS.values():
        Path(f"m.{ending}").write_bytes(data)
        assert_refused(Path(f"m.{ending}"))
    Path(f"m.{ending}").write_bytes(GOLDEN[0].read_bytes())
    assert load(f"m.{ending}").in_shape  # the content decides, not the name
    assert os.listdir(tmp_path) == [f"m.{ending}"]


def test_paths_that_are_not_regular_files_are_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path in (
        tmp_path / "pipe",
        "/dev/zero",
        "/dev/null",
        tmp_path,
        tmp_path / "a",
        "a\0b",
        "x" * 5000,
    ):
        with pytest.raises(DataError, match="model file"):
            load(path)
    (tmp_path / "link").symlink_to(GOLDEN[0])
    assert load(tmp_path / "link").in_shape == load(GOLDEN[0]).in_shape


def test_a_file_larger_than_memory_is_refused_after_its_first_bytes(tmp_path: Path) -> None:
    for start in (b"", struct.pack("<Q", 2**40) + b"{", raw({"x": W})):
        (tmp_path / "m").write_bytes(start)
        os.truncate(tmp_path / "m", 2**42)  # 4 TiB of zeros
        assert_refused(tmp_path / "m")


def test_a_file_that_shrinks_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    save(random_model(Network([Dense(3)]), (10_000,)), path)  # more than a read-ahead buffer holds
    read = tensorfile.TensorFile.read

    def shrinking(self: Any, name: str) -> Any:
        os.truncate(path, 20_000)
        return read(self, name)

    monkeypatch.setattr(tensorfile.TensorFile, "read", shrinking)
    assert_refused(path, "became shorter")


# --- nothing is run, and memory is bounded ---------------------------------------------------------

# In a new process, because audit hooks cannot be removed and peak memory is that of the process.
GUARDED = """
import sys, tracemalloc
from pathlib import Path
from glassnet.errors import ModelFormatError
from glassnet.models.model_file import load

folder, armed, seen = Path(sys.argv[1]), False, []
FORBIDDEN = ("import", "exec", "compile", "marshal", "pickle", "subprocess", "os.system", "os.exec",
    "os.spawn",
             "os.posix_spawn", "os.fork", "socket", "ctypes", "os.remove", "os.rename", "os.mkdir",
             "os.rmdir",
             "os.link", "os.symlink", "os.chmod", "os.truncate", "os.putenv", "shutil", "tempfile", "mmap",
             "urllib", "ftplib", "webbrowser", "sys.addaudithook", "cpython.run", "sqlite3",
             "object.__setattr__")

def hook(event, args):
    if not armed:
        return
    writes = event == "open" and (args[2] & 0x3 or "w" in str(args[1] or ""))
    if writes or event.startswith(FORBIDDEN):
        seen.append((event, str(args)[:200]))

sys.addaudithook(hook)
paths = sorted(folder.iterdir())
for path in paths:
    if path.name.startswith("good"):
        load(path)
extra = 0
for path in paths:
    measured = path.name.startswith(("bomb", "large"))
    if measured:
        tracemalloc.start()
    armed = True
    try:
        load(path)
        end = "loaded"
    except ModelFormatError:
        end = "refused"
    armed = False
    assert end == ("loaded" if path.name.startswith(("good", "large")) else "refused"), path.name
    if measured:
        grown = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        extra = max(extra, grown - 2 * path.stat().st_size)
        print(path.name, path.stat().st_size >> 20, "MiB:", grown >> 20, "MiB")
        assert grown <= 2 * path.stat().st_size + 200 * 2**20, (path.name, grown)
print(len(paths), "files, twice the file and", extra >> 20, "MiB at most;", seen)
assert not seen, seen
"""


def bombs(whole: Path) -> dict[str, bytes]:
    """Return files whose parsed content would take many times their size."""
    dense, norm = (
        {"type": "Dense", "units": 10**6, "initializer": "he", "bias": False},
        {"type": "BatchNorm"},
    )
    pairs = [dense, norm | {"momentum": 0.9, "eps": 1e-5}] * 400
    tensors, record = read_parts(whole)
    padded = tensors | {"pad": np.zeros(10**6, np.float32)}
    wide = {"type": "Embedding", "places": [10**6], "size": 1}
    return {
        "records": raw(b'{"x":[' + b"{}," * 490_000 + b"{}]}"),
        "texts": raw(b'{"x":[' + b'"abcdefghijk",' * 990_000 + b'""]}'),
        "wide text": raw(b'{"x":"' + b"a" * 16_000_000 + "\U0001f600".encode() + b'"}'),
        "wide record": file_bytes(
            tensors, json.dumps("a" * 15_000_000 + "\U0001f600", ensure_ascii=False)
        ),
        "ones": with_layers(*pairs)(padded, record),
        "table": with_layers(wide, wide, wide)(padded, record),
    }


def test_loading_runs_nothing_and_takes_at_most_twice_the_file(whole: Path, tmp_path: Path) -> None:
    for path in GOLDEN:
        (tmp_path / f"good {path.name}").write_bytes(path.read_bytes())
    for name, data in bombs(whole).items():
        (tmp_path / f"bomb {name}").write_bytes(data)
    files = {**HEADERS, **OTHER_FORMATS}
    files |= {name: RECORDS[name](*read_parts(whole)) for name in RECORDS}
    for i, data in enumerate(files.values()):
        (tmp_path / f"hostile {i}").write_bytes(data)
    large = random_model(Network([gn.Embedding((2_000_000,), size=8), Dense(3)]), (1,))
    (tmp_path / "large").write_bytes(
        to_bytes({"params/0/E": large.params[0]["E"], **{f"params/1/{n}": a for n,
        a in large.params[1].items()}},
                 metadata={"glassnet": json.dumps(model_file.describe(large))})
    )  # fmt: skip
    script = tmp_path.parent / "guarded.py"
    script.write_text(GUARDED)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


# --- flipped bits, removed and inserted bytes -------------------------------------------------------


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_any_change_of_a_file_gives_a_model_or_one_error(tmp_path: Path, data: Any) -> None:
    """A model that loads can be printed, saved and loaded again."""
    whole = bytearray(data.draw(st.sampled_from([path.read_bytes() for path in GOLDEN])))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(whole) - 1))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop", "insert"]))
        if kind == "flip":
            whole[position] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del whole[max(position, 1) :]
        elif kind == "drop":
            del whole[position : position + data.draw(st.integers(1, 9))]
            whole += b"\0"
        else:
            whole[position:position] = data.draw(
                st.sampled_from([b"\0", b'"', b"{", b"9" * 20, b"[", b",", b"e9"])
            )
    path = tmp_path / "m"
    path.write_bytes(bytes(whole))
    try:
        model = load(path)
    except ModelFormatError as error:
        assert str(error).isprintable() and len(str(error)) < 600
        return
    save(model, tmp_path / "again")
    load(tmp_path / "again")
    for shown in ([], ["--json"]):
        result = CliRunner().invoke(cli.app, ["inspect", str(path), *shown])
        assert result.exit_code == 0 and result.exception is None, result.output
        assert result.stdout.replace("\n", "").isprintable()


# --- files that would be refused are not written ---------------------------------------------------------


def test_the_shapes_of_every_layer_are_those_of_init() -> None:
    kinds = {type(layer) for _, layer, _ in each_layer(EVERYTHING)}
    assert kinds | {Network} == set(LAYER_TYPES.values())
    params, state, out = EVERYTHING.init(keys.key(0), (2, 2, 1))
    shapes = EVERYTHING.shapes((2, 2, 1))
    assert shapes == (as_shapes(params), as_shapes(state), out)


def as_shapes(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: np.shape(array) for name, array in tree.items()}
    return tuple(as_shapes(branch) for branch in tree)


def test_shapes_are_known_without_making_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that would need petabytes still give their shapes immediately."""
    huge = 10**9
    network = Network([Dense(huge), gn.BatchNorm(), gn.Scale(), gn.Periodic(5), Dense(huge)])
    shapes = network.shapes((huge,))
    assert shapes.params[4] == {"W": (huge, huge + 15), "b": (huge,)}
    assert gn.Embedding((huge, huge)).shapes((2,)).params == {"E": (2 * huge, 8)}


def test_a_file_that_would_be_refused_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undefined = random_model(Network([Dense(3)]))
    undefined.params[0]["W"][0, 0] = np.nan
    many = random_model(Network([*["tanh"] * 1000, Dense(3)]))
    deep = random_model(Network([Dense(3)]), info={"a": json.loads("[" * 300 + "]" * 300)})
    for model, reason in ((undefined, "undefined"), (many, "1001 layers"), (deep, "too deep")):
        with pytest.raises(ConfigurationError, match=f"cannot go into a file.*{reason}"):
            save(model, tmp_path / "m")
    monkeypatch.setattr(tensorfile, "MAX_HEADER", 100)
    with pytest.raises(ConfigurationError, match=r"cannot go into a file.*at most 100 are allowed"):
        save(SMALL, tmp_path / "m")
    assert os.listdir(tmp_path) == []


def test_saving_never_replaces_a_device_or_a_link(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "null").symlink_to("/dev/null")
    for path in (
        os.devnull,
        tmp_path / "pipe",
        tmp_path / "loop",
        tmp_path / "null",
        tmp_path,
        "a\0b",
    ):
        with pytest.raises(DataError, match="Cannot write"):
            save(SMALL, path)
    assert not os.path.isfile(os.devnull) and (tmp_path / "pipe").is_fifo()
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "old")
    save(SMALL, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and load(tmp_path / "old").in_shape == (4,)


# --- malicious names --------------------------------------------------------------------------------

EVIL = "\x1b]0;t\x07\x9b31m[bold red]x[/]<script>alert(1)</script><img src=x onerror=alert(1)>\u202e\n{0}%s"
HARMFUL = "\x1b\x07\x9b\u202e\r"


class Terminal(io.StringIO):
    """An output that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def malicious(tmp_path: Path) -> tuple[str, str]:
    """Write a model file and a table with malicious names, and return their paths."""
    table = {
        EVIL: [1.0, 2.0, 3.0, 4.0] * 3,
        f"a{EVIL}": ["x", EVIL, "y", EVIL] * 3,
        f"c{EVIL}": [1] * 12,
    }
    encoder = TableEncoder.fit(table)
    info = {
        "task": EVIL, "data": f"{EVIL}\r", "target": [EVIL], "rows": {"training": EVIL},
        "scores": {EVIL: 0.5, "large": 10**350, "none": None}, "baselines": {EVIL: {EVIL: 1}, "b": 3},
    }  # fmt: skip
    target = ClassEncoder.fit(np.array(["no", EVIL], dtype=object))
    save(
        random_model(
            Network([Dense(2)]),
            (encoder.n_features,),
            encoder=encoder,
            target_encoder=target,
            info=info,
        ),
        tmp_path / "m",
    )
    import pandas as pd

    pd.DataFrame(table | {"t": ["no", EVIL] * 6}).to_csv(tmp_path / "d.csv", index=False)
    return str(tmp_path / "m"), str(tmp_path / "d.csv")


def test_names_in_a_model_file_cannot_control_the_terminal(malicious: tuple[str, str]) -> None:
    model, data = malicious
    for command in (["inspect", model], ["inspect", model, "--json"], ["predict", model, data, "--json"],
                    ["evaluate", model, data, "--target", "t"], ["evaluate", model, data, "-t", "t",
                    "--json"],
                    ["evaluate", model, data, "--target", EVIL], ["predict", model, f"{data}{EVIL}"],
                    ["inspect", f"{model}{EVIL}"]):  # fmt: skip
        result = CliRunner().invoke(cli.app, command)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert not set(HARMFUL) & set(result.output), command
        if command[-1] == "--json":
            assert result.exit_code == 0, result.output
            json.loads(result.stdout)


@pytest.mark.parametrize(("output", "escaped"), [(Terminal, True), (io.StringIO, False)])
def test_predictions_are_escaped_for_a_terminal_alone(
    output: Any, escaped: bool, malicious: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predicted classes hold the names. A program that reads the output gets them as they are."""
    monkeypatch.setattr(sys, "stdout", output())
    cli.app(["predict", *malicious], standalone_mode=False)
    written = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert "alert(1)" in written
    assert bool(set(HARMFUL) & set(written)) != escaped


def test_names_are_escaped_in_the_report(tmp_path: Path) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    kinds = rng.choice(["no", EVIL], 60)
    table = {
        EVIL: (kinds == "no") + rng.normal(size=60),
        f"a{EVIL}": rng.choice(["x", EVIL], 60),
        f"t{EVIL}": kinds,
    }
    data = tmp_path / "d<script>.csv"
    pd.DataFrame(table).to_csv(data, index=False)
    name = f"t{EVIL}".strip()  # as the header is read
    train = [
        "train",
        str(data),
        "-t",
        name,
        "--report",
        str(tmp_path / "r.html"),
        "--epochs",
        "1",
        "--hidden",
        "2",
    ]
    result = CliRunner().invoke(cli.app, train)
    assert result.exit_code == 0, result.output
    html = (tmp_path / "r.html").read_text("utf-8")
    assert "&lt;script&gt;" in html
    assert "<script" not in html.lower() and "<img src=x" not in html
    assert not set(HARMFUL) & set(html + result.output)
