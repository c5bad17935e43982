"""Whom the default network is measured against: scikit-learn's models, each as a person would use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Maker = Callable[[str, int], Any]  # task and seed -> an estimator that takes a frame
PENALTIES = np.logspace(-3, 3, 7)  # of ridge, chosen by leave-one-out
MOST_LEVELS = 250  # gradient boosting takes no more than 255 categories


def _numbers_and_flags() -> Any:
    """Impute and standardise numbers, one column a category; rare ones together."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    flags = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(min_frequency=5, handle_unknown="ignore", sparse_output=False),
    )
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (flags, make_column_selector(dtype_exclude="number")),
    )


class _Categories(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Text columns as pandas' categories, the most frequent ones; all others count as missing.

    Columns with nothing in them are left out: gradient boosting refuses them.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        self.columns_ = X.columns[X.notna().any()]
        texts = X[self.columns_].select_dtypes(exclude="number")
        self.levels_ = {name: texts[name].value_counts().index[:MOST_LEVELS] for name in texts}
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        columns = {
            name: pd.Categorical(X[name].where(X[name].isin(levels)), categories=levels)
            for name, levels in self.levels_.items()
        }
        return X[self.columns_].assign(**columns)


def _guess(task: str, seed: int) -> Any:
    return DummyClassifier() if task == "classification" else DummyRegressor()


def _linear(task: str, seed: int) -> Any:
    classifies = task == "classification"
    return make_pipeline(
        _numbers_and_flags(),
        LogisticRegression(max_iter=1000) if classifies else RidgeCV(PENALTIES),
    )


def _mlp(task: str, seed: int) -> Any:
    if task == "classification":
        model = MLPClassifier(random_state=seed)
    else:
        regressor = MLPRegressor(random_state=seed)
        model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    return make_pipeline(_numbers_and_flags(), model)


def _boosting(task: str, seed: int) -> Any:
    classifies = task == "classification"
    model = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    return make_pipeline(_Categories(), model(random_state=seed))


PEERS: dict[str, Maker] = {"linear": _linear, "mlp": _mlp, "hgb": _boosting, "guess": _guess}
