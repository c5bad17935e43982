"""What all explanations share: the model behind an estimator, a person's rows, tables, frames, axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.conversion import converted
from glassnet.data.tables import Kind, Table, as_table, dense, is_sparse, is_table, rows_at
from glassnet.encoding.encoders import numbered
from glassnet.encoding.target_kinds import as_array
from glassnet.encoding.targets import ClassEncoder, LabelsEncoder
from glassnet.errors import ConfigurationError, DataError
from glassnet.models.model import Model

COLORS = "cividis"  # its lightness tells the order too: it can be read without colour
MOST_SHOWN = 8  # columns of a row that a terminal has room for


def model_of(model: Any) -> Model:
    """Return the `Model` of a fitted estimator or of a `Run`, or the model itself.

    Raises
    ------
    ConfigurationError: it is none of them, or was not fitted.

    >>> model_of("churn.glassnet")
    Traceback (most recent call last):
    glassnet.errors.ConfigurationError: 'churn.glassnet' is no trained model: give a fitted estimator,
    run.model, or what gn.load returned.
    """
    found = getattr(model, "model_", getattr(model, "model", model))
    if not isinstance(found, Model):
        raise ConfigurationError(
            f"{str(model)[:60]!r} is no trained model: give a fitted estimator, run.model, or what"
            " gn.load returned."
        )
    return found


@dataclass(frozen=True, eq=False)
class Rows:
    """A person's rows beside what the network takes them as.

    model: whose inputs they are. X: as they were given, a `Table` or an array. x: encoded, (n, *in_shape).
    places: their places among the rows given, of which there were `given`.
    """

    model: Model
    X: Table | NDArray[Any]
    x: NDArray[Any]
    places: NDArray[np.intp]
    given: int

    @classmethod
    def of(cls, model: Model, X: Any, most: int | None = None, seed: int = 0) -> Rows:
        """Return rows X, at most so many of them, drawn at random.

        Raises
        ------
        DataError: as `Model.inputs`, or there is no row.
        """
        if is_table(X):
            X = as_table(X)
        elif is_sparse(X):
            X = dense(X)
        elif not hasattr(X, "shape"):
            X = as_array(X)
        if isinstance(X, np.ndarray) and X.ndim < 2:
            model.inputs(X)  # says what is wrong with it
        given = len(X)
        places = np.arange(given)
        if most is not None and given > most:
            places = np.sort(np.random.default_rng(seed).permutation(given)[:most])
            X = rows_at(X, places)
        if given == 0:
            raise DataError("There is no row to explain: X is empty.")
        return cls(model, X, model.inputs(X), places, given)

    def truth(self, y: Any) -> NDArray[Any]:
        """Return the true targets of these rows, as predictions come.

        Raises
        ------
        DataError: not one target for each row given, or a class that training had not seen.
        """
        y = np.stack([y[name] for name in y], axis=1) if isinstance(y, Table) else np.asarray(y)
        if y.ndim == 0 or len(y) != self.given:
            raise DataError(
                f"X has {self.given} rows and y has {len(y) if y.ndim else 1}: each row needs exactly one"
                " target. Give the same rows to both."
            )
        y, target = y[self.places], self.model.target_encoder
        if isinstance(target, ClassEncoder):
            return target.inverse(target.transform(y))
        return target.transform(y).astype(np.int64) if isinstance(target, LabelsEncoder) else y

    @property
    def pictures(self) -> bool:
        """Whether each row is a picture, which has pixels in place of columns."""
        return len(self.model.in_shape) > 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the network looks at; none of a picture."""
        encoder = self.model.encoder
        if encoder is not None:
            return tuple(name for name in encoder.names if name not in encoder.dropped)
        return () if self.pictures else numbered(self.model.in_shape[0])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the network's inputs; none of a picture."""
        encoder = self.model.encoder
        return self.columns if encoder is None else encoder.feature_names

    @property
    def codes(self) -> int:
        """How many of the inputs, the last ones, are codes: they are no numbers to be drawn."""
        encoder = self.model.encoder
        return 0 if encoder is None else len(encoder.places)

    @property
    def place(self) -> NDArray[np.intp]:
        """For each input of the network the place of its column in `columns`."""
        encoder = self.model.encoder
        owners = self.columns if encoder is None else encoder.feature_columns
        places = {name: place for place, name in enumerate(self.columns)}
        return np.array([places[name] for name in owners if name in places], np.intp)

    def by_column(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return numbers of the inputs (n, inputs) summed over the inputs of each column."""
        if self.pictures:
            return values
        out = np.zeros((len(values), len(self.columns)))
        np.add.at(out.T, self.place, values.T[: len(self.place)])
        return out

    def key(self, name: str) -> Any:
        """Return by what a column is found in X: its name in a table, its place in an array.

        Where one of model and X has no names they are matched by position.
        """
        if isinstance(self.X, Table) and name in self.X:
            return name
        encoder = self.model.encoder
        place = (self.columns if encoder is None else encoder.names).index(name)
        return self.X.names[place] if isinstance(self.X, Table) else place

    def kind(self, name: str) -> Kind:
        """Return what a column was to the model in training."""
        encoder = self.model.encoder
        return "number" if encoder is None else encoder.kinds[encoder.names.index(name)]

    def column(self, name: str) -> NDArray[Any]:
        """Return a column in its own unit, in the kind that it had in training."""
        key, encoder = self.key(name), self.model.encoder
        if not isinstance(self.X, Table):
            return self.X[:, key].astype(np.float64)
        others = () if encoder is None else encoder.others
        levels = next((getattr(other, "levels", ()) for other in others if other.name == name), ())
        return converted(self.X[key], self.kind(name), name, levels)

    def cells(self, rows: Sequence[int] | NDArray[Any]) -> list[dict[str, Any]]:
        """Return some rows in their own units, a record of plain values each; empty for pictures."""
        found = {name: self.column(name) for name in self.columns}
        return [{name: as_plain(column[row]) for name, column in found.items()} for row in rows]


def as_plain(value: Any) -> Any:
    """Return one value of a column as JSON can hold it: missing as None, dates as text.

    >>> as_plain(np.float64("nan")), as_plain(np.datetime64("2024-05-01T00:00:00.000000"))
    (None, '2024-05-01')
    """
    if isinstance(value, np.datetime64):
        return (
            None if np.isnat(value) else str(value.astype("datetime64[s]")).replace("T00:00:00", "")
        )
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value != value else value


def as_text(value: Any) -> str:
    """Return one value for a table in the terminal.

    >>> as_text(0.123456), as_text(None), as_text("Ulm")
    ('0.1235', 'missing', 'Ulm')
    """
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:40]


def described(cells: Mapping[str, Any]) -> str:
    """Return the first columns of a row in a line.

    >>> described({"age": 31.0, "city": None})
    'age 31, city missing'
    """
    shown = [f"{name} {as_text(value)}" for name, value in list(cells.items())[:MOST_SHOWN]]
    left = len(cells) - len(shown)
    return ", ".join(shown) + (f", and {left} more" if left else "")


def bar(share: float, width: int = 20) -> str:
    """Return a share from -1 to 1 as a bar of signs.

    >>> bar(0.5, 4), bar(-1.0, 4), bar(0.0, 4)
    ('++', '----', '')
    """
    return ("+" if share > 0 else "-") * round(min(abs(share), 1.0) * width)


def axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    """Return the axes given, or new ones, of a size in inches."""
    if ax is None:
        import matplotlib.pyplot as plt  # lazily: half a second that only a drawing needs

        ax = plt.subplots(layout="constrained", figsize=size)[1]
    return ax


def draw_bars(
    ax: Any, names: Sequence[str], values: NDArray[Any], spread: NDArray[Any] | None, label: str
) -> Any:
    """Draw one horizontal bar a name, the first one on top, and return the axes."""
    places = np.arange(len(names))
    ax.barh(
        places, values, xerr=spread, color="tab:blue", edgecolor="black", linewidth=0.5, capsize=2
    )
    ax.set_yticks(places, names)
    ax.invert_yaxis()
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_xlabel(label)
    return ax


def draw_picture(ax: Any, picture: NDArray[Any], *, signed: bool = False) -> Any:
    """Draw a picture (h, w) or (h, w, c) and return the axes.

    signed: around 0, channels summed, with a scale beside it; lightness tells the sign.
    """
    if signed:
        flat = picture.sum(axis=2) if picture.ndim == 3 else picture
        most = float(np.abs(flat).max()) or 1.0
        image = ax.imshow(flat, cmap=COLORS, vmin=-most, vmax=most)
        ax.figure.colorbar(image, ax=ax)
    else:
        image = np.asarray(picture, np.float64)
        if image.ndim == 3 and image.shape[2] not in (3, 4):
            image = image.mean(axis=2)
        if image.ndim == 3:
            image = image / (255.0 if image.max() > 1 else 1.0)
        ax.imshow(image, cmap="gray")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax
