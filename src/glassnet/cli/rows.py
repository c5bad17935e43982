"""Known rows: the data that a command holds a model against, with columns and targets as in training."""

# Modules that import JAX or scikit-learn are imported inside functions: `glassnet --help` must not wait.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glassnet.cli.console import target_names
from glassnet.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from glassnet.data.datasets import Dataset
    from glassnet.models.model import Model


def columns_of(model: Model) -> tuple[str, ...]:
    """Return the names of the columns that a model was trained on."""
    return model.encoder.names if model.encoder is not None else ()


def read_known(
    model: Model, data: str, target: str | None, query: str | None, table: str | None
) -> Dataset:
    """Return the rows of DATA with the target that a person named, or that the model was trained on."""
    from glassnet.data.read import read

    name = target or ",".join(target_names(model)) or None
    return read(data, target=name, query=query, table=table, expected=columns_of(model))


def truth(model: Model, y: Any, data: str) -> np.ndarray:
    """Return the targets of rows as the model's estimator takes them.

    Raises
    ------
    DataError: there are none.
    """
    from glassnet.cli.experiment import target_values

    if y is None:
        raise DataError(
            f"Nothing in '{data}' says what is true: name the column with --target COLUMN."
        )
    values = model.loss.task == "regression"
    return target_values(y, "regression" if values else "classification")
