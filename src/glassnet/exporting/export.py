"""Write a model with its preprocessing as a file that runs without glassnet.

    churn.onnx    an ONNX model: raw rows in, label and probabilities (or values) out
    churn.py      one Python file that holds the model and needs only NumPy: `from churn import predict`

Before a file is written, its predictions for generated rows are compared with those of the model.
"""

from __future__ import annotations

import base64
import inspect
import json
import os
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from glassnet import numpy_predict
from glassnet.encoding.targets import LabelsEncoder, TargetScaler
from glassnet.errors import ConfigurationError, did_you_mean
from glassnet.exporting.onnx_columns import column_inputs, feeds, sample, write_features
from glassnet.exporting.onnx_graph import ELEMENTS, IR_VERSION, ML_OPSET, OPSET, Graph, Value
from glassnet.exporting.onnx_layers import write_network
from glassnet.models.layer_records import LOSS_TYPES
from glassnet.models.model import Model, model_of
from glassnet.models.model_file import packed
from glassnet.nn.layers import Rescale
from glassnet.nn.losses import BinaryCrossEntropy, CrossEntropy, CustomLoss, Loss
from glassnet.nn.network import Network, each_layer
from glassnet.storage.atomic import write_atomically

ROWS = 64  # generated rows for the check of an exported file
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
NOISE = 10  # times the model's rounding error, which exceeds the tolerance in a steep network
LARGEST = 2_000_000_000  # bytes of arrays in one ONNX file, a limit of its format
INPUT_TYPES = ("float32", "float64", "uint8")


def export(model: Any, path: str | os.PathLike[str], *, input_type: str | None = None) -> None:
    """Write a model, or a fitted estimator, as a file that runs without glassnet: .onnx or .py.

    An ONNX model has one input "X" (rows, ...), or for a table one input (rows, 1) for each column, with the
    column's name; see `onnx_columns`. Its outputs are "label" (rows,) and "probabilities" (rows, classes), or
    "variable" (rows, targets), in the unit of the target. An underscore is appended to an output that has
    the name of a column.

    Parameters
    ----------
    model: a `Model`, a `Run`, or a fitted NeuralClassifier or NeuralRegressor.
    path: a file name that ends with .onnx or .py.
    input_type: the dtype of inputs without preprocessing: "uint8", "float32" or "float64". None: "uint8" for
        pictures whose mean in training was above 1, else the dtype of the model.

    Raises
    ------
    ConfigurationError: another ending; a layer or loss of your own; a package is not installed; or the
        predictions of the file differ from the model's.
    DataError: the folder does not exist or cannot be written.

    >>> import glassnet as gn, tempfile
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]
    >>> classifier = gn.NeuralClassifier((4,), epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gn.export(classifier, f"{folder}/small.onnx")
    """
    model, path = model_of(model), Path(path)
    endings = {".onnx": _onnx_bytes, ".py": _python_bytes}
    if path.suffix not in endings:
        raise ConfigurationError(
            f"The file is named {path.name}, but its name must end with .onnx, or with .py for one file that"
            f" needs only NumPy.{did_you_mean(path.suffix, endings)}"
        )
    write_atomically(path, endings[path.suffix](model, input_type))


# --- the NumPy file ------------------------------------------------------------------------------------


def _python_bytes(model: Model, input_type: str | None) -> bytes:
    """Return the source of `numpy_predict` with the model appended."""
    data = packed(model)
    source = inspect.getsource(numpy_predict) + "".join(_added_rows(model.network))
    predictor = numpy_predict.loads(data)
    rows = _generated_rows(model, input_type or _input_type(model))
    _compare(model, rows, predictor.outputs(rows), "The NumPy file")
    text = base64.encodebytes(data).decode()
    end = f'''

import base64

MODEL = loads(base64.b64decode("""
{text}"""))
predict, predict_proba = MODEL.predict, MODEL.predict_proba
'''
    return (source + end).encode()


