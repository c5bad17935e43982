"""Record every number of one training step.

`train_step` computes the step, with each layer wrapped in a `Recorder`, so there is no second
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
from glassnet.nn.layers import Context, Layer
from glassnet.nn.losses import Loss
from glassnet.nn.network import LayerPath, Network, each_layer, is_plain, spread_traits
from glassnet.nn.penalties import Penalty
from glassnet.nn.walk import LayerPass, Recorder, walk, wrap_layers
from glassnet.tracing.layer_equations import equations_of
from glassnet.tracing.records import LayerTrace, Parameter
from glassnet.training.batches import Data
from glassnet.training.packing import Layout
from glassnet.training.program import train_step, update
from glassnet.training.state import Plan, TrainState, first_state


@dataclass(frozen=True)
class Probe(Layer):
    """A layer with an offset added to its output; the gradient by the offset is dL/d(output)."""

    layer: Layer
    offset: Any
    train: bool

    def forward(
        self, params: Params, state: State, x: Array, **context: Unpack[Context]
    ) -> tuple[Array, State, Cache]:
        """y + offset."""
        if isinstance(self.layer, ReLU):
            # ReLU has no derivative at 0: ours is 0, jax.grad's is 1/2. Just below 0 both are 0.
            x = jnp.where(x == 0, -np.finfo(x.dtype).tiny, x)
        context["train"] = self.train
        y, state, cache = self.layer.forward(params, state, x, **context)
        return y + self.offset, state, cache

    def traits(self) -> Any:
        """The layer's traits."""
        return self.layer.traits()


@dataclass(frozen=True)
class StepSettings:
    """The static settings that the recorded step is compiled for."""

    network: Network  # a skeleton
    loss: Loss
    train: bool  # dropout and batch norm as in training, or as in prediction
    penalised: bool


class RecordedStep(NamedTuple):
    """One step of training; for only a forward pass, all but `layers` and `logits` are None."""

    layers: dict[LayerPath, LayerPass]
    logits: Any
    after: Any = None  # the TrainState after the step
    loss: Any = None
    penalty: Any = None
    norm: Any = None  # of the whole gradient, penalty included
    penalty_gradients: Any = None
    updates: Any = None  # what the optimizer adds to the parameters


def record(
    state: TrainState, optimizer: Any, batch: Data, penalty: Penalty, *, settings: StepSettings
) -> RecordedStep:
    """Record one step of `train_step`, or only the forward pass if `batch.y` is None."""
    recorded: RecordedStep = quickly_compiled(_record, "settings")(
        state, optimizer, batch, penalty, settings=settings
    )
    return recorded


def _record(
    state: TrainState, optimizer: Any, batch: Data, penalty: Penalty, *, settings: StepSettings
) -> RecordedStep:
    if batch.y is None:
        passes = _walk(state, batch, settings)
        return RecordedStep({layer.path: _shown(layer) for layer in passes}, passes[-1].output)
    log: dict[LayerPath, LayerPass] = {}
    network = wrap_layers(
        settings.network, lambda layer, path: Recorder(layer, path, log, settings.train)
    )
    plan = Plan(network, settings.loss, batch.x.shape[0], penalised=settings.penalised)
    layout = Layout.of(state.params, allowed=False)
    after, loss, norm, _ = train_step(state, optimizer, batch, penalty, plan, layout)
    # The update again, since `train_step` returns only its result; XLA merges the two computations.
    traits = spread_traits(network, state.params)
    penalty_gradients = penalty.gradient(state.params, traits)
    gradients = joined(settings.network, {path: layer.gradients for path, layer in log.items()})
    if settings.penalised:
        gradients = jax.tree.map(jnp.add, gradients, penalty_gradients)
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    updates, _ = update(optimizer, gradients, state, finite, traits, layout)
    return RecordedStep(
        layers={path: _shown(layer) for path, layer in log.items()},
        logits=log[max(log)].output,
        after=after,
        loss=loss,
        penalty=penalty.value(state.params, traits),
        norm=norm,
        penalty_gradients=penalty_gradients,
        updates=updates,
    )


def _shown(layer: LayerPass) -> LayerPass:
    """Return a record with the part of the cache that a trace shows."""
    return replace(layer, cache=equations_of(layer.layer).shown_cache(layer.cache))


def _walk(state: TrainState, batch: Data, settings: StepSettings) -> tuple[LayerPass, ...]:
    """Pass a batch forward with the key of the state's next step."""
    return walk(
        settings.network,
        state.params,
        state.layer_state,
        batch.x,
        key=keys.fold_in(state.key, state.step),
        train=settings.train,
        weight=batch.weight,
    )


def jax_gradients(
    state: TrainState, batch: Data, penalty: Penalty, *, settings: StepSettings
) -> tuple[Params, dict[LayerPath, Any], Any]:
    """Return `jax.grad`'s gradients by the parameters, by each layer's output, and by the input."""
    gradients: tuple[Params, dict[LayerPath, Any], Any] = quickly_compiled(
        _jax_gradients, "settings"
    )(state, batch, penalty, settings=settings)
    return gradients


