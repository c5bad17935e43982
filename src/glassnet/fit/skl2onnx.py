"""Let skl2onnx convert pipelines that contain a glassnet estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from glassnet.errors import ConfigurationError
from glassnet.exporting.export import write_model
from glassnet.exporting.onnx_graph import ELEMENTS, ML_OPSET, OPSET, Graph, Value
from glassnet.fit.estimators import NeuralClassifier, NeuralRegressor
from glassnet.models.model import Model


def register_skl2onnx() -> None:
    """Make `skl2onnx.to_onnx` convert NeuralClassifier and NeuralRegressor, also in a pipeline.

    The outputs are those of `gn.export`, with the names and options (`zipmap`) that skl2onnx gives to all
    classifiers. Declare float64 inputs of the pipeline as float64: float32 would round them first.

    Raises
    ------
    ConfigurationError: skl2onnx is not installed.

    >>> import glassnet as gn
    >>> gn.register_skl2onnx()
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ConfigurationError(
            f"Converting pipelines needs the package skl2onnx ({error}): pip install skl2onnx. A model"
            " without a pipeline does not: model.export('model.onnx')."
        ) from None
    options = {
        "zipmap": [True, False, "columns"],
        "output_class_labels": [False, True],
        "nocl": [False],  # the labels are always included
    }
    update_registered_converter(
        NeuralClassifier, "GlassnetNeuralClassifier", _set_types, _convert, options=options
    )
    update_registered_converter(NeuralRegressor, "GlassnetNeuralRegressor", _set_types, _convert)


def _set_types(operator: Any) -> None:
    """Set the types of the outputs for skl2onnx."""
    from skl2onnx.common import data_types

    types = {
        "float32": data_types.FloatTensorType,
        "float64": data_types.DoubleTensorType,
        "int64": data_types.Int64TensorType,
        "str": data_types.StringTensorType,
        "uint64": data_types.UInt64TensorType,
    }
    _, outputs = _estimator_graph(operator)
    for output, (value, _) in zip(operator.outputs, outputs, strict=True):
        output.type = types[value.dtype]([None, *value.shape])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes and constants of a fitted estimator to the graph of a pipeline."""
    from onnx import numpy_helper

    opset = container.target_opset_any_domain("")
    if opset < OPSET:
        raise ConfigurationError(
            f"target_opset is {opset}, but a glassnet network needs at least {OPSET}: leave it out, or"
            f" give target_opset={OPSET}."
        )
    graph, outputs = _estimator_graph(operator)
    names = {variable.full_name: variable.full_name for variable in operator.inputs}
    for name in (*graph.constants, *(node.output for node in graph.nodes)):
        names[name] = scope.get_unique_variable_name(f"glassnet_{name}")
    for name, array in graph.constants.items():
        if array.dtype.kind == "O":
            texts = [text.encode() for text in array.ravel()]
            container.add_initializer(names[name], ELEMENTS["str"], array.shape, texts)
        else:
            proto = numpy_helper.from_array(array)
            container.add_initializer(names[name], proto.data_type, array.shape, proto)
    pairs = zip(operator.outputs, (name for _, name in outputs), strict=True)
    nodes = [
        (n.op, [names[i] for i in n.inputs], names[n.output], n.domain, n.attributes)
        for n in graph.nodes
    ]
    nodes += [("Identity", [names[name]], output.full_name, "", {}) for output, name in pairs]
    for op, inputs, output, domain, attributes in nodes:
        name = scope.get_unique_operator_name(f"glassnet_{op}")
        version = ML_OPSET if domain else None
        container.add_node(op, inputs, [output], domain, version, name, **attributes)


def _estimator_graph(operator: Any) -> tuple[Graph, list[tuple[Value, str]]]:
    """Return the graph of a fitted estimator within a pipeline, and its outputs."""
    model: Model = operator.raw_operator.model_
    inputs = {variable.raw_name: variable.full_name for variable in operator.inputs}
    graph = Graph(model.dtype, inputs.values())
    names = () if model.encoder is None else model.encoder.names
    if names and set(inputs) >= set(names) - set(model.encoder.dropped):  # type: ignore[union-attr]
        outputs = write_model(graph, model, inputs)
    else:
        matrices = [graph.cast(name, np.float64) for name in inputs.values()]
        matrix = matrices[0] if len(matrices) == 1 else graph.add("Concat", *matrices, axis=1)
        outputs = write_model(graph, model, {"": matrix})
    return graph, [_as_skl2onnx_type(graph, operator, *output) for output in outputs]


def _as_skl2onnx_type(graph: Graph, operator: Any, value: Value, name: str) -> tuple[Value, str]:
    """Return an output in the type that the next nodes, which skl2onnx writes, take."""
    dtype = "int64" if value.dtype == "bool" else value.dtype
    if value.name == "probabilities":
        zipmap = operator.scope_inst.get_options(operator.raw_operator, {"zipmap": False})["zipmap"]
        double = type(operator.inputs[0].type).__name__ == "DoubleTensorType"
        dtype_of = {True: "float32", "columns": "float64" if double else "float32"}
        dtype = dtype_of.get(zipmap, dtype)
    return (
        (value, name)
        if dtype == value.dtype
        else (value._replace(dtype=dtype), graph.cast(name, dtype))
    )
