"""Find illnesses in a network's passes.

Each check takes evidence, yields findings, and is one row of `diagnose.ILLNESSES`. Each threshold has a name
and a reason.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet._checks import resolve
from glassnet.diagnosis.evidence import Evidence
from glassnet.diagnosis.findings import Finding
from glassnet.diagnosis.remedies import (
    LEARNED,
    with_activation,
    with_batch_norm,
    with_initializer,
    with_relu_between,
    with_scaled_inputs,
    with_widths,
)
from glassnet.nn.activations import Activation, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from glassnet.nn.initializers import INITIALIZERS, Zeros
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten
from glassnet.nn.walk import LayerPass

LARGE_INPUT = 30.0
"""Initializers assume inputs of deviation 1 (LeCun et al., "Efficient BackProp", 1998). Pixels from 0 to 16
still train, so the threshold is thirty times the assumed deviation."""
EXPLODED, VANISHED = 1e2, 1e-3
"""The first layer's gradient relative to the output's. Well-chosen initial weights keep the two of similar
size (Glorot and Bengio, 2010). Beyond these bounds the first layers change erratically, or learn a thousand
times slower than the last."""
DEAD_SHARE = 0.4
"""Karpathy, CS231n: "as much as 40 % of your network can be dead" if the learning rate is set too high."""
SATURATED_SLOPE, SATURATED_SHARE = 0.05, 0.5
"""An output is saturated if the slope there is below a twentieth of the steepest. A layer is ill if half of
its outputs are saturated (Glorot and Bengio, 2010, monitor the same distribution)."""
MIN_COSINE, NORM_TOLERANCE, REDUNDANT_SHARE = 0.9999, 0.01, 0.5
"""Two neurons are duplicates if the cosine between their weights is at least MIN_COSINE and their norms
differ by at most one percent. A layer is ill if half of its neurons are redundant."""
STRAIGHT, CONSTANT = 0.9999, 1e-3
"""An activation function acts as linear if a line through its inputs and outputs has an R² above STRAIGHT. An
output is constant if its deviation over the rows is at most CONSTANT times its size."""
FEW_ROWS = 10
"""Fewer rows than this can lie on a line by chance."""


def badly_scaled_inputs(e: Evidence) -> Iterator[Finding]:
    """Find inputs far larger than the initial weights were drawn for."""
    layers = e.first or e.last  # at first no learned scale has changed the inputs
    x = next((p.input for p in layers if isinstance(p.layer, Dense)), layers[0].input)
    sizes = np.sqrt((x.reshape(len(x), -1).astype(np.float64) ** 2).mean(axis=0))
    largest, typical = float(sizes.max()), float(np.median(sizes))
    if largest <= LARGE_INPUT:
        return
    count = int((sizes > LARGE_INPUT).sum())
    network = with_scaled_inputs(e.model.network)
    yield Finding(
        "inputs on wild scales",
        "severe",
        f"the largest of {len(sizes)} inputs has size {largest:.4g}, the median {typical:.4g};"
        f" {count} {'is' if count == 1 else 'are'} above {LARGE_INPUT:g}",
        f"input {int(sizes.argmax())} of {e.dense[0].name if e.dense else 'the network'}",
        "The initial weights are drawn for inputs of mean 0 and deviation about 1. Large inputs make large"
        " logits and gradients, no learning rate suits both large and small inputs, and the small ones"
        " have no effect.",
        *e.advice(
            {"network": network},
            "batch normalization as the first layer gives inputs mean 0 and deviation 1",
        ),
        {"largest": largest, "median": typical},
    )


def exploding_gradients(e: Evidence) -> Iterator[Finding]:
    """Find gradients that grow from the last layer to the first."""
    flow = e.gradient_flow(e.first or e.last)
    growth = _growth(flow)
    if growth is None or growth < EXPLODED:
        return
    yield Finding(
        "exploding gradients",
        "severe",
        f"{'Before the first step' if e.first else 'Now'} the gradient's norm is {flow[-1][1]:.3g} at the"
        f" output and {flow[0][1]:.3g} at {flow[0][0]}: {growth:.3g} times as large ({_chain(flow)})",
        f"{flow[0][0]} to {flow[-2][0]}",
        "In the backward pass each layer multiplies the gradient by its weights. Weights that are too large"
        " make it grow with every layer, and the first layers change erratically.",
        *e.advice(_he_start(e), "weights of variance 2 / inputs keep the gradient's size"),
        {"growth": growth},
    )


def duplicate_neurons(e: Evidence) -> Iterator[Finding]:
    """Find hidden layers in which half of the neurons have the same weights as another."""
    activations = [p for p in e.last if isinstance(p.layer, Activation)]
    scaled = all(isinstance(p.layer, ReLU | LeakyReLU) for p in activations)
    widths = [p.params["W"].shape[0] for p in e.dense[:-1]]
    for index, layer in enumerate(e.dense[:-1]):
        units = widths[index]
        spare = units - len(set(_groups(layer, scaled)))
        if units < 2 or spare < REDUNDANT_SHARE * units:
            continue
        started_equal = isinstance(_initializer(layer), Zeros)
        if started_equal:
            why = (
                "Neurons that start equal get the same gradient and stay equal: together they"
                " act as one neuron."
            )
            advice = e.advice(_he_start(e), "initial weights that all differ")
        else:
            why = "Neurons with the same weights have the same output: together they do no more than one."
            fewer = (*widths[:index], max(units - spare, 1), *widths[index + 1 :])
            network = {"network": with_widths(e.model.network, fewer)}
            advice = e.advice(
                {"hidden": fewer} if e.built else network, "only as many neurons as differ"
            )
        yield Finding(
            "duplicate neurons",
            "severe" if started_equal or spare == units - 1 else "moderate",
            f"{spare} of {units} neurons have the same weights as another",
            layer.name,
            why,
            *advice,
            {"spare": spare, "units": units},
        )


def vanishing_gradients(e: Evidence) -> Iterator[Finding]:
    """Find gradients that shrink from the last layer to the first, before training and after it."""
    flow = e.gradient_flow(e.last)
    growths = [_growth(flow), *([_growth(e.gradient_flow(e.first))] if e.first else [])]
    known = [growth for growth in growths if growth is not None]
    if len(known) < len(growths) or max(known) > VANISHED:
        return
    kinds = {type(p.layer) for p in e.activations(e.last)}
    squashing = kinds & {Sigmoid, Tanh}
    network = with_initializer(with_activation(e.model.network, (Sigmoid, Tanh), ReLU()), "he")
    parameters = {"activation": "relu"} if e.built else {"network": network}
    why = (
        "In the backward pass each layer multiplies the gradient by the derivative of its activation"
        " function, at most 1/4 for sigmoid and mostly below 1 for tanh, so it shrinks layer by layer."
        if squashing
        else "In the backward pass each layer multiplies the gradient by its weights, and small weights"
        " make it shrink."
    )
    yield Finding(
        "vanishing gradients",
        "severe",
        f"the gradient's norm is {flow[-1][1]:.3g} at the output and {flow[0][1]:.3g} at {flow[0][0]}:"
        f" {known[0]:.2g} of it ({_chain(flow)})",
        f"{flow[0][0]} to {flow[-2][0]}",
        why,
        *e.advice(
            parameters, "a derivative of 1 where the neuron is active, and weights drawn for it"
        ),
        {"share": known[0]},
    )


def dead_neurons(e: Evidence) -> Iterator[Finding]:
    """Find ReLU neurons that output 0 for every row, so that no gradient ever reaches them."""
    layers = [(p, ~(p.output > 0).any(axis=0)) for p in e.activations(e.last, ReLU)]
    shares = [float(dead.mean()) for _, dead in layers]
    ill = [
        (p, dead) for (p, dead), share in zip(layers, shares, strict=True) if share >= DEAD_SHARE
    ]
    if not ill:
        return
    dead_at_start = (
        [~(p.output > 0).any(axis=0) for p in e.activations(e.first, ReLU)] if e.first else []
    )
    start_share = (
        float(np.mean([dead.mean() for dead in dead_at_start])) if dead_at_start else math.nan
    )
    network = with_activation(e.model.network, ReLU, LeakyReLU())
    parameters: dict[str, Any] = {"activation": "leaky_relu"} if e.built else {"network": network}
    if e.oversteps and start_share < DEAD_SHARE:
        parameters |= e.slower()[0]
    at_start = (
        "" if math.isnan(start_share) else f"; {start_share:.0%} of all were before the first step"
    )
    yield Finding(
        "dead ReLU neurons",
        "severe" if max(shares) > (1 + DEAD_SHARE) / 2 else "moderate",
        f"{sum(int(dead.sum()) for _, dead in ill)} of {sum(dead.size for _, dead in ill)} neurons output 0"
        f" for all {len(e.sample.x)} rows{at_start}",
        ", ".join(f"{p.name}: {int(dead.sum())} of {dead.size} neurons" for p, dead in ill),
        "A ReLU that outputs 0 passes no gradient back. A neuron that a large step has pushed below 0 for"
        " every row therefore never recovers.",
        *e.advice(parameters, "a small slope below 0 lets neurons recover"),
        {"share": max(shares)},
    )


def saturated_neurons(e: Evidence) -> Iterator[Finding]:
    """Find layers of sigmoid or tanh neurons that are mostly at the flat ends of their function."""
    layers = [(p, flat) for p, flat in _flat_shares(e, e.last) if flat >= SATURATED_SHARE]
    if not layers:
        return
    start_shares = [flat for _, flat in _flat_shares(e, e.first)] if e.first else []
    from_the_start = max(start_shares, default=0.0) >= SATURATED_SHARE
    if e.explained > LEARNED and not from_the_start:
        return  # outputs that saturate as the network learns are not an illness
    if from_the_start and not e.built:
        glorot = with_initializer(e.model.network, "glorot")
        advice = e.advice(
            {"network": glorot}, "initial weights that keep logits where the function is steep"
        )
    else:
        normed = {"batch_norm": True} if e.built else {"network": with_batch_norm(e.model.network)}
        advice = e.advice(
            normed, "batch normalization brings logits back to where the function is steep"
        )
    worst = max(flat for _, flat in layers)
    at_start = f"; {max(start_shares):.0%} before the first step" if start_shares else ""
    yield Finding(
        "saturated neurons",
        "severe" if worst > (1 + SATURATED_SHARE) / 2 else "moderate",
        f"{worst:.0%} of the outputs lie where the slope is below {SATURATED_SLOPE:.0%} of the"
        f" steepest{at_start}",
        ", ".join(
            f"{p.name}: {flat:.0%} of the outputs of {p.output.shape[-1]} neurons"
            for p, flat in layers
        ),
        "Large logits lie where sigmoid and tanh are flat: almost no gradient passes back, and the neurons"
        " switch between two values.",
        *advice,
        {"share": worst},
    )


def _flat_shares(e: Evidence, passes: Sequence[LayerPass]) -> list[tuple[LayerPass, float]]:
    """Return each sigmoid or tanh layer's share of outputs where the slope is small."""
    shares = []
    for p in e.activations(passes, (Sigmoid, Tanh)):
        function: Any = p.layer
        steepest = function.derivative(0.0, float(function.value(0.0)))
        shares.append(
            (p, float((function.derivative(p.input, p.output) < SATURATED_SLOPE * steepest).mean()))
        )
    return shares


