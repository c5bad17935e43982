"""Find illnesses in a network's passes; each check maps evidence to findings.

Each check is one row of `diagnose.ILLNESSES`. Each threshold has a name and a source.
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
    bent,
    with_activation,
    with_batch_norm,
    with_initializer,
    with_scaled_inputs,
    with_widths,
)
from glassnet.nn.activations import Activation, Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from glassnet.nn.initializers import INITIALIZERS, Zeros
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten
from glassnet.nn.walk import LayerPass

LARGE_INPUT = 30.0
"""Initializers suppose inputs of deviation 1 (LeCun et al., "Efficient BackProp", 1998); pixels from 0 to 16
still train, so that the line is drawn at thirty times as much."""
EXPLODED, VANISHED = 1e2, 1e-3
"""The first layer's gradient beside the output's. A good start keeps them of one size (Glorot and Bengio,
2010); beyond these the first layers change erratically, or learn a thousand times slower than the last."""
DEAD_SHARE = 0.4
"""Karpathy, CS231n: "as much as 40 % of your network can be dead" where the learning rate is set too high."""
SATURATED_SLOPE, SATURATED_SHARE = 0.05, 0.5
"""An output is saturated if the slope there is below a twentieth of the steepest; a layer is ill if half of
its outputs are (Glorot and Bengio, 2010, watch the same distribution)."""
ALIKE, SAME_SIZE, ALIKE_SHARE = 0.9999, 0.01, 0.5
"""Two neurons do the same if the cosine between their weights is above, and their norms differ by below a
percent; a layer is ill if half of its neurons could go."""
STRAIGHT, CONSTANT = 0.9999, 1e-3
"""R² of a line through an activation function's input and output above which it bends nothing; deviation of
an output beside its size below which it is the same for every row."""
FEW_ROWS = 10  # fewer rows lie on a line by chance


def wild_inputs(e: Evidence) -> Iterator[Finding]:
    """Find inputs far larger than what the first weights were drawn for."""
    layers = e.first or e.last  # before any learned scales changed them
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
        "The first weights are drawn for inputs of mean 0 and deviation about 1. Large inputs make large"
        " logits and gradients, no learning rate suits large and small inputs alike, and the small ones"
        " have no effect.",
        *e.advice(
            {"network": network}, "batch normalization first gives inputs mean 0, deviation 1"
        ),
        {"largest": largest, "median": typical},
    )


def exploding(e: Evidence) -> Iterator[Finding]:
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
        "On the way back each layer multiplies the gradient by its weights; weights that are too large make"
        " it grow with every layer, and the first layers change erratically.",
        *e.advice(_started_well(e), "weights of variance 2 / inputs keep the gradient's size"),
        {"growth": growth},
    )


def alike(e: Evidence) -> Iterator[Finding]:
    """Find hidden layers of which half the neurons have the weights of another."""
    bends = [p for p in e.last if isinstance(p.layer, Activation)]
    scaled = all(isinstance(p.layer, ReLU | LeakyReLU) for p in bends)
    widths = [p.params["W"].shape[0] for p in e.dense[:-1]]
    for index, layer in enumerate(e.dense[:-1]):
        units = widths[index]
        spare = units - len(set(_groups(layer, scaled)))
        if units < 2 or spare < ALIKE_SHARE * units:
            continue
        same = isinstance(_drawn_by(layer), Zeros)
        if same:
            why = (
                "Neurons that start alike get the same gradient and stay alike: together they"
                " act as one neuron."
            )
            advice = e.advice(_started_well(e), "first weights that all differ")
        else:
            why = "Neurons with the same weights have the same output: together they do no more than one."
            fewer = (*widths[:index], max(units - spare, 1), *widths[index + 1 :])
            network = {"network": with_widths(e.model.network, fewer)}
            advice = e.advice(
                {"hidden": fewer} if e.built else network, "as many neurons as differ"
            )
        yield Finding(
            "duplicate neurons",
            "severe" if same or spare == units - 1 else "moderate",
            f"{spare} of {units} neurons have the weights of another",
            layer.name,
            why,
            *advice,
            {"spare": spare, "units": units},
        )


def vanishing(e: Evidence) -> Iterator[Finding]:
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
        "On the way back each layer multiplies the gradient by its activation function's derivative, which"
        " is at most 1/4 for the sigmoid and mostly below 1 for tanh: layer by layer it shrinks."
        if squashing
        else "On the way back each layer multiplies the gradient by its weights: small ones let it shrink."
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


def dead(e: Evidence) -> Iterator[Finding]:
    """Find ReLU neurons that are 0 for every row, so that no gradient ever reaches them."""
    layers = [(p, ~(p.output > 0).any(axis=0)) for p in e.activations(e.last, ReLU)]
    shares = [float(never.mean()) for _, never in layers]
    ill = [
        (p, never) for (p, never), share in zip(layers, shares, strict=True) if share >= DEAD_SHARE
    ]
    if not ill:
        return
    at_first = (
        [~(p.output > 0).any(axis=0) for p in e.activations(e.first, ReLU)] if e.first else []
    )
    born = float(np.mean([never.mean() for never in at_first])) if at_first else math.nan
    network = with_activation(e.model.network, ReLU, LeakyReLU())
    parameters: dict[str, Any] = {"activation": "leaky_relu"} if e.built else {"network": network}
    if e.oversteps and born < DEAD_SHARE:
        parameters |= e.slower()[0]
    since = "" if born != born else f"; before the first step {born:.0%} of all were"
    yield Finding(
        "dead ReLU neurons",
        "severe" if max(shares) > (1 + DEAD_SHARE) / 2 else "moderate",
        f"{sum(int(never.sum()) for _, never in ill)} of {sum(never.size for _, never in ill)} neurons are 0"
        f" for each of {len(e.sample.x)} rows{since}",
        ", ".join(f"{p.name}: {int(never.sum())} of {never.size} neurons" for p, never in ill),
        "A ReLU that is 0 passes no gradient back, so that a neuron that a large step has pushed below 0 for"
        " every row never comes back.",
        *e.advice(parameters, "a small slope below 0 lets neurons come back"),
        {"share": max(shares)},
    )


def saturated(e: Evidence) -> Iterator[Finding]:
    """Find layers of sigmoid or tanh neurons that are mostly at the flat ends of their function."""
    layers = [(p, flat) for p, flat in _flat_shares(e, e.last) if flat >= SATURATED_SHARE]
    if not layers:
        return
    at_first = [flat for _, flat in _flat_shares(e, e.first)] if e.first else []
    born = max(at_first, default=0.0) >= SATURATED_SHARE
    if e.explained > LEARNED and not born:
        return  # outputs that saturate as the network learns are no illness
    if born and not e.built:
        glorot = with_initializer(e.model.network, "glorot")
        advice = e.advice(
            {"network": glorot}, "first weights that keep logits where the function is steep"
        )
    else:
        normed = {"batch_norm": True} if e.built else {"network": with_batch_norm(e.model.network)}
        advice = e.advice(
            normed, "batch normalization brings logits back to where the function is steep"
        )
    worst = max(flat for _, flat in layers)
    since = f"; before the first step {max(at_first):.0%}" if at_first else ""
    yield Finding(
        "saturated neurons",
        "severe" if worst > (1 + SATURATED_SHARE) / 2 else "moderate",
        f"{worst:.0%} of the outputs lie where the slope is below {SATURATED_SLOPE:.0%} of the"
        f" steepest{since}",
        ", ".join(
            f"{p.name}: {flat:.0%} of the outputs of {p.output.shape[-1]} neurons"
            for p, flat in layers
        ),
        "Large logits lie where sigmoid and tanh are flat: next to no gradient passes back, and the neurons"
        " flip between two values.",
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


def idle(e: Evidence) -> Iterator[Finding]:
    """Find hidden layers that are linear, so that they and the next are one, or that output a constant."""
    layers = _idle_layers(e)
    if not layers:
        return
    network = e.model.network
    parameters: dict[str, Any]
    if any(reason == "no activation function" for _, reason in layers):
        parameters = {"activation": "relu"} if e.built else {"network": bent(network)}
        purpose = "an activation function between layers"
    else:
        parameters = {"batch_norm": True} if e.built else {"network": with_batch_norm(network)}
        purpose = "batch normalization spreads the logits over where the function bends"
    hidden = len(e.dense) - 1
    yield Finding(
        "layers that do nothing",
        "severe" if len(layers) == hidden else "moderate",
        f"{len(layers)} of {hidden} hidden layers bend nothing"
        + (": the whole network is a line through its inputs" if len(layers) == hidden else ""),
        ", ".join(f"{name}: {reason}" for name, reason in layers),
        "Without a bend between them two layers, W₂(W₁x + b₁) + b₂, are one line: depth adds nothing, and"
        " classes that no line separates (XOR) cannot be told apart.",
        *e.advice(parameters, purpose),
        {"layers": len(layers)},
    )


def _idle_layers(e: Evidence) -> list[tuple[str, str]]:
    """Return the hidden layers of neurons that do nothing, and how that shows."""
    layers = []
    indices = [k for k, p in enumerate(e.last) if isinstance(p.layer, Dense)]
    for at, following in itertools.pairwise(indices):
        name = e.last[at].name
        between = e.last[at + 1 : following]
        if all(isinstance(p.layer, _STRAIGHT_LAYERS) for p in between):
            layers.append((name, "no activation function"))
            continue
        out = e.last[following].input
        if out.std(axis=0).max() <= CONSTANT * np.abs(out).max():
            layers.append((name, "the same output for every row"))
            continue
        known = [p for p in between if isinstance(p.layer, Activation)]
        if len(out) >= FEW_ROWS and known and all(_straightness(p) > STRAIGHT for p in known):
            layers.append((name, f"{known[0].name} stays where it is straight"))
    return layers


def _straightness(p: LayerPass) -> float:
    """Return the least R² of a line through a neuron's logit and its activation; neurons that vary alone."""
    z, a = (v.astype(np.float64) - v.mean(axis=0, dtype=np.float64) for v in (p.input, p.output))
    varying = (a.std(axis=0) > 0) & (z.std(axis=0) > 0)
    if not varying.any():
        return 0.0
    z, a = z[:, varying], a[:, varying]
    return float(((z * a).sum(axis=0) ** 2 / ((z * z).sum(axis=0) * (a * a).sum(axis=0))).min())


