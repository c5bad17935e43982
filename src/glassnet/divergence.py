"""Divergence: what to do when a step is not finite, and where in the network it began.

The program finds the step (`training.train_step`) and leaves the parameters as they were before it. Here that
one batch is passed through the network once more, layer by layer, to name the first part that breaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._resolve import check_count, check_range
from glassnet._types import Params, default_float
from glassnet.batches import Data
from glassnet.errors import ConfigurationError, DivergenceError, did_you_mean
from glassnet.network import Network, spread_traits
from glassnet.penalties import Penalty
from glassnet.training_state import Plan, TrainState

LARGE_INPUT = 100.0  # inputs on a common scale are of the order of 1


@dataclass(frozen=True)
class Rollback:
    """When training diverges, go back to the last good state and on with a lower learning rate.

    The last good state is the one from which the epoch of the lowest loss so far began.

    Parameters
    ----------
    times: how often at most; then it ends as with "raise". Default 5.
    factor: what the learning rate is multiplied by each time, in (0, 1). Default 0.5.

    >>> Rollback(times=3)
    Rollback(times=3, factor=0.5)
    """

    times: int = 5
    factor: float = 0.5

    def __post_init__(self) -> None:
        check_count("Rollback's times", self.times)
        check_range("Rollback's factor", self.factor, 0, 1, open_low=True)


def as_policy(given: Any) -> Any:
    """Return "raise", "stop" or a `Rollback`.

    >>> as_policy("rollback")
    Rollback(times=5, factor=0.5)
    """
    if isinstance(given, Rollback) or (isinstance(given, str) and given in ("raise", "stop")):
        return given
    if isinstance(given, str) and given == "rollback":
        return Rollback()
    near = did_you_mean(given, ("raise", "stop", "rollback")) if isinstance(given, str) else ""
    raise ConfigurationError(
        f"on_divergence is {given!r}, but it must be 'raise', 'stop', 'rollback' or gn.Rollback(times=...).{near}"
    )


class Trouble(NamedTuple):
    """How a network diverged: `where` is a clause such as "the output of layer 2 (Dense) became ..."."""

    step: int
    epoch: int
    learning_rate: float
    where: str
    largest_input: float

    def __str__(self) -> str:
        what = self.where or "the loss or its gradient became infinite or undefined"
        rate = ""
        if math.isfinite(self.learning_rate):
            rate = f" The learning rate was {self.learning_rate:g}."
        scale = "bring the inputs onto a common scale"
        if not self.largest_input <= LARGE_INPUT:
            scale += f" (the largest of this batch is {self.largest_input:g})"
        return (
            f"Training diverged at step {self.step}, in epoch {self.epoch}: {what}.{rate} Try a tenth of the"
            f" learning rate, clip the gradient (optimizer=gn.ClipByNorm(gn.Adam(...))), {scale}, or let"
            ' training go back and on more slowly by itself (on_divergence="rollback").'
        )

    def error(self) -> DivergenceError:
        """Return the error that tells of it."""
        error = DivergenceError(str(self))
        error.step, error.epoch, error.where = self.step, self.epoch, self.where
        error.learning_rate = self.learning_rate
        return error


def where_it_began(plan: Plan, state: TrainState, batch: Data, penalty: Penalty) -> str:
    """Return a clause that names the first part of the network that this step breaks, or "".

    Parameters and inputs are looked at first, then each layer's output from the first layer on, then the loss,
    then each layer's gradients from the last layer back.
    """
    for name, params in _parts(plan.network, state.params):
        if what := _unsound(params):
            return f"the update before made the weights of {name} {what}"
    x = jnp.asarray(batch.x, default_float())
    if what := _unsound(x):
        return f"the inputs are {what} in {default_float()}"
    weight = batch.weight
    row_weight = weight if weight is None or weight.ndim == 1 else weight.mean(1)
    context = {"train": True, "weight": row_weight}
    key = keys.fold_in(state.key, state.step)
    try:
        logits, caches = _forward(plan.network, state.params, state.layer_state, x, key, context)
        if what := _unsound(plan.loss.value(logits, batch.y, weight)):
            raise _FoundError(f"the loss became {what} though the network's outputs are finite")
        dy = plan.loss.gradient(logits, batch.y, weight)
        if what := _unsound(dy):
            raise _FoundError(f"the gradient of the loss became {what}")
        _, grads = _backward(plan.network, state.params, caches, dy)
    except _FoundError as found:
        return str(found)
    traits = spread_traits(plan.network, state.params)
    if plan.penalised and (what := _unsound(penalty.gradient(state.params, traits))):
        return f"the penalty's gradient became {what}"
    return _too_large(plan.network, grads)


class _FoundError(Exception):
    """The part that breaks is found: no need to look further."""


def _forward(
    network: Network, params: Params, state: Any, x: Any, key: Any, context: Any, place: str = ""
) -> tuple[Any, list[Any]]:
    """Carry the input forward as `Network.forward` does, until a layer's output is not finite."""
    caches: list[Any] = []
    for i, layer in enumerate(network):
        own = keys.fold_in(key, i)
        if isinstance(layer, Network):
            x, cache = _forward(layer, params[i], state[i], x, own, context, f"{place}{i}.")
        else:
            x, _, cache = layer.forward(params[i], state[i], x, key=own, **context)
            if what := _unsound(x):
                raise _FoundError(
                    f"the output of {_name(layer, i, place)} became {what} in the forward pass"
                )
        caches.append(cache)
    return x, caches


def _backward(
    network: Network, params: Params, caches: Any, dy: Any, place: str = ""
) -> tuple[Any, Params]:
    """Carry the gradient back as `Network.backward` does, until one is not finite."""
    grads: list[Any] = []
    for i in reversed(range(len(network))):
        layer = network.layers[i]
        if isinstance(layer, Network):
            dy, own = _backward(layer, params[i], caches[i], dy, f"{place}{i}.")
            grads.append(own)
            continue
        dy, own = layer.backward(params[i], caches[i], dy)
        for of, tree in (("of the weights of", own), ("passed back by", dy)):
            if what := _unsound(tree):
                raise _FoundError(
                    f"the gradient {of} {_name(layer, i, place)} became {what} in the backward pass"
                )
        grads.append(own)
    return dy, tuple(reversed(grads))


def _too_large(network: Network, grads: Params) -> str:
    """Return a clause if the gradient's norm overflows though each number of it is finite, else ""."""
    largest = {
        name: max((float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree)), default=0.0)
        for name, tree in _parts(network, grads)
    }
    name = max(largest, key=lambda part: largest[part])
    if largest[name] < math.sqrt(float(np.finfo(default_float()).max)) / 1e3:
        return ""
    return f"the gradient grew beyond what {default_float()} can hold, most of all that of {name}"


def _parts(network: Network, tree: Params, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each layer's name and its part of a tree like the parameters."""
    for i, layer in enumerate(network):
        if isinstance(layer, Network):
            yield from _parts(layer, tree[i], f"{place}{i}.")
        else:
            yield _name(layer, i, place), tree[i]


def _name(layer: Any, i: int, place: str) -> str:
    """Return a layer's name, numbered as in `Network.summary`."""
    return f"layer {place}{i} ({type(layer).__name__})"


def _unsound(tree: Any) -> str:
    """Return "infinite" or "undefined" for a tree with such numbers in it, else ""."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    floats = [leaf for leaf in leaves if leaf.dtype.kind == "f"]
    if any(np.isinf(leaf).any() for leaf in floats):
        return "infinite"
    return "undefined (NaN)" if any(np.isnan(leaf).any() for leaf in floats) else ""
