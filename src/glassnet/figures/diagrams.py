"""Draw a network as a diagram of neurons and weights, also with the neurons that dropout removes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._types import Key
from glassnet.display.drawing import (
    Axes,
    Palette,
    axes_for,
    bare,
    literal,
    number,
    palette,
    title,
)
from glassnet.display.text import subscript
from glassnet.errors import ConfigurationError
from glassnet.figures.networks import DenseLayer, dense_layers, first_member, forward_pass, one_row
from glassnet.models.model import Model
from glassnet.nn.activations import Identity
from glassnet.nn.layers import Dense, Dropout
from glassnet.nn.shapes import parameter_count
from glassnet.nn.walk import LayerPass

__all__ = ["dropout", "network"]

MAX_LINE_WIDTH = 4.0  # of a weight, in points


class _Neurons(NamedTuple):
    """One column of the diagram: which neurons are shown, and at which heights.

    gap: the height of the dots that represent the neurons left out; None if all are shown.
    """

    total: int
    shown: np.ndarray
    heights: np.ndarray
    gap: float | None


def _positions(count: int, limit: int) -> _Neurons:
    """Return where a column's neurons are drawn: all of them, or the first and the last ones."""
    if count <= limit:
        shown, slots, gap = np.arange(count), np.arange(count), None
        total = count
    else:
        first = (limit + 1) // 2
        last = limit - 1 - first
        shown = np.concatenate([np.arange(first), np.arange(count - last, count)])
        slots = np.concatenate([np.arange(first), np.arange(first + 1, limit)])
        gap, total = first, limit
    step = 1.0 / max(total, 4)
    top = 0.5 + step * (total - 1) / 2
    return _Neurons(count, shown, top - step * slots, None if gap is None else top - step * gap)


def _laid_out(model: Model, limit: int) -> tuple[list[DenseLayer], list[_Neurons]]:
    """Return the Dense layers and the positions of inputs and neurons, column by column."""
    layers = dense_layers(model)
    for before, after in pairwise(layers):
        if after.W.shape[1] != before.units:
            raise ConfigurationError(
                f"Dense layer {after.number} takes {after.W.shape[1]} inputs, but the one before it has"
                f" {before.units} neurons: a layer between them changes the number, which a diagram of"
                " neurons cannot show. Draw gn.figures.weights instead."
            )
    counts = [layers[0].W.shape[1], *(layer.units for layer in layers)]
    return layers, [_positions(count, limit) for count in counts]


def network(
    model: Any,
    x: Any = None,
    ax: Axes | None = None,
    *,
    inputs: Sequence[str] | None = None,
    limit: int = 10,
) -> Axes:
    """Draw the network's neurons and weights: wider lines for larger weights, solid above 0, dashed below.

    Parameters
    ----------
    model: a model, a run or a fitted estimator; the first of several members is drawn.
    x: one row, whose numbers are written into the neurons. Default: the biases are written beside the
        neurons.
    inputs: names of the inputs. Default x₁, x₂, ...
    limit: the most neurons shown per column; of more, only the first and the last are shown. Default 10.

    Raises
    ------
    ConfigurationError: a layer between two Dense layers changes the number of neurons.

    >>> import glassnet as gn
    >>> net = gn.Network([gn.Dense(4), "tanh", gn.Dense(1)])
    >>> ax = network(gn.figures.untrained(net, (3,)))
    >>> ax.get_title()[:22]
    '3-4-1: 21 parameters. '
    """
    member = first_member(model)
    layers, groups = _laid_out(member, limit)
    values = None if x is None else _values(member, layers, one_row(member, x))
    ax = axes_for(ax, (1.2 + 2.0 * len(groups), 4.8))
    colors = palette(ax)
    largest = max(float(np.abs(layer.W).max()) for layer in layers) or 1.0
    for layer, before, after in zip(layers, groups, groups[1:], strict=False):
        _draw_weights(ax, colors, layer, before, after, largest)
    _draw_neurons(ax, colors, groups, values)
    _label(ax, colors, layers, groups, inputs, biases=values is None)
    strongest = max(layers, key=lambda layer: np.abs(layer.W).max())
    j, i = np.unravel_index(np.abs(strongest.W).argmax(), strongest.W.shape)
    widths = "-".join(str(group.total) for group in groups)
    parameters = parameter_count(member.params)
    title(
        ax,
        f"{widths}: {parameters} parameters. The largest weight, {number(float(strongest.W[j, i]))}, leads"
        f" into neuron {j + 1} of {_layer_name(layers, strongest.number)}",
    )
    return ax


def _layer_name(layers: Sequence[DenseLayer], index: int) -> str:
    if index == len(layers) - 1:
        return "the output layer"
    return "the hidden layer" if len(layers) == 2 else f"hidden layer {index + 1}"


