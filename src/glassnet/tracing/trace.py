"""Trace one step of training with every number of both passes and of the update."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from glassnet._checks import check_range
from glassnet._precision import precision
from glassnet.data.tables import frame_of
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.model import Model
from glassnet.nn.layers import Trait
from glassnet.nn.losses import Loss
from glassnet.nn.network import spread_traits
from glassnet.nn.penalties import Penalty
from glassnet.nn.schedules import rate_at
from glassnet.tracing.expressions import DIGITS, TERMS
from glassnet.tracing.gradient_check import Check, compare_gradients
from glassnet.tracing.layer_equations import input_names
from glassnet.tracing.neuron_equations import Neuron, neuron, weight
from glassnet.tracing.page import trace_html
from glassnet.tracing.recording import (
    RecordedStep,
    StepSettings,
    jax_gradients,
    layer_traces,
    record,
)
from glassnet.tracing.records import LayerTrace, OptimizerStep, Values
from glassnet.tracing.start import Source, batch_of, notes_on, source_of, start_of
from glassnet.tracing.tables import as_plain, table_of
from glassnet.tracing.text import trace_text
from glassnet.tracing.units import (
    Answer,
    GivenColumn,
    answers_of,
    as_rows,
    feature_names,
    given_columns,
)
from glassnet.training.batches import Data
from glassnet.training.state import TrainState


class _Start(NamedTuple):
    """The state and the batch before the step."""

    state: TrainState
    batch: Data
    settings: StepSettings


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One step of training with all its numbers, as `trace` returns it. Print it, or look at one `neuron`.

    Parameters
    ----------
    layers: from first to last, each a `LayerTrace`: a, z, output, delta, parameters with their gradients.
    logits: the output of the network. output: probabilities, or values before they are converted to the
        unit of the target.
    target, sample_weight: as the loss takes them.
    loss, penalty: numbers; their sum is `total`. penalties: their strengths, l1 and l2.
    step: the optimizer, its rate, the number of the step, the norm of the gradient.
    train: whether dropout and batch norm work as in training. dtype: of the computation.
    model: the traced model. given: the rows as given. member: the index of the traced network.
    notes: sentences about what is special in this trace.

    Without a target there is only the forward pass: gradients, loss and step are None.
    """

    layers: tuple[LayerTrace, ...]
    logits: Values
    output: Values
    target: Values | None
    sample_weight: Values | None
    loss_function: Loss
    loss: float | None
    penalties: Penalty
    penalty: float
    step: OptimizerStep | None
    train: bool
    dtype: str
    model: Model
    given: Any
    member: int
    notes: tuple[str, ...]
    _start: _Start = field(repr=False)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.logits)

    @property
    def total(self) -> float | None:
        """What training minimises: loss + penalty."""
        return None if self.loss is None else self.loss + self.penalty

    def layer(self, at: int | str) -> LayerTrace:
        """Return a layer by its number, or by its path in nested networks ("2.0")."""
        return self.layers[self.number(at)]

    def number(self, at: int | str) -> int:
        """Return the index in `layers` of a layer given by number or path; raises `IndexError`."""
        paths = [layer.path for layer in self.layers]
        if isinstance(at, str) and at in paths:
            return paths.index(at)
        number = int(at)
        if str(number) in paths:  # a nested network counts as one layer
            return paths.index(str(number))
        if number < 0:
            number += len(paths)
        if not 0 <= number < len(paths) or "." in "".join(paths):
            raise IndexError(at)
        return number

    def neuron(
        self,
        layer: int | str,
        index: int | tuple[int, ...],
        row: int = 0,
        *,
        digits: int = DIGITS,
        terms: int = TERMS,
    ) -> Neuron:
        """Return all equations of one neuron: from its inputs to δ, its gradients and its new weights.

        layer: its number, from 0; inside a nested network its path, "2.0". index: of the neuron in the layer,
        from 0. Equations count neurons from 1, as the unit does: index 1 is z₂.
        row: the row of this trace. digits: significant digits; more if a sum needs them to add up. terms: the
        terms of a long sum that are written out; the others are written as one number.

        >>> import glassnet as gn
        >>> net = gn.Network([gn.Dense(2), "tanh", gn.Dense(2)])
        >>> run = gn.train(net, [[0.0, 1.0], [1.0, 0.0]], [0, 1], epochs=1)
        >>> print(gn.trace(run, [[1.0, 0.5]], [1]).neuron(0, 1)["z₂"])
        z₂ = -0.7798·1.0 - 0.6509·0.5 + 0.001 = -1.104
        """
        names = input_names(self.layers, feature_names(self.model))
        return neuron(self, names, layer, index, row=row, digits=digits, terms=terms)

    def weight(
        self,
        layer: int | str,
        index: int | tuple[int, ...],
        name: str = "W",
        *,
        digits: int = DIGITS,
        terms: int = TERMS,
    ) -> Neuron:
        """Return the equations of one weight: its gradient, penalty, optimizer moments and new value.

        index: of the number in the array `name`, from 0: (1, 0) is w₂₁.
        """
        return weight(self, layer, index, name, digits=digits, terms=terms)

    def inputs(self, row: int = 0) -> tuple[GivenColumn, ...]:
        """Return the columns of a row in the units of the data, each with the inputs that it becomes."""
        return given_columns(self.model, self.given, self._start.batch.x, row)

    def answers(self, row: int = 0) -> tuple[Answer, ...]:
        """Return the outputs for a row by class, label or target, in the unit of the target."""
        return answers_of(self.model, self, row)

    @property
    def prediction(self) -> np.ndarray:
        """The output with the model's temperature, as prediction computes it."""
        with precision(self.dtype):
            logits = jnp.asarray(self.model.temperature * self.logits, self.dtype)
            return np.asarray(self.loss_function.output(logits))

    def check(self) -> Check:
        """Compare all gradients with `jax.grad`: by the parameters, by each layer's output and by the input.

        Raises
        ------
        DataError: the trace has no target, and so no gradient.
        """
        if self.target is None:
            raise DataError("Without a target there is no gradient to check: give y to gn.trace.")
        start = self._start
        with precision(self.dtype):
            gradients = jax_gradients(
                start.state, start.batch, self.penalties, settings=start.settings
            )
            params, outputs, d_input = jax.tree.map(np.asarray, gradients)
        return compare_gradients(self, self.model.network, params, outputs, d_input)

    def to_columns(self, table: str = "neurons") -> dict[str, np.ndarray]:
        """Return a table as columns of equal length.

        table: one of

        - "layers": one row for each layer, with the norms of its arrays.
        - "neurons": one row for each layer, row and neuron: output and d_output = dL/d(output). The network's
          inputs come first.
        - "weights": one row for each number that the optimizer updates: value, gradient, penalty, update,
          effective rate, new value and moments. neuron: its first index; input: its other indices as one
          number, -1 if there are none.

        Raises
        ------
        ConfigurationError: there is no such table.
        """
        return table_of(self, table)

    def to_frame(self, table: str = "neurons", backend: str | None = None) -> Any:
        """Return a table (see `to_columns`) as a data frame.

        backend: "pandas", "polars" or "pyarrow". Default: the first of them that is installed.

        Raises
        ------
        ConfigurationError: no library for data frames is installed, or there is no such table.
        """
        return frame_of(self.to_columns(table), backend)

    def to_dict(self) -> dict[str, Any]:
        """Return the trace as plain values that JSON can hold, arrays as lists."""
        given = [column._asdict() for column in self.inputs()] if self.rows == 1 else None
        return {**as_plain(self), "member": self.member, "notes": list(self.notes), "given": given}

    def to_json(self) -> str:
        """Return `to_dict` as JSON; infinite and undefined numbers become null."""
        return json.dumps(self.to_dict(), allow_nan=False, ensure_ascii=False)

    def __str__(self) -> str:
        return trace_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return trace_html(self)


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
    """Take one step of training on rows x with targets y, and return all its numbers.

    The model does not change.

    L = sum(w · l) / sum(w) + l1 · sum |W| + l2 / 2 · sum W². The forward pass, the backward pass and the
    optimizer's step are computed by the layers' own `forward` and `backward` and by training's own code.

    Main arguments
    --------------
    model: a `gn.Model`, a fitted estimator, or a `gn.Run`. For a run this is the step that training would
        take next on these rows: from its last parameters, with its optimizer, moments, penalties and dropout.
    x: rows as the model takes them: numbers, pictures, a table; or a single row, such as {"age": 44, ...}.
    y: their targets, as in training. None: only the forward pass.
    optimizer: an optimizer or its name. Default: that of the run or estimator, else gn.SGD(0.01).

    Other arguments
    ---------------
    l1, l2: strengths of the penalties. Default: those of the run or estimator, else 0.
    sample_weight: one number for each row.
    member: the index of the network in the ensemble, from 0.
    train: dropout and batch norm work as in training (True, default) or as in prediction.
    seed: of dropout's masks. Default: the masks that the run would draw next, else 0.
    dtype: "float32" or "float64", for the computation. Default: the model's.

    The temperature (see `gn.EarlyStopping`) multiplies the logits in prediction only, so it is not part of
    the trace; `Trace.prediction` includes it.

    Raises
    ------
    ConfigurationError, DataError: the message says what to give instead.

    >>> import glassnet as gn
    >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    >>> run = gn.train(gn.Network([gn.Dense(3), "tanh", gn.Dense(2)]), X, y, epochs=1)
    >>> step = trace(run, X, y)
    >>> step.layers[0].delta.shape, step.layers[0].dW.shape, bool(step.check())
    ((4, 3), (3, 2), True)
    """
    source = source_of(model)
    traced = source.model
    dtype = dtype or traced.dtype
    _check(traced, member, dtype)
    penalty = _penalty(source, l1, l2)
    with precision(dtype):
        rows = as_rows(traced, x)
        batch = batch_of(replace(traced, dtype=dtype), rows, y, sample_weight)
        state, optimizer = start_of(source, optimizer, member, seed, dtype)
        settings = StepSettings(
            traced.network.skeleton(), traced.loss, bool(train), any(map(float, penalty))
        )
        recorded = record(state, optimizer, batch, penalty, settings=settings)
        traits = spread_traits(traced.network, state.params)
        factors = jax.tree.map(lambda t: t.factor, traits, is_leaf=lambda t: isinstance(t, Trait))
        layers = layer_traces(traced.network, state, recorded, factors)
        output = np.asarray(traced.loss.output(recorded.logits))
    step = None if batch.y is None else _optimizer_step(optimizer, state, recorded)
    return Trace(
        layers=layers,
        logits=np.asarray(recorded.logits),
        output=output,
        target=batch.y,
        sample_weight=batch.weight,
        loss_function=traced.loss,
        loss=None if batch.y is None else float(recorded.loss),
        penalties=penalty,
        penalty=float(recorded.penalty or 0),
        step=step,
        train=bool(train),
        dtype=dtype,
        model=traced,
        given=rows,
        member=member,
        notes=tuple(notes_on(source, layers, batch, step, member=member, train=bool(train))),
        _start=_Start(state, batch, settings),
    )


def _check(model: Model, member: int, dtype: str) -> None:
    model.member(member)  # raises if there is no such member
    if dtype not in ("float32", "float64"):
        raise ConfigurationError(f"dtype is {dtype!r}, but it must be 'float32' or 'float64'.")


def _penalty(source: Source, l1: float | None, l2: float | None) -> Penalty:
    """Return the penalties given, and those of the training where none is given."""
    penalty = Penalty(
        source.penalty.l1 if l1 is None else l1, source.penalty.l2 if l2 is None else l2
    )
    for name, strength in penalty._asdict().items():
        check_range(name, strength, 0, np.inf)
    return penalty


def _optimizer_step(optimizer: Any, state: TrainState, recorded: RecordedStep) -> OptimizerStep:
    return OptimizerStep(
        optimizer=optimizer,
        rate=float(rate_at(getattr(optimizer, "learning_rate", np.nan), state.step)),
        number=int(state.step) + 1,
        norm=float(recorded.norm),
        finite=bool(np.isfinite(recorded.loss) and np.isfinite(recorded.norm)),
    )
