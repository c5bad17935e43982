"""Define NeuralClassifier and NeuralRegressor, scikit-learn estimators that train networks."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from glassnet.encoding.objectives import check_same_classes, resolve_loss
from glassnet.encoding.targets import LabelsEncoder
from glassnet.errors import ConfigurationError
from glassnet.fit.base import NeuralEstimator
from glassnet.fit.estimator_inputs import checked_inputs
from glassnet.nn.losses import LOSSES, Loss
from glassnet.nn.network import Network


class NeuralClassifier(ClassifierMixin, NeuralEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """A network that predicts classes, or several yes-or-no labels.

    Parameters
    ----------
    hidden: the widths of the hidden layers; "auto": (128, 128, 128), for pictures (384, 384).
    activation: the activation of the hidden layers, a name or an object. Default "silu".
    dropout: the share of hidden neurons dropped in training; "auto": 0 for fewer than 40 rows, 0.3 for
        tables of more than 256 columns, else 0.1.
    batch_norm: whether each activation is preceded by batch normalization. Default False.
    embedding: what precedes the first layer. For a table: "auto" ("periodic" for up to 256 numeric columns
        that are not mostly redundant, as pixels are; else "scale"), "periodic" (gn.Scale and gn.Periodic:
        a learned scale for each input, and waves of each number), "scale" (gn.Scale), "none", or a layer.
        Categories of more than 64 levels get a gn.Embedding. For pictures: "auto" (gn.RandomShift: random
        shifts in training by up to a 28th of the smaller side), "none", or a layer.
    network: your own network, which replaces these five parameters; its last layer is gn.Dense(classes).
    loss: "auto" (cross-entropy, or binary cross-entropy for several labels), a loss, or its name.
    optimizer: "auto" (AdamW at a constant rate with averaged weights, gn.Averaged), an optimizer with its
        learning rate, a name, or an optax transformation.
    l2: strength of the L2 penalty on the weights. Default 0.
    batch_size: rows in each step; "auto": chosen by the number of rows; None: all rows.
    epochs: the largest number of passes over the rows; "auto": chosen by the number of rows.
    early_stopping: "auto" (from 40 rows on, calibrated), True, False, or gn.EarlyStopping(patience=...).
        The best epoch is kept, judged on the `validation` given to `fit`, or else on an eighth of the
        rows. Up to 50 000 rows each member sets aside a different part, so that together they train on
        all rows.
    class_weight: a dictionary {class: weight}, "balanced" (n / (classes · rows of the class)), or for several
        labels a list with one of these for each. Rows set aside for early stopping are weighted too.
    members: the number of networks, trained together from different seeds. Their mean is the prediction,
        and `spread` measures how much they differ. "auto": 8 up to 20 000 rows, 4 up to 100 000, else 2;
        for pictures 4 up to 5 000 rows, else 2.
    max_seconds: the time limit, compilation included; the best parameters so far are kept. None: no limit.
    warm_start: whether `fit` continues from the parameters of the last fit.
    dtype: "float32", "float64", or "auto": float64 for a float64 array of at most 40 rows, else float32.
    random_state: a number gives the same result each time.
    callbacks: each is called with an `Event` between calls of the program, for example gn.ProgressBar().
    on_divergence: "raise": an error if all members diverge. "stop": warn and keep the last finite model.
        "rollback" (gn.Rollback(times=5)): a member that diverges returns to its last good state and
        continues with half the learning rate.
    checkpoint: a folder, or gn.Checkpoint(folder, every=5, resume=True), to which `fit` writes its progress.

    Attributes
    ----------
    model_: the fitted `Model`. history_: one row for each epoch, the mean over the members.
    histories_, states_, outcomes_: each member's history, `TrainState`, and the record of its training.
    status_: "finished", "converged", "stopped early", "interrupted", "out of time" or "diverged"; with
        several members, how the first one's training ended.
    n_validation_: the number of rows that a member sets aside for early stopping.
    classes_, n_features_in_, feature_names_in_, n_iter_: as in scikit-learn.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NeuralClassifier(random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.95
    True
    """

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
        class_weight: Any = None,
        members: Any = "auto",
        max_seconds: float | None = None,
        warm_start: bool = False,
        dtype: str = "auto",
        random_state: Any = None,
        callbacks: Any = (),
        on_divergence: Any = "raise",
        checkpoint: Any = None,
    ) -> None:
        super().__init__(
            hidden,
            activation=activation,
            dropout=dropout,
            batch_norm=batch_norm,
            embedding=embedding,
            network=network,
            loss=loss,
            optimizer=optimizer,
            l2=l2,
            batch_size=batch_size,
            epochs=epochs,
            early_stopping=early_stopping,
            members=members,
            max_seconds=max_seconds,
            warm_start=warm_start,
            dtype=dtype,
            random_state=random_state,
            callbacks=callbacks,
            on_divergence=on_divergence,
            checkpoint=checkpoint,
        )
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows, continuing from the last call; the first fits the encoders.

        classes: all classes, needed in the first call if its rows lack some.

        Raises
        ------
        The errors of `fit`. ConfigurationError: a later call gives other classes.
        """
        if hasattr(self, "model_"):
            check_same_classes(classes, self.model_.target_encoder)
        return self._one_epoch(X, y, sample_weight, classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (n, classes), or of each label, (n, labels)."""
        check_is_fitted(self)
        return self.model_.predict_proba(checked_inputs(self, X, reset=False))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the natural logarithm of `predict_proba`; -inf where a probability is 0 in its dtype.

        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]
        >>> classifier = NeuralClassifier((4,), members=1, epochs=5, random_state=0).fit(X, y)
        >>> bool(np.allclose(np.exp(classifier.predict_log_proba(X)).sum(axis=1), 1))
        True
        """
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    @property
    def classes_(self) -> np.ndarray:
        """The classes in the order of `predict_proba`; for several labels 0, 1, ..."""
        check_is_fitted(self, "model_")
        target = self.model_.target_encoder
        if isinstance(target, LabelsEncoder):
            return np.arange(len(target.names))
        return np.asarray(self.model_.classes)

    def _loss(self, y: np.ndarray) -> Loss:
        if isinstance(self.loss, str) and self.loss == "auto":
            return LOSSES["binary_cross_entropy" if y.ndim > 1 else "cross_entropy"]
        loss = resolve_loss(self.loss, y)
        if loss.task == "regression":
            raise ConfigurationError(
                f"{type(loss).__name__} is a loss for values: use 'cross_entropy', or NeuralRegressor."
            )
        return loss

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class NeuralRegressor(RegressorMixin, MultiOutputMixin, NeuralEstimator):  # type: ignore[misc]  # as above
    """A network that predicts values: one column or several, in their own units.

    The targets are standardised internally. Parameters and attributes are those of `NeuralClassifier`
    (without `class_weight` and `classes_`). loss: "auto" (squared error), a loss, its name, or a function.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = NeuralRegressor(random_state=0, epochs=20).fit(X, y)
    >>> regressor.predict(X[:2]).shape
    (2,)
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on these rows, continuing from the last call; the first fits the encoders."""
        return self._one_epoch(X, y, sample_weight)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Return for each row an interval that holds its value with probability `coverage`, (n, 2).

        Computed from the members' errors on their validation rows (see `intervals`). The coverage holds for
        rows drawn like the training rows. For several targets the shape is (n, targets, 2), and the coverage
        holds for each target separately.

        Raises
        ------
        ConfigurationError: no rows were held out.
        DataError: too few rows were held out for this coverage.

        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> regressor = NeuralRegressor((16,), members=2, epochs=10, random_state=0).fit(X, y)
        >>> regressor.predict_interval(X[:2], coverage=0.8).shape
        (2, 2)
        """
        check_is_fitted(self)
        return self.model_.predict_interval(checked_inputs(self, X, reset=False), coverage)

    def _loss(self, y: np.ndarray) -> Loss:
        if isinstance(self.loss, str) and self.loss == "auto":
            return LOSSES["squared_error"]
        loss = resolve_loss(self.loss, y)
        if loss.task != "regression":
            raise ConfigurationError(
                f"{type(loss).__name__} is a loss for classes: use 'squared_error', or NeuralClassifier."
            )
        return loss