def idle_layers(e: Evidence) -> Iterator[Finding]:
    """Find hidden layers that are linear, and so merge with the next one, or that output a constant."""
    layers = _find_idle_layers(e)
    if not layers:
        return
    network = e.model.network
    parameters: dict[str, Any]
    if any(reason == "no activation function" for _, reason in layers):
        parameters = {"activation": "relu"} if e.built else {"network": with_relu_between(network)}
        purpose = "an activation function between layers"
    else:
        parameters = {"batch_norm": True} if e.built else {"network": with_batch_norm(network)}
        purpose = "batch normalization spreads the logits over the range where the function curves"
    hidden = len(e.dense) - 1
    yield Finding(
        "layers that do nothing",
        "severe" if len(layers) == hidden else "moderate",
        f"{len(layers)} of {hidden} hidden layers are linear or constant"
        + (": the network is linear in its inputs" if len(layers) == hidden else ""),
        ", ".join(f"{name}: {reason}" for name, reason in layers),
        "With nothing nonlinear between them, two layers, W₂(W₁x + b₁) + b₂, are one linear layer: depth adds"
        " nothing, and classes that no line separates (XOR) cannot be told apart.",
        *e.advice(parameters, purpose),
        {"layers": len(layers)},
    )


def _find_idle_layers(e: Evidence) -> list[tuple[str, str]]:
    """Return the hidden Dense layers that do nothing, and the evidence."""
    layers = []
    indices = [k for k, p in enumerate(e.last) if isinstance(p.layer, Dense)]
    for index, following in itertools.pairwise(indices):
        name = e.last[index].name
        between = e.last[index + 1 : following]
        if all(isinstance(p.layer, _LINEAR_LAYERS) for p in between):
            layers.append((name, "no activation function"))
            continue
        out = e.last[following].input
        if out.std(axis=0).max() <= CONSTANT * np.abs(out).max():
            layers.append((name, "the same output for every row"))
            continue
        functions = [p for p in between if isinstance(p.layer, Activation)]
        if (
            len(out) >= FEW_ROWS
            and functions
            and all(_straightness(p) > STRAIGHT for p in functions)
        ):
            layers.append((name, f"{functions[0].name} stays in its linear range"))
    return layers