def _added_rows(network: Network) -> Iterator[str]:
    """Yield the source of the functions in `numpy_predict.LAYERS` that other files define.

    Raises
    ------
    ConfigurationError: a layer has no row, or its function is a lambda or uses names of its own file.
    """
    names = sorted({type(layer).__name__ for _, layer, _ in each_layer(network)})
    for name in names:
        if name not in numpy_predict.LAYERS:
            raise ConfigurationError(
                f"The layer {name} cannot be exported to a NumPy file, because numpy_predict.LAYERS has no"
                " function for it."
            )
        function = numpy_predict.LAYERS[name]
        if function.__module__ == numpy_predict.__name__:
            continue
        used = inspect.getclosurevars(function)
        missing = {*used.nonlocals, *used.globals} - set(vars(numpy_predict))
        if missing or function.__name__ == "<lambda>":
            problem = f"uses {', '.join(sorted(missing))}" if missing else "is a lambda"
            raise ConfigurationError(
                f"The layer {name} cannot be exported to a NumPy file: its function in numpy_predict.LAYERS"
                f" {problem}. Write it with def, and use only its arguments, np and math."
            )
        source = textwrap.dedent(inspect.getsource(function))
        yield f"\n\n{source}\n\nLAYERS[{name!r}] = {function.__name__}\n"


# --- the ONNX file -------------------------------------------------------------------------------------


def _onnx_bytes(model: Model, input_type: str | None) -> bytes:
    """Return an ONNX model that passes ONNX's checker and gives the same predictions as the model."""
    onnx, runtime = _packages()
    graph, inputs, outputs = graph_of(model, input_type)
    size = sum(array.nbytes for array in graph.constants.values())
    if size > LARGEST:
        raise ConfigurationError(
            f"An ONNX file holds at most 2 GB, but the arrays of this model are {size / 1e9:.1f} GB: train"
            " fewer members or narrower layers, or export it to a .py file."
        )
    proto = _proto(onnx, model, graph, inputs, outputs)
    onnx.checker.check_model(proto, full_check=True)
    data: bytes = proto.SerializeToString(deterministic=True)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rows = _generated_rows(model, inputs[0].dtype)
    answers = session.run([value.name for value in outputs], onnx_inputs(model, rows, inputs))
    _compare(model, rows, _as_outputs(model, answers[-1]), "The ONNX file")
    return data


def _packages() -> tuple[Any, Any]:
    """Return the packages onnx and onnxruntime."""
    try:
        import onnx
        import onnx.checker
        import onnxruntime
    except ImportError as error:
        raise ConfigurationError(
            f"Exporting to ONNX needs the packages onnx and onnxruntime ({error}): pip install"
            " 'glassnet[onnx]'. Exporting to a .py file needs neither."
        ) from None
    return onnx, onnxruntime


def graph_of(model: Model, input_type: str | None = None) -> tuple[Graph, list[Value], list[Value]]:
    """Return a model's graph, inputs and outputs; raises `ConfigurationError` as `export` does."""
    if model.encoder is not None:
        inputs = column_inputs(model.encoder)
    else:
        inputs = [Value("X", input_type or _input_type(model), model.in_shape)]
        if inputs[0].dtype not in INPUT_TYPES:
            raise ConfigurationError(
                f"input_type is {input_type!r}: choose one of {', '.join(INPUT_TYPES)}."
            )
    graph = Graph(model.dtype, [value.name for value in inputs])
    is_array = model.encoder is None or model.encoder.kind == "array"
    sources = {"": "X"} if is_array else {value.name: value.name for value in inputs}
    outputs = []
    for value, source in write_model(graph, model, sources):
        name = graph.free(value.name)
        graph.add("Identity", source, output=name)
        outputs.append(value._replace(name=name))
    return graph, inputs, outputs