def _values(model: Model, layers: Sequence[DenseLayer], row: np.ndarray) -> list[np.ndarray]:
    """Return the inputs and each layer's outputs for one row, the last as the prediction."""
    steps = forward_pass(model, row)
    indices = [layer.position for layer in layers]
    outputs = np.asarray(model.loss.output(jnp.asarray(steps[-1].output)))
    return [
        steps[indices[0]].input[0],
        *(steps[index].input[0] for index in indices[1:]),
        outputs[0],
    ]


def _draw_weights(
    ax: Axes,
    colors: Palette,
    layer: DenseLayer,
    before: _Neurons,
    after: _Neurons,
    largest: float,
    kept: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Draw a line for each weight between shown neurons; it is faint if one of them is dropped."""
    from matplotlib.collections import LineCollection

    x0, x1 = layer.number, layer.number + 1
    W = layer.W[np.ix_(after.shown, before.shown)]
    ends = np.array([
        [[(x0, h0), (x1, h1)] for h0 in before.heights] for h1 in after.heights
    ])  # fmt: skip
    used = np.ones(W.shape, bool)
    if kept is not None:
        used = kept[1][after.shown][:, None] & kept[0][before.shown][None]
    widths = 0.3 + (MAX_LINE_WIDTH - 0.3) * np.abs(W) / largest
    for sign, color, dashes in (("plus", colors.plus, "-"), ("minus", colors.minus, (0, (4, 2)))):
        chosen = used & ((W >= 0) if sign == "plus" else (W < 0))
        lines = LineCollection(
            list(ends[chosen]), linewidths=widths[chosen], colors=color, linestyles=[dashes], zorder=1,
            gid=f"{sign}-{layer.number}", alpha=0.85,
        )  # fmt: skip
        ax.add_collection(lines)
    if not used.all():
        ax.add_collection(
            LineCollection(
                list(ends[~used]), linewidths=0.5, colors=colors.muted, linestyles=":", alpha=0.5,
                zorder=0, gid=f"dropped-{layer.number}",
            )
        )  # fmt: skip


def _draw_neurons(
    ax: Axes,
    colors: Palette,
    groups: Sequence[_Neurons],
    values: Sequence[np.ndarray] | None,
    kept: Sequence[np.ndarray] | None = None,
) -> None:
    """Draw the neurons as circles with their values, if there are any; dropped ones are crossed out."""
    crowded = max(len(group.shown) for group in groups)
    size = 900 if values is not None and crowded <= 8 else float(np.clip(4200 / crowded, 90, 420))
    for k, group in enumerate(groups):
        used = np.ones(len(group.shown), bool) if kept is None else kept[k][group.shown]
        for chosen, edge, dashes in ((used, colors.ink, "-"), (~used, colors.muted, "--")):
            if chosen.any():
                ax.scatter(
                    np.full(chosen.sum(), k), group.heights[chosen], s=size, facecolors=colors.face,
                    edgecolors=edge, linestyles=dashes, linewidths=1.3, zorder=2,
                    gid=f"{'neurons' if edge == colors.ink else 'dropped-neurons'}-{k}",
                )  # fmt: skip
        if (~used).any():
            ax.scatter(
                np.full((~used).sum(), k), group.heights[~used], s=size * 0.45, marker="x",
                color=colors.ink, linewidths=1.6, zorder=3, gid=f"crossed-{k}",
            )  # fmt: skip
        if group.gap is not None:
            ax.text(k, group.gap, "⋮", ha="center", va="center", fontsize=15, color=colors.ink)
        if values is not None:
            for height, value in zip(group.heights, values[k][group.shown], strict=True):
                ax.text(
                    k, height, number(round(float(value), 2), 2), ha="center", va="center", fontsize=8.5,
                    color=colors.ink, zorder=4, gid=f"value-{k}",
                )  # fmt: skip


def _label(
    ax: Axes,
    colors: Palette,
    layers: Sequence[DenseLayer],
    groups: Sequence[_Neurons],
    inputs: Sequence[str] | None,
    biases: bool,
) -> None:
    """Write the names of columns and inputs, and the biases of small layers."""
    bare(ax)
    first = groups[0]
    names = list(inputs or [f"x{subscript(i + 1)}" for i in range(first.total)])
    if len(names) != first.total:
        raise ConfigurationError(
            f"inputs has {len(names)} names, but the first Dense layer takes {first.total} inputs."
        )
    for i, height in zip(first.shown, first.heights, strict=True):
        ax.text(-0.14, height, literal(names[i], 18), ha="right", va="center", fontsize=10,
                color=colors.ink)  # fmt: skip
    low = min(group.heights.min() for group in groups) - 0.13
    captions = [f"inputs\n{first.total}"]
    for layer in layers:
        last = layer.number == len(layers) - 1
        role = (
            "output" if last else ("hidden" if len(layers) == 2 else f"hidden {layer.number + 1}")
        )
        function = "" if isinstance(layer.activation, Identity) else f", {layer.function}"
        captions.append(f"{role}{function}\n{layer.units} neuron{'s' * (layer.units > 1)}")
    for k, caption in enumerate(captions):
        ax.text(k, low, caption, ha="center", va="top", fontsize=10, color=colors.ink)
    if biases and max(len(group.shown) for group in groups[1:]) <= 6:
        for layer, group in zip(layers, groups[1:], strict=True):
            for j, height in zip(group.shown, group.heights, strict=True):
                ax.text(layer.number + 1, height + 0.065, f"b {number(layer.b[j], 2)}", ha="center",
                        va="bottom", fontsize=8.5, color=colors.ink, zorder=4,
                        bbox={"boxstyle": "round,pad=0.12", "fc": colors.face, "ec": "none", "alpha": 0.8},
                        gid=f"bias-{layer.number}")  # fmt: skip
    wide = 0.25 + 0.075 * max(len(literal(name, 18)) for name in names)
    ax.set(xlim=(-wide, len(layers) + 0.55), ylim=(low - 0.15, 1.02))
    _add_legend(ax, colors)


def _add_legend(ax: Axes, colors: Palette) -> None:
    """Add a legend of the kinds of lines that are drawn."""
    from matplotlib.lines import Line2D

    kinds = (
        ("plus", "weight above 0", {"color": colors.plus}),
        ("minus", "weight below 0", {"color": colors.minus, "linestyle": "--"}),
        (
            "dropped",
            "not used in this pass",
            {"color": colors.muted, "linestyle": ":", "linewidth": 1},
        ),
    )
    drawn = {(lines.get_gid() or "").split("-")[0] for lines in ax.collections if lines.get_paths()}
    shown = [Line2D([], [], label=label, **look) for kind, label, look in kinds if kind in drawn]
    ax.legend(handles=shown, loc="upper center", bbox_to_anchor=(0.5, 0.01), ncols=3, fontsize=9)


def dropout(
    model: Any, x: Any, ax: Axes | None = None, *, key: Key | None = None, limit: int = 12
) -> Axes:
    """Draw which neurons are dropped in one training pass: they are crossed out, and their lines are dotted.

    Parameters
    ----------
    model: a model, a run or a fitted estimator with a Dropout layer. x: one row.
    key: of the pass. Default: the key of a run's next step, or `gn.keys.key(0)` for a model. Another key,
        such as `gn.keys.key(1)`, drops other neurons.
    limit: the most neurons shown per column. Default 12.

    Raises
    ------
    ConfigurationError: the network has no Dropout.

    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.

    >>> import glassnet as gn
    >>> net = gn.Network([gn.Dense(8), "relu", gn.Dropout(0.5), gn.Dense(1)])
    >>> ax = dropout(gn.figures.untrained(net, (2,)), [[1.0, 2.0]])
    >>> ax.get_title().split(" in this pass")[0] in {f"{k} of 8 neurons dropped" for k in range(9)}
    True
    """
    member = first_member(model)
    layers, groups = _laid_out(member, limit)
    if key is None:
        state = getattr(model, "state", None)
        key = keys.key(0) if state is None else keys.fold_in(state.key, state.step)
    steps = forward_pass(member, one_row(member, x), key=key, train=True)
    kept, dropping = _kept(steps, layers, groups)
    if not dropping:
        raise ConfigurationError(
            "This network has no Dropout layer: put gn.Dropout(0.5) after a hidden layer's activation."
        )
    ax = axes_for(ax, (1.2 + 2.0 * len(groups), 4.8))
    colors = palette(ax)
    largest = max(float(np.abs(layer.W).max()) for layer in layers) or 1.0
    for k, layer in enumerate(layers):
        _draw_weights(ax, colors, layer, groups[k], groups[k + 1], largest, (kept[k], kept[k + 1]))
    _draw_neurons(ax, colors, groups, None, kept)
    _label(ax, colors, layers, groups, None, biases=False)
    dropped = sum(int((~kept[k]).sum()) for k in dropping)
    total = sum(len(kept[k]) for k in dropping)
    rates = sorted({step.layer.rate for step in steps if isinstance(step.layer, Dropout)})
    title(
        ax,
        f"{dropped} of {total} neurons dropped in this pass: {dropped / total:.0%}, at"
        f" a rate of {' and '.join(f'{rate:.0%}' for rate in rates)}",
    )
    return ax


def _kept(
    steps: Sequence[LayerPass], layers: Sequence[DenseLayer], groups: Sequence[_Neurons]
) -> tuple[list[np.ndarray], list[int]]:
    """Return which neurons of each column a pass used, and the columns to which dropout applies."""
    kept = [np.ones(group.total, bool) for group in groups]
    dropping, k = [], 0
    for step in steps:
        if isinstance(step.layer, Dense):
            k += 1
        if isinstance(step.layer, Dropout) and step.input.shape[1] == groups[k].total:
            kept[k] &= step.cache[0] > 0
            dropping.append(k)
    return kept, dropping
