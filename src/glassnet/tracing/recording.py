"""Record one step of training with every number on its way.

The step is taken by `train_step` itself, with each layer wrapped in a `Recorder`: there is no second
implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._compile import quickly_compiled
from glassnet._precision import default_float
from glassnet._types import Array, Cache, Key, Params, State
from glassnet.nn.activations import ReLU
from glassnet.nn.augmentation import RandomShift
from glassnet.nn.embeddings import Periodic
from glassnet.nn.layers import BatchNorm, Context, Dropout, Layer
from glassnet.nn.losses import Loss
from glassnet.nn.network import LayerPath, Network, is_plain, spread_traits
from glassnet.nn.optimizer_wrappers import init_average
from glassnet.nn.penalties import Penalty
from glassnet.nn.walk import LayerPass, Recorder, walk, wrap_layers
from glassnet.training.batches import Data
from glassnet.training.packing import Layout
from glassnet.training.program import train_step, update
from glassnet.training.state import Plan, TrainState


@dataclass(frozen=True)
class Probe(Layer):
    """A layer whose output is moved by an offset: dL/d(offset) is dL/d(output), for `jax.grad` to find."""

    layer: Layer
    offset: Any
    train: bool

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y + offset."""
        if isinstance(self.layer, ReLU):
            # at 0 there is no derivative: ours is 0, jax.grad's 1/2; from a hair below both are 0
            x = jnp.where(x == 0, -np.finfo(x.dtype).tiny, x)
        told: Context = {**context, "train": self.train}
        y, state, cache = self.layer.forward(params, state, x, **told)
        return y + self.offset, state, cache

    def traits(self) -> Any:
        """The layer's own."""
        return self.layer.traits()


@dataclass(frozen=True)
class Form:
    """What recording a step is compiled for, beside the shapes of its arguments."""

    network: Network  # a skeleton
    loss: Loss
    train: bool  # dropout and batch norm as in training, or as in prediction
    penalised: bool


class Step(NamedTuple):
    """One step of training as it was taken; of the forward pass alone, all but the first two are None."""

    passed: dict[LayerPath, LayerPass]
    logits: Any
    after: Any = None  # the TrainState
    loss: Any = None
    penalty: Any = None
    norm: Any = None  # of the whole gradient, penalty included
    penalty_gradients: Any = None
    updates: Any = None  # what the optimizer adds to the parameters


def record(state: TrainState, optimizer: Any, batch: Data, penalty: Penalty, *, form: Form) -> Step:
    """Take one step by `train_step`; the forward pass alone where `batch.y` is None."""
    recorded: Step = quickly_compiled(_record, "form")(state, optimizer, batch, penalty, form=form)
    return recorded


def _record(
    state: TrainState, optimizer: Any, batch: Data, penalty: Penalty, *, form: Form
) -> Step:
    if batch.y is None:
        passes = _walk(state, batch, form)
        return Step({seen.path: _shown(seen) for seen in passes}, passes[-1].output)
    log: dict[LayerPath, LayerPass] = {}
    network = wrap_layers(form.network, lambda layer, path: Recorder(layer, path, log, form.train))
    plan = Plan(network, form.loss, batch.x.shape[0], penalised=form.penalised)
    layout = Layout.of(state.params, allowed=False)
    after, value, norm, _ = train_step(state, optimizer, batch, penalty, plan, layout)
    # the step once more, for what `train_step` keeps to itself: XLA computes it once
    traits = spread_traits(network, state.params)
    extra = penalty.gradient(state.params, traits)
    grads = joined(form.network, {place: seen.gradients for place, seen in log.items()})
    if form.penalised:
        grads = jax.tree.map(jnp.add, grads, extra)
    finite = jnp.isfinite(value) & jnp.isfinite(norm)
    updates, _ = update(optimizer, grads, state, finite, traits, layout)
    cost = penalty.value(state.params, traits)
    passed = {path: _shown(seen) for path, seen in log.items()}
    return Step(passed, log[max(log)].output, after, value, cost, norm, extra, updates)