_STRAIGHT_LAYERS = (Identity, BatchNorm, Dropout, Flatten)


def _growth(flow: list[tuple[str, float]]) -> float | None:
    """Return the first hidden layer's gradient beside the output's; None without two, or without any."""
    if len(flow) < 3 or not flow[-1][1] > 0 or not np.isfinite([norm for _, norm in flow]).all():
        return None
    return flow[0][1] / flow[-1][1]


def _chain(flow: list[tuple[str, float]]) -> str:
    """Return the gradient's norms from the first layer to the output, of many the ends."""
    norms = [f"{norm:.2g}" for _, norm in flow]
    return " <- ".join(norms if len(norms) <= 8 else [*norms[:4], "...", *norms[-3:]])


def _groups(layer: LayerPass, scaled: bool) -> list[int]:
    """Return for each neuron the number of the first with the same weights and bias.

    scaled: whether a factor makes no difference, as before a ReLU: the next layer's weight takes it up.
    """
    weights = np.asarray(layer.params["W"], np.float64)
    near = _near(weights, scaled)  # by themselves too: a bias can be so large that it hides them
    if "b" in layer.params:
        near &= _near(np.column_stack([weights, layer.params["b"]]), scaled)
    return [int(row.argmax()) for row in near | np.eye(len(near), dtype=bool)]


def _near(rows: NDArray[np.float64], scaled: bool) -> NDArray[np.bool_]:
    """Return which rows point the same way, and unless `scaled` are of one size; those of 0 are alike."""
    norms = np.linalg.norm(rows, axis=1)
    directions = rows / np.where(norms > 0, norms, 1.0)[:, None]
    near: NDArray[np.bool_] = directions @ directions.T >= ALIKE
    if not scaled:
        near &= np.abs(norms[:, None] - norms) <= SAME_SIZE * norms
    near |= (norms == 0)[:, None] & (norms == 0)
    return near


def _drawn_by(dense: LayerPass) -> Any:
    return resolve("initializer", dense.layer.initializer, INITIALIZERS)  # type: ignore[attr-defined]


def _started_well(e: Evidence) -> dict[str, Any]:
    """Return the network with first weights of variance 2 / inputs, ReLU's and nearly all others' size."""
    return {"network": with_initializer(e.model.network, "he")}
