"""Draw activations and losses with their derivatives, and paths of optimizers on a surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._checks import check_count, resolve
from glassnet.display.drawing import Axes, axes_for, number, palette, panels, title
from glassnet.errors import ConfigurationError
from glassnet.nn.activations import ACTIVATIONS, Sigmoid
from glassnet.nn.losses import BinaryCrossEntropy, MeanSquaredError
from glassnet.nn.optimizer_wrappers import as_optimizer
from glassnet.nn.optimizers import SGD, Adam, Momentum

__all__ = ["activations", "descent", "losses", "surface"]

Surface = Callable[[Any, Any], Any]
SHOWN = ("sigmoid", "tanh", "relu", "leaky_relu", "silu", "gelu")


def activations(
    names: Sequence[Any] = SHOWN, ax: Axes | None = None, *, span: float = 5.0
) -> np.ndarray:
    """Draw activation functions (solid) with their derivatives (dashed), one panel each.

    Parameters
    ----------
    names: of activations, or the activations. span: z runs from -span to span. Default 5.

    Raises
    ------
    ConfigurationError: a name is unknown, or there is none.

    >>> axes = activations(["sigmoid", "tanh"])
    >>> [ax.get_title() for ax in axes]
    ['Sigmoid: slope up to 0.25', 'Tanh: slope up to 1']
    """
    functions = [resolve("activation", name, ACTIVATIONS) for name in names]
    if not functions:
        raise ConfigurationError("There is no activation to draw: give names, ['relu', 'tanh'].")
    wide = min(3, len(functions))
    high = -(-len(functions) // wide)
    drawn = panels(ax, high, wide, (3.0 * wide, 2.7 * high))
    z = np.linspace(-span, span, 401, dtype=np.float32)
    for panel, activation in zip(drawn.flat, functions, strict=False):
        a = np.asarray(activation.value(z))
        slope = np.asarray(activation.derivative(jnp.asarray(z), jnp.asarray(a)))
        colors = palette(panel)
        panel.axhline(0, color=colors.muted, linewidth=0.8)
        panel.axvline(0, color=colors.muted, linewidth=0.8)
        panel.plot(z, a, **colors.look(0), label="a = φ(z)")
        panel.plot(z, slope, **colors.look(1), label="φ′(z)")
        panel.set(xlabel="z", ylim=(-1.3, max(1.6, min(3.0, float(a.max()) * 1.05))))
        title(panel, f"{type(activation).__name__}: slope up to {number(slope.max())}", 10.5)
    for panel in drawn.flat[len(functions) :]:
        panel.remove()
    drawn.flat[0].legend(loc="upper left", fontsize=9)
    shown: np.ndarray = drawn.ravel()[: len(functions)]
    return shown


def losses(ax: Axes | None = None, *, span: float = 6.0) -> np.ndarray:
    """Draw squared error and cross-entropy of p = σ(z) for a true value of 1, and their gradients.

    The left panel shows the loss over the logit z, the right one the size of its gradient, |dL/dz|. With
    squared error the gradient vanishes where the network is confidently wrong. Values and derivatives are
    computed by the library.

    >>> axes = losses()
    >>> [len(ax.lines) for ax in axes]
    [2, 2]
    """
    z = jnp.linspace(-span, span, 241, dtype=jnp.float32)[:, None]
    truth = jnp.ones_like(z)
    p = Sigmoid().value(z)
    squared = np.asarray(MeanSquaredError().terms(p, truth))
    back = np.asarray(MeanSquaredError().slopes(p, truth) * Sigmoid().derivative(z, p))
    entropy = np.asarray(BinaryCrossEntropy().terms(z, truth))
    slope = np.asarray(BinaryCrossEntropy().slopes(z, truth))
    drawn = panels(ax, 1, 2, (8.4, 3.8)).ravel()
    pairs = ((squared, entropy), (np.abs(back), np.abs(slope)))
    for panel, pair, label in zip(drawn, pairs, ("loss L", "|dL/dz|"), strict=True):
        for k, (values, name) in enumerate(
            zip(pair, ("squared error", "cross-entropy"), strict=True)
        ):
            panel.plot(z[:, 0], values[:, 0], **palette(panel).look(k, 40), label=name)
        panel.set(xlabel="logit z (truth: 1)", ylabel=label)
    drawn[0].legend()
    title(drawn[0], "Confidently wrong (left end): cross-entropy keeps growing")
    title(
        drawn[1],
        f"There its gradient is {number(abs(slope[0, 0]))}, that of squared error"
        f" {number(abs(back[0, 0]), 2)}",
    )
    return drawn


def bowl(x: Any, y: Any) -> Any:
    """Return x² + y².

    >>> bowl(1.0, 2.0)
    5.0
    """
    return x * x + y * y


def valley(x: Any, y: Any) -> Any:
    """Return x² + 12 y², which is steep in one direction and flat in the other, as losses are.

    >>> valley(1.0, 1.0)
    13.0
    """
    return x * x + 12 * y * y


def _gradient_of(function: Surface) -> Callable[[Any], Any]:
    """Return the function that computes the gradient of a surface at a point (x, y)."""
    return jax.grad(lambda point: function(point[0], point[1]))


def path(function: Surface, start: tuple[float, float], optimizer: Any, steps: int) -> np.ndarray:
    """Return the points that an optimizer visits on a surface, (steps + 1, 2), the start first.

    >>> path(bowl, (1.0, 0.0), SGD(0.25), 2).tolist()
    [[1.0, 0.0], [0.5, 0.0], [0.25, 0.0]]
    """
    rule, gradient = as_optimizer(optimizer), _gradient_of(function)
    first = jnp.asarray(start, jnp.float32)

    def step(carry: Any, _: Any) -> Any:
        point, state = carry
        updates, state = rule.update(gradient(point), state, point)
        return (point + updates, state), point + updates

    (_, _), points = jax.lax.scan(step, (first, rule.init(first)), length=steps)
    return np.concatenate([np.asarray(first)[None], np.asarray(points)])


def surface(
    function: Surface | None = None,
    at: tuple[float, float] = (1.6, 1.2),
    ax: Axes | None = None,
    *,
    optimizer: Any = None,
    steps: int = 15,
    span: float = 2.0,
) -> Axes:
    """Draw a surface in 3-D, the gradient at a point as an arrow below it, and the descent that starts there.

    Parameters
    ----------
    function: f(x, y), written with jax.numpy. Default x² + y².
    at: the point. optimizer: whose path is drawn. Default `gn.SGD(0.1)`. steps: of the descent. Default 15.
    span: x and y run from -span to span. Default 2.

    >>> ax = surface(at=(1.0, 1.0))
    >>> " ".join(ax.get_title().split()).split(";")[0]
    'The gradient at (1, 1) is (2, 2) and points uphill'
    """
    function = function or bowl
    if ax is not None and ax.name != "3d":
        figure, slot = ax.figure, ax.get_subplotspec()
        ax.remove()
        ax = figure.add_subplot(slot, projection="3d")
    ax = axes_for(ax, (6.6, 5.2), projection="3d")
    colors = palette(ax)
    ax.computed_zorder = False  # the floor first, then the surface, the path and the arrows on top
    grid = np.linspace(-span, span, 41, dtype=np.float32)
    X, Y = np.meshgrid(grid, grid)
    Z = np.asarray(function(X, Y))
    floor = float(Z.min()) - 0.7 * float(np.ptp(Z))
    ax.contour(
        X, Y, Z, zdir="z", offset=floor, levels=10, colors=colors.muted, linewidths=0.7, zorder=0
    )
    ax.plot_surface(X, Y, Z, cmap="cividis", alpha=0.7, linewidth=0, rcount=40, ccount=40, zorder=1)
    slope = np.asarray(_gradient_of(function)(jnp.asarray(at, jnp.float32)))
    points = path(function, at, optimizer or SGD(0.1), steps)
    heights = np.asarray(function(points[:, 0], points[:, 1]))
    floors = np.full(len(points), floor)
    arrow = slope / (float(np.linalg.norm(slope)) or 1.0) * 0.45 * span
    ax.plot(
        [at[0]] * 2,
        [at[1]] * 2,
        [floor, heights[0]],
        color=colors.muted,
        linestyle="--",
        linewidth=1,
    )
    x, y = points.T
    ax.plot(x, y, floors, color=colors.ink, linestyle=":", linewidth=1.4, zorder=2)
    ax.plot(x, y, heights, color=colors.ink, marker="o", markersize=4, linewidth=1.4,
            label="descent", zorder=3)  # fmt: skip
    ax.quiver(*at, floor, *arrow, 0, color=colors.minus, linewidth=2.6, arrow_length_ratio=0.3, zorder=4,
              label="direction of the gradient")  # fmt: skip
    _clear_walls(ax, colors)
    ax.set(xlabel="x", ylabel="y", zlabel="f(x, y)", zlim=(floor, float(Z.max())))
    ax.view_init(elev=28, azim=-122)
    ax.legend(loc="upper left", fontsize=9)
    title(
        ax,
        f"The gradient at ({number(at[0])}, {number(at[1])}) is"
        f" ({number(slope[0])}, {number(slope[1])}) and points uphill; descent goes the other way,"
        f" from {number(heights[0])} to {number(heights[-1])}",
    )
    return ax


def _clear_walls(ax: Axes, colors: Any) -> None:
    """Remove the grey walls behind a 3-D drawing."""
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color(colors.face)
        axis._axinfo["grid"]["color"] = colors.line


def descent(
    function: Surface | None = None,
    start: tuple[float, float] = (-4.0, 1.5),
    ax: Axes | None = None,
    *,
    optimizers: Mapping[str, Any] | None = None,
    steps: int = 40,
) -> Axes:
    """Draw the paths of optimizers over the contours of a surface, and the gradient at the start as an arrow.

    Parameters
    ----------
    function: f(x, y), written with jax.numpy. Default x² + 12 y², a valley.
    start: the point where all paths begin.
    optimizers: by name, from glassnet or optax. Default: SGD, Momentum and Adam, with learning rates that
        suit the default surface.
    steps: of each optimizer. Default 40.

    Raises
    ------
    ConfigurationError: there is no optimizer, or no step.

    >>> ax = descent(optimizers={"gradient descent": SGD(0.05)}, steps=3)
    >>> ax.lines[0].get_xydata().round(3).tolist()
    [[-4.0, 1.5], [-3.6, -0.3], [-3.24, 0.06], [-2.916, -0.012]]
    """
    check_count("steps", steps)
    function = function or valley
    chosen = _default_optimizers() if optimizers is None else dict(optimizers)
    if not chosen:
        raise ConfigurationError(
            "There is no optimizer to draw: give some by name, such as {'Adam': gn.Adam(0.1)}."
        )
    paths = {name: path(function, start, optimizer, steps) for name, optimizer in chosen.items()}
    ax = axes_for(ax, (7.2, 4.6))
    colors = palette(ax)
    slope = np.asarray(_gradient_of(function)(jnp.asarray(start, jnp.float32)))
    points = np.concatenate(list(paths.values()))
    length = 0.2 * float(np.ptp(points[np.isfinite(points).all(axis=1)], axis=0).min())
    tip = np.asarray(start) + slope / (float(np.linalg.norm(slope)) or 1.0) * length
    X, Y, Z = _grid_around(function, np.concatenate([points, tip[None]]))
    lowest = float(Z.min())
    levels = lowest + np.geomspace(1e-3, 1, 14) * (float(Z.max()) - lowest)
    ax.contour(X, Y, Z, levels=levels, colors=colors.muted, linewidths=0.6, alpha=0.8, zorder=0)
    for k, (name, visited) in enumerate(paths.items()):
        end = number(function(*visited[-1]), 2)
        ax.plot(
            *visited.T, **colors.look(k, 1), markersize=4, linewidth=1.4, label=f"{name}: {end}"
        )
    ax.annotate("", tip, start, zorder=5, annotation_clip=False,
                arrowprops={"arrowstyle": "-|>", "color": colors.ink, "linewidth": 2})  # fmt: skip
    ax.annotate("gradient", tip, (5, 2), textcoords="offset points", color=colors.ink, zorder=5)
    ax.set(xlabel="x", ylabel="y", xlim=(X.min(), X.max()), ylim=(Y.min(), Y.max()))
    ax.legend(title=f"f after {steps} steps", loc="lower right")
    best = min(paths, key=lambda name: float(function(*paths[name][-1])))
    start_value = number(function(*np.asarray(start, np.float32)), 2)
    title(ax, f"From {start_value} down in {steps} steps: {best} gets lowest")
    return ax


def _default_optimizers() -> dict[str, Any]:
    return {"SGD": SGD(0.06), "Momentum": Momentum(0.02, 0.7), "Adam": Adam(0.3)}


def _grid_around(
    function: Surface, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the surface on a grid around the origin and all finite points, with a margin."""
    points = points[np.isfinite(points).all(axis=1)]
    low, high = np.minimum(points.min(axis=0), 0), np.maximum(points.max(axis=0), 0)
    margin = 0.12 * np.maximum(high - low, 1e-3) + 0.12 * float((high - low).max())
    x, y = (
        np.linspace(a, b, 121, dtype=np.float32)
        for a, b in zip(low - margin, high + margin, strict=True)
    )
    X, Y = np.meshgrid(x, y)
    return X, Y, np.asarray(function(X, Y))