def _straightness(p: LayerPass) -> float:
    """Return the smallest R² of a line through a neuron's logits and activations; 0 if no neuron varies."""
    z, a = (v.astype(np.float64) - v.mean(axis=0, dtype=np.float64) for v in (p.input, p.output))
    varying = (a.std(axis=0) > 0) & (z.std(axis=0) > 0)
    if not varying.any():
        return 0.0
    z, a = z[:, varying], a[:, varying]
    return float(((z * a).sum(axis=0) ** 2 / ((z * z).sum(axis=0) * (a * a).sum(axis=0))).min())


_LINEAR_LAYERS = (Identity, BatchNorm, Dropout, Flatten)


def _growth(flow: list[tuple[str, float]]) -> float | None:
    """Return the ratio of the first hidden layer's gradient to the output's.

    None if there are fewer than two hidden layers, or if a gradient is not finite or the output's is 0.
    """
    if len(flow) < 3 or not flow[-1][1] > 0 or not np.isfinite([norm for _, norm in flow]).all():
        return None
    return flow[0][1] / flow[-1][1]


def _chain(flow: list[tuple[str, float]]) -> str:
    """Return the gradient's norms from the first layer to the output; a long chain is shortened."""
    norms = [f"{norm:.2g}" for _, norm in flow]
    return " <- ".join(norms if len(norms) <= 8 else [*norms[:4], "...", *norms[-3:]])


