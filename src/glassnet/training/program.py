"""Train networks in one compiled program, a loop over the epochs with a scan over the batches inside.

The Training contract: a `TrainState` in, a `TrainState` out. It holds everything that a run carries from step
to step; `run_epochs` advances it by several epochs. Epoch limit, learning rate, dropout rates, penalties and
seed are traced values: changing them compiles nothing. Cutting a run into calls changes no bit of its result.
When a run ends, its status, a number inside the program, says why; the caller decides what to do.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from glassnet import keys
from glassnet._compile import compiled
from glassnet._precision import default_float
from glassnet._types import Array, Params, State
from glassnet.nn.layers import Trait
from glassnet.nn.metrics import METRICS
from glassnet.nn.network import spread_traits
from glassnet.nn.optimizer_wrappers import is_foreign, update_average
from glassnet.nn.optimizers import global_norm
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import rate_at
from glassnet.nn.shapes import parameter_count
from glassnet.training.batches import Batches, Data, batch_count, epoch_batches, rows_in_order, take
from glassnet.training.packing import MAX_PACKED, Layout
from glassnet.training.state import (
    CAPACITY,
    CONVERGED,
    DIVERGED,
    RUNNING,
    STOPPED_EARLY,
    TEMPERATURES,
    Best,
    Controls,
    Plan,
    TrainState,
    predicting,
    temperatures_of,
)

EVALUATION_BATCH = 2048  # validation rows in one pass


def run_epochs(
    state: TrainState,
    optimizer: Any,
    data: Data,
    validation: Data | None,
    controls: Controls,
    *,
    plan: Plan,
) -> TrainState:
    """Train until `controls.epoch_limit` epochs are finished, or until the run ends early.

    A call must not exceed CAPACITY epochs, or it would overwrite its own history. With `plan.stacked`, every
    array of state, optimizer and controls has a first axis with one entry per network. Each network trains
    as it would alone. All see the rows in the same order, so that one matrix product serves all networks.
    """
    n_parameters = parameter_count(state.params)
    program = compiled(_run_epochs, "plan", few_numbers=n_parameters <= MAX_PACKED)
    finished: TrainState = program(state, optimizer, data, validation, controls, plan=plan)
    return finished


def _run_epochs(
    state: TrainState,
    optimizer: Any,
    data: Data,
    validation: Data | None,
    controls: Controls,
    *,
    plan: Plan,
) -> TrainState:
    """The function that `run_epochs` compiles."""
    params = jax.tree.map(lambda p: p[0], state.params) if plan.stacked else state.params
    n_networks = state.epoch.size if plan.stacked else 1
    layout = Layout.of(params, n_networks, allowed=not is_foreign(optimizer))
    n_rows = data.x.shape[1] if plan.separate_rows else data.x.shape[0]
    order = state.order[0] if plan.stacked else state.order
    pack: Any = partial(_repacked, params=layout.pack, within=layout.pack_within)
    unpack: Any = partial(_repacked, params=layout.unpack, within=layout.unpack_within)
    epoch: Any = partial(run_epoch, plan=plan, layout=layout)
    if plan.stacked:
        rows = 0 if plan.separate_rows else None
        epoch = jax.vmap(epoch, in_axes=(0, None, 0, rows, rows, 0))
        pack, unpack = jax.vmap(pack), jax.vmap(unpack)

    def unfinished(state: TrainState) -> Any:
        return (state.epoch < controls.epoch_limit) & (state.status == RUNNING)

    def run_next(state: TrainState) -> TrainState:
        # networks that train share one epoch number: after a rollback, those behind catch up first
        epochs = jnp.where(unfinished(state), state.epoch, np.iinfo(np.int32).max)
        lowest = jnp.min(epochs)
        batches = epoch_batches(order, lowest, n_rows, plan.batch_size)
        new: TrainState = epoch(state, batches, optimizer, data, validation, controls)
        return _select(epochs == lowest, new, state) if plan.stacked else new

    packed = jax.lax.while_loop(lambda s: unfinished(s).any(), run_next, pack(state))
    finished: TrainState = unpack(packed)
    return finished


def _select(mask: Array, new: TrainState, old: TrainState) -> TrainState:
    """Return the new state of the networks in the mask, the old state of the others."""

    def select(new: Array, old: Array) -> Array:
        return jnp.where(mask.reshape(mask.shape + (1,) * (new.ndim - 1)), new, old)

    selected: TrainState = jax.tree.map(select, new, old)
    return selected


def run_epoch(
    state: TrainState,
    batches: Batches | None,
    optimizer: Any,
    data: Data,
    validation: Data | None,
    controls: Controls,
    *,
    plan: Plan,
    layout: Layout,
) -> TrainState:
    """Train one epoch, measure it, write its row of the history, and update the best epoch."""
    state, row = train_epoch(state, batches, optimizer, data, controls.penalty, plan, layout)
    row["learning_rate"] = rate_at(getattr(optimizer, "learning_rate", jnp.nan), state.step - 1)
    if plan.penalised:
        params = layout.unpack(state.params)
        row["penalty"] = controls.penalty.value(params, spread_traits(plan.network, params))
    score, losses = row["loss"], row["loss"][None]
    if validation is not None:
        params, layer_state = predicting(state)
        losses, metrics = evaluate(layout.unpack(params), layer_state, validation, plan)
        best = jnp.argmin(jnp.where(jnp.isfinite(losses), losses, jnp.inf))
        score = losses[best]
        row["validation_loss"] = score
        row |= {f"validation_{name}": value for name, value in metrics.items()}
        if plan.calibrated:
            row["temperature"] = jnp.asarray(TEMPERATURES, losses.dtype)[best]
    assert row.keys() == set(plan.columns)
    numbers = jnp.stack([jnp.asarray(row[name], state.rows.dtype) for name in plan.columns])
    # an update may overflow though its gradient is finite; the next step would notice too late
    finite = _all_finite((state.params, state.layer_state))
    state = state._replace(
        epoch=state.epoch + 1,
        rows=state.rows.at[state.epoch % CAPACITY].set(numbers),
        status=jnp.where(finite, state.status, DIVERGED),
    )
    return judge_epoch(state, score, losses, controls, plan) if plan.keep_best else state


def _repacked(state: TrainState, params: Any, within: Any) -> TrainState:
    """Return the state with its parameters and the optimizer's moments packed or unpacked."""
    best = state.best and state.best._replace(params=params(state.best.params))
    average = state.average and (params(state.average[0]), state.average[1])
    return state._replace(
        params=params(state.params),
        optimizer_state=within(state.optimizer_state),
        average=average,
        best=best,
    )


