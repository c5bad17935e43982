"""trace: one step of training seen whole, with every number of the forward and the backward pass."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._checks import check_count, check_range
from glassnet._precision import precision
from glassnet.data.tables import frame_of
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.model import Model
from glassnet.nn.layers import Trait
from glassnet.nn.network import spread_traits
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import rate_at
from glassnet.tracing.expressions import DIGITS, TERMS
from glassnet.tracing.gradient_check import Check, compared
from glassnet.tracing.neuron_equations import Neuron, neuron, weight
from glassnet.tracing.own_units import (
    Answer,
    GivenColumn,
    answers_of,
    as_rows,
    columns_of,
    feature_names,
)
from glassnet.tracing.page import trace_html
from glassnet.tracing.recording import Form, automatic, record
from glassnet.tracing.records import Taken, Traced, layer_traces
from glassnet.tracing.start import batch_of, notes_on, source_of, start_of
from glassnet.tracing.symbols import input_labels
from glassnet.tracing.tables import as_plain, table_of
from glassnet.tracing.text import trace_text
from glassnet.training.batches import Data
from glassnet.training.state import TrainState


class _Taken(NamedTuple):
    """What a step was taken from."""

    state: TrainState
    batch: Data
    form: Form


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Traced):
    """One step of training, every number of it: what `trace` returns. Print it, or open a neuron.

    Parameters
    ----------
    layers: first to last, each a `LayerTrace`: input a, logits z, output, delta, parameters with gradients.
    logits, output: what left the network, and what its loss makes of it (probabilities, or values before they
        get the target's unit). target: as the loss takes it. loss, penalty: numbers; total: their sum.
    step: the optimizer with its rate, the number of the step, the norm of the gradient.
    model: what was traced; given: its rows as they came; member: which of its networks.

    Without a target there is the forward pass alone: gradients, loss and step are None.
    """

    model: Model
    given: Any
    member: int
    notes: tuple[str, ...]
    _from: _Taken = field(repr=False)

    def neuron(
        self,
        layer: int | str,
        index: int | tuple[int, ...],
        row: int = 0,
        *,
        digits: int = DIGITS,
        terms: int = TERMS,
    ) -> Neuron:
        """Open one neuron into its equations: from its inputs to δ, its gradients and its new weights.

        layer: its number, from 0; of a network inside the network its place, "2.0". index: the neuron in it,
        from 0; in the equations neurons count from 1, as in the unit: index 1 is z₂.
        row: of this trace. digits: significant ones, more where a sum needs them to add up. terms: of a long
        sum to write out; the others stand as one number.

        >>> import glassnet as gn
        >>> net = gn.Network([gn.Dense(2), "tanh", gn.Dense(2)])
        >>> run = gn.train(net, [[0.0, 1.0], [1.0, 0.0]], [0, 1], epochs=1)
        >>> print(gn.trace(run, [[1.0, 0.5]], [1]).neuron(0, 1)["z₂"])
        z₂ = -0.7798·1.0 - 0.6509·0.5 + 0.001 = -1.104
        """
        labels = input_labels(self.layers, feature_names(self.model))
        return neuron(self, labels, layer, index, row, digits, terms)

    def weight(
        self,
        layer: int | str,
        index: int | tuple[int, ...],
        name: str = "W",
        *,
        digits: int = DIGITS,
        terms: int = TERMS,
    ) -> Neuron:
        """Open one weight's step: its gradient, the penalty, the optimizer's moments, its new value.

        index: its place in the array `name`, from 0: (1, 0) is w₂₁.
        """
        return weight(self, layer, index, name, 0, digits, terms)

    def inputs(self, row: int = 0) -> tuple[GivenColumn, ...]:
        """Return a row column by column, in its own units and category names, with the inputs it became."""
        return columns_of(self.model, self.given, self._from.batch.x, row)

    def answers(self, row: int = 0) -> tuple[Answer, ...]:
        """Return what leaves the network for a row by class, label or target, in the target's own unit."""
        return answers_of(self.model, self, row)

    @property
    def prediction(self) -> np.ndarray:
        """What the loss makes of the logits times the model's temperature, as prediction does."""
        with precision(self.dtype):
            logits = jnp.asarray(self.model.temperature * self.logits, self.dtype)
            return np.asarray(self.loss_function.output(logits))

    def check(self) -> Check:
        """Compare every gradient with `jax.grad`: by all parameters, each layer's output, and the input.

        Raises
        ------
        DataError: the trace has no target, and so no gradient.
        """
        if self.target is None:
            raise DataError("Without a target there is no gradient to check: give y to gn.trace.")
        taken = self._from
        with precision(self.dtype):
            found = automatic(taken.state, taken.batch, self.penalties, form=taken.form)
            params, outputs, d_input = jax.tree.map(np.asarray, found)
        return compared(self, self.model.network, params, outputs, d_input)

    def to_columns(self, what: str = "neurons") -> dict[str, np.ndarray]:
        """Return a table as columns of equal length: "layers", "neurons" or "weights".

        - "layers": a row a layer, with the norm of each array.
        - "neurons": a row a layer, row and neuron: output and d_output = dL/d(output); first the inputs.
        - "weights": a row a number that the optimizer moves: value, gradient, penalty, update, effective
          rate, new value and moments. neuron: its first index; input: the others as one, -1 if there is none.
        """
        return table_of(self, what)

    def to_frame(self, what: str = "neurons", backend: str | None = None) -> Any:
        """Return a table (see `to_columns`) as a data frame: of pandas, polars or pyarrow.

        backend: one of these names; None: the first that is installed.

        Raises
        ------
        ConfigurationError: no library for data frames is installed, or there is no such table.
        """
        return frame_of(self.to_columns(what), backend)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values that JSON can hold, arrays as lists."""
        given = [{**c._asdict()} for c in self.inputs()] if self.rows == 1 else None
        return {**as_plain(self), "member": self.member, "notes": list(self.notes), "given": given}

    def to_json(self) -> str:
        """Return `to_dict` as JSON; what is infinite or undefined is null there."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)

    def __str__(self) -> str:
        return trace_text(self, self.inputs(), self.answers(), self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return trace_html(self, self.inputs(), self.answers(), self.notes)


def trace(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    optimizer: Any = None,
    l1: float | None = None,
    l2: float | None = None,
    sample_weight: Any = None,
    member: int = 0,
    train: bool = True,
    seed: int | None = None,
    dtype: str | None = None,
) -> Trace:
    """Take one step of training on rows x with targets y, and return every number of it.

    The model stays as it is.

    L = sum(w · l) / sum(w) + l1 · sum |W| + l2 / 2 · sum W²; the way there, back by the chain rule, and the
    optimizer's step, all by the layers' own `forward` and `backward` and by training's own code.

    Main arguments
    --------------
    model: a `gn.Model`, a fitted estimator, or a `gn.Run`. Of a run it is the step that training would take
        next on these rows: from the last parameters, with its optimizer and moments, penalties and dropout.
    x: rows as the model takes them: numbers, pictures, a table; or a single row, such as {"age": 44, ...}.
    y: their targets as in training. None: the forward pass alone.
    optimizer: an optimizer or its name. Default: the run's or the estimator's, else gn.SGD(0.01).

    Other arguments
    ---------------
    l1, l2: strengths of the penalties. Default: the run's or the estimator's, else 0.
    sample_weight: one number a row.
    member: which of the networks that predict together, from 0.
    train: dropout and batch norm as in training (True, default) or as in prediction.
    seed: of dropout's masks. Default: those that the run would draw next, else 0.
    dtype: "float32" or "float64" to compute in. Default: the model's.

    The temperature (see `gn.EarlyStopping`) is no part of training and so not of the trace: it multiplies the
    logits in prediction alone, see `Trace.prediction`.

    Raises
    ------
    ConfigurationError, DataError: the message says what to give instead.

    >>> import glassnet as gn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> run = gn.train(gn.Network([gn.Dense(3), "tanh", gn.Dense(2)]), X, y, epochs=1)
    >>> found = trace(run, X, y)
    >>> found.layers[0].delta.shape, found.layers[0].dW.shape, bool(found.check())
    ((4, 3), (3, 2), True)
    """
    source = source_of(model)
    found = source.model
    check_count("member", member, 0)
    if member >= found.members:
        raise ConfigurationError(
            f"member is {member}, but {found.members} network{'s' * (found.members > 1)} predict here:"
            f" give one from 0 to {found.members - 1}."
        )
    dtype = dtype or found.dtype
    if dtype not in ("float32", "float64"):
        raise ConfigurationError(f"dtype is {dtype!r}, but it must be 'float32' or 'float64'.")
    strengths = zip(source.penalty, (l1, l2), strict=True)
    penalty = Penalty(*(own if given is None else given for own, given in strengths))
    for name, strength in penalty._asdict().items():
        check_range(name, strength, 0, np.inf)
    with precision(dtype):
        rows = as_rows(found, x)
        batch = batch_of(replace(found, dtype=dtype), rows, y, sample_weight)
        state, moves = start_of(source, optimizer, member, seed, dtype)
        form = Form(found.network.skeleton(), found.loss, bool(train), any(map(float, penalty)))
        recorded = record(state, moves, batch, penalty, form=form)
        traits = spread_traits(found.network, state.params)
        factors = jax.tree.map(lambda t: t.factor, traits, is_leaf=lambda t: isinstance(t, Trait))
        layers = layer_traces(found.network, state, recorded, factors)
        output = np.asarray(found.loss.output(recorded.logits))
    step, loss = None, None
    if batch.y is not None:
        loss = float(recorded.loss)
        rate = float(rate_at(getattr(moves, "learning_rate", np.nan), state.step))
        finite = bool(np.isfinite(loss) and np.isfinite(recorded.norm))
        step = Taken(moves, rate, int(state.step) + 1, float(recorded.norm), finite)
    notes = tuple(notes_on(source, layers, batch, step, moves, member, bool(train)))
    return Trace(
        layers, np.asarray(recorded.logits), output, batch.y, batch.weight, found.loss, loss, penalty,
        float(recorded.penalty or 0), step, bool(train), dtype, found, rows, member, notes,
        _Taken(state, batch, form),
    )  # fmt: skip
