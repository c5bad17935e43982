"""Neurons: what a hidden layer puts out, and the input that excites one of its neurons most.

Each member of many has neurons of its own, so that a neuron is one of a layer of a member.
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
from glassnet._compile import forgetful
from glassnet._precision import precision
from glassnet._types import Array, Params, State
from glassnet.data.tables import frame_of
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError
from glassnet.explain.rows import (
    Rows,
    as_text,
    axes,
    draw_bars,
    draw_picture,
    model_of,
)
from glassnet.models.model import Model
from glassnet.nn.layers import Dense, Flatten
from glassnet.nn.losses import MeanSquaredError
from glassnet.nn.network import Network

STARTS = 4  # of the strongest rows: an ascent ends on the hill where it began
ROUNDS = 3  # of choosing categories and ascending
STRIDE = 0.1  # of the first step, a share of the data's range


def up_to_layer(model: Model, layer: Any, member: int | None = None) -> Model:
    """Return the model that ends at a layer: its outputs are the layer's, flattened, for encoded rows.

    layer: its number as `Network.summary` counts; -1 is the last. member: one of many, None: all.

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
    params, state = model.params, model.layer_state
    if member is not None:
        if not isinstance(member, (int, np.integer)) or not 0 <= member < model.members:
            raise ConfigurationError(
                f"member is {member!r}, but the model has {model.members}, counted from 0."
            )
        if model.members > 1:
            params, state = jax.tree.map(lambda a: a[member], (params, state))
    count = range(len(layers))[layer] + 1
    return replace(
        model,
        network=Network([*layers[:count], Flatten()]), params=(*params[:count], {}),
        layer_state=(*state[:count], {}), loss=MeanSquaredError(), encoder=None, target_encoder=None,
        temperature=1.0, members=model.members if member is None else 1,
    )  # fmt: skip


def last_hidden_layer(model: Model) -> int:
    """Return the number of the layer that the output layer, the last Dense one, reads; -1: the input.

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
    """Return the model up to a layer, and what one of its neurons puts out for each row, (n,).

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
    """What `maximize_activation` returns.

    layer, neuron, member: which. activation: of the input found. row: the strongest row of X, where
    `strongest` is its activation. cells, row_cells: the input found and that row in their own units; empty
    for pictures. l2: the pull towards the mean, as asked for or lowered. input: as the network takes it,
    (*in_shape), the last `codes` of it no numbers but codes. input_names: of its parts; none of a picture.
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
        """Return all of it as plain values that JSON can hold."""
        plain = (f.name for f in fields(self) if f.name not in ("input", "input_names", "codes"))
        return {name: getattr(self, name) for name in plain} | {"input": self.input.tolist()}

    def to_frame(self) -> Any:
        """Return a data frame, one line an input of the network: input, value."""
        names = self.input_names or [",".join(map(str, at)) for at in np.ndindex(self.input.shape)]
        return frame_of({"input": list(names), "value": self.input.ravel()})

    def __str__(self) -> str:
        head = (
            f"neuron {self.neuron} of layer {self.layer}, member {self.member}: {self.activation:.4g};"
            f" the strongest row, {self.row}, gives {self.strongest:.4g}"
        )
        if not self.cells:
            return head
        rows = [["column", "found", f"row {self.row}"]]
        rows += [
            [name, as_text(v), as_text(self.row_cells[name])] for name, v in self.cells.items()
        ]
        return f"{head}\n{text_table(rows)}"

    def plot(self, ax: Any = None) -> Any:
        """Draw the input found: a picture, or a bar an input but codes, the 30 largest; return the axes."""
        ax = axes(ax)
        ax.set_title(f"what excites neuron {self.neuron} of layer {self.layer}")
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

    Ascends a(x) / s - l2 / (2 √d) · Σ ((x_i - m_i) / s_i)², a the neuron's output and s its deviation, over
    the d numbers or pixels of means m and deviations s_i, each within its own range in X. With l2 = 1 the
    input found for a linear neuron is as far from the mean as rows are; where that excites less than some
    row does, l2 is lowered. Numbers and pixels follow the gradient of our own backward pass, from the
    strongest rows on; categories and dates are set to the values in X that excite most, since there is
    nothing between two of them. A number that is missing stays missing.

    Erhan, Bengio, Courville and Vincent, "Visualizing Higher-Layer Features of a Deep Network", 2009.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`. X: rows as the model takes them.
    layer, neuron: numbers from 0, the layer's as `network.summary` counts. member: one of many. Default 0.
    l2: how strongly the input is drawn towards the mean. Default 1. steps: of an ascent. Default 200.

    Raises
    ------
    ConfigurationError: there is no such layer, neuron or member. DataError: unusable rows.

    >>> import glassnet as gn
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], [0.0, 2.0, 4.0, 6.0]
    >>> run = gn.train(gn.Network([gn.Dense(1)]), X, y, optimizer=gn.SGD(0.1), epochs=300)
    >>> found = maximize_activation(run, X, layer=0, neuron=0, l2=0)
    >>> round(found.cells["x0"], 4), found.activation >= found.strongest
    (3.0, True)
    """
    check_range("l2", l2, 0, np.inf)
    check_count("steps", steps)
    rows = Rows.of(model_of(model), X)
    short, outputs = neuron_outputs(rows, layer, neuron, member)
    order = np.argsort(-outputs, kind="stable")[:STARTS]
    hill = _Hill(rows, short, neuron, float(outputs.std()) or 1.0, steps)
    for strength in (l2, l2 / 4, l2 / 16, 0.0):
        source = {name: order.copy() for name in hill.blocks}
        points = rows.x[order].astype(short.dtype)
        for _ in range(ROUNDS if hill.blocks else 1):
            points = hill.ascended(hill.chosen(points, source, strength), strength)
        reached, scores = hill.heights(points, strength)
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


