"""Read the rows that a subcommand gives to a model, with the columns and targets of its training."""

# Modules that import JAX or scikit-learn are imported inside functions: `glassnet --help` must not wait.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassnet.cli.console import target_names
from glassnet.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from glassnet.data.datasets import Dataset
    from glassnet.models.model import Model


def trained_columns(model: Model) -> tuple[str, ...]:
    """Return the names of the columns that a model was trained on."""
    return model.encoder.names if model.encoder is not None else ()


def read_known(
    model: Model, data: str, target: str | None, query: str | None, table: str | None
) -> Dataset:
    """Return the rows of DATA with the target that --target names, or that the model was trained on."""
    from glassnet.data.read import read

    name = target or ",".join(target_names(model)) or None
    return read(data, target=name, query=query, table=table, expected=trained_columns(model))


def true_values(model: Model, y: Any, data: str) -> np.ndarray:
    """Return the targets of rows in the form that the model's estimator takes.

    Raises
    ------
    DataError: the rows have no target.
    """
    from glassnet.cli.experiment import target_values

    if y is None:
        raise DataError(f"'{data}' has no known target: name its column with --target COLUMN.")
    regression = model.loss.task == "regression"
    return target_values(y, "regression" if regression else "classification")