def train_epoch(
    state: TrainState,
    batches: Batches | None,
    optimizer: Any,
    data: Data,
    penalty: Penalty,
    plan: Plan,
    layout: Layout,
) -> tuple[TrainState, dict[str, Array]]:
    """Take one step per batch; return the epoch's mean loss, gradient norm and metrics by name."""

    def one_batch(carry: tuple[TrainState, Array], batch: Data) -> tuple[TrainState, Array]:
        state, sums = carry
        state, loss, norm, metrics = train_step(state, optimizer, batch, penalty, plan, layout)
        total = _total(batch)
        weighted = (total * metrics[name] for name in plan.metrics)
        return state, sums + jnp.stack([total, total * loss, norm, *weighted])

    sums = jnp.zeros(3 + len(plan.metrics), state.rows.dtype)
    if batches is None:
        state, sums = one_batch((state, sums), data)
    else:
        (state, sums), _ = jax.lax.scan(
            lambda carry, rows: (one_batch(carry, take(data, *rows)), None), (state, sums), batches
        )
    weight = jnp.where(sums[0] > 0, sums[0], jnp.ones_like(sums[0]))
    n_batches = batch_count(data.x.shape[0], plan.batch_size)
    means = {"loss": sums[1] / weight, "gradient_norm": sums[2] / n_batches}
    return state, means | dict(zip(plan.metrics, sums[3:] / weight, strict=True))


def train_step(
    state: TrainState, optimizer: Any, batch: Data, penalty: Penalty, plan: Plan, layout: Layout
) -> tuple[TrainState, Array, Array, dict[str, Array]]:
    """Take one step: forward pass, loss, backward pass, update. Return (state, loss, gradient norm, metrics).

    A step that is not finite changes only the status.
    """
    network, loss, y, weight = plan.network, plan.loss, batch.y, batch.weight
    params = layout.unpack(state.params)
    traits = spread_traits(network, params)
    row_weight = weight if weight is None or weight.ndim == 1 else weight.mean(1)

    key = keys.fold_in(state.key, state.step)
    logits, layer_state, cache = network.forward(
        params, state.layer_state, batch.x, key=key, train=True, weight=row_weight
    )
    value, dlogits = loss.value(logits, y, weight), loss.gradient(logits, y, weight)
    _, grads = network.backward(params, cache, dlogits)
    if plan.penalised:
        grads = jax.tree.map(jnp.add, grads, penalty.gradient(params, traits))
    grads = layout.pack(grads)
    norm = global_norm(grads)
    finite = jnp.isfinite(value) & jnp.isfinite(norm) & (state.status == RUNNING)
    updates, optimizer_state = update(optimizer, grads, state, finite, traits, layout)
    before = (state.params, state.layer_state)
    after = (jax.tree.map(jnp.add, state.params, updates), layer_state)
    params, layer_state = jax.tree.map(partial(jnp.where, finite), after, before)
    state = state._replace(
        average=update_average(optimizer, state.average, (params, layer_state), state.step + 1),
        params=params,
        layer_state=layer_state,
        optimizer_state=optimizer_state,
        step=state.step + finite.astype(state.step.dtype),
        status=jnp.where(finite, state.status, DIVERGED),
    )
    return state, value, norm, measure(logits, y, row_weight, plan)


