"""Turn the arguments of an estimator's `fit` into a job: check the rows, then choose the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d, validate_data

from glassnet.data.splits import merge_duplicates
from glassnet.data.tables import Table, as_table, dense, is_sparse, is_table, rows_at
from glassnet.encoding.class_weights import balanced
from glassnet.encoding.objectives import encode_target, encoded, outputs_needed
from glassnet.encoding.table_encoder import TableEncoder
from glassnet.encoding.targets import TargetEncoder
from glassnet.errors import ConfigurationError, DataError
from glassnet.fit.inputs import (
    Choices,
    Rows,
    check_lengths,
    check_validation,
    prepare,
    row_weights,
)
from glassnet.fit.parameters import as_array, seed_of, targets_of
from glassnet.fit.recipes import (
    FEW_ROWS,
    FOLDS,
    MAX_LEVELS_ONE_HOT,
    MAX_ROWS_IN_FOLDS,
    MAX_ROWS_WATCHED,
    VALIDATION_SHARE,
    Recipe,
    build_network,
    chosen_recipe,
    is_pictures,
    picture_front,
    recipe_for,
    table_front,
)
from glassnet.models.model import Model, check_array
from glassnet.nn.losses import Loss
from glassnet.nn.network import Network
from glassnet.nn.penalties import Penalty
from glassnet.training.jobs import Job

# float64 costs nothing for so few rows
MAX_ROWS_IN_FLOAT64 = FEW_ROWS


def estimator_job(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    validation: Any = None,
    *,
    fresh: bool = True,
    partial: bool = False,
    classes: Any = None,
) -> Job:
    """Return the job that `fit` trains; sets `n_features_in_` and `feature_names_in_` on the estimator.

    fresh: start with new weights; otherwise continue from the estimator's. partial: train one epoch, as
    `partial_fit` does. classes: all classes, if these rows may lack some of them.
    """
    X, y, sample_weight = checked_rows(estimator, X, y, sample_weight, reset=fresh)
    columns = len(X.names) if isinstance(X, Table) else X.shape[1]
    auto = recipe_for(len(y), columns, pictures=is_pictures(getattr(X, "shape", ())))
    validation = check_validation(validation)
    has_rows = isinstance(validation, tuple)
    recipe = chosen_recipe(estimator, auto, partial=partial, validation_rows=has_rows)
    if fresh:
        loss = estimator._loss(y)
        target_encoder, target = _encoded_target(y, loss, sample_weight, classes)
    else:
        loss, target_encoder = estimator.model_.loss, estimator.model_.target_encoder
        target = encoded(y, target_encoder)
    if len(y) < FEW_ROWS and isinstance(X, np.ndarray):
        first, sample_weight = merge_duplicates(X, target, sample_weight)
        X, target = X[first], target[first]
    weight = balanced(estimator.class_weight, target, sample_weight, target_encoder)
    rows, folds = Rows(X, target, sample_weight, weight), 0
    if has_rows:
        validation = _validation_rows(estimator, validation, target_encoder)
    elif validation is None and recipe.early_stopping is not None and not partial:
        validation, folds = _chosen_validation(len(target), recipe.members)
    return prepare(
        rows,
        Choices(
            model_for=(
                (lambda rows: estimator._blueprint(rows, recipe, loss, target_encoder))
                if fresh
                else lambda _: estimator.model_
            ),
            target_encoder=target_encoder,
            optimizer=recipe.optimizer,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs if fresh else estimator.n_iter_ + recipe.epochs,
            early_stopping=recipe.early_stopping,
            penalty=Penalty(0.0, estimator.l2),
            metrics=("accuracy",) if loss.task != "regression" else (),
            seed=seed_of(estimator.random_state),
            on_divergence=estimator.on_divergence,
            validation=validation,
            folds=folds,
            members=recipe.members,
            states=() if fresh else _previous_states(estimator, recipe.members),
            histories=() if fresh else estimator.histories_,
            reset_best=True,
        ),
    )


def _encoded_target(
    y: np.ndarray, loss: Loss, sample_weight: np.ndarray | None, classes: Any
) -> tuple[TargetEncoder, np.ndarray]:
    """Return the target's encoder, fitted on y or on all `classes`, and the encoded target."""
    if classes is None or y.ndim > 1:  # each label is a column, so none can be absent
        return encode_target(y, loss, weight=sample_weight, scaled=True)
    target_encoder, _ = encode_target(np.unique(classes), loss, scaled=True)
    return target_encoder, encoded(y, target_encoder)


def _validation_rows(
    estimator: Any, validation: tuple[Any, Any, Any], target_encoder: TargetEncoder
) -> Rows:
    """Return the user's validation rows, with their sample weights but without class weights."""
    X, y, weight = checked_rows(estimator, *validation, reset=False)
    return Rows(X, encoded(y, target_encoder), weight, weight)


