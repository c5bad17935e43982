"""Compute the outputs of a neuron, and the input that excites it most.

Every member has its own neurons, so a neuron is identified by member, layer and number.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from glassnet._checks import check_count, check_range
from glassnet._compile import limit_programs
from glassnet._precision import precision
from glassnet._types import Array, Params, State
from glassnet.data.tables import frame_of
from glassnet.display.drawing import axes_for
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError
from glassnet.explain.plots import draw_bars, draw_picture
from glassnet.explain.rows import Rows, as_text
from glassnet.models.model import Model, model_of
from glassnet.nn.layers import Dense, Flatten
from glassnet.nn.losses import MeanSquaredError
from glassnet.nn.network import Network

STARTS = 4  # rows to start from, because an ascent ends in a local maximum
ROUNDS = 3  # of choosing categories and ascending
STRIDE = 0.1  # length of the first step, as a share of the data's range


def up_to_layer(model: Model, layer: Any, member: int | None = None) -> Model:
    """Return a model whose outputs, for encoded rows, are the flattened outputs of a layer.

    layer: its number in `Network.summary`; -1 is the last. member: its number; None: all members.

    Raises
    ------
    ConfigurationError: there is no such layer or member.
    """
    layers = model.network.layers
    if not isinstance(layer, (int, np.integer)) or not -len(layers) <= layer < len(layers):
        raise ConfigurationError(
            f"layer is {layer!r}, but the network has layers 0 to {len(layers) - 1}:"
            " model.network.summary(model.in_shape) lists them."
        )
    if member is not None:
        model = model.member(member)
    count = range(len(layers))[layer] + 1
    return replace(
        model,
        network=Network([*layers[:count], Flatten()]),
        params=(*model.params[:count], {}),
        layer_state=(*model.layer_state[:count], {}),
        loss=MeanSquaredError(),
        encoder=None,
        target_encoder=None,
        temperature=1.0,
    )


def last_hidden_layer(model: Model) -> int:
    """Return the number of the layer before the output layer, the last Dense one; -1: the input.

    >>> from glassnet.nn.losses import CrossEntropy
    >>> net = Network([Dense(4), "relu", Dense(2)])
    >>> last_hidden_layer(
    ...     Model(network=net, params=(), layer_state=(), loss=CrossEntropy(), in_shape=(3,))
    ... )
    1
    """
    dense = [
        k for k, layer in enumerate(model.network.layers) if isinstance(layer, (Dense, Network))
    ]
    return (dense[-1] if dense else len(model.network.layers)) - 1


def neuron_outputs(rows: Rows, layer: int, neuron: int, member: int) -> tuple[Model, NDArray[Any]]:
    """Return the model up to a layer, and the output of one of its neurons for each row, (n,).

    Raises
    ------
    ConfigurationError: there is no such layer, member or neuron.
    """
    short = up_to_layer(rows.model, layer, member)
    outputs = short.outputs_encoded(rows.x)
    if not isinstance(neuron, (int, np.integer)) or not 0 <= neuron < outputs.shape[1]:
        raise ConfigurationError(
            f"neuron is {neuron!r}, but layer {layer} has {outputs.shape[1]}, counted from 0."
        )
    return short, outputs[:, neuron]


@dataclass(frozen=True, eq=False)
class Excitation:
    """The result of `maximize_activation`.

    layer, neuron, member: the neuron. activation: its output for the maximising input. row, strongest: the
    row of X with the largest activation, and that activation. cells, row_cells: the maximising input and
    that row in original units; empty for pictures. l2: the penalty used, which may be lower than asked for.
    input: the maximising input, encoded, (*in_shape), whose last `codes` parts are category codes.
    input_names: the names of its parts; empty for pictures.
    """

    layer: int
    neuron: int
    member: int
    activation: float
    strongest: float
    row: int
    cells: dict[str, Any]
    row_cells: dict[str, Any]
    l2: float
    input: NDArray[Any]
    input_names: tuple[str, ...]
    codes: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        plain = (f.name for f in fields(self) if f.name not in ("input", "input_names", "codes"))
        return {name: getattr(self, name) for name in plain} | {"input": self.input.tolist()}

    def to_frame(self) -> Any:
        """Return a data frame with one row per input of the network: input, value."""
        names = self.input_names or [",".join(map(str, at)) for at in np.ndindex(self.input.shape)]
        return frame_of({"input": list(names), "value": self.input.ravel()})

    def __str__(self) -> str:
        head = (
            f"neuron {self.neuron} of layer {self.layer}, member {self.member}: {self.activation:.4g};"
            f" the strongest row, {self.row}, gives {self.strongest:.4g}"
        )
        if not self.cells:
            return head
        rows = [["column", "maximum", f"row {self.row}"]]
        rows += [
            [name, as_text(v), as_text(self.row_cells[name])] for name, v in self.cells.items()
        ]
        return f"{head}\n{text_table(rows)}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the maximising input, as a picture or as bars of the 30 largest numbers; return the axes."""
        ax = axes_for(ax, None)
        ax.set_title(f"Input that excites neuron {self.neuron} of layer {self.layer} most")
        if not self.input_names:
            return draw_picture(ax, self.input)
        numbers = self.input[: len(self.input) - self.codes]
        order = np.argsort(-np.abs(numbers), kind="stable")[:30]
        names = [self.input_names[j] for j in order]
        return draw_bars(ax, names, self.input[order], None, "input of the network")


