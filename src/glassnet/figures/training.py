"""Draw loss curves, learning rates, gradients by layer and outputs of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glassnet import keys
from glassnet._checks import check_count
from glassnet._precision import precision
from glassnet.display.drawing import (
    HATCHES,
    MARKERS,
    Axes,
    axes_for,
    literal,
    number,
    palette,
    suits_log_scale,
    title,
)
from glassnet.errors import ConfigurationError
from glassnet.figures.networks import dense_layers, first_member, forward_pass
from glassnet.fit.sweeps import Sweep, find_learning_rate, sweep
from glassnet.nn.activations import Activation, Identity, ReLU, Sigmoid, Tanh
from glassnet.nn.layers import BatchNorm, Dense
from glassnet.training.history import History
from glassnet.training.passes import encoded_rows, pass_through

__all__ = ["activity", "batch_norm", "gradient_flow", "learning_curves", "learning_rates"]


def learning_curves(run: Any, ax: Axes | None = None) -> Axes:
    """Draw training and validation loss by epoch, and the best epoch.

    Parameters
    ----------
    run: a `Run`, a fitted estimator, or a `History`.

    Raises
    ------
    ConfigurationError: there is no history, or it has no epoch.

    >>> history = History({"epoch": np.array([1, 2]), "loss": np.array([0.5, 0.25])})
    >>> learning_curves(history).get_title()
    'In 2 epochs the training loss went from 0.5 to 0.25'
    """
    candidates = (run, getattr(run, "history_", None), getattr(run, "history", None))
    history = next(
        (candidate for candidate in candidates if isinstance(candidate, History)), History()
    )
    if not history.n_epochs:
        raise ConfigurationError(
            "There is no history to draw: give the run of gn.train, a fitted estimator, or a History."
        )
    ax = axes_for(ax)
    colors, epochs = palette(ax), history["epoch"]
    every = max(1, len(epochs) // 8)
    ax.plot(epochs, history["loss"], **colors.look(0, every), markersize=5, label="training")
    best, held = history.best_epoch, history.columns.get("validation_loss")
    first, last = number(history["loss"][0]), number(history["loss"][-1])
    finding = f"In {len(epochs)} epochs the training loss went from {first} to {last}"
    if held is not None:
        ax.plot(epochs, held, **colors.look(1, every), markersize=5, label="validation")
        if best:
            low = held[list(epochs).index(best)]
            ax.axvline(best, color=colors.muted, linestyle=":", label=f"best: epoch {best}")
            finding = (
                f"The validation loss is lowest, {number(low)}, after epoch {best} of {len(epochs)}"
            )
            if held[-1] > 1.05 * low:
                finding += f", then rises to {number(held[-1])}: overfitting"
    ax.set(xlabel="epoch", ylabel="loss")
    if suits_log_scale([history["loss"], *([] if held is None else [held])]):
        ax.set_yscale("log")
    ax.legend()
    title(ax, finding)
    return ax


def learning_rates(
    network: Any,
    X: Any,
    y: Any,
    ax: Axes | None = None,
    *,
    rates: Sequence[float] | None = None,
    epochs: int = 30,
    **options: Any,
) -> Axes:
    """Draw the loss by epoch at learning rates that are too small, right and too large for your data.

    Parameters
    ----------
    network, X, y, options: as for `gn.sweep`. All rates start from the same weights.
    rates: the learning rates. Default: the best one according to `gn.find_learning_rate`, a hundredth of it,
        and the lowest rate above it that does not lower the loss, or the highest tried.
    epochs: of each training. Default 30.

    >>> import glassnet as gn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0.0, 1.0, 1.0, 2.0]
    >>> net, options = gn.Network([gn.Dense(1)]), {"epochs": 20, "optimizer": "sgd"}
    >>> ax = gn.figures.learning_rates(net, X, y, rates=[1e-4, 0.1, 3.0], **options)
    >>> [line.get_label().split(":")[0] for line in ax.lines[:3]]
    ['0.0001', '0.1', '3']
    """
    if rates is None:
        # up to a rate at which plain gradient steps diverge, for every optimizer
        search = find_learning_rate(
            network, X, y, low=1e-4, high=10.0, points=11, repeats=1, **options
        )
        rates = _three_rates(search.rates, search.losses[:, 0], search.untrained)
    result = sweep(network, X, y, over={"learning_rate": list(rates)}, epochs=epochs, **options)
    ax = axes_for(ax)
    colors = palette(ax)
    start = max(
        float(trial.history["loss"][0])
        for trial in result.trials
        if np.isfinite(trial.history["loss"][0])
    )
    top = 3 * start
    for k, trial in enumerate(result.trials):
        losses = np.asarray(trial.history["loss"], np.float64)
        rate = number(trial.settings["learning_rate"], 2)
        end = "diverged" if trial.status == "diverged" else number(losses[-1], 3)
        shown = np.where(np.isfinite(losses), losses, np.nan)
        ax.plot(trial.history["epoch"], shown, **colors.look(k, max(1, epochs // 8)), markersize=5,
                label=f"{rate}: {end}")  # fmt: skip
        outside = np.flatnonzero(~np.isfinite(losses) | (losses > top))
        if len(outside):
            ax.annotate("off the scale", (trial.history["epoch"][outside[0]], top), xytext=(4, -12),
                        textcoords="offset points", color=colors.ink, fontsize=9)  # fmt: skip
    if suits_log_scale([ax.lines[k].get_ydata() for k in range(len(result.trials))]):
        ax.set_yscale("log")
    bottom = 0 if ax.get_yscale() == "linear" else None
    ax.set(xlabel="epoch", ylabel="training loss", ylim=(bottom, top))
    ax.legend(title="learning rate: last loss")
    title(ax, _rates_title(result))
    return ax


def _three_rates(rates: np.ndarray, losses: np.ndarray, untrained: float) -> list[float]:
    """Return a rate that is too small, the best, and one that is too large."""
    best = int(np.argmin(losses))
    worse = [k for k in range(best + 1, len(rates)) if not losses[k] < untrained]
    large = worse[0] if worse else len(rates) - 1
    chosen = {float(rates[best]) / 100, float(rates[best]), float(rates[large])}
    return sorted(chosen)


def _rates_title(result: Sweep) -> str:
    """Return which rate did best, and whether the lowest is too small and the highest too large."""
    last_losses = [
        np.inf if trial.status == "diverged" else float(trial.history["loss"][-1])
        for trial in result.trials
    ]
    rates = [trial.settings["learning_rate"] for trial in result.trials]
    best = int(np.argmin(last_losses))
    text = f"{number(rates[best], 2)} learns"
    if best > 0:
        text += f"; {number(rates[0], 2)} is too small"
    if best < len(rates) - 1:
        last = result.trials[-1]
        outcome = " and diverges" if last.status == "diverged" else ""
        text += f"; {number(rates[-1], 2)} is too large{outcome}"
    return text


def gradient_flow(models: Any, X: Any, y: Any, ax: Axes | None = None, *, rows: int = 1024) -> Axes:
    """Draw the size of the gradient of each Dense layer's weights, dL/dW, from the first layer to the last.

    The size is the root mean square over a layer's weights, so that wide and narrow layers can be compared.

    Parameters
    ----------
    models: a model, a run or a fitted estimator, or a dictionary of several by name. X, y: rows and targets.
    rows: the most rows used, from the first. Default 1024.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> import glassnet as gn
    >>> X, y = np.eye(4), np.array([0.0, 1.0, 1.0, 0.0])
    >>> run = gn.train(gn.Network([gn.Dense(4), "tanh", gn.Dense(1)]), X, y, epochs=1)
    >>> len(gn.figures.gradient_flow(run, X, y).lines[0].get_ydata())
    2
    """
    named = dict(models) if isinstance(models, Mapping) else {"": models}
    ax = axes_for(ax)
    colors, ratios = palette(ax), {}
    depth = 0
    for k, (name, fitted) in enumerate(named.items()):
        model = first_member(fitted)
        dense_layers(model)  # raises if there is no Dense layer
        with precision(model.dtype):
            data = encoded_rows(model, X[:rows], y[:rows])
            passes = pass_through(model.network, model.params, model.layer_state, data, model.loss)
        sizes = [
            float(np.sqrt(np.mean(np.square(record.gradients["W"]))))
            for record in passes
            if isinstance(record.layer, Dense)
        ]
        ax.plot(
            range(1, len(sizes) + 1),
            sizes,
            **colors.look(k, 1),
            markersize=7,
            label=literal(name, 40),
        )
        ratios[name] = sizes[0] / sizes[-1] if sizes[-1] else np.nan
        depth = max(depth, len(sizes))
    ax.set(xlabel="Dense layer (1: next to the input)", ylabel="size of dL/dW", yscale="log")
    ax.set_xticks(range(1, depth + 1))
    ax.grid(axis="y")
    if len(named) > 1:
        ax.legend()
    worst = min(ratios, key=lambda name: ratios[name])
    start = f"{literal(worst, 40)}: the" if worst else "The"
    title(ax, f"{start} first layer gets {_in_words(ratios[worst])} the last one's gradient")
    return ax


def _in_words(ratio: float) -> str:
    """Return a ratio in words: 0.025 as "1/40 of", and 3 as "3 times"."""
    if not np.isfinite(ratio) or ratio == 0:
        return "nothing of"
    return f"1/{1 / ratio:,.0f} of" if ratio < 0.67 else f"{number(ratio, 2)} times"


def activity(model: Any, X: Any, ax: Axes | None = None, *, rows: int = 512) -> Axes:
    """Draw the outputs of each layer's neurons over rows: boxes at the quartiles, whiskers from 5 to 95 %.

    The labels give each layer's share of idle outputs, which pass no gradient: those at 0 for ReLU, and
    those within 2 % of the bounds for sigmoid and tanh (saturated).

    Parameters
    ----------
    model: a model, a run or a fitted estimator; the first of several members is drawn. X: rows.
    rows: the most rows used, from the first. Default 512.

    >>> import glassnet as gn
    >>> net = gn.Network([gn.Dense(4), "relu", gn.Dense(1)])
    >>> len(activity(gn.figures.untrained(net, (2,)), np.eye(2)).patches)
    2
    """
    member = first_member(model)
    steps = forward_pass(member, member.inputs(X)[:rows])
    layers = dense_layers(member)
    outputs, labels, shares = [], [], []
    for layer in layers:
        end = layer.position
        for k in range(layer.position, len(steps)):
            if k > layer.position and isinstance(steps[k].layer, Dense):
                break
            end = k if isinstance(steps[k].layer, Activation) else end
        values = steps[end].output
        idle = _idle(layer.activation, values)
        name = "logits" if isinstance(layer.activation, Identity) else layer.function
        labels.append(
            f"{layer.number + 1}\n{name}" + ("" if idle is None else f"\n{idle:.0%} idle")
        )
        outputs.append(values.ravel())
        shares.append(idle or 0.0)
    ax = axes_for(ax)
    _boxes(ax, outputs, list(range(1, len(layers) + 1)), 0, width=0.5)
    ax.axhline(0, color=palette(ax).muted, linewidth=0.8, zorder=0)
    ax.set(xlabel="Dense layer, its activation", ylabel="output of the neurons")
    ax.set_xticks(range(1, len(layers) + 1), labels)
    worst = int(np.argmax(shares))
    title(ax, f"Layer {worst + 1} is the most idle: {shares[worst]:.0%} of its outputs are 0 or at a bound"
          if shares[worst] > 0 else "No layer is dead or saturated")  # fmt: skip
    return ax


def _idle(activation: Activation, a: np.ndarray) -> float | None:
    """Return the share of outputs that pass no gradient; None if the function has no flat part."""
    if isinstance(activation, ReLU):
        return float(np.mean(a <= 0))
    if isinstance(activation, Sigmoid):
        return float(np.mean((a < 0.02) | (a > 0.98)))
    if isinstance(activation, Tanh):
        return float(np.mean(np.abs(a) > 0.96))
    return None


def _boxes(
    ax: Axes, values: Sequence[Any], at: Sequence[float], look: int, width: float, label: str = ""
) -> Any:
    """Draw a box for each column of values, with the colour and hatching of index `look`."""
    colors = palette(ax)
    color = colors.series[look]
    drawn = ax.boxplot(
        list(values), positions=list(at), widths=width, whis=(5, 95), showfliers=False, patch_artist=True,
        manage_ticks=False, boxprops={"facecolor": color + "55", "edgecolor": color, "hatch": HATCHES[look]},
        medianprops={"color": colors.ink, "linewidth": 1.6}, whiskerprops={"color": color},
        capprops={"color": color},
    )  # fmt: skip
    drawn["boxes"][0].set_label(label)
    ax.plot(at, [np.mean(column) for column in values], linestyle="none", marker=MARKERS[look], zorder=4,
            color=colors.ink, markerfacecolor=colors.face, markersize=5,
            label=f"mean, {label}" if label else None)  # fmt: skip
    return drawn


def batch_norm(
    model: Any, X: Any, ax: Axes | None = None, *, index: int = 0, limit: int = 8
) -> Axes:
    """Draw neurons before and after batch normalisation of one batch, as in training.

    Boxes end at the quartiles, whiskers at 5 and 95 % of the rows.

    Parameters
    ----------
    model: a model, a run or a fitted estimator; the first of several members is drawn.
    X: the rows of the batch. index: the BatchNorm layer, counted from 0. Default 0.
    limit: the most neurons shown, evenly spaced. Default 8.

    Raises
    ------
    ConfigurationError: the network has no such BatchNorm.

    Ioffe and Szegedy, "Batch Normalization", 2015.

    >>> import glassnet as gn
    >>> net = gn.Network([gn.Dense(3), gn.BatchNorm(), "relu", gn.Dense(1)])
    >>> ax = batch_norm(gn.figures.untrained(net, (2,)), np.array([[1.0, 5.0], [2.0, 90.0], [3.0, -20.0]]))
    >>> len(ax.patches)  # three neurons before, three after
    6
    """
    check_count("limit", limit)
    member = first_member(model)
    steps = forward_pass(member, member.inputs(X), key=keys.key(0), train=True)
    normalised = [step for step in steps if isinstance(step.layer, BatchNorm)]
    if not 0 <= index < len(normalised):
        raise ConfigurationError(
            f"index is {index!r}, but this network has {len(normalised)} BatchNorm layers."
            + ("" if normalised else " Put gn.BatchNorm() after a Dense layer.")
        )
    before, after = (
        values.reshape(len(values), -1)
        for values in (normalised[index].input, normalised[index].output)
    )
    chosen = np.unique(np.linspace(0, before.shape[1] - 1, min(limit, before.shape[1])).astype(int))
    ax = axes_for(ax, (7.2, 4.4))
    at = np.arange(len(chosen))
    _boxes(ax, list(before[:, chosen].T), list(at - 0.2), 0, 0.32, "before")
    _boxes(ax, list(after[:, chosen].T), list(at + 0.2), 1, 0.32, "after")
    ax.axhline(0, color=palette(ax).muted, linewidth=0.8, zorder=0)
    ax.set(xlabel="neuron", ylabel="value over the batch")
    ax.set_xticks(at, [str(j + 1) for j in chosen])
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=9)
    ranges = [
        (number(values.std(axis=0).min(), 2), number(values.std(axis=0).max(), 2))
        for values in (before, after)
    ]
    title(
        ax,
        f"Over {len(before)} rows, deviations of {ranges[0][0]} to {ranges[0][1]} become 1,"
        f" then gamma makes them {ranges[1][0]} to {ranges[1][1]}",
    )
    return ax
