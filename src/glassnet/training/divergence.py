"""Divergence: what to do when a step is not finite, and where in the network it began.

The program finds the step (`training.train_step`) and leaves the parameters as they were before it. Here that
one batch is passed through the network once more, layer by layer, to name the first part that breaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._checks import check_count, check_range
from glassnet._compile import compiled
from glassnet._precision import default_float
from glassnet.errors import ConfigurationError, DivergenceError, did_you_mean
from glassnet.nn.layers import Layer
from glassnet.nn.network import Network, each_layer, spread_traits
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data
from glassnet.training.state import Plan, TrainState

LARGE_INPUT = 100.0  # inputs on a common scale are of the order of 1


@dataclass(frozen=True)
class Rollback:
    """When training diverges, go back to the last good state and on with a lower learning rate.

    The last good state is the one from which the epoch of the lowest training loss so far began.

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
        f"on_divergence is {given!r}, but it must be 'raise', 'stop', 'rollback' or"
        f" gn.Rollback(times=...).{near}"
    )


class Trouble(NamedTuple):
    """How a network diverged: `where` is a clause such as "the output of layer 2 (Dense) became ..."."""

    step: int
    epoch: int
    learning_rate: float
    where: str
    largest_input: float

    @property
    def told(self) -> str:
        """What happened, in one or two sentences."""
        what = self.where or "the loss or its gradient became infinite or undefined"
        known = math.isfinite(self.learning_rate)
        rate = f" The learning rate was {self.learning_rate:g}." if known else ""
        return f"Training diverged at step {self.step}, in epoch {self.epoch}: {what}.{rate}"

    def __str__(self) -> str:
        scale = "bring the inputs onto a common scale"
        if not self.largest_input <= LARGE_INPUT:
            scale += f" (the largest of this batch is {self.largest_input:.3g})"
        return (
            f"{self.told} Try a tenth of the learning rate, clip the gradient (gn.ClipByNorm), {scale},"
            ' or let training go back and on more slowly by itself (on_divergence="rollback").'
        )

    def error(self) -> DivergenceError:
        """Return the error that tells of it."""
        error = DivergenceError(str(self))
        error.step, error.epoch, error.where = self.step, self.epoch, self.where
        error.learning_rate = self.learning_rate
        return error


class _Part(NamedTuple):
    """One layer of a network, those of networks inside it in their place; and what of it is its own."""

    name: str  # numbered as in `Network.summary`
    layer: Layer
    params: Any
    state: Any
    key: Any


class _Found(NamedTuple):
    """What became of each number on one step's way: 0 all finite, 1 some infinite, 2 some undefined."""

    weights: list[Any]
    inputs: Any
    outputs: list[Any]
    loss: Any
    slope: Any
    gradients: list[Any]
    passed: list[Any]
    penalty: Any
    largest: list[Any]  # number of each layer's gradient


WHAT = ("finite", "infinite", "undefined (NaN)")


def where_it_began(plan: Plan, state: TrainState, batch: Data, penalty: Penalty) -> str:
    """Return a clause that names the first part of the network that this step breaks, or "".

    Parameters and inputs are looked at first, then each layer's output from the first on, then the loss, then
    each layer's gradients from the last back.
    """
    program = compiled(_examined, "plan", few_numbers=True)
    found: _Found = jax.tree.map(float, program(state, batch, penalty, plan=plan))
    names = [part.name for part in _parts(plan.network)]
    each = list(zip(names, found.weights, found.outputs, strict=True))
    back = list(zip(names, found.gradients, found.passed, strict=True))[::-1]
    clauses = [
        *((f"the update before made the weights of {n} {{}}", weights) for n, weights, _ in each),
        (f"the inputs are {{}} in {default_float()}", found.inputs),
        *((f"the output of {n} became {{}} in the forward pass", output) for n, _, output in each),
        ("the loss became {} though the network's outputs are finite", found.loss),
        ("the gradient of the loss became {}", found.slope),
    ]
    for name, own, passed in back:
        clauses += [
            (f"the gradient of the weights of {name} became {{}} in the backward pass", own),
            (f"the gradient passed back by {name} became {{}} in the backward pass", passed),
        ]
    clauses.append(("the gradient of the penalty became {}", found.penalty))
    for clause, code in clauses:
        if code:
            return clause.format(WHAT[int(code)])
    most = int(np.argmax(found.largest))
    if found.largest[most] < math.sqrt(float(np.finfo(default_float()).max)) / 1e3:
        return ""  # this pass finds nothing: the program rounds otherwise
    return f"the gradient grew beyond what {default_float()} can hold, most of all that of {names[most]}"


def _examined(state: TrainState, batch: Data, penalty: Penalty, *, plan: Plan) -> _Found:
    """Pass a batch forward and back as `training.train_step` does, and look at every number."""
    weight = batch.weight
    row_weight = weight if weight is None or weight.ndim == 1 else weight.mean(1)
    key = keys.fold_in(state.key, state.step)
    parts = list(_parts(plan.network, state.params, state.layer_state, key))
    x = inputs = jnp.asarray(batch.x, default_float())
    caches, outputs = [], []
    for part in parts:
        x, _, cache = part.layer.forward(
            part.params, part.state, x, key=part.key, train=True, weight=row_weight
        )
        caches.append(cache)
        outputs.append(_code(x))
    dy = slope = plan.loss.gradient(x, batch.y, weight)
    grads, passed = [], []
    for part, cache in zip(reversed(parts), reversed(caches), strict=True):
        dy, own = part.layer.backward(part.params, cache, dy)
        grads.append(own)
        passed.append(_code(dy))
    grads.reverse()
    penalised = penalty.gradient(state.params, spread_traits(plan.network, state.params))
    return _Found(
        weights=[_code(part.params) for part in parts],
        inputs=_code(inputs),
        outputs=outputs,
        loss=_code(plan.loss.value(x, batch.y, weight)),
        slope=_code(slope),
        gradients=[_code(own) for own in grads],
        passed=passed[::-1],
        penalty=_code(penalised if plan.penalised else ()),
        largest=[_largest(own) for own in grads],
    )


def _parts(
    network: Network, params: Any = None, state: Any = None, key: Any = None
) -> Iterator[_Part]:
    """Yield each layer in order, with its parameters, state and key where these are given."""
    for place, layer, (own, kept) in each_layer(network, params, state):
        name = f"layer {'.'.join(map(str, place))} ({type(layer).__name__})"
        of_layer = None if key is None else reduce(keys.fold_in, place, key)
        yield _Part(name, layer, own, kept, of_layer)


def _code(tree: Any) -> Any:
    """Return the place in WHAT of what a tree of numbers holds."""
    leaves = [leaf for leaf in map(jnp.asarray, jax.tree.leaves(tree)) if leaf.dtype.kind == "f"]
    if not leaves:
        return jnp.int32(0)
    infinite = jnp.stack([jnp.isinf(leaf).any() for leaf in leaves]).any()
    undefined = jnp.stack([jnp.isnan(leaf).any() for leaf in leaves]).any()
    return jnp.where(infinite, 1, jnp.where(undefined, 2, 0))


def _largest(tree: Any) -> Any:
    return jnp.stack([jnp.zeros(()), *(jnp.abs(g).max() for g in jax.tree.leaves(tree))]).max()
