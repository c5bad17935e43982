"""Draw the loss around a solution, paths of gradient descent and SGD, and error against width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from glassnet import keys
from glassnet._checks import check_count, check_range
from glassnet._precision import precision
from glassnet._types import Params
from glassnet.display.drawing import Axes, axes_for, number, palette, title
from glassnet.errors import ConfigurationError
from glassnet.figures.networks import first_member, untrained, without_random_layers
from glassnet.fit.train import train
from glassnet.models.model import Model
from glassnet.nn.activations import Tanh
from glassnet.nn.initializers import Normal
from glassnet.nn.layers import Dense
from glassnet.nn.network import Network
from glassnet.nn.optimizers import SGD, Adam
from glassnet.nn.schedules import Cosine
from glassnet.training.passes import encoded_rows

__all__ = ["approximation", "loss_landscape", "sgd_against_gd"]

WIDTHS = (1, 2, 4, 8, 16, 32)


def loss_landscape(
    model: Any,
    X: Any,
    y: Any,
    ax: Axes | None = None,
    *,
    span: float = 1.0,
    points: int = 25,
    seed: int = 0,
    rows: int = 1024,
) -> Axes:
    """Draw the loss around a solution in two random directions, each as long as the weights themselves.

    L(θ + α d₁ + β d₂), where each neuron's part of a direction is drawn from a normal distribution and
    scaled to the length of that neuron's weights (filter normalisation), so that the picture does not depend
    on the scale of the weights. Biases, and gamma and beta of batch normalisation, are not changed.

    Parameters
    ----------
    model: a model, a run or a fitted estimator; the first of several members is drawn.
    X, y: rows and targets.
    span: α and β run from -span to span. Default 1. points: grid points along each side. Default 25.
    seed: of the directions. Default 0. rows: the most rows used, from the first. Default 1024.

    Li et al., "Visualizing the Loss Landscape of Neural Nets", 2018.

    >>> import glassnet as gn
    >>> X, y = np.eye(4), np.array([0.0, 1.0, 1.0, 0.0])
    >>> run = gn.train(gn.Network([gn.Dense(4), "tanh", gn.Dense(1)]), X, y, epochs=1)
    >>> ax = gn.figures.loss_landscape(run, X, y, points=5)
    >>> ax.get_xlabel()
    'α along direction 1'
    """
    check_range("span", span, 0, np.inf, open_low=True)
    check_count("points", points, 3)
    member = first_member(model)
    # an odd number of points, so that the solution is one of them
    steps = np.linspace(-span, span, points | 1)
    losses = landscape(member, X[:rows], y[:rows], steps, seed)
    middle = float(losses[len(steps) // 2, len(steps) // 2])
    ax = axes_for(ax, (6.4, 5.0))
    colors = palette(ax)
    low, high = float(losses.min()), float(losses[np.isfinite(losses)].max())
    floor = max(low, 1e-3 * high, 1e-12)
    levels = np.geomspace(floor, max(high, 2 * floor), 14)
    shown = np.clip(losses, floor, None)
    A, B = np.meshgrid(steps, steps)
    drawn = ax.contourf(A, B, shown, levels=levels, cmap="cividis", norm="log", extend="max")
    lines = ax.contour(A, B, shown, levels=levels[::2], colors="white", linewidths=0.8)
    ax.clabel(lines, fmt=lambda value: number(value, 2), fontsize=8)
    ax.plot(0, 0, marker="*", markersize=16, color="white", markeredgecolor="black", linestyle="none",
            label=f"the solution: {number(middle)}")  # fmt: skip
    bar = ax.figure.colorbar(
        drawn, ax=ax, label="loss (log scale)", format=lambda value, _: number(value, 2)
    )
    bar.ax.minorticks_off()
    bar.set_ticks(levels[::3])
    ax.set(xlabel="α along direction 1", ylabel="β along direction 2", aspect="equal")
    ax.legend(loc="upper right", facecolor=colors.face)
    edge = float(np.median(np.concatenate([losses[0], losses[-1], losses[:, 0], losses[:, -1]])))
    where = (
        "the lowest point of this plane"
        if middle <= low
        else f"not the lowest, which is {number(low)}"
    )
    title(ax, f"The solution ({number(middle)}) is {where}; the loss at the rim is {number(edge)}")
    return ax


def landscape(model: Model, X: Any, y: Any, steps: np.ndarray, seed: int) -> np.ndarray:
    """Return the losses L(θ + α d₁ + β d₂) with β by row and α by column, both from `steps`."""
    with precision(model.dtype):
        data = encoded_rows(model, X, y)
        x, t = jnp.asarray(data.x), jnp.asarray(data.y)
        first, second = (direction(model.params, keys.key(seed), k) for k in (0, 1))

        def loss(alpha: Any, beta: Any) -> Any:
            params = jax.tree.map(
                lambda w, d, e: w + alpha * d + beta * e, model.params, first, second
            )
            logits = model.network.forward(params, model.layer_state, x)[0]
            return model.loss.value(logits, t)

        row_losses = jax.vmap(loss, in_axes=(0, None))
        dtype = np.dtype(model.dtype)
        grid = jnp.asarray(steps, dtype)
        # row by row, because all at once would hold every layer's outputs for each grid point
        all_losses = jax.jit(lambda s: jax.lax.map(lambda beta: row_losses(s, beta), s))
        return np.asarray(all_losses(grid), np.float64)


def direction(params: Params, key: Any, index: int) -> Params:
    """Return a random direction in which each row of a matrix is as long as that row of the parameters."""
    leaves, tree = jax.tree.flatten(params)
    drawn = []
    for k, leaf in enumerate(leaves):
        w = np.asarray(leaf)
        if w.ndim < 2:
            drawn.append(np.zeros_like(w))
            continue
        branch = keys.fold_in(keys.fold_in(key, index), k)
        d = np.asarray(keys.normal(branch, w.shape), w.dtype)
        axes = tuple(range(1, w.ndim))
        norms = [np.sqrt(np.sum(array * array, axis=axes, keepdims=True)) for array in (w, d)]
        drawn.append((d * (norms[0] / np.maximum(norms[1], 1e-12))).astype(w.dtype))
    return jax.tree.unflatten(tree, drawn)


def sgd_against_gd(
    network: Network,
    X: Any,
    y: Any,
    ax: Axes | None = None,
    *,
    loss: Any = "auto",
    learning_rate: float = 0.1,
    batch_size: int = 4,
    epochs: int = 20,
    seed: int = 0,
) -> Axes:
    """Draw the paths of plain and of stochastic gradient descent on the same loss from the same start.

    A step of gradient descent follows the gradient over all rows. A step of SGD follows the gradient over the
    rows of one batch, which has another direction. Both take the same number of steps. If the network has two
    parameters, they are the axes. If it has more, the plane is spanned by the two directions in which the
    paths vary most (principal components).

    Parameters
    ----------
    network, X, y, loss: as for `gn.train`. learning_rate: of both. Default 0.1.
    batch_size: of SGD. Default 4. epochs: of SGD; gradient descent takes as many steps. Default 20.
    seed: of the weights and the order of rows. Default 0.

    >>> import glassnet as gn
    >>> X = np.random.default_rng(0).normal(size=(16, 2))
    >>> ax = gn.figures.sgd_against_gd(gn.Network([gn.Dense(1, bias=False)]), X, X @ [1.0, 2.0], epochs=3)
    >>> [len(line.get_xdata()) for line in ax.lines[:2]]
    [13, 13]
    """
    model = untrained(network, np.shape(X)[1:], y, loss=loss, seed=seed)
    params, state = model.params, model.layer_state
    data = encoded_rows(model, X, y)
    x, t = jnp.asarray(data.x), jnp.asarray(data.y)
    deterministic, size = without_random_layers(network), min(batch_size, len(x))
    flat, unravel = ravel_pytree(params)
    optimizer = SGD(learning_rate)

    @jax.jit
    def step(w: Any, rows: Any) -> Any:
        logits, _, cache = deterministic.forward(unravel(w), state, x[rows], train=True)
        _, grads = deterministic.backward(unravel(w), cache, model.loss.gradient(logits, t[rows]))
        updates, _ = optimizer.update(ravel_pytree(grads)[0], optimizer.init(w), w)
        return w + updates

    def path(batches: Iterator[Any]) -> np.ndarray:
        points = [flat]
        for rows in batches:
            points.append(step(points[-1], rows))
        return np.stack([np.asarray(array) for array in points])

    batches = list(_batches(len(x), size, epochs, seed))
    paths = {
        "gradient descent": path(iter([np.arange(len(x))] * len(batches))),
        f"SGD, {size} rows per step": path(iter(batches)),
    }

    def loss_at(w: Any) -> Any:
        return model.loss.value(deterministic.forward(unravel(w), state, x, train=True)[0], t)

    ax = axes_for(ax)
    _draw_paths(ax, paths, jax.jit(jax.vmap(loss_at)))
    return ax


def _batches(n: int, size: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of each step: full batches of shuffled rows."""
    for epoch in range(epochs):
        order = np.asarray(keys.permutation(keys.fold_in(keys.key(seed), epoch), n))
        for first in range(0, n - size + 1, size):
            yield order[first : first + size]


