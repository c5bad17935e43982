"""Draw one neuron with its numbers, and weights and rows as pictures."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from glassnet.display.drawing import (
    Axes,
    axes_for,
    bare,
    literal,
    number,
    palette,
    signed_colors,
    title,
)
from glassnet.display.text import subscript
from glassnet.errors import ConfigurationError, DataError
from glassnet.figures.networks import dense_layer, first_member, forward_pass, one_row
from glassnet.models.model import Model
from glassnet.nn.activations import Identity

__all__ = ["neuron", "picture_as_vector", "weights"]


def neuron(
    model: Any,
    x: Any,
    ax: Axes | None = None,
    *,
    layer: int = 0,
    unit: int = 0,
    inputs: Sequence[str] | None = None,
    limit: int = 8,
) -> Axes:
    """Draw one neuron with its inputs, weights and bias for one row: z = Σ w a + b, then a = φ(z).

    Parameters
    ----------
    model: a model, a run or a fitted estimator; the first of several members is drawn. x: one row.
    layer, unit: the Dense layer and the neuron in it, both counted from 0. Default 0 and 0.
    inputs: names of the neuron's inputs. Default x₁, x₂, ... in the first layer, a₁, a₂, ... in later ones.
    limit: the most inputs shown, those with the largest |w a|; the others are shown as a sum. Default 8.

    Raises
    ------
    ConfigurationError: the layer or the neuron does not exist, or the number of names is wrong.

    >>> import glassnet as gn
    >>> net = gn.Network([gn.Dense(1, initializer="zeros"), "sigmoid"])
    >>> neuron(gn.figures.untrained(net, (2,)), [[1.0, 2.0]]).get_title()[:22]
    'Neuron 1 outputs 0.5 ('
    """
    member = first_member(model)
    dense = dense_layer(member, layer)
    if not 0 <= unit < dense.units:
        raise ConfigurationError(
            f"unit is {unit!r}, but this layer has {dense.units} neurons: count from 0 to {dense.units - 1}."
        )
    steps = forward_pass(member, one_row(member, x))
    a, w, b = steps[dense.position].input[0], dense.W[unit], float(dense.b[unit])
    z = float(steps[dense.position].output[0, unit])
    out = float(np.asarray(dense.activation.value(np.float32(z))))
    letter = "x" if dense.number == 0 else "a"
    names = list(inputs or [f"{letter}{subscript(i + 1)}" for i in range(len(w))])
    if len(names) != len(w):
        raise ConfigurationError(
            f"inputs has {len(names)} names, but this neuron has {len(w)} inputs."
        )
    shown = np.sort(np.argsort(-np.abs(w * a), kind="stable")[:limit])
    rest = float(np.delete(w * a, shown).sum()) if len(shown) < len(w) else None
    ax = axes_for(ax, (7.6, 1.9 + 0.42 * max(5, len(shown) + 2)))
    _draw_inputs(ax, [names[i] for i in shown], a[shown], w[shown], rest, len(w) - len(shown))
    _draw_body(ax, b, z, out, dense.function)
    _write_equation(ax, a[shown], w[shown], rest, b, z, out, dense.function)
    function_name = "logit" if isinstance(dense.activation, Identity) else dense.function.lower()
    terms = w[shown] * a[shown]
    largest = names[shown[int(np.abs(terms).argmax())]]
    source = "" if function_name == "logit" else f" ({function_name} of {number(z)})"
    title(
        ax,
        f"Neuron {unit + 1} outputs {number(out)}{source}; {literal(largest)} contributes most",
    )
    return ax


def _draw_inputs(
    ax: Axes, names: Sequence[str], a: Any, w: Any, rest: float | None, others: int
) -> None:
    """Draw the inputs, with wider lines for larger weights, solid above 0 and dashed below."""
    colors = palette(ax)
    count = len(a) + (rest is not None)
    heights = np.linspace(1, 0, count) if count > 1 else np.array([0.5])
    largest = float(np.abs(w).max()) or 1.0
    for name, value, weight, height in zip(names, a, w, heights, strict=False):
        ax.plot(
            [0, 2], [height, 0.5], color=colors.plus if weight >= 0 else colors.minus,
            linestyle="-" if weight >= 0 else (0, (4, 2)), linewidth=0.5 + 4 * abs(weight) / largest,
            zorder=1, gid="weight",
        )  # fmt: skip
        ax.text(
            0.62, height + (0.5 - height) * 0.31, f"w {number(weight)}", ha="center", va="center",
            fontsize=9.5, color=colors.ink, gid="w", zorder=3, bbox=_patch(colors.face),
        )  # fmt: skip
        ax.text(-0.13, height, f"{literal(name, 20)} = {number(value)}", ha="right", va="center",
                color=colors.ink, gid="a")  # fmt: skip
        ax.scatter([0], [height], s=120, facecolors=colors.face, edgecolors=colors.ink, zorder=2)
    if rest is not None:
        ax.plot(
            [0, 2], [heights[-1], 0.5], color=colors.muted, linestyle=":", linewidth=1, zorder=0
        )
        ax.text(-0.13, heights[-1], f"{others} others: {number(rest)} in total", ha="right", va="center",
                color=colors.ink)  # fmt: skip


def _patch(face: str) -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.15", "fc": face, "ec": "none", "alpha": 0.9}


def _draw_body(ax: Axes, b: float, z: float, out: float, function: str) -> None:
    """Draw the weighted sum, the bias, the activation and the output."""
    colors = palette(ax)
    nonlinear = function != "Identity"
    arrow = {"arrowstyle": "-|>", "color": colors.ink, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    stops = [2.0, 3.0, 3.75] if nonlinear else [2.0, 2.75]
    for left, right in pairwise(stops):
        ax.annotate(
            "", (right - (0.17 if right == 3.0 else 0), 0.5), (left + 0.17, 0.5), arrowprops=arrow
        )
    ax.annotate("", (2.0, 0.6), (2.0, 0.86), arrowprops=arrow)
    ax.text(2.0, 0.88, f"b {number(b)}", ha="center", va="bottom", color=colors.ink, gid="b")
    for x, text in zip(stops[:-1], ["Σ", "φ"], strict=False):
        ax.scatter([x], [0.5], s=900, facecolors=colors.face, edgecolors=colors.ink, linewidths=1.6,
                   zorder=4)  # fmt: skip
        ax.text(x, 0.5, text, ha="center", va="center", fontsize=16, color=colors.ink, zorder=5)
    if nonlinear:
        ax.text(2.5, 0.53, f"z {number(z)}", ha="center", va="bottom", color=colors.ink, gid="z")
        ax.text(3.0, 0.37, function.lower(), ha="center", va="top", color=colors.ink)
    ax.text(
        stops[-1] + 0.06,
        0.5,
        number(out),
        ha="left",
        va="center",
        fontsize=14,
        color=colors.ink,
        gid="out",
    )


def _write_equation(
    ax: Axes, a: Any, w: Any, rest: float | None, b: float, z: float, out: float, function: str
) -> None:
    """Write z = Σ w a + b and a = φ(z) with their numbers below the drawing."""
    terms = [f"{number(weight)}·{number(value)}" for weight, value in zip(w, a, strict=True)]
    terms = [
        term if value >= 0 else term.replace("·", "·(") + ")"
        for term, value in zip(terms, a, strict=True)
    ]
    terms += [] if rest is None else [number(rest)]
    total = " + ".join([*terms, number(b)]).replace("+ −", "− ")
    lines = textwrap.wrap(f"z = {total} =\u00a0{number(z)}", 76)
    if function != "Identity":
        lines.append(f"a = {function.lower()}({number(z)}) = {number(out)}")
    bare(ax)
    bottom = -0.2 - 0.1 * len(lines)
    ax.text(-1.3, -0.16, "\n".join(lines), ha="left", va="top", fontsize=10.5, color=palette(ax).ink,
            gid="equation", linespacing=1.5)  # fmt: skip
    ax.set(xlim=(-1.35, 4.5), ylim=(bottom, 1.08))


def weights(
    model: Any,
    ax: Axes | None = None,
    *,
    layer: int = 0,
    shape: tuple[int, int] | None = None,
    limit: int = 16,
) -> Axes:
    """Draw each neuron's weights as a picture: light above 0, dark below.

    Parameters
    ----------
    model: a model, a run or a fitted estimator; the first of several members is drawn.
    layer: the Dense layer, counted from 0. Default 0.
    shape: (height, width) of the pictures. Default: the shape of the model's input pictures, else a square
        if the number of inputs is a square, else one table of neurons by inputs.
    limit: the most neurons shown, those with the largest weights. Default 16.

    >>> import glassnet as gn
    >>> ax = weights(gn.figures.untrained(gn.Network([gn.Dense(6)]), (64,)))
    >>> ax.images[0].get_array().shape  # 6 pictures of 8 × 8 in two rows of three, with gaps
    (20, 28)
    """
    member = first_member(model)
    W = dense_layer(member, layer).W
    order = np.sort(np.argsort(-np.linalg.norm(W, axis=1), kind="stable")[:limit])
    shape = shape or _picture_shape(member, W.shape[1])
    if shape is not None and shape[0] * shape[1] != W.shape[1]:
        raise ConfigurationError(
            f"shape is {shape}, but each neuron of this layer has {W.shape[1]} weights."
        )
    if shape is None:
        image, across = W[order], 0
    else:
        image, across = _mosaic(W[order].reshape(-1, *shape))
    ax = axes_for(ax, (6.4, 5.0))
    bound = float(np.abs(W).max()) or 1.0
    drawn = ax.imshow(
        image, cmap=signed_colors(), vmin=-bound, vmax=bound, interpolation="nearest",
        aspect="equal" if shape else "auto",
    )  # fmt: skip
    ax.figure.colorbar(drawn, ax=ax, label="weight (dark: below 0, light: above 0)")
    if shape is None:
        ax.set(xlabel="input", ylabel="neuron", yticks=range(len(order)), yticklabels=order + 1)
        ax.grid(False)
    else:
        bare(ax)
        for k, j in enumerate(order):
            row, col = divmod(k, across)
            ax.text(col * (shape[1] + 2) + 1, row * (shape[0] + 2) + 0.45, f"{j + 1}", fontsize=8,
                    va="bottom", color=palette(ax).ink)  # fmt: skip
    few = f"The {len(order)} strongest of {len(W)}" if len(order) < len(W) else f"All {len(W)}"
    title(
        ax,
        f"{few} neurons of Dense layer {layer}: weights from {number(W.min())} to {number(W.max())}",
    )
    return ax


def _picture_shape(model: Model, inputs: int) -> tuple[int, int] | None:
    """Return the height and width of the pictures that the inputs form; None if they form none."""
    shape = model.in_shape
    if len(shape) == 2 and math.prod(shape) == inputs:
        return shape[0], shape[1]
    side = math.isqrt(inputs)
    return (
        (side, side) if side * side == inputs and side > 2 and math.prod(shape) == inputs else None
    )


def _mosaic(pictures: np.ndarray) -> tuple[np.ndarray, int]:
    """Return pictures side by side in one array, with NaN between them, and their number per row."""
    count, high, wide = pictures.shape
    across = math.ceil(math.sqrt(count * 1.3)) if count > 2 else count
    down = math.ceil(count / across)
    image = np.full((down * (high + 2), across * (wide + 2) - 2), np.nan)
    for k, picture in enumerate(pictures):
        row, col = divmod(k, across)
        top, left = row * (high + 2) + 2, col * (wide + 2)
        image[top : top + high, left : left + wide] = picture
    return image, across


def picture_as_vector(picture: Any, ax: Axes | None = None) -> Axes:
    """Draw a picture beside the vector that it becomes, one row of pixels after the other.

    Parameters
    ----------
    picture: numbers of shape (h, w), or (h, w, c) with c = 1, 3 or 4 channels. The channels of a pixel stay
        together in the vector.

    Raises
    ------
    DataError: it is not such an array.

    >>> ax = picture_as_vector(np.arange(6).reshape(2, 3))
    >>> ax.images[1].get_array()[:, 0].tolist()
    [0, 1, 2, 3, 4, 5]
    """
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "buif" or 0 in pixels.shape:
        raise DataError(
            f"picture has shape {np.shape(picture)}, but it must hold numbers, (h, w) or (h, w, c). To draw"
            " one of several pictures, give pictures[0]."
        )
    high, wide = pixels.shape[:2]
    vector = pixels.reshape(-1)
    ax = axes_for(ax, (6.4, 4.2))
    colors = palette(ax)
    top = float(vector.max())
    shown = pixels / (top if pixels.dtype.kind == "f" else 255) if pixels.ndim == 3 else pixels
    grey = {"cmap": "gray", "vmin": float(vector.min()), "vmax": top, "interpolation": "nearest"}
    ax.imshow(shown, extent=(0, wide, high, 0), **grey)
    left, thickness = wide * 1.5, wide * 0.16  # of the vector
    ax.imshow(vector[:, None], extent=(left, left + thickness, high, 0), aspect="equal", **grey)
    for row in range(high + 1):
        ends = ([wide, left], [row, row])
        ax.plot(*ends, color=colors.muted, linestyle=":", linewidth=0.9, gid="row")
    if max(high, wide) <= 10 and pixels.ndim == 2:
        _write_pixels(ax, pixels)
    row_length = len(vector) // high
    for row in range(0, high, max(1, high // 8)):
        numbers = (
            f"{row * row_length + 1}…{(row + 1) * row_length}" if row_length > 1 else f"{row + 1}"
        )
        ax.text(left + thickness * 1.25, row + 0.5, numbers, va="center", fontsize=9.5, color=colors.ink,
                gid="indices")  # fmt: skip
    for start, width in ((0, wide), (left, thickness)):
        ax.plot(
            [start, start + width, start + width, start, start],
            [0, 0, high, high, 0],
            color=colors.ink,
            lw=1,
        )
    bare(ax)
    ax.set(xlim=(-0.02 * wide, left + thickness + wide * 0.42), ylim=(high * 1.02, -0.02 * high))
    shape = " × ".join(map(str, pixels.shape))
    title(ax, f"A picture of {shape} becomes a vector of {len(vector)} numbers")
    return ax


def _write_pixels(ax: Axes, pixels: np.ndarray) -> None:
    middle = (float(pixels.max()) + float(pixels.min())) / 2
    for (row, col), value in np.ndenumerate(pixels):
        ax.text(col + 0.5, row + 0.5, number(value, 2), ha="center", va="center", fontsize=8, gid="pixel",
                color="#ffffff" if value < middle else "#000000")  # fmt: skip