class _Hill:
    """A neuron's output over the inputs, and where one may go on it.

    blocks: by column, the inputs of a category or a date, which are set together.
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
            name: np.flatnonzero(rows.place == place)
            for place, name in enumerate(rows.columns)
            if name not in numbers
        }
        # what does not vary, or is no number, is not held near its mean
        spread = x.std(axis=0)
        if encoder is not None:
            spread[self.numbers :] = 0
        self.spread = np.where(spread > 0, spread, np.inf).astype(x.dtype)
        self.pull = 1 / np.sqrt(max(int(np.isfinite(self.spread).sum()), 1))

    def heights(self, points: NDArray[Any], l2: float) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the neuron's output at each point, and what is to be made large."""
        outputs = self.short.outputs_encoded(points)[:, self.neuron]
        off = np.square((points - self.mean) / self.spread).reshape(len(points), -1).sum(axis=1)
        return outputs, outputs / self.deviation - l2 * self.pull / 2 * off

    def chosen(
        self, points: NDArray[Any], source: dict[str, NDArray[Any]], l2: float
    ) -> NDArray[Any]:
        """Return points with each category and date set, one after the other, to what excites most in X.

        source: by column the rows from which each point has its value; brought up to date.
        """
        points = points.copy()
        for name, block in self.blocks.items():
            values, first = np.unique(self.rows.x[:, block], axis=0, return_index=True)
            tried = np.repeat(points[:, None], len(values), axis=1)
            tried[:, :, block] = values
            flat = tried.reshape(-1, points.shape[1])
            scores = self.heights(flat, l2)[1].reshape(len(points), len(values))
            best, every = scores.argmax(axis=1), np.arange(len(points))
            better = scores[every, best] > self.heights(points, l2)[1]
            points[better] = tried[every, best][better]
            source[name][better] = first[best][better]
        return points

    def ascended(self, points: NDArray[Any], l2: float) -> NDArray[Any]:
        """Return where the ascent from each point ends."""
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
    """Return for each number of each point whether its indicator says that it is missing."""
    encoder = rows.model.encoder
    assert encoder is not None
    flags = np.array(encoder.numeric.missing, bool)
    missing = np.zeros((len(points), len(flags)), bool)
    missing[:, flags] = points[:, len(flags) : len(flags) + int(flags.sum())] > 0.5
    return missing


@forgetful
@partial(jax.jit, static_argnames=("network", "neuron", "steps"))
def _ascend(
    params: Params, state: State, x: Array, free: Array, low: Array, high: Array, mean: Array,
    spread: Array, weight: Array, pull: Array, *, network: Network, neuron: int, steps: int,
) -> Array:  # fmt: skip
    """Return the highest of the points on the way up from each of x, by shorter and shorter steps."""
    reach, axis = high - low, tuple(range(1, x.ndim))

    def height(x: Array) -> tuple[Array, Array]:
        """The height of each point, and its slopes in shares of the range."""
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
        # by the sign: an input of small slope reaches its place as soon as one of a large slope
        moved = x + STRIDE * (1 - t / steps).astype(x.dtype) * reach * jnp.sign(slopes)
        moved = jnp.where(free, jnp.clip(moved, low, high), x)
        return moved, best, jnp.maximum(now, highest)

    start = (x, x, jnp.full(x.shape[0], -jnp.inf, x.dtype))
    best: Array = jax.lax.fori_loop(0, steps + 1, step, start)[1]
    return best


def _own_units(rows: Rows, x: NDArray[Any], source: dict[str, int]) -> dict[str, Any]:
    """Return an input in a person's own units: numbers scaled back, the rest from the rows they are of."""
    encoder = rows.model.encoder
    if encoder is None:
        return dict(zip(rows.columns, x.tolist(), strict=True)) if rows.columns else {}
    numbers = encoder.numeric.names
    values = encoder.numeric.inverse(x[None, : len(numbers)])[0]
    missing = _missing(x[None], rows)[0]
    cells: dict[str, Any] = {}
    for name in rows.columns:
        if name in numbers:
            place = numbers.index(name)
            column = rows.column(name)
            ends = np.nanmin(column), np.nanmax(column)  # rounding may lead beyond them
            cells[name] = None if missing[place] else float(np.clip(values[place], *ends))
        else:
            cells[name] = rows.cells([source[name]])[0][name]
    return cells