def _draw_paths(ax: Axes, paths: dict[str, np.ndarray], losses_of: Callable[[Any], Any]) -> None:
    """Draw paths through weight space projected onto a plane, with the loss on that plane."""
    colors, points = palette(ax), np.concatenate(list(paths.values()))
    if points.shape[1] < 2:
        raise ConfigurationError("This network has one parameter, but a plane needs two.")
    origin, basis = np.zeros(points.shape[1]), np.eye(points.shape[1])[:2]
    if points.shape[1] > 2:
        origin = points[0]
        basis = np.linalg.svd(points - origin, full_matrices=False)[2][:2]
    projected = {name: (path - origin) @ basis.T for name, path in paths.items()}
    coordinates = np.concatenate(list(projected.values()))
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    margin = 0.2 * np.maximum(high - low, 0.3 * (high - low).max() + 1e-6)
    a, b = (np.linspace(low[k] - margin[k], high[k] + margin[k], 61) for k in (0, 1))
    A, B = np.meshgrid(a, b)
    grid = origin + np.stack([A.ravel(), B.ravel()], axis=1) @ basis
    losses = np.asarray(losses_of(jnp.asarray(grid, points.dtype))).reshape(A.shape)
    levels = losses.min() + (losses.max() - losses.min()) * np.geomspace(2e-3, 1, 14)
    ax.contour(A, B, losses, levels=levels, colors=colors.muted, linewidths=0.7, zorder=0)
    lengths = {}
    for k, (name, path) in enumerate(projected.items()):
        end = float(losses_of(jnp.asarray(paths[name][-1:]))[0])
        ax.plot(path[:, 0], path[:, 1], **colors.look(k, 1), markersize=4, linewidth=1.2, zorder=3 - k,
                label=f"{name}: loss {number(end)}")  # fmt: skip
        lengths[name] = float(np.linalg.norm(np.diff(paths[name], axis=0), axis=1).sum())
    start = next(iter(projected.values()))[0]
    ax.plot(
        *start,
        marker="o",
        markersize=11,
        markerfacecolor="none",
        color=colors.ink,
        linestyle="none",
        label="start",
    )
    names = ("first weight", "second weight")
    if points.shape[1] > 2:
        names = ("along the paths (1st component)", "across (2nd component)")
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=9)
    plain, stochastic = lengths.values()
    steps = len(points) // 2 - 1
    title(
        ax,
        f"In {steps} steps SGD travels {number(stochastic / plain, 2)} times as far as gradient descent",
    )


