"""Measure what a diagnosis examines. Each number is computed once, when it is first needed.

The evidence comes from the network's forward and backward passes (with its initial weights, if they are
known, and with those used for prediction), from its history, and from its predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from glassnet import keys
from glassnet._compile import limit_programs
from glassnet._precision import precision
from glassnet._types import Params, State
from glassnet.diagnosis.forests import (
    MIN_ROWS,
    Forest,
    compare_with_forest,
    one_hot,
    share_explained,
)
from glassnet.diagnosis.remedies import USUAL_RATE, Door, inner, remedy, rounded, with_rate
from glassnet.encoding.targets import ClassEncoder
from glassnet.models.model import Model
from glassnet.nn.activations import Activation, Identity
from glassnet.nn.layers import Dense
from glassnet.nn.losses import BinaryCrossEntropy, CrossEntropy, Loss
from glassnet.nn.optimizer_wrappers import as_optimizer, bind_schedules, is_foreign
from glassnet.nn.optimizers import Adam, AdamW, RMSprop
from glassnet.nn.walk import LayerPass
from glassnet.training.batches import Data
from glassnet.training.history import History
from glassnet.training.jobs import Outcome
from glassnet.training.passes import pass_through
from glassnet.training.state import DIVERGED

SAMPLE = 1000
"""Rows used for the passes and the forest: enough to measure shares to a few percent."""
ROUNDS = 20
"""Rounds of the power iteration."""
NUDGE = 1e-2
"""Step of its finite differences, large enough for float32 to tell the two gradients apart."""

Values = NDArray[Any]


@dataclass(frozen=True)
class Evidence:
    """One network and the rows to examine it with.

    model: the single network examined. whole: the model with all its members.
    rows: encoded training rows. held: encoded rows it was not trained on, if there are any.
    outcome: of its training; None for a model without a history. door: the interface that the advice names.
    own_network: whether the caller passed a `Network`, so that only another `Network` can replace it.
    """

    model: Model
    whole: Model
    rows: Data
    held: Data | None
    outcome: Outcome | None
    door: Door
    own_network: bool

    # ------------------------------------------------------------------------------- passes

    @cached_property
    def sample(self) -> Data:
        """At most SAMPLE rows, evenly spaced."""
        rows = np.linspace(0, len(self.rows.x) - 1, min(SAMPLE, len(self.rows.x))).astype(int)
        return self.rows.at(rows)

    def _pass(self, params: Params, state: State) -> tuple[LayerPass, ...]:
        with precision(self.model.dtype):
            return pass_through(self.model.network, params, state, self.sample, self.model.loss)

    @cached_property
    def last(self) -> tuple[LayerPass, ...]:
        """The passes with the weights used for prediction."""
        return self._pass(self.model.params, self.model.layer_state)

    @cached_property
    def beginning(self) -> tuple[Params, State] | None:
        """The initial weights and layer state, drawn again from the seed."""
        if self.outcome is None:
            return None
        with precision(self.model.dtype):
            key = keys.fold_in(self.outcome.settings.key, 0)
            params, state, _ = self.model.network.init(key, self.model.in_shape)
        return params, state

    @cached_property
    def first(self) -> tuple[LayerPass, ...] | None:
        """The passes with the initial weights; None if those are not known."""
        return None if self.beginning is None else self._pass(*self.beginning)

    def activations(self, passes: Sequence[LayerPass], kind: Any = Activation) -> list[LayerPass]:
        """Return the passes of the hidden layers' activation functions."""
        return [p for p in passes[:-1] if isinstance(p.layer, kind)]

    def gradient_flow(self, passes: Sequence[LayerPass]) -> list[tuple[str, float]]:
        """Return the norm of the gradient with respect to each hidden layer's logits, then the output's."""
        nonlinear = [p for p in self.activations(passes) if not isinstance(p.layer, Identity)]
        flow = [(p.name, float(np.linalg.norm(p.d_input))) for p in nonlinear]
        return [*flow, ("the output", float(np.linalg.norm(passes[-1].d_output)))]

    @cached_property
    def dense(self) -> list[LayerPass]:
        """The Dense layers, the output layer last."""
        return [p for p in self.last if isinstance(p.layer, Dense)]

    # ------------------------------------------------------------------------------- steps

    @cached_property
    def learning_rate(self) -> float | None:
        """The largest learning rate of the run, None if it is not known."""
        rates = self.history.columns.get("learning_rate", np.empty(0))
        return float(np.max(rates)) if len(rates) and np.isfinite(rates).all() else None

    @cached_property
    def step_sizes(self) -> dict[str, float]:
        """‖ΔW‖ / ‖W‖ of the first step at the run's learning rate, by Dense layer."""
        if self.outcome is None or self.first is None or self.learning_rate is None:
            return {}
        optimizer = as_optimizer(self.outcome.settings.optimizer)
        if is_foreign(optimizer):
            return {}
        optimizer = bind_schedules(with_rate(optimizer, self.learning_rate), 1.0)
        params = {p.name: dict(p.params) for p in self.first if isinstance(p.layer, Dense)}
        grads = {p.name: dict(p.gradients) for p in self.first if p.name in params}
        with precision(self.model.dtype):
            updates = _first_step(optimizer, grads, params)
            norms = {
                name: (np.linalg.norm(updates[name]["W"]), np.linalg.norm(params[name]["W"]))
                for name in params
            }
        # with momentum, successive steps add up to this multiple of the first one
        amplification = 1 / (1 - float(getattr(inner(optimizer), "momentum", 0.0)))
        return {name: float(amplification * step / w) for name, (step, w) in norms.items() if w > 0}

    @cached_property
    def stable_rate(self) -> float | None:
        """The learning rate 1 / λ, where λ is the largest curvature of the loss at the initial weights.

        At this rate, plain gradient descent falls fastest along the direction of largest curvature. At more
        than twice this rate the loss rises (LeCun et al., "Efficient BackProp", 1998). λ is found by power
        iteration on differences of gradients, H v = (g(w + ε v) - g(w - ε v)) / 2ε. With momentum μ, steps
        add up and the rate is (1 - μ) / λ.
        """
        if self.beginning is None or self.outcome is None:
            return None
        weights, state = self.beginning
        flat, unravel = ravel_pytree(weights)
        start: Values = np.asarray(flat)
        direction = np.random.default_rng(0).normal(size=start.shape)
        curvature = 0.0
        for _ in range(ROUNDS):
            step = NUDGE * direction / np.linalg.norm(direction)
            both_sides = [
                self._pass(unravel((start + s * step).astype(start.dtype)), state) for s in (1, -1)
            ]
            ahead, behind = (self._gradient(passes) for passes in both_sides)
            direction = (ahead - behind) / (2 * NUDGE)
            curvature = float(np.linalg.norm(direction))
            if not 0 < curvature < np.inf:
                return None
        momentum = float(getattr(inner(self.outcome.settings.optimizer), "momentum", 0.0))
        return (1 - momentum) / curvature

    def _gradient(self, passes: Sequence[LayerPass]) -> Values:
        """Return the whole gradient as one vector, in the order of the weights."""
        return np.asarray(ravel_pytree([p.gradients for p in passes])[0], np.float64)

    # ------------------------------------------------------------------------------- the run

    @property
    def history(self) -> History:
        """The network's history; empty for a model without one."""
        return History() if self.outcome is None else self.outcome.history

    @property
    def diverged(self) -> bool:
        """Whether the loss or its gradient became infinite or NaN."""
        return self.outcome is not None and int(self.outcome.state.status) == DIVERGED

    @property
    def kept_best(self) -> bool:
        """Whether predictions use the weights of the best epoch, not those of the last."""
        return self.outcome is not None and self.outcome.state.best is not None

    @cached_property
    def losses(self) -> Values:
        """The training loss by epoch, without values that are not finite."""
        losses = self.history.columns.get("loss", np.empty(0))
        finite: Values = losses[np.isfinite(losses)]
        return finite

    @property
    def penalty(self) -> float:
        """The penalty after the last epoch, 0 if there is none."""
        return float(self.history.columns.get("penalty", np.zeros(1))[-1])

    # ------------------------------------------------------------------------------- advice

    @property
    def built(self) -> bool:
        """Whether the network was built from an estimator's parameters, so that they can change it."""
        return self.door != "train" and not self.own_network

    def advice(self, parameters: Mapping[str, Any], purpose: str) -> tuple[str, Mapping[str, Any]]:
        """Return advice as the text to type and as parameters."""
        return remedy(self.door, parameters, purpose), parameters

    @property
    def oversteps(self) -> bool:
        """Whether the learning rate is far too large: ten times the usual, or twice the stable rate."""
        if self.outcome is None or self.learning_rate is None:
            return False
        usual = self._usual_rate(self.outcome.settings.optimizer, self.learning_rate)
        return self.learning_rate > (10 if usual == USUAL_RATE else 2) * usual

    def slower(self) -> tuple[dict[str, Any], str]:
        """Return a lower learning rate, and its purpose."""
        assert self.outcome is not None
        optimizer = as_optimizer(self.outcome.settings.optimizer)
        rate = self.learning_rate or USUAL_RATE
        if is_foreign(optimizer):
            return {"optimizer": Adam()}, "a learning rate that suits most networks"
        new = rounded(min(self._usual_rate(optimizer, rate), rate / 10))
        return {"optimizer": with_rate(optimizer, new)}, "smaller steps"

    def faster(self) -> tuple[dict[str, Any], str]:
        """Return a higher learning rate, and its purpose."""
        assert self.outcome is not None
        optimizer, rate = self.outcome.settings.optimizer, self.learning_rate or USUAL_RATE
        new = rounded(max(self._usual_rate(optimizer, rate), rate * 10))
        return {"optimizer": with_rate(optimizer, new)}, "larger steps"

    def _usual_rate(self, optimizer: Any, rate: float) -> float:
        """Return USUAL_RATE for optimizers that scale each weight's step, else the stable rate."""
        adaptive = isinstance(inner(optimizer), Adam | AdamW | RMSprop)
        return USUAL_RATE if adaptive else (self.stable_rate or rate)

    # ------------------------------------------------------------------------------- losses

    def loss_of(self, model: Model, data: Data) -> float:
        """Return the mean loss of a model on rows, without the penalty."""
        with precision(model.dtype):
            return float(_loss(model.logits_encoded(data.x), data.y, loss=model.loss))

    @cached_property
    def loss(self) -> float:
        """The loss of the network examined, on the sample."""
        with precision(self.model.dtype):
            logits = self.model.temperature * self.last[-1].output
            return float(_loss(logits, self.sample.y, loss=self.model.loss))

    @cached_property
    def guess_loss(self) -> float:
        """The loss of the best constant prediction: the class shares, or the mean."""
        loss, width = self.model.loss, self.last[-1].output.shape[1]
        target = self.sample.y
        if isinstance(loss, CrossEntropy):
            shares = one_hot(target, width).mean(axis=0)
            constant = np.log(np.maximum(shares, 1e-12))
        else:
            mean = np.asarray(target, np.float64).reshape(len(target), -1).mean(axis=0)
            if isinstance(loss, BinaryCrossEntropy):
                mean = np.clip(mean, 1e-12, 1 - 1e-12)
                mean = np.log(mean / (1 - mean))
            constant = np.resize(mean, width)
        with precision(self.model.dtype):
            logits = np.tile(constant, (len(target), 1)).astype(self.model.dtype)
            return float(_loss(logits, self.sample.y, loss=loss))

    @cached_property
    def validation_loss(self) -> float | None:
        """The loss on held-out rows: those given, else from the history. None if there are none."""
        if self.held is not None:
            return self.loss_of(self.model, self.held)
        losses = self.history.columns.get("validation_loss", np.empty(0))
        losses = losses[np.isfinite(losses)]
        if not len(losses):
            return None
        return float(
            losses.min() if self.kept_best else losses[-max(1, len(losses) // 10) :].mean()
        )

    # ------------------------------------------------------------------------------- predictions

    @cached_property
    def outputs(self) -> Values:
        """The whole model's outputs for the sample."""
        with precision(self.model.dtype):
            if self.whole.members > 1:
                return self.whole.outputs_encoded(self.sample.x)
            logits = jnp.asarray(self.model.temperature * self.last[-1].output)
            return np.asarray(self.model.loss.output(logits))

    @cached_property
    def explained(self) -> float:
        """R² or Brier skill score: the share of a constant guess's squared error that the model removes."""
        return share_explained(self.truth(self.sample, self.outputs.shape[1]), self.outputs)

    def truth(self, data: Data, width: int) -> Values:
        """Return targets in the shape of the outputs: one-hot, 0 and 1, or values."""
        if self.model.loss.task == "classification":
            return one_hot(data.y, width)
        return np.asarray(data.y, np.float64).reshape(len(data.x), -1)

    @cached_property
    def forest(self) -> Forest | None:
        """A random forest beside the whole model; None if rows are too few or the target is constant."""
        truth = self.truth(self.sample, self.outputs.shape[1])
        if len(truth) < MIN_ROWS or (truth == truth[0]).all():
            return None
        one_class = self.model.loss.task == "classification" and self.sample.y.ndim == 1
        return compare_with_forest(self.sample.x, truth, self.outputs, one_class=one_class)

    @cached_property
    def classes(self) -> list[str] | None:
        """The names of the classes; None unless each row has exactly one class."""
        target = self.model.target_encoder
        return (
            [str(label) for label in target.classes] if isinstance(target, ClassEncoder) else None
        )

    def answers(self, data: Data) -> tuple[Values, Values]:
        """Return the true classes, labels or values of rows, and those that the whole model predicts."""
        with precision(self.model.dtype):
            if self.whole.members > 1:
                outputs = self.whole.outputs_encoded(data.x)
            else:  # reuses the program compiled for the losses
                outputs = np.asarray(
                    self.model.loss.output(jnp.asarray(self.whole.logits_encoded(data.x)))
                )
        truth = self.truth(data, outputs.shape[1])
        if self.model.loss.task == "classification":
            return truth.argmax(axis=1), outputs.argmax(axis=1)
        if self.model.loss.task == "labels":
            labels = (truth > 0.5).astype(int), (outputs > 0.5).astype(int)
            return (labels[0][:, 0], labels[1][:, 0]) if self.classes else labels
        return truth, outputs

    @property
    def new_rows(self) -> Data:
        """The rows to score on: the held-out rows if there are any, else the training rows."""
        return self.rows if self.held is None else self.held

    def scores(self) -> dict[str, float]:
        """Return the whole model's loss and the task's score on `new_rows`; {} if they are not finite."""
        from sklearn import metrics  # lazily, since the import takes a second

        truth, predicted = self.answers(self.new_rows)
        loss = self.loss_of(self.whole, self.new_rows)
        if not np.isfinite(predicted).all() or not np.isfinite(loss):
            return {}
        if self.model.loss.task == "classification" or self.classes:
            recalls = [(predicted[truth == k] == k).mean() for k in np.unique(truth)]
            return {"loss": loss, "balanced_accuracy": float(np.mean(recalls))}
        if self.model.loss.task == "labels":
            f1 = metrics.f1_score(truth, predicted, average="macro", zero_division=0)
            return {"loss": loss, "macro_f1": float(f1)}
        if len(truth) < 2:
            return {"loss": loss}
        return {"loss": loss, "r2": float(metrics.r2_score(truth, predicted))}


@limit_programs
@partial(jax.jit, static_argnames="loss")
def _loss(logits: Any, target: Any, *, loss: Loss) -> Any:
    return loss.value(logits, target)


@limit_programs
@jax.jit
def _first_step(optimizer: Any, grads: Params, params: Params) -> Params:
    """Return what an optimizer adds to the weights in its first step."""
    return optimizer.update(grads, optimizer.init(params), params)[0]


def worst_member(model: Model, data: Data) -> int:
    """Return the index of the member with the largest squared error on rows."""
    if model.members == 1:
        return 0
    outputs = model.outputs_apart(np.broadcast_to(data.x, (model.members, *data.x.shape)))
    classes = model.loss.task == "classification"
    truth = one_hot(data.y, outputs.shape[2]) if classes else np.reshape(data.y, outputs.shape[1:])
    return int(np.argmax(((outputs - truth) ** 2).mean(axis=(1, 2))))
