"""What classifier and regressor share: from a person's rows to a fitted model."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from glassnet import keys
from glassnet._checks import check_range
from glassnet._precision import precision
from glassnet._types import Key
from glassnet.data.splits import duplicate_groups, folds, merge_duplicates, split
from glassnet.data.tables import Table, as_table, dense, is_sparse, is_table, rows_at
from glassnet.encoding.class_weights import balanced
from glassnet.encoding.objectives import (
    as_target,
    check_output,
    encode_target,
    encoded,
    outputs_needed,
)
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import TargetEncoder
from glassnet.errors import ConfigurationError, DataError
from glassnet.exporting.export import export
from glassnet.fit.parameters import as_array, seed_of, targets_of
from glassnet.fit.recipes import (
    FEW_ROWS,
    FOLDS,
    MOST_LEVELS_ONE_HOT,
    MOST_ROWS_IN_FOLDS,
    MOST_ROWS_WATCHED,
    VALIDATION_SHARE,
    Recipe,
    build_network,
    chosen_recipe,
    is_pictures,
    picture_front,
    recipe_for,
    table_front,
)
from glassnet.fit.sklearn_callbacks import CallbackSupportMixin, fit_tasks, with_callbacks
from glassnet.fit.train import as_callbacks, check_weights, make_plan
from glassnet.fit.variations import member_keys
from glassnet.models.model import Model, check_array
from glassnet.models.model_file import save
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network
from glassnet.nn.optimizer_wrappers import as_optimizer
from glassnet.nn.penalties import Penalty
from glassnet.training.batches import Data
from glassnet.training.checkpoints import as_checkpoint
from glassnet.training.divergence import as_policy
from glassnet.training.history import History
from glassnet.training.jobs import Job, Outcome, Settings, finished_model, run_jobs, with_errors
from glassnet.training.loop import TimeLimit, start
from glassnet.training.state import Plan, TrainState, continued

ROWS_IN_FLOAT64 = FEW_ROWS  # float64 numbers of so few rows are computed as such: it costs nothing


class _Rows(NamedTuple):
    """Checked rows: inputs, targets, weights, and these with the classes' weights in them."""

    X: Table | np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    total: np.ndarray | None = None

    def at(self, places: np.ndarray) -> _Rows:
        X = rows_at(self.X, places)
        weights = (None if w is None else w[places] for w in (self.weight, self.total))
        return _Rows(X, self.y[places], *weights)