def _jax_gradients(
    state: TrainState, batch: Data, penalty: Penalty, *, settings: StepSettings
) -> Any:
    passes = _walk(state, batch, settings)  # for the shapes of all outputs
    key = keys.fold_in(state.key, state.step)

    def objective(params: Params, offsets: dict[LayerPath, Any], x: Array) -> Array:
        probed = wrap_layers(
            settings.network, lambda layer, path: Probe(layer, offsets[path], settings.train)
        )
        logits, _, _ = probed.forward(
            params, state.layer_state, x, key=key, train=settings.train, weight=batch.weight
        )
        loss = settings.loss.value(logits, batch.y, batch.weight)
        return loss + penalty.value(params, spread_traits(settings.network, params))

    offsets = {layer.path: jnp.zeros_like(layer.output) for layer in passes}
    x = jnp.asarray(batch.x, default_float())
    return jax.grad(objective, argnums=(0, 1, 2))(state.params, offsets, x)


def joined(network: Network, parts: dict[LayerPath, Any], path: LayerPath = ()) -> Params:
    """Return the parts of all layers as a tree with the structure of the network."""
    return tuple(
        joined(layer, parts, (*path, i))  # type: ignore[arg-type]  # a plain layer is a network
        if is_plain(layer)
        else parts[*path, i]
        for i, layer in enumerate(network)
    )


def layer_traces(
    network: Network, before: TrainState, recorded: RecordedStep, factors: Any
) -> tuple[LayerTrace, ...]:
    """Return the recorded step layer by layer, as NumPy arrays.

    factors: the factor on the learning rate of each parameter.
    """
    host: Any = jax.tree.map(np.asarray, (before, recorded))
    state, step = host
    has_step = step.after is not None
    trees = {
        "value": state.params,
        "factor": factors,
        "penalty": step.penalty_gradients,
        "update": step.updates,
        "new": step.after.params if has_step else None,
    }
    # by name, each a tree like the parameters
    now, past = (_moments(step.after), _moments(state)) if has_step else ({}, {})
    layers = []
    for path, layer, (layer_state, *parts) in each_layer(
        network, state.layer_state, *trees.values(), *now.values(), *past.values()
    ):
        arrays: dict[str, Any] = dict(zip(trees, parts, strict=False))
        arrays["gradient"] = step.layers[path].gradients
        new_moments = parts[len(trees) : len(trees) + len(now)]
        past_moments = parts[len(trees) + len(now) :]
        parameters = {
            name: Parameter(
                name,
                moments={m: part[name] for m, part in zip(now, new_moments, strict=True)},
                past={m: part[name] for m, part in zip(past, past_moments, strict=True)},
                **{part: None if tree is None else tree[name] for part, tree in arrays.items()},  # type: ignore[arg-type]  # arrays, and one factor
            )
            for name in arrays["value"]
        }
        layers.append(_layer_trace(path, layer, parameters, layer_state, step.layers[path]))
    return tuple(layers)


def _layer_trace(
    path: LayerPath,
    layer: Layer,
    parameters: dict[str, Parameter],
    state: dict[str, Any],
    recorded: LayerPass,
) -> LayerTrace:
    return LayerTrace(
        path=".".join(map(str, path)),
        layer=layer,
        input=recorded.input,
        output=recorded.output,
        d_output=recorded.d_output,
        d_input=recorded.d_input,
        parameters=parameters,
        state=state,
        new_state=recorded.state,
        cache=recorded.cache,
    )


def _moments(state: TrainState) -> dict[str, Any]:
    """Return the optimizer's moments, and the running average of the parameters if there is one."""
    average = {"average": state.average[0]} if state.average else {}
    return moments(state.optimizer_state, state.params) | average


def state_of(params: Params, layer_state: State, optimizer: Any, key: Key) -> TrainState:
    """Return the state before the first step: these parameters, no moments yet, step 0."""
    return first_state(params, layer_state, optimizer, key, np.zeros((1, 1), default_float()))


def moments(optimizer_state: Any, params: Params) -> dict[str, Any]:
    """Return the parts of an optimizer's state that have the structure of the parameters, by name.

    >>> from glassnet.nn.optimizers import Adam
    >>> params = {"W": np.zeros((1, 2))}
    >>> sorted(moments(Adam().init(params), params))
    ['m', 'v']
    """
    by_name: dict[str, Any] = {}

    def collect(name: str, branch: Any) -> None:
        if name and same_structure(branch, params):
            by_name[name if name not in by_name else f"{name} {len(by_name)}"] = branch
        elif isinstance(branch, tuple | list):
            names = getattr(branch, "_fields", [name or "state"] * len(branch))
            for part, inside in zip(names, branch, strict=True):
                collect(part, inside)
        elif isinstance(branch, dict):
            for part, inside in branch.items():
                collect(str(part), inside)

    collect("", optimizer_state)
    return by_name


def same_structure(one: Any, other: Any) -> bool:
    """Return whether two trees have the same structure, and arrays of the same shapes."""

    def structure_and_shapes(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        return structure, [np.shape(leaf) for leaf in leaves]

    return bool(structure_and_shapes(one) == structure_and_shapes(other))
