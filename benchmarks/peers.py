"""Define the scikit-learn models that the default network is compared with, in their usual pipelines."""

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
MAX_LEVELS = 250  # gradient boosting takes at most 255 categories


def _standardised_and_one_hot() -> Any:
    """Impute and standardise numbers, and one-hot encode categories, with rare ones merged."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(min_frequency=5, handle_unknown="ignore", sparse_output=False),
    )
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )


class _Categories(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Convert text columns to pandas categories; all but the most frequent levels count as missing.

    Empty columns are left out, because gradient boosting refuses them.
    """

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        self.columns_ = X.columns[X.notna().any()]
        texts = X[self.columns_].select_dtypes(exclude="number")
        self.levels_ = {name: texts[name].value_counts().index[:MAX_LEVELS] for name in texts}
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
        _standardised_and_one_hot(),
        LogisticRegression(max_iter=1000) if classifies else RidgeCV(PENALTIES),
    )


def _mlp(task: str, seed: int) -> Any:
    if task == "classification":
        model = MLPClassifier(random_state=seed)
    else:
        regressor = MLPRegressor(random_state=seed)
        model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    return make_pipeline(_standardised_and_one_hot(), model)


def _boosting(task: str, seed: int) -> Any:
    classifies = task == "classification"
    model = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    return make_pipeline(_Categories(), model(random_state=seed))


PEERS: dict[str, Maker] = {"linear": _linear, "mlp": _mlp, "hgb": _boosting, "guess": _guess}