def maximize_activation(
    model: Any,
    X: Any,
    layer: int,
    neuron: int,
    *,
    member: int = 0,
    l2: float = 1.0,
    steps: int = 200,
) -> Excitation:
    """Return the input that excites a neuron most, by gradient ascent within the range of the data.

    Maximises a(x) / s - l2 / (2 √d) · Σ ((x_i - m_i) / s_i)², where a is the neuron's output, s its standard
    deviation, and the sum is over the d numbers or pixels with means m_i and standard deviations s_i; each
    stays within its range in X. With l2 = 1, the maximising input of a linear neuron is as far from the mean
    as typical rows are. If it excites the neuron less than some row does, l2 is lowered. Numbers and pixels
    follow the gradient, starting from the strongest rows. Categories and dates are set to the values in X
    that excite most, since there is nothing between two of them. A missing number stays missing.

    Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network", 2009.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`. X: rows as the model takes them.
    layer, neuron: counted from 0, layers as in `network.summary`. member: which network. Default 0.
    l2: the penalty on the distance from the mean. Default 1. steps: of each ascent. Default 200.

    Raises
    ------
    ConfigurationError: there is no such layer, neuron or member. DataError: unusable rows.

    >>> import glassnet as gn
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], [0.0, 2.0, 4.0, 6.0]
    >>> run = gn.train(gn.Network([gn.Dense(1)]), X, y, optimizer=gn.SGD(0.1), epochs=300)
    >>> best = maximize_activation(run, X, layer=0, neuron=0, l2=0)
    >>> round(best.cells["x0"], 4), best.activation >= best.strongest
    (3.0, True)
    """
    check_range("l2", l2, 0, np.inf)
    check_count("steps", steps)
    rows = Rows.of(model_of(model), X)
    short, outputs = neuron_outputs(rows, layer, neuron, member)
    order = np.argsort(-outputs, kind="stable")[:STARTS]
    objective = _Objective(rows, short, neuron, float(outputs.std()) or 1.0, steps)
    for strength in (l2, l2 / 4, l2 / 16, 0.0):
        source = {name: order.copy() for name in objective.blocks}
        points = rows.x[order].astype(short.dtype)
        for _ in range(ROUNDS if objective.blocks else 1):
            points = objective.ascend(objective.set_blocks(points, source, strength), strength)
        reached, scores = objective.evaluate(points, strength)
        if reached[scores.argmax()] >= outputs[order[0]]:
            break
    best = int(scores.argmax())
    strongest = rows.cells(order[:1])[0] if rows.columns else {}
    return Excitation(
        range(len(rows.model.network.layers))[layer], int(neuron), int(member), float(reached[best]),
        float(outputs[order[0]]), int(order[0]),
        _own_units(rows, points[best], {name: int(of[best]) for name, of in source.items()}), strongest,
        strength, points[best], rows.feature_names, rows.codes,
    )  # fmt: skip