def _shown(seen: LayerPass) -> LayerPass:
    """Return a record with its cache only if a trace shows it: a mask, a batch's statistics, waves."""
    shown = isinstance(seen.layer, (BatchNorm, Dropout, Periodic, RandomShift))
    return seen if shown else replace(seen, cache=None)


def _walk(state: TrainState, batch: Data, form: Form) -> tuple[LayerPass, ...]:
    """Pass a batch forward with the key of the state's next step."""
    key = keys.fold_in(state.key, state.step)
    return walk(
        form.network, state.params, state.layer_state, batch.x,
        key=key, train=form.train, weight=batch.weight,
    )  # fmt: skip


def automatic(
    state: TrainState, batch: Data, penalty: Penalty, *, form: Form
) -> tuple[Params, dict[LayerPath, Any], Any]:
    """Return by `jax.grad` the gradient of loss and penalty by parameters, each layer's output, and input."""
    found: tuple[Params, dict[LayerPath, Any], Any] = quickly_compiled(_automatic, "form")(
        state, batch, penalty, form=form
    )
    return found


def _automatic(state: TrainState, batch: Data, penalty: Penalty, *, form: Form) -> Any:
    passes = _walk(state, batch, form)  # for the shapes of all outputs
    key = keys.fold_in(state.key, state.step)

    def objective(params: Params, offsets: dict[LayerPath, Any], x: Array) -> Array:
        probed = wrap_layers(
            form.network, lambda layer, path: Probe(layer, offsets[path], form.train)
        )
        logits, _, _ = probed.forward(
            params, state.layer_state, x, key=key, train=form.train, weight=batch.weight
        )
        value = form.loss.value(logits, batch.y, batch.weight)
        return value + penalty.value(params, spread_traits(form.network, params))

    offsets = {seen.path: jnp.zeros_like(seen.output) for seen in passes}
    x = jnp.asarray(batch.x, default_float())
    return jax.grad(objective, argnums=(0, 1, 2))(state.params, offsets, x)


def joined(network: Network, parts: dict[LayerPath, Any], at: LayerPath = ()) -> Params:
    """Return one part a layer as a tree of the network's form."""

    def of(layer: Layer, place: LayerPath) -> Any:
        if is_plain(layer):
            assert isinstance(layer, Network)
            return joined(layer, parts, place)
        return parts[place]

    return tuple(of(layer, (*at, i)) for i, layer in enumerate(network))


def state_of(params: Params, layer_state: State, optimizer: Any, key: Key) -> TrainState:
    """Return a state to take a first step from: these parameters, no moments yet, step 0."""
    params, layer_state = jax.device_put((params, layer_state))
    zero: Any = np.zeros((), np.int32)
    average = init_average(optimizer, (params, layer_state))
    no_rows: Any = np.zeros((1, 1), default_float())
    return TrainState(
        params, layer_state, optimizer.init(params), zero, zero, average, None, zero, key, key, zero,
        no_rows,
    )  # fmt: skip


def moments(optimizer_state: Any, params: Params) -> dict[str, Any]:
    """Return by name each part of an optimizer's state that has one number a parameter.

    >>> from glassnet.nn.optimizers import Adam
    >>> params = {"W": np.zeros((1, 2))}
    >>> sorted(moments(Adam().init(params), params))
    ['m', 'v']
    """
    found: dict[str, Any] = {}

    def walk(name: str, branch: Any) -> None:
        if name and same_form(branch, params):
            found[name if name not in found else f"{name} {len(found)}"] = branch
        elif isinstance(branch, tuple | list):
            names = getattr(branch, "_fields", [name or "state"] * len(branch))
            for part, inside in zip(names, branch, strict=True):
                walk(part, inside)
        elif isinstance(branch, dict):
            for part, inside in branch.items():
                walk(str(part), inside)

    walk("", optimizer_state)
    return found


def same_form(one: Any, other: Any) -> bool:
    """Return whether two trees have the same branches, and arrays of the same shapes."""

    def form(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, [np.shape(leaf) for leaf in leaves]

    return bool(form(one) == form(other))