def wave(x: Any) -> Any:
    """Return sin(3x) + |x|.

    >>> float(wave(0.0))
    0.0
    """
    return np.sin(3 * x) + np.abs(x)


def approximation(
    function: Callable[[Any], Any] = wave,
    widths: Sequence[int] = WIDTHS,
    ax: Axes | None = None,
    *,
    interval: tuple[float, float] = (-2.0, 2.0),
    points: int = 401,
    epochs: int = 20_000,
    learning_rate: float = 0.05,
    steepness: float = 8.0,
    seed: int = 0,
) -> Axes:
    """Draw the largest error of one hidden tanh layer fitted to a function, against its width.

    Each width is trained with Adam on evenly spaced rows. A step uses all rows, and the learning rate falls
    along a cosine. The error is the largest on four times as many points, most of which lie between the
    rows.

    Parameters
    ----------
    function: of one variable, applied to NumPy arrays. Default sin(3x) + |x|. widths: of the hidden layer.
    interval: where it is fitted. Default [-2, 2]. points: number of rows. Default 401.
    epochs: training steps. Default 20 000. learning_rate: at the start. Default 0.05.
    steepness: standard deviation of the initial weights. Large weights let a neuron's output turn sharply,
        as |x| does. Default 8.
    seed: of the weights. Default 0.

    Cybenko, "Approximation by Superpositions of a Sigmoidal Function", 1989.

    >>> approximation(np.sin, [1, 4], points=21, epochs=50).get_ylabel()
    'largest error on [−2, 2]'
    """
    low, high = interval
    x, x_test = (
        np.linspace(low, high, count, dtype=np.float32)[:, None] for count in (points, 4 * points)
    )
    errors, truth = [], np.asarray(function(x_test[:, 0]), np.float64)
    centred = partial(_centred, low=low, high=high)
    for width in widths:
        net = Network(
            [Dense(width, initializer=Normal(steepness)), Tanh(), Dense(1, initializer="glorot")]
        )
        run = train(
            net, centred(x), np.asarray(function(x[:, 0]), np.float64), optimizer=Adam(Cosine(learning_rate)),
            batch_size=None, epochs=epochs, seed=seed,
        )  # fmt: skip
        errors.append(float(np.abs(run.model.predict(centred(x_test)).ravel() - truth).max()))
    ax = axes_for(ax)
    ax.plot(list(widths), errors, **palette(ax).look(0, 1), markersize=7)
    for width, error in zip(widths, errors, strict=True):
        ax.annotate(number(error, 2), (width, error), (0, 8), textcoords="offset points", ha="center",
                    fontsize=9, color=palette(ax).ink)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="neurons in the hidden layer",
           ylabel=f"largest error on [{number(low)}, {number(high)}]")  # fmt: skip
    ax.set_xticks(list(widths), [str(width) for width in widths])
    ax.minorticks_off()
    ax.margins(0.08, 0.15)
    ax.grid()
    best = int(np.argmin(errors))
    title(
        ax,
        f"With {widths[best]} neurons the error is at most {number(errors[best], 2)},"
        f" with {widths[0]} it is {number(errors[0], 2)}",
    )
    return ax


def _centred(x: Any, low: float, high: float) -> Any:
    """Return numbers scaled from an interval to [-1, 1]."""
    return 2 * (x - low) / (high - low) - 1