class _Objective:
    """The objective of the ascent, and the range of the inputs.

    blocks: column -> the inputs of a category or a date, which are set together.
    """

    def __init__(self, rows: Rows, short: Model, neuron: int, deviation: float, steps: int):
        self.rows, self.short, self.neuron = rows, short, neuron
        self.deviation, self.steps = deviation, steps
        x = rows.x.astype(short.dtype)
        self.low, self.high, self.mean = x.min(axis=0), x.max(axis=0), x.mean(axis=0)
        encoder = rows.model.encoder
        numbers = rows.columns if encoder is None else encoder.numeric.names
        self.numbers = len(numbers)
        self.blocks = {
            name: np.flatnonzero(rows.column_indices == index)
            for index, name in enumerate(rows.columns)
            if name not in numbers
        }
        # inputs that are constant or not numbers are not penalised
        spread = x.std(axis=0)
        if encoder is not None:
            spread[self.numbers :] = 0
        self.spread = np.where(spread > 0, spread, np.inf).astype(x.dtype)
        self.pull = 1 / np.sqrt(max(int(np.isfinite(self.spread).sum()), 1))

    def evaluate(self, points: NDArray[Any], l2: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the neuron's output and the objective at each point."""
        outputs = self.short.outputs_encoded(points)[:, self.neuron]
        scaled = ((points - self.mean) / self.spread).reshape(len(points), -1)
        distance = np.square(scaled).sum(axis=1)
        return outputs, outputs / self.deviation - l2 * self.pull / 2 * distance

    def set_blocks(
        self, points: NDArray[Any], source: dict[str, NDArray[Any]], l2: float
    ) -> NDArray[Any]:
        """Return points whose categories and dates are set, one by one, to the values in X that excite most.

        source: column -> the row of X that each point takes its value from; updated in place.
        """
        points = points.copy()
        for name, block in self.blocks.items():
            values, first = np.unique(self.rows.x[:, block], axis=0, return_index=True)
            tried = np.repeat(points[:, None], len(values), axis=1)
            tried[:, :, block] = values
            flat = tried.reshape(-1, points.shape[1])
            scores = self.evaluate(flat, l2)[1].reshape(len(points), len(values))
            best, indices = scores.argmax(axis=1), np.arange(len(points))
            better = scores[indices, best] > self.evaluate(points, l2)[1]
            points[better] = tried[indices, best][better]
            source[name][better] = first[best][better]
        return points

    def ascend(self, points: NDArray[Any], l2: float) -> NDArray[Any]:
        """Return the end of the ascent from each point."""
        free = np.ones(points.shape, bool)
        encoder = self.rows.model.encoder
        if encoder is not None:
            free[:, self.numbers :] = False
            free[:, : self.numbers] = ~_missing(points, self.rows)
        with precision(self.short.dtype):
            ended = _ascend(
                self.short.params, self.short.layer_state, points, free, self.low, self.high, self.mean,
                self.spread, *np.array([1 / self.deviation, l2 * self.pull], self.short.dtype),
                network=self.short.network.skeleton(), neuron=int(self.neuron), steps=self.steps,
            )  # fmt: skip
        return np.asarray(ended)


def _missing(points: NDArray[Any], rows: Rows) -> NDArray[np.bool_]:
    """Return whether each number of each point is missing, according to its indicator."""
    encoder = rows.model.encoder
    assert encoder is not None
    flags = np.array(encoder.numeric.missing, bool)
    missing = np.zeros((len(points), len(flags)), bool)
    missing[:, flags] = points[:, len(flags) : len(flags) + int(flags.sum())] > 0.5
    return missing


@limit_programs
@partial(jax.jit, static_argnames=("network", "neuron", "steps"))
def _ascend(
    params: Params, state: State, x: Array, free: Array, low: Array, high: Array, mean: Array,
    spread: Array, weight: Array, pull: Array, *, network: Network, neuron: int, steps: int,
) -> Array:  # fmt: skip
    """Return the highest point of an ascent from each point of x, by ever shorter steps."""
    reach, axis = high - low, tuple(range(1, x.ndim))

    def height(x: Array) -> tuple[Array, Array]:
        """Return the objective at each point, and its slopes per share of the range."""
        outputs, _, cache = network.forward(params, state, x)
        seed = jnp.zeros_like(outputs).at[:, neuron].set(weight)
        slopes = network.backward(params, cache, seed)[0]
        off = (x - mean) / spread
        top = weight * outputs[:, neuron] - pull / 2 * jnp.square(off).sum(axis=axis)
        return top, jnp.where(free, reach * (slopes - pull * off / spread), 0)

    def step(t: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, best, highest = carry
        now, slopes = height(x)
        up = now > highest
        best = jnp.where(up.reshape(-1, *[1] * (x.ndim - 1)), x, best)
        # by the sign, so that inputs with small slopes move as fast as those with large ones
        next_x = x + STRIDE * (1 - t / steps).astype(x.dtype) * reach * jnp.sign(slopes)
        next_x = jnp.where(free, jnp.clip(next_x, low, high), x)
        return next_x, best, jnp.maximum(now, highest)

    start = (x, x, jnp.full(x.shape[0], -jnp.inf, x.dtype))
    best: Array = jax.lax.fori_loop(0, steps + 1, step, start)[1]
    return best


def _own_units(rows: Rows, x: NDArray[Any], source: dict[str, int]) -> dict[str, Any]:
    """Return an input in original units: numbers are unscaled, other columns come from their source rows."""
    encoder = rows.model.encoder
    if encoder is None:
        return dict(zip(rows.columns, x.tolist(), strict=True)) if rows.columns else {}
    numbers = encoder.numeric.names
    values = encoder.numeric.inverse(x[None, : len(numbers)])[0]
    missing = _missing(x[None], rows)[0]
    cells: dict[str, Any] = {}
    for name in rows.columns:
        if name in numbers:
            index = numbers.index(name)
            column = rows.column(name)
            ends = np.nanmin(column), np.nanmax(column)  # rounding may exceed them
            cells[name] = None if missing[index] else float(np.clip(values[index], *ends))
        else:
            cells[name] = rows.cells([source[name]])[0][name]
    return cells