def write_model(g: Graph, model: Model, sources: dict[str, str]) -> list[tuple[Value, str]]:
    """Write the graph from the rows to the predictions; return each output with the name of its value.

    sources: the graph's value for each column, by its name; for an array by "".
    """
    x = sources[""] if model.encoder is None else write_features(g, model.encoder, sources)
    shape = model.in_shape
    x = g.add("Unsqueeze", g.cast(x, model.dtype), np.array([0]))
    if model.members > 1:
        x = g.add("Expand", x, np.array([model.members] + [1] * (len(shape) + 1)))
    else:
        model = replace(model, **_with_members(model))
    z = write_network(g, model.network, model.params, model.layer_state, x, shape)
    z = g.add("Mul", z, float(model.temperature))
    write = OUTPUTS.get(type(model.loss))
    if write is None:
        raise ConfigurationError(
            f"A loss of your own ({type(model.loss).__name__}) cannot be exported, since only its code knows"
            " what the outputs mean: use one of glassnet's losses, or gn.CustomLoss for values."
        )
    mean = g.add("ReduceMean", write(g, z), np.array([0]), keepdims=0)
    return _values(g, model, mean) if model.loss.task == "regression" else _labels(g, model, mean)


OUTPUTS: dict[type[Loss], Callable[[Graph, str], str]] = {
    **dict.fromkeys((*LOSS_TYPES.values(), CustomLoss), lambda g, z: z),
    CrossEntropy: lambda g, z: g.add("Softmax", z, axis=2),
    BinaryCrossEntropy: lambda g, z: g.add("Sigmoid", z),
}
"""How each loss turns logits into outputs; a new loss is a new row."""


def _with_members(model: Model) -> dict[str, Any]:
    """Return the arrays of a single network with a leading axis of one member."""
    trees = {"params": model.params, "layer_state": model.layer_state}
    return {name: jax.tree.map(lambda a: np.asarray(a)[None], tree) for name, tree in trees.items()}


def _values(g: Graph, model: Model, answer: str) -> list[tuple[Value, str]]:
    """Write values in the unit of the target, as float64."""
    if not isinstance(model.target_encoder, TargetScaler):
        return [(Value("variable", model.dtype, (_outputs(model),)), answer)]
    answer = g.add("Mul", g.cast(answer, np.float64), np.array(model.target_encoder.scale))
    answer = g.add("Add", answer, np.array(model.target_encoder.center))
    return [(Value("variable", "float64", (len(model.target_encoder.names),)), answer)]


def _labels(g: Graph, model: Model, answer: str) -> list[tuple[Value, str]]:
    """Write the label and the probabilities, for classes or for several labels."""
    count = _outputs(model)
    if model.loss.task == "classification":
        codes = g.add("ArgMax", answer, axis=1, keepdims=0)
    else:
        codes = g.cast(g.add("Greater", answer, 0.5), np.int64)
        if count == 1 and not isinstance(model.target_encoder, LabelsEncoder):
            answer = g.add("Concat", g.add("Sub", 1.0, answer), answer, axis=1)
            codes, count = g.reshape(codes, -1), 2
    probabilities = (Value("probabilities", model.dtype, (count,)), answer)
    classes = model.classes
    if classes is None:
        several = model.loss.task == "labels" and (model.target_encoder is not None or count > 2)
        shape = (count,) if several else ()
        return [(Value("label", "int64", shape), codes), probabilities]
    classes = _onnx_classes(classes)
    dtype = "str" if classes.dtype.kind == "O" else classes.dtype.name
    label = g.add("Gather", classes, codes, axis=0)
    return [(Value("label", dtype, ()), label), probabilities]


def _onnx_classes(classes: np.ndarray) -> np.ndarray:
    """Return classes in one of the few types that ONNX runtimes support."""
    kind = classes.dtype.kind
    if kind in "iu" and classes.dtype != np.uint64:
        return classes.astype(np.int64)
    if kind == "f" and classes.dtype == np.float16:
        return classes.astype(np.float32)
    return classes.astype(object) if kind in "UT" else classes


def _outputs(model: Model) -> int:
    """Return the number of the network's outputs."""
    return model.network.shapes(model.in_shape).out[0]


def _input_type(model: Model) -> str:
    """Return the input dtype of a model without preprocessing: for most pictures uint8."""
    first = model.network.layers[0]
    pictures = len(model.in_shape) > 1 and isinstance(first, Rescale) and first.scale != 0
    return "uint8" if pictures and -first.shift / first.scale > 1 else model.dtype  # type: ignore[attr-defined]