class NeuralEstimator(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A network behind `fit` and `predict`; the two public classes add their parameters and their losses."""

    class_weight: Any = None  # the classifier has it as a parameter

    @with_callbacks  # type: ignore[untyped-decorator]  # scikit-learn publishes no types
    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> Self:
        """Train on rows X and targets y, and return the estimator.

        Parameters
        ----------
        X: numbers (n, features), sparse or not; pictures (n, h, w) or (n, h, w, c); or a table (pandas,
            polars, Arrow, a dictionary of columns) with text, dates and missing values as they are.
        y: classes or values, one column or several.
        sample_weight: one number a row, at least 0; a row of weight 2 counts as two rows.
        validation: (X, y) or (X, y, weight) of your own to watch, or the share of the rows to set aside.

        Raises
        ------
        DataError, ConfigurationError (both are ValueErrors): the message says what to do.
        DivergenceError: the loss became infinite or undefined. CheckpointError: one could not be written.
        """
        again = bool(self.warm_start) and hasattr(self, "model_")
        rows = self._checked(X, y, sample_weight, reset=not again)
        return self._train(self._job(rows, validation, again), (X, y, sample_weight))

    def _one_epoch(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        again = hasattr(self, "model_")
        rows = self._checked(X, y, sample_weight, reset=not again)
        return self._train(self._job(rows, None, again, partial=True, classes=classes), None)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class, the labels, or the value of each row, in the target's own unit."""
        check_is_fitted(self)
        return self.model_.predict(self._normal(X, reset=False))

    def spread(self, X: Any) -> np.ndarray:
        """Return the standard deviation over the members of what they predict; see `Model.spread`.

        >>> import glassnet as gn
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]
        >>> regressor = gn.NeuralRegressor(members=4, epochs=5, random_state=0).fit(X, y)
        >>> regressor.spread(X).shape
        (4,)
        """
        check_is_fitted(self)
        return self.model_.spread(self._normal(X, reset=False))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one file, for `gn.load` and the command."""
        check_is_fitted(self)
        save(self.model_, path)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model as ONNX (.onnx) or as one file of NumPy (.py); see `gn.export`."""
        check_is_fitted(self)
        export(self.model_, path)

    def _train(self, job: Job, told: tuple[Any, Any, Any] | None) -> Self:
        """Train a job and keep what came out; `told`: what `fit` was given, None for `partial_fit`."""
        limit = [] if self.max_seconds is None else [TimeLimit(self.max_seconds)]
        callbacks: list[Any] = [*as_callbacks(self.callbacks), *limit]
        checkpoint = None if told is None else as_checkpoint(self.checkpoint)
        with fit_tasks(self, job, told) as tasks:
            (outcomes,) = run_jobs([job], [*callbacks, *tasks], checkpoint=checkpoint)
            return self._keep(job, outcomes)

    def _job(
        self, rows: _Rows, validation: Any, again: bool, partial: bool = False, classes: Any = None
    ) -> Job:
        """Set rows aside, encode, and decide all that there is to decide."""
        seed = seed_of(self.random_state)
        shape = getattr(rows.X, "shape", ())
        columns = len(rows.X.names) if isinstance(rows.X, Table) else rows.X.shape[1]
        auto = recipe_for(len(rows.y), columns, pictures=is_pictures(shape))
        own_rows = isinstance(validation, tuple | list)
        recipe = chosen_recipe(self, auto, partial=partial, own_rows=own_rows)
        loss, target, t = self._objective(rows, classes, again)
        if len(rows.y) < FEW_ROWS and isinstance(rows.X, np.ndarray):
            first, weight = merge_duplicates(rows.X, t, rows.weight)
            rows = rows.at(first)._replace(weight=weight)
            loss, target, t = self._objective(rows, classes, again)
        rows = rows._replace(total=balanced(self.class_weight, rows.y, rows.weight, target))
        rows, held, dealt = self._watched(rows, t, validation, recipe, partial, seed)
        model = (
            self.model_ if again else self._blueprint(rows.X, rows.weight, recipe, loss, target, t)
        )
        optimizer = as_optimizer(recipe.optimizer)
        with precision(model.dtype):
            whole = self._encoded(model, rows)
            same = None if held is None else self._encoded(model, held)
            data, watched = (whole,) * recipe.members, (same,) * recipe.members
            if dealt:
                every = folds(
                    t, dealt, seed, stratify=self._by_class(t), groups=duplicate_groups(whole.x)
                )
                parts = [every[member % dealt] for member in range(recipe.members)]
                data = tuple(whole.at(train) for train, _ in parts)
                watched = tuple(whole.at(rest) for _, rest in parts)
            plan = make_plan(
                model.network, model.loss, len(data[0].x), recipe.batch_size,
                metrics=("accuracy",) if model.loss.task != "regression" else (),
                stopping=recipe.early_stopping, held=watched[0], penalised=self.l2 > 0,
            )  # fmt: skip
            drawn = member_keys(keys.key(seed), recipe.members)
            if again:
                states, done = self._states_to_go_on_from(plan, recipe.members), self.n_iter_
            else:
                states, done = self._fresh_states(model, plan, optimizer, drawn, whole), 0
        return Job(
            model, plan, drawn, states, self.histories_ if again else (History(),) * len(states),
            (optimizer,) * len(states), (Penalty(0.0, self.l2),) * len(states), data, watched,
            done + recipe.epochs, recipe.early_stopping, as_policy(self.on_divergence),
        )  # fmt: skip

    def _fresh_states(
        self, model: Model, plan: Plan, optimizer: Any, drawn: Sequence[Key], data: Data
    ) -> tuple[TrainState, ...]:
        """Return one state a member: each with weights and dropout of its own, all with one order of rows."""
        started = [start(plan, model.network, optimizer, model.in_shape, key) for key in drawn]
        first, outputs = started[0]
        check_output(outputs, model.loss, model.target_encoder, data.y)
        return tuple(state._replace(order=first.order) for state, _ in started)

    def _states_to_go_on_from(self, plan: Plan, members: int) -> tuple[TrainState, ...]:
        """Return the last fit's states; members that had stopped before others count on from the last."""
        if len(self.states_) != members:
            raise ConfigurationError(
                f"members is {members}, but the fit to go on from had {len(self.states_)}: leave it"
                " as it was, or set warm_start=False."
            )
        epoch: Any = np.asarray(self.n_iter_, np.int32)
        return tuple(continued(state._replace(epoch=epoch), plan) for state in self.states_)

    def _keep(self, job: Job, outcomes: Sequence[Outcome]) -> Self:
        """Become fitted: hold the model and the outcome of each member's training."""
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
        """One row an epoch: the mean over the members."""
        return History.mean(self.histories_)

    @property
    def settings_(self) -> tuple[Settings, ...]:
        """What each member was trained with."""
        return tuple(outcome.settings for outcome in self.outcomes_)

    @property
    def status_(self) -> str:
        """How the first member's training ended."""
        return self.outcomes_[0].status

    @property
    def n_iter_(self) -> int:
        """The epochs of the member that trained longest."""
        return max(int(history["epoch"][-1]) for history in self.histories_)

    @property
    def n_validation_(self) -> int:
        """The rows that a member watched and did not learn from."""
        return self.outcomes_[0].settings.n_validation

    def _watched(
        self, rows: _Rows, t: np.ndarray, validation: Any, recipe: Recipe, partial: bool, seed: int
    ) -> tuple[_Rows, _Rows | None, int]:
        """Return the rows to train on, the rows that all members watch, if any, and else how many folds.

        Each member watches another fold where the choice is ours: together they learn from every row.
        """
        if isinstance(validation, tuple | list):
            if len(validation) not in (2, 3):
                raise DataError(
                    f"validation has {len(validation)} parts: give (X, y), (X, y, weight), or a share."
                )
            held = self._checked(*validation, *[None] * (3 - len(validation)), reset=False)
            return rows, held._replace(total=held.weight), 0  # weighted as the person says
        if validation is None and (recipe.early_stopping is None or partial):
            return rows, None, 0
        count = min(max(FOLDS, recipe.members), len(rows.y))
        if (
            validation is None
            and recipe.members > 1
            and count > 1
            and len(rows.y) <= MOST_ROWS_IN_FOLDS
        ):
            return rows, None, count
        share = validation
        if share is None:
            share = min(VALIDATION_SHARE, MOST_ROWS_WATCHED / len(rows.y))
        check_range("validation, a share of the rows,", share, 0, 1, open_low=True)
        train, rest = split(t, share, seed, stratify=self._by_class(t))
        return rows.at(train), rows.at(rest), 0

    def _by_class(self, t: np.ndarray) -> bool:
        """Return whether both sides of a split should hold every class in its share."""
        return bool(is_classifier(self)) and t.ndim == 1

    def _objective(
        self, rows: _Rows, classes: Any, again: bool
    ) -> tuple[Loss, TargetEncoder, np.ndarray]:
        """Return the loss, the target's encoder, and the target encoded."""
        if again:
            return (
                self.model_.loss,
                self.model_.target_encoder,
                encoded(rows.y, self.model_.target_encoder),
            )
        loss = self._loss(rows.y)
        if classes is None or rows.y.ndim > 1:  # several labels are columns: none can be absent
            return loss, *encode_target(rows.y, loss, weight=rows.weight, scaled=True)
        target, _ = encode_target(np.unique(classes), loss, scaled=True)
        return loss, target, encoded(rows.y, target)

    def _blueprint(
        self,
        X: Table | np.ndarray,
        weight: np.ndarray | None,
        recipe: Recipe,
        loss: Loss,
        target: TargetEncoder,
        t: np.ndarray,
    ) -> Model:
        """Return the model before training: encodings, network and loss, but no parameters."""
        dtype, front = self._dtype(X), []
        if isinstance(X, np.ndarray) and is_pictures(X.shape):
            encoder, in_shape = None, X.shape[1:]
            front = picture_front(X, self.embedding)
        else:
            codes = MOST_LEVELS_ONE_HOT if self.network is None else None
            encoder = TableEncoder.fit(X, weight, code_above=codes)
            in_shape = (encoder.n_features,)
            front = table_front(self.embedding, X, encoder)
        network = self.network
        if network is None:
            outputs = outputs_needed(loss, target, t)
            blocks = build_network(
                recipe.hidden, self.activation, recipe.dropout, self.batch_norm, outputs
            )
            network = Network([*front, *blocks])
        elif not isinstance(network, Network):
            raise ConfigurationError(
                f"network is {network!r}, but it must be a gn.Network, or None."
            )
        return Model(
            network=network,
            params=(),
            layer_state=(),
            loss=loss,
            in_shape=in_shape,
            dtype=dtype,
            encoder=encoder,
            target_encoder=target,
        )

    @staticmethod
    def _encoded(model: Model, rows: _Rows) -> Data:
        """Return rows as the training program takes them."""
        t = as_target(encoded(rows.y, model.target_encoder), model.loss, model.dtype)
        weight = rows.total
        return Data(model.inputs(rows.X), t, None if weight is None else weight.astype(model.dtype))

    def _dtype(self, X: Table | np.ndarray) -> str:
        if self.dtype != "auto":
            if self.dtype not in ("float32", "float64"):
                raise ConfigurationError(
                    f"dtype is {self.dtype!r}: choose 'auto', 'float32' or 'float64'."
                )
            return str(self.dtype)
        small = isinstance(X, np.ndarray) and X.dtype == np.float64 and len(X) <= ROWS_IN_FLOAT64
        return "float64" if small else "float32"

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> _Rows:
        """Return rows in their normal form, those of weight 0 left out."""
        if y is None:
            raise DataError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        X = self._normal(X, reset=reset)
        if len(X) == 0:
            raise DataError(
                "Found array with 0 sample(s): X is empty, there is nothing to learn from."
            )
        y = targets_of(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if len(X) != len(y):
            raise DataError(
                f"X has {len(X)} rows and y has {len(y)}: each row needs exactly one target."
                " Found input variables with inconsistent numbers of samples."
            )
        weight = check_weights(sample_weight, len(y), "float64")
        if weight is not None and weight.ndim > 1:
            raise DataError("Sample weights must be 1D array or scalar: one weight a row.")
        rows = _Rows(X, y, weight)
        return rows if weight is None or (weight > 0).all() else rows.at(np.flatnonzero(weight))

    def _normal(self, X: Any, *, reset: bool) -> Table | np.ndarray:
        """Return X as a table or an array, names and number of its features checked or learned."""
        if isinstance(X, list | tuple) and as_array("X", X).ndim > 2:
            X = np.asarray(X)
        if isinstance(X, Table | Mapping) and not is_sparse(X):
            table = as_table(X)
            if reset:
                self.feature_names_in_ = np.array(table.names, dtype=object)
                self.n_features_in_ = len(table.names)
            return table
        if is_table(X):
            self._validated(X, reset=reset, skip_check_array=True)
            return as_table(X)
        if is_pictures(getattr(X, "shape", ())):
            pictures = check_array(X, None, "float32")  # their shape is checked by Model.inputs
            if reset:
                self.n_features_in_ = int(np.prod(pictures.shape[1:]))
            return pictures
        checked = self._validated(
            X, reset=reset, dtype="numeric", accept_sparse="csr", ensure_all_finite="allow-nan"
        )
        return np.asarray(dense(checked))

    def _validated(self, X: Any, **options: Any) -> Any:
        """Return X as scikit-learn checks it, its ValueErrors as DataErrors, which the command tells."""
        try:
            with np.errstate(all="ignore"):  # it looks for what is not finite by adding all up
                return validate_data(self, X, **options)
        except ValueError as error:
            raise DataError(str(error)) from error
        except TypeError as error:
            if "eature names" not in str(error):
                raise
            raise DataError(
                "Some columns of X have names that are texts and some have others, so that columns cannot be"
                " told by name: use X.columns = X.columns.astype(str)."
            ) from error

    def _loss(self, y: np.ndarray) -> Loss:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


def job_of(
    estimator: NeuralEstimator, X: Any, y: Any, sample_weight: Any = None, validation: Any = None
) -> Job:
    """Return what `estimator.fit(X, y, ...)` would do, all decided; the estimator learns its features."""
    rows = estimator._checked(X, y, sample_weight, reset=True)
    return estimator._job(rows, validation, again=False)


def fitted(
    estimator: NeuralEstimator, job: Job, outcomes: Sequence[Outcome], **changed: Any
) -> Any:
    """Return a copy of the estimator, other parameters set, as it would be after this job.

    Raises
    ------
    DivergenceError: all of its networks diverged.
    """
    model = copy.copy(estimator)
    for name, value in changed.items():
        setattr(model, name, value)
    return model._keep(job, outcomes)