def update(
    optimizer: Any, grads: Params, state: TrainState, finite: Array, traits: Any, layout: Layout
) -> tuple[Params, Any]:
    """Return the optimizer's updates, each multiplied by its parameter's learning-rate factor."""

    def by_parameter(number: Any) -> Any:
        numbers = jax.tree.map(number, traits, is_leaf=lambda x: isinstance(x, Trait))
        return layout.spread(numbers)

    decay = by_parameter(lambda trait: float(trait.decay))
    factor = by_parameter(lambda trait: trait.factor)
    updates, optimizer_state = optimizer.update(
        grads, state.optimizer_state, state.params, decay=decay, ok=finite
    )
    if all(np.ndim(f) == 0 and f == 1 for f in jax.tree.leaves(factor)):
        return updates, optimizer_state
    return jax.tree.map(lambda u, f: u * f, updates, factor), optimizer_state


def judge_epoch(
    state: TrainState, score: Array, losses: Array, controls: Controls, plan: Plan
) -> TrainState:
    """Keep the parameters of the best epoch, and stop when the patience is used up."""
    assert state.best is not None
    finite = jnp.isfinite(score) & (state.status != DIVERGED)  # NaN and -inf never win
    better = finite & (score < state.best.score - controls.min_delta)
    candidate = Best(*predicting(state), score, state.epoch, losses)
    best = jax.tree.map(partial(jnp.where, better), candidate, state.best)
    stale = jnp.where(better, 0, state.stale + 1)
    ended = STOPPED_EARLY if plan.validated else CONVERGED
    out_of_patience = (stale >= controls.patience) & (state.status == RUNNING)
    status = jnp.where(out_of_patience, ended, state.status)
    return state._replace(best=best, stale=stale, status=status)


def evaluate(
    params: Params, layer_state: State, data: Data, plan: Plan
) -> tuple[Array, dict[str, Array]]:
    """Return the mean loss and the metrics on data, in prediction mode.

    With `plan.calibrated` there is one loss for each of TEMPERATURES, which multiply the logits. The lowest
    loss says how well the logits separate the classes; the confidence of the predictions can be corrected
    after training.
    """
    n_rows = data.x.shape[0]
    size = min(n_rows, EVALUATION_BATCH)

    def one_batch(sums: Array, rows: Any) -> tuple[Array, None]:
        batch = take(data, *rows)
        logits, _, _ = plan.network.forward(params, layer_state, batch.x)
        weight = (
            batch.weight if batch.weight is None or batch.weight.ndim == 1 else batch.weight.mean(1)
        )
        losses = jax.vmap(lambda t: plan.loss.value(t * logits, batch.y, batch.weight))(
            temperatures
        )
        metrics = measure(logits, batch.y, weight, plan)
        total = _total(batch)
        means = [*losses, *(metrics[name] for name in plan.metrics), jnp.ones_like(total)]
        return sums + total * jnp.stack(means), None

    temperatures = jnp.asarray(temperatures_of(plan), default_float())
    count = len(temperatures)
    zeros = jnp.zeros(count + len(plan.metrics) + 1, default_float())
    sums, _ = jax.lax.scan(one_batch, zeros, rows_in_order(n_rows, size))
    means = sums[:-1] / jnp.where(sums[-1] > 0, sums[-1], jnp.ones_like(sums[-1]))
    return means[:count], dict(zip(plan.metrics, means[count:], strict=True))


def measure(logits: Array, target: Array, weight: Array | None, plan: Plan) -> dict[str, Array]:
    """Return the mean of each metric over rows; target probabilities count as their most likely class."""
    if plan.loss.task == "classification" and target.ndim == 2:
        target = jnp.argmax(target, axis=1)
    return {name: _mean(METRICS[name](logits, target), weight) for name in plan.metrics}


def _all_finite(tree: Any) -> Array:
    """Return whether all numbers in a tree are finite."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all() if leaves else jnp.asarray(True)


def _total(batch: Data) -> Array:
    """Return the total weight of a batch."""
    if batch.weight is None:
        return jnp.asarray(batch.x.shape[0], default_float())
    return jnp.sum(batch.weight)


def _mean(values: Array, weight: Array | None) -> Array:
    """Return the weighted mean over rows."""
    if weight is None:
        return jnp.mean(values)
    total = jnp.sum(weight)
    return jnp.sum(values * weight) / jnp.where(total > 0, total, jnp.ones_like(total))