def _groups(layer: LayerPass, scaled: bool) -> list[int]:
    """Return for each neuron the index of the first one with the same weights and bias.

    scaled: whether a positive factor makes no difference, as before a ReLU: the next layer's weight absorbs
    it.
    """
    weights = np.asarray(layer.params["W"], np.float64)
    near = _near(weights, scaled)  # without the bias too: a large bias can hide differences
    if "b" in layer.params:
        near &= _near(np.column_stack([weights, layer.params["b"]]), scaled)
    return [int(row.argmax()) for row in near | np.eye(len(near), dtype=bool)]


def _near(rows: NDArray[np.float64], scaled: bool) -> NDArray[np.bool_]:
    """Return which rows have the same direction and, unless `scaled`, the same norm; zero rows are equal."""
    norms = np.linalg.norm(rows, axis=1)
    directions = rows / np.where(norms > 0, norms, 1.0)[:, None]
    near: NDArray[np.bool_] = directions @ directions.T >= MIN_COSINE
    if not scaled:
        near &= np.abs(norms[:, None] - norms) <= NORM_TOLERANCE * norms
    near |= (norms == 0)[:, None] & (norms == 0)
    return near


def _initializer(dense: LayerPass) -> Any:
    return resolve("initializer", dense.layer.initializer, INITIALIZERS)  # type: ignore[attr-defined]


def _he_start(e: Evidence) -> dict[str, Any]:
    """Return the network with He's initial weights of variance 2 / inputs, which suit most activations."""
    return {"network": with_initializer(e.model.network, "he")}
