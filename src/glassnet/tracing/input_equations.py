"""Write the equations of input layers: scales, pictures, waves and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glassnet._types import Cache
from glassnet.tracing.expressions import Equation, Number, Product, Sum
from glassnet.tracing.pen import Gradient, Pen, column, entry, input_index
from glassnet.tracing.records import LayerTrace
from glassnet.tracing.symbols import sub


def scale(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield s·x."""
    right = Product((entry(layer.parameters["s"].value, j), pen.number(layer.input, j)))
    yield pen.write(y + sub(j), pen.value(layer.output, j), right, f"s{sub(j)}·{x + sub(j)}")


def scale_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/dx = s · dL/dy."""
    right = Product((entry(layer.parameters["s"].value, j), pen.number(layer.d_output, j)))
    yield pen.write(symbol, pen.value(layer.d_input, j), right, f"s{sub(j)}·∂L/∂{y + sub(j)}")


def scale_gradients(pen: Pen, layer: LayerTrace, j: int, x: str, slope: str) -> Iterator[Gradient]:
    """Yield dL/ds."""
    factors = (column(layer.d_output, j), column(layer.input, j))
    yield pen.gradient(
        layer,
        "s",
        index=input_index(layer, j),
        symbol="s" + sub(j),
        factors=factors,
        formula=f"{slope}·{x + sub(j)}",
    )


def rescale(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield scale·x + shift."""
    fixed: Any = layer.layer
    right = Sum((Product((Number(fixed.scale), pen.number(layer.input, j))), Number(fixed.shift)))
    yield pen.write(y + sub(j), pen.value(layer.output, j), right, f"scale·{x + sub(j)} + shift")


def rescale_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/dx = scale · dL/dy."""
    fixed: Any = layer.layer
    right = Product((Number(fixed.scale), pen.number(layer.d_output, j)))
    yield pen.write(symbol, pen.value(layer.d_input, j), right, f"scale·∂L/∂{y + sub(j)}")


def flatten(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield the input, with its index in the picture."""
    note = f"the input at {input_index(layer, j)}"
    yield pen.write(y + sub(j), pen.value(layer.output, j), note=note)


def flatten_backward(
    pen: Pen, layer: LayerTrace, j: int, symbol: str, x: str, y: str
) -> Iterator[Equation]:
    """Yield dL/dx = dL/dy."""
    yield pen.write(symbol, pen.value(layer.d_input, j), formula=f"∂L/∂{y + sub(j)}")


def random_shift(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield which pixel was shifted to pixel j."""
    symbol, value = y + sub(j), pen.value(layer.output, j)
    if not layer.cache:
        yield pen.write(symbol, value, formula=x + sub(j), note="nothing is moved in prediction")
        return
    shape = layer.input.shape[1:]
    row, column, *channel = (int(k) for k in np.unravel_index(j, shape))
    source = (
        int(layer.cache["rows"][pen.row, row, 0]),
        int(layer.cache["columns"][pen.row, 0, column]),
        *channel,
    )
    formula = x + sub(int(np.ravel_multi_index(source, shape)))
    note = f"pixel {source} moved to {(row, column, *channel)}"
    yield pen.write(symbol, value, formula=formula, note=note)


def random_shift_cache(cache: Cache) -> dict[str, Any]:
    """Return the rows and columns from which the pixels were taken."""
    return {} if cache is None else {"rows": cache[1], "columns": cache[2]}


def periodic(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield the mixture of waves that makes output j, or the input that is passed on."""
    waves: Any = layer.layer
    symbol, value = y + sub(j), pen.value(layer.output, j)
    mixture = j - layer.input.shape[1]
    if mixture < 0:
        yield pen.write(symbol, value, formula=x + sub(j), note="the input itself")
        return
    column, k = divmod(mixture, waves.outputs)
    weights = layer.parameters["W"].value[column, k]
    bias = Number(float(layer.parameters["b"].value[column, k]))
    right = pen.sum(zip(weights, layer.cache["waves"][column, pen.row], strict=True), bias)
    yield pen.write(symbol, value, right, f"Σ wₖ·cos(2π(fₖ·{x + sub(column)} + φₖ)) + b")


def periodic_inputs(pen: Pen, layer: LayerTrace, j: int) -> tuple[int, ...]:
    """Return the input whose waves make output j."""
    waves: Any = layer.layer
    mixture = j - layer.input.shape[1]
    return (j if mixture < 0 else mixture // waves.outputs,)


def periodic_names(layer: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the inputs, then "age wave 1", "age wave 2", ..."""
    columns, outputs = names[: layer.columns], range(layer.outputs)
    return (*names, *(f"{name} wave {k + 1}" for name in columns for k in outputs))


def periodic_cache(cache: Cache) -> dict[str, Any]:
    """Return the waves of each column and row."""
    return {"waves": cache[2]}


def embedding(pen: Pen, layer: LayerTrace, j: int, x: str, y: str) -> Iterator[Equation]:
    """Yield which embedding output j comes from, or the input that is passed on."""
    table: Any = layer.layer
    symbol, value = y + sub(j), pen.value(layer.output, j)
    plain = _plain_inputs(layer)
    if j < plain:
        yield pen.write(symbol, value, formula=x + sub(j), note="the input itself")
        return
    k, number = divmod(j - plain, table.size)
    code = min(max(int(pen.value(layer.input, plain + k)), 0), table.places[k] - 1)
    note = f"number {number + 1} of the embedding of code {code}, from {x + sub(plain + k)}"
    yield pen.write(symbol, value, note=note)


def embedding_inputs(pen: Pen, layer: LayerTrace, j: int) -> tuple[int, ...]:
    """Return the input whose code selects output j."""
    table: Any = layer.layer
    plain = _plain_inputs(layer)
    return (j if j < plain else plain + (j - plain) // table.size,)


def embedding_names(layer: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the plain inputs, then "city[1]", "city[2]", ..."""
    plain = len(names) - len(layer.places)
    columns = [name.removesuffix(": code") for name in names[plain:]]
    embedded = (f"{name}[{k + 1}]" for name in columns for k in range(layer.size))
    return (*names[:plain], *embedded)


def _plain_inputs(layer: LayerTrace) -> int:
    """Return the number of leading inputs that are passed on unchanged."""
    table: Any = layer.layer
    return int(layer.input.shape[1]) - len(table.places)
