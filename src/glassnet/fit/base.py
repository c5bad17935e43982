"""Define the base class of both estimators: scikit-learn's `fit` and `predict` for a network."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from glassnet.encoding.targets import TargetEncoder
from glassnet.exporting.export import export
from glassnet.fit.estimator_inputs import blueprint, checked_inputs, estimator_job
from glassnet.fit.inputs import Rows, as_callbacks
from glassnet.fit.recipes import Recipe
from glassnet.fit.sklearn_callbacks import CallbackSupportMixin, fit_tasks, with_callbacks
from glassnet.models.model import Model
from glassnet.models.model_file import save
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network
from glassnet.training.checkpoints import as_checkpoint
from glassnet.training.history import History
from glassnet.training.jobs import Job, Outcome, Settings, finished_model, run_jobs, with_errors
from glassnet.training.loop import TimeLimit
from glassnet.training.state import TrainState


class NeuralEstimator(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A network with `fit` and `predict`; the two public classes add their losses."""

    class_weight: Any = None  # a parameter of the classifier

    def __init__(
        self,
        hidden: Any = "auto",
        *,
        activation: Any = "silu",
        dropout: Any = "auto",
        batch_norm: bool = False,
        embedding: Any = "auto",
        network: Network | None = None,
        loss: Any = "auto",
        optimizer: Any = "auto",
        l2: float = 0.0,
        batch_size: Any = "auto",
        epochs: Any = "auto",
        early_stopping: Any = "auto",
        members: Any = "auto",
        max_seconds: float | None = None,
        warm_start: bool = False,
        dtype: str = "auto",
        random_state: Any = None,
        callbacks: Any = (),
        on_divergence: Any = "raise",
        checkpoint: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.embedding = embedding
        self.network = network
        self.loss = loss
        self.optimizer = optimizer
        self.l2 = l2
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.members = members
        self.max_seconds = max_seconds
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.callbacks = callbacks
        self.on_divergence = on_divergence
        self.checkpoint = checkpoint

    @with_callbacks  # type: ignore[untyped-decorator]  # scikit-learn publishes no types
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> Self:
        """Train on rows X and targets y, and return the estimator.

        Parameters
        ----------
        X: numbers (n, features), sparse or not; pictures (n, h, w) or (n, h, w, c); or a table (pandas,
            polars, Arrow, a dictionary of columns) with text, dates and missing values unchanged.
        y: classes or values, one column or several.
        sample_weight: one number for each row, at least 0; a row of weight 2 counts as two rows.
        validation: your own validation rows, (X, y) or (X, y, weight), or the share of the rows to set aside.

        Raises
        ------
        DataError, ConfigurationError (both are ValueErrors): the message says what to do.
        DivergenceError: the loss became infinite or undefined.
        CheckpointError: a checkpoint could not be written.
        """
        fresh = not (self.warm_start and hasattr(self, "model_"))
        job = estimator_job(self, X, y, sample_weight, validation, fresh=fresh)
        return self._train(job, (X, y, sample_weight))

    def _one_epoch(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        fresh = not hasattr(self, "model_")
        job = estimator_job(
            self, X, y, sample_weight, None, fresh=fresh, partial=True, classes=classes
        )
        return self._train(job, None)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class, the labels or the value of each row, in the unit of the target."""
        check_is_fitted(self)
        return self.model_.predict(checked_inputs(self, X, reset=False))

    def spread(self, X: Any) -> np.ndarray:
        """Return the standard deviation of the predictions over the members; see `Model.spread`.

        >>> import glassnet as gn
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
        >>> regressor = gn.NeuralRegressor(members=4, epochs=5, random_state=0).fit(X, y)
        >>> regressor.spread(X).shape
        (4,)
        """
        check_is_fitted(self)
        return self.model_.spread(checked_inputs(self, X, reset=False))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, which `gn.load` and the command read."""
        check_is_fitted(self)
        save(self.model_, path)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model as ONNX (.onnx) or as a NumPy script (.py); see `gn.export`."""
        check_is_fitted(self)
        export(self.model_, path)

    def _train(self, job: Job, fit_arguments: tuple[Any, Any, Any] | None) -> Self:
        """Train a job and keep the result; `fit_arguments`: X, y and the weights, None in `partial_fit`."""
        limit = [] if self.max_seconds is None else [TimeLimit(self.max_seconds)]
        callbacks: list[Any] = [*as_callbacks(self.callbacks), *limit]
        checkpoint = None if fit_arguments is None else as_checkpoint(self.checkpoint)
        with fit_tasks(self, job, fit_arguments) as tasks:
            (outcomes,) = run_jobs([job], [*callbacks, *tasks], checkpoint=checkpoint)
            return self._set_fitted(job, outcomes)

    def _set_fitted(self, job: Job, outcomes: Sequence[Outcome]) -> Self:
        """Keep the fitted model and the outcome of each member's training."""
        model = finished_model(job.blueprint, outcomes, job.on_divergence)
        self.model_: Model = with_errors(model, job.validation[: len(outcomes)], outcomes)
        self.outcomes_: tuple[Outcome, ...] = tuple(outcomes)
        return self

    @property
    def states_(self) -> tuple[TrainState, ...]:
        """Each member's state after its last step."""
        return tuple(outcome.state for outcome in self.outcomes_)

    @property
    def histories_(self) -> tuple[History, ...]:
        """Each member's history."""
        return tuple(outcome.history for outcome in self.outcomes_)

    @property
    def history_(self) -> History:
        """One row for each epoch: the mean over the members."""
        return History.mean(self.histories_)

    @property
    def settings_(self) -> tuple[Settings, ...]:
        """The settings that each member was trained with."""
        return tuple(outcome.settings for outcome in self.outcomes_)

    @property
    def status_(self) -> str:
        """How the first member's training ended."""
        return self.outcomes_[0].status

    @property
    def n_iter_(self) -> int:
        """The number of epochs of the member that trained longest."""
        return max(int(history["epoch"][-1]) for history in self.histories_)

    @property
    def n_validation_(self) -> int:
        """The number of validation rows, which a member did not learn from."""
        return self.outcomes_[0].settings.n_validation

    def _blueprint(
        self, rows: Rows, recipe: Recipe, loss: Loss, target_encoder: TargetEncoder
    ) -> Model:
        """Return the model before training."""
        return blueprint(self, rows, recipe, loss, target_encoder)

    def _loss(self, y: np.ndarray) -> Loss:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def fitted(
    estimator: NeuralEstimator, job: Job, outcomes: Sequence[Outcome], **changed: Any
) -> Any:
    """Return a fitted copy of the estimator after this job, with the `changed` parameters.

    Raises
    ------
    DivergenceError: all of its networks diverged.
    """
    model = copy.copy(estimator)
    for name, value in changed.items():
        setattr(model, name, value)
    return model._set_fitted(job, outcomes)