def _proto(onnx: Any, model: Model, graph: Graph, inputs: list[Value], outputs: list[Value]) -> Any:
    """Return the graph as an ONNX message, with metadata about the model."""
    helper = onnx.helper

    def value_info(value: Value) -> Any:
        return helper.make_tensor_value_info(
            value.name, ELEMENTS[value.dtype], ["rows", *value.shape]
        )

    nodes = [
        helper.make_node(n.op, n.inputs, [n.output], n.output, domain=n.domain, **n.attributes)
        for n in graph.nodes
    ]
    constants = [onnx.numpy_helper.from_array(a, name) for name, a in graph.constants.items()]
    main = helper.make_graph(
        nodes, "glassnet", [*map(value_info, inputs)], [*map(value_info, outputs)], constants
    )
    domains = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    proto = helper.make_model(main, opset_imports=domains, ir_version=IR_VERSION)
    proto.producer_name, proto.producer_version = "glassnet", version("glassnet")
    for name, fact in _facts(model, inputs).items():
        proto.metadata_props.add(key=name, value=json.dumps(fact, ensure_ascii=False))
    return proto


def _facts(model: Model, inputs: list[Value]) -> dict[str, Any]:
    """Return metadata about the model as plain values."""
    encoder, classes = model.encoder, model.classes
    kinds = {} if encoder is None else dict(zip(encoder.names, encoder.kinds, strict=True))
    missing = {"number": "NaN", "category": '""', "date": "the smallest int64"}
    columns = [
        {"name": v.name, "type": v.dtype, "kind": kinds[v.name], "missing": missing[kinds[v.name]]}
        for v in inputs
        if v.name in kinds
    ]
    facts = {
        "glassnet": version("glassnet"),
        "task": model.loss.task,
        "columns": columns,
        "classes": None if classes is None else classes.tolist(),
        "targets": list(getattr(model.target_encoder, "names", model.info.get("target") or [])),
    }
    return {name: fact for name, fact in facts.items() if fact}


def onnx_inputs(model: Model, X: Any, inputs: list[Value]) -> dict[str, np.ndarray]:
    """Return rows as the inputs of the model's graph."""
    if model.encoder is not None:
        return feeds(model.encoder, X)
    return {"X": np.asarray(X).astype(inputs[0].dtype)}


# --- the check -----------------------------------------------------------------------------------------


def _generated_rows(model: Model, input_type: str) -> Any:
    """Return random rows in the form that the model takes."""
    if model.encoder is not None:
        return sample(model.encoder, ROWS)
    rng, shape = np.random.default_rng(0), (ROWS, *model.in_shape)
    if input_type == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.normal(size=shape).astype(input_type)


def _as_outputs(model: Model, answer: np.ndarray) -> np.ndarray:
    """Return a file's predictions in the form of `Model.outputs`."""
    if isinstance(model.target_encoder, TargetScaler):
        return np.asarray(
            (answer - np.array(model.target_encoder.center)) / np.array(model.target_encoder.scale)
        )
    return answer[:, -_outputs(model) :]


def _compare(model: Model, rows: Any, outputs: np.ndarray, file: str) -> None:
    """Raise unless the outputs equal the model's, up to rounding."""
    expected = model.outputs(rows)
    size = 1 + np.abs(expected)
    limit = TOLERANCE[model.dtype]
    if (np.abs(outputs - expected) <= limit * size).all():
        return
    exact = replace(
        model,
        dtype="float64",
        params=_as_float64(model.params),
        layer_state=_as_float64(model.layer_state),
    ).outputs(rows)
    error, noise = np.abs(outputs - exact) / size, np.abs(expected - exact) / size
    if not error.max() <= NOISE * max(noise.max(), limit):
        raise ConfigurationError(
            f"{file} was not written: on generated rows its predictions differ from the model's by up to"
            f" {error.max():.1e}, where rounding explains {noise.max():.1e}. This is a bug of glassnet or of"
            " the installed runtime: please report it with the model file."
        )


def _as_float64(tree: Any) -> Any:
    return jax.tree.map(lambda array: np.asarray(array, np.float64), tree)