def _chosen_validation(n_rows: int, members: int) -> tuple[float | None, int]:
    """Return the share of rows that all members set aside, and 0; or None, and the number of folds.

    With few enough rows each member sets aside a different fold, so that together they train on every row.
    """
    count = min(max(FOLDS, members), n_rows)
    if members > 1 and count > 1 and n_rows <= MAX_ROWS_IN_FOLDS:
        return None, count
    return min(VALIDATION_SHARE, MAX_ROWS_WATCHED / n_rows), 0


def _previous_states(estimator: Any, members: int) -> tuple[Any, ...]:
    """Return the members' states after the last fit, all set to the largest number of epochs."""
    states = estimator.states_
    if len(states) != members:
        raise ConfigurationError(
            f"members is {members}, but the last fit had {len(states)}: keep that number,"
            " or set warm_start=False."
        )
    epoch: Any = np.asarray(estimator.n_iter_, np.int32)
    return tuple(state._replace(epoch=epoch) for state in states)


def blueprint(
    estimator: Any, rows: Rows, recipe: Recipe, loss: Loss, target_encoder: TargetEncoder
) -> Model:
    """Return the model before training: encoders fitted on the training rows, network and loss."""
    X, embedding, network = rows.X, estimator.embedding, estimator.network
    if isinstance(X, np.ndarray) and is_pictures(X.shape):
        encoder, in_shape = None, X.shape[1:]
        front = picture_front(X, embedding)
    else:
        code_above = MAX_LEVELS_ONE_HOT if network is None else None
        encoder = TableEncoder.fit(X, rows.sample_weight, code_above=code_above)
        in_shape = (encoder.n_features,)
        front = table_front(embedding, X, encoder)
    if network is None:
        blocks = build_network(
            recipe.hidden,
            estimator.activation,
            recipe.dropout,
            estimator.batch_norm,
            outputs_needed(loss, target_encoder, rows.target),
        )
        network = Network([*front, *blocks])
    elif not isinstance(network, Network):
        raise ConfigurationError(f"network is {network!r}, but it must be a gn.Network, or None.")
    return Model(
        network=network,
        params=(),
        layer_state=(),
        loss=loss,
        in_shape=in_shape,
        dtype=_dtype(estimator.dtype, X),
        encoder=encoder,
        target_encoder=target_encoder,
    )


def _dtype(dtype: Any, X: Table | np.ndarray) -> str:
    """Return the dtype to compute in; "auto" is float64 only for a few rows given in float64."""
    if dtype == "auto":
        doubles = isinstance(X, np.ndarray) and X.dtype == np.float64
        return "float64" if doubles and len(X) <= MAX_ROWS_IN_FLOAT64 else "float32"
    if dtype not in ("float32", "float64"):
        raise ConfigurationError(f"dtype is {dtype!r}: choose 'auto', 'float32' or 'float64'.")
    return str(dtype)


def checked_rows(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool
) -> tuple[Table | np.ndarray, np.ndarray, np.ndarray | None]:
    """Return checked inputs, targets and sample weights, without the rows of weight 0."""
    if y is None:
        raise DataError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    X = checked_inputs(estimator, X, reset=reset)
    check_lengths(X, X)
    y = targets_of(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    check_lengths(X, y)
    weight = row_weights(sample_weight, len(y))
    if weight is None or weight.all():
        return X, y, weight
    counted = np.flatnonzero(weight)
    return rows_at(X, counted), y[counted], weight[counted]


def checked_inputs(estimator: Any, X: Any, *, reset: bool) -> Table | np.ndarray:
    """Return X as a table or an array, and check its features against the estimator's.

    reset: set the estimator's features instead, as `fit` does.
    """
    if isinstance(X, list | tuple) and as_array("X", X).ndim > 2:
        X = np.asarray(X)
    if isinstance(X, Table | Mapping) and not is_sparse(X):
        table = as_table(X)
        if reset:
            estimator.feature_names_in_ = np.array(table.names, dtype=object)
            estimator.n_features_in_ = len(table.names)
        return table
    if is_table(X):
        _validated(estimator, X, reset=reset, skip_check_array=True)
        return as_table(X)
    if is_pictures(getattr(X, "shape", ())):
        pictures = check_array(X, None, "float32")  # Model.inputs checks their shape
        if reset:
            estimator.n_features_in_ = int(np.prod(pictures.shape[1:]))
        return pictures
    checked = _validated(
        estimator,
        X,
        reset=reset,
        dtype="numeric",
        accept_sparse="csr",
        ensure_all_finite="allow-nan",
    )
    return np.asarray(dense(checked))


def _validated(estimator: Any, X: Any, **options: Any) -> Any:
    """Return X checked by scikit-learn; ValueErrors become DataErrors, which the command reports."""
    try:
        with np.errstate(
            all="ignore"
        ):  # its check for non-finite numbers sums X, which may overflow
            return validate_data(estimator, X, **options)
    except ValueError as error:
        raise DataError(str(error)) from error
    except TypeError as error:
        if "eature names" not in str(error):
            raise
        raise DataError(
            "Some column names of X are text and some are not, so columns cannot be looked up by name: use"
            " X.columns = X.columns.astype(str)."
        ) from error
