"""Decide what to do when a step is not finite, and find where in the network it began.

The training program notices such a step (`program.train_step`) and keeps the parameters from before it. This
module passes that batch through the network once more, layer by layer, to name the first part that breaks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._checks import check_count, check_range
from glassnet._compile import compiled
from glassnet._precision import default_float
from glassnet.errors import ConfigurationError, DivergenceError, did_you_mean
from glassnet.nn.network import each_layer, spread_traits
from glassnet.nn.penalties import Penalty
from glassnet.nn.walk import layer_name, walk
from glassnet.training.batches import Data
from glassnet.training.state import Plan, TrainState

LARGE_INPUT = 100.0  # scaled inputs are of order 1


@dataclass(frozen=True)
class Rollback:
    """When training diverges, return to the last good state and continue with a lower learning rate.

    The last good state is the one at the beginning of the epoch with the lowest training loss so far.

    Parameters
    ----------
    times: the most rollbacks; after them, a divergence ends training. Default 5.
    factor: each rollback multiplies the learning rate by it, in (0, 1). Default 0.5.

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
    def description(self) -> str:
        """What happened, in one or two sentences."""
        event = self.where or "the loss or its gradient became infinite or undefined"
        known = math.isfinite(self.learning_rate)
        rate = f" The learning rate was {self.learning_rate:g}." if known else ""
        return f"Training diverged at step {self.step}, in epoch {self.epoch}: {event}.{rate}"

    def __str__(self) -> str:
        scale = "bring the inputs onto a common scale"
        if not self.largest_input <= LARGE_INPUT:
            scale += f" (the largest of this batch is {self.largest_input:.3g})"
        return (
            f"{self.description} Try a tenth of the learning rate, clip the gradient (gn.ClipByNorm),"
            f" {scale}, or let training go back and continue at a lower rate"
            ' (on_divergence="rollback").'
        )

    def error(self) -> DivergenceError:
        """Return the error to raise."""
        error = DivergenceError(str(self))
        error.step, error.epoch, error.where = self.step, self.epoch, self.where
        error.learning_rate = self.learning_rate
        return error


class _Codes(NamedTuple):
    """For each group of numbers in a step, an index into KINDS. Lists have one entry per layer."""

    weights: list[Any]
    inputs: Any
    outputs: list[Any]
    loss: Any
    d_logits: Any
    gradients: list[Any]
    d_inputs: list[Any]
    penalty: Any
    largest: list[Any]  # not an index: the largest absolute number in the layer's gradient


KINDS = ("finite", "infinite", "undefined (NaN)")


def where_it_began(plan: Plan, state: TrainState, batch: Data, penalty: Penalty) -> str:
    """Return a clause that names the first part of the network that this step breaks, or "".

    The order is that of the computation: parameters and inputs, each layer's output from the first layer on,
    the loss, then each layer's gradients from the last layer back.
    """
    program = compiled(_examine, "plan", few_numbers=True)
    codes: _Codes = jax.tree.map(float, program(state, batch, penalty, plan=plan))
    names = [layer_name(path, layer) for path, layer, _ in each_layer(plan.network)]
    forward = list(zip(names, codes.weights, codes.outputs, strict=True))
    backward = list(zip(names, codes.gradients, codes.d_inputs, strict=True))[::-1]
    clauses = [
        *((f"the previous update made the weights of {n} {{}}", code) for n, code, _ in forward),
        (f"the inputs are {{}} in {default_float()}", codes.inputs),
        *((f"the output of {n} became {{}} in the forward pass", code) for n, _, code in forward),
        ("the loss became {} though the network's outputs are finite", codes.loss),
        ("the gradient of the loss became {}", codes.d_logits),
    ]
    for name, gradient, d_input in backward:
        clauses += [
            (f"the gradient of the weights of {name} became {{}} in the backward pass", gradient),
            (f"the gradient passed back by {name} became {{}} in the backward pass", d_input),
        ]
    clauses.append(("the gradient of the penalty became {}", codes.penalty))
    for clause, code in clauses:
        if code:
            return clause.format(KINDS[int(code)])
    layer = int(np.argmax(codes.largest))
    if codes.largest[layer] < math.sqrt(float(np.finfo(default_float()).max)) / 1e3:
        return ""  # everything is finite here, because the training program rounds differently
    return f"the gradient grew beyond what {default_float()} can hold, above all in {names[layer]}"


def _examine(state: TrainState, batch: Data, penalty: Penalty, *, plan: Plan) -> _Codes:
    """Pass a batch forward and backward as `program.train_step` does, and classify every number."""
    weight = batch.weight
    row_weight = weight if weight is None or weight.ndim == 1 else weight.mean(1)
    passes = walk(
        plan.network,
        state.params,
        state.layer_state,
        batch.x,
        key=keys.fold_in(state.key, state.step),
        train=True,
        weight=row_weight,
        gradient=lambda logits: plan.loss.gradient(logits, batch.y, weight),
    )
    last = passes[-1]
    penalty_gradient = penalty.gradient(state.params, spread_traits(plan.network, state.params))
    return _Codes(
        weights=[_code(layer.params) for layer in passes],
        inputs=_code(passes[0].input),
        outputs=[_code(layer.output) for layer in passes],
        loss=_code(plan.loss.value(last.output, batch.y, weight)),
        d_logits=_code(last.d_output),
        gradients=[_code(layer.gradients) for layer in passes],
        d_inputs=[_code(layer.d_input) for layer in passes],
        penalty=_code(penalty_gradient if plan.penalised else ()),
        largest=[_largest(layer.gradients) for layer in passes],
    )


def _code(tree: Any) -> Any:
    """Return the index into KINDS of the worst number in a tree; infinite comes before undefined."""
    leaves = [leaf for leaf in map(jnp.asarray, jax.tree.leaves(tree)) if leaf.dtype.kind == "f"]
    if not leaves:
        return jnp.int32(0)
    infinite = jnp.stack([jnp.isinf(leaf).any() for leaf in leaves]).any()
    undefined = jnp.stack([jnp.isnan(leaf).any() for leaf in leaves]).any()
    return jnp.where(infinite, 1, jnp.where(undefined, 2, 0))


def _largest(tree: Any) -> Any:
    """Return the largest absolute number in a tree, 0 if it has none."""
    return jnp.stack([jnp.zeros(()), *(jnp.abs(g).max() for g in jax.tree.leaves(tree))]).max()
