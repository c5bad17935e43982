"""Read the data sets that come with scikit-learn, such as `sample:iris`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glassnet.data.datasets import Dataset, split_target
from glassnet.data.pictures import LabelledPictures, picture_dataset
from glassnet.data.tables import as_table, column_of
from glassnet.errors import DataError, did_you_mean

SAMPLES = ("digits", "iris", "wine", "breast_cancer", "diabetes")


def read_sample(source: str, target: str | None = None) -> Dataset:
    """Return the sample that a source such as "sample:iris" names; raises `DataError`."""
    name = source.removeprefix("sample:")
    if name not in SAMPLES:
        hint = did_you_mean(name, SAMPLES)
        raise DataError(
            f"There is no sample '{name}'.{hint} The samples are: {', '.join(SAMPLES)}."
        )
    from sklearn import datasets  # lazily: it takes a second to import

    bunch = getattr(datasets, f"load_{name}")()
    if name == "digits":
        y = column_of([str(label) for label in bunch.target])
        pictures = LabelledPictures(bunch.images.astype(np.uint8), y, None, ())
        return picture_dataset(pictures, Path(source), target)
    features = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
    values = bunch.target if name == "diabetes" else np.asarray(bunch.target_names)[bunch.target]
    table = as_table({**features, "target": values})
    note = f"Read {len(table)} rows, {len(table.names)} columns from {source}."
    return split_target(table, target or "target", name=source, notes=(note,))
