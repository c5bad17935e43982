"""Hold data (an array, a data frame, a dictionary) as named NumPy columns.

A column has one of three kinds, each with one normal form and one mark for missing values:

| kind     | normal form                              | missing |
|----------|------------------------------------------|---------|
| number   | float64 array                            | NaN     |
| category | object array of `str`                    | None    |
| date     | datetime64[us] array                     | NaT     |

Booleans ("False", "True") and the categorical columns of data frames are categories. Decimals are
numbers; durations and times of day are numbers of seconds; dates with a time zone are converted to
UTC. Untyped values (a list, an array of objects) that are all missing are numbers.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glassnet._checks import resolve
from glassnet.data.columns import KIND_OF_DTYPE, Column, Kind, column_of, missing_in
from glassnet.errors import ConfigurationError, DataError, did_you_mean

__all__ = [
    "Column",
    "Kind",
    "Table",
    "as_table",
    "column_of",
    "is_table",
    "missing_in",
    "no_such_column",
    "rows_at",
]

# a slice, a boolean mask, or row numbers
Selection: TypeAlias = slice | NDArray[np.bool_] | NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Named columns of equal length, each a NumPy array in the normal form of its kind.

    `columns` maps names to arrays that are already in normal form; `as_table` converts other values.
    Raises `DataError` if the lengths differ or an array is not in normal form.

    >>> people = as_table({"age": [31, None], "city": ["Ulm", "Bonn"]})
    >>> people
    Table(2 rows; age: number, city: category)
    >>> people["age"]
    array([31., nan])
    >>> people.rows(slice(1, 2))["city"].tolist()
    ['Bonn']
    """

    columns: dict[str, Column]

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if column.ndim != 1 or column.dtype.kind not in KIND_OF_DTYPE:
                raise DataError(
                    f"Column '{name}' is an array of {column.dtype} with shape {column.shape}, which "
                    "is not in the normal form of tables: build the table with as_table({...})."
                )
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            seen = _first(f"{name}: {count}" for name, count in lengths.items())
            raise DataError(
                f"The columns have different lengths ({seen}), so they do not form rows: give "
                "every column the same number of values."
            )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> Column:
        """Return the column of this name; raises `DataError` if there is none."""
        try:
            return self.columns[name]
        except KeyError:
            raise DataError(no_such_column(name, self.names)) from None

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __eq__(self, other: object) -> bool:
        """Return whether names, order, kinds and values are equal; missing values count as equal."""
        if not isinstance(other, Table):
            return NotImplemented
        return self.names == other.names and all(
            self.kind(name) == other.kind(name) and _same(self[name], other[name]) for name in self
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are mutable

    def __repr__(self) -> str:
        kinds = _first(f"{name}: {self.kind(name)}" for name in self)
        return f"Table({len(self)} rows; {kinds})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(self.columns)

    def kind(self, name: str) -> Kind:
        """Return "number", "category" or "date"; raises `DataError` for an unknown name."""
        return KIND_OF_DTYPE[self[name].dtype.kind]

    def rows(self, selection: Selection) -> Table:
        """Return a table of the rows that a slice, a boolean mask or row numbers select."""
        return Table({name: column[selection] for name, column in self.columns.items()})

    def without(self, *names: str) -> Table:
        """Return the table without these columns; raises `DataError` for an unknown name."""
        for name in names:
            self[name]
        return Table({name: self[name] for name in self if name not in names})

    def only(self, names: Iterable[str]) -> Table:
        """Return a table of these columns in this order; raises `DataError` for an unknown name."""
        return Table({name: self[name] for name in names})

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return whether the value of this column is missing in each row.

        >>> as_table({"city": ["Ulm", None]}).missing("city")
        array([False,  True])
        """
        return missing_in(self[name])


def is_sparse(X: object) -> bool:
    """Return whether X is a sparse matrix."""
    return hasattr(X, "toarray")


def dense(X: Any) -> Any:
    """Return a sparse matrix as a dense array, and anything else unchanged."""
    return X.toarray() if is_sparse(X) else X


def check_one_target_per_row(X: Sized, y: Sized, *, name: str = "X") -> None:
    """Raise `DataError` unless X, which a message calls `name`, and y have the same number of rows.

    >>> check_one_target_per_row([[1], [2]], [1])
    Traceback (most recent call last):
    glassnet.errors.DataError: X has 2 rows and y has 1: each row needs exactly one target.
    """
    if len(X) != len(y):
        raise DataError(
            f"{name} has {len(X)} rows and y has {len(y)}: each row needs exactly one target."
        )


def rows_at(X: Any, selection: Selection) -> Any:
    """Return the selected rows of a table or an array.

    >>> rows_at(np.array([[1], [2], [3]]), np.array([2, 0])).tolist()
    [[3], [1]]
    """
    return X.rows(selection) if isinstance(X, Table) else X[selection]


def no_such_column(name: str, names: Iterable[str]) -> str:
    """Return the message for a missing column, with the nearest name and all names.

    >>> no_such_column("agee", ["age", "city"])
    "There is no column 'agee'. Did you mean 'age'? The columns are: age, city."
    """
    names = list(names)
    return (
        f"There is no column '{name}'.{did_you_mean(name, names)} The columns are: {_first(names)}."
    )


def is_table(X: object) -> bool:
    """Return whether `as_table` can turn X into named columns.

    True for a Table, a mapping of columns, data frames (pandas, polars, pyarrow and others that
    narwhals knows), structured arrays and two-dimensional arrays of objects or text. False for
    arrays of numbers, lists and sparse matrices.

    >>> is_table({"a": [1, 2]}), is_table([[1, 2]])
    (True, False)
    """
    if is_sparse(X):  # tested before mappings, because scipy's dok_array is also a mapping
        return False
    if isinstance(X, Table | Mapping):
        return True
    if isinstance(X, np.ndarray):
        return X.dtype.names is not None or (X.ndim == 2 and X.dtype.kind in "OUST")
    return _is_frame(X)


def as_table(X: Any) -> Table:
    """Return anything that `is_table` accepts as a Table with every column in its normal form.

    Names that are not text become text (0 -> "0"); the columns of an array without names are
    called "0", "1", ... Raises `DataError` if two columns have the same name, if lengths differ,
    or if a column holds lists, records or raw bytes.

    >>> as_table({"height": [1.8, 1.6], "member": [True, None]})
    Table(2 rows; height: number, member: category)
    """
    if isinstance(X, Table):
        return X
    if isinstance(X, Mapping):
        pairs: list[tuple[object, Any]] = list(X.items())
    elif isinstance(X, np.ndarray) and X.dtype.names is not None:
        pairs = [(name, X[name]) for name in X.dtype.names]
    elif isinstance(X, np.ndarray) and is_table(X):
        pairs = [(j, X[:, j]) for j in range(X.shape[1])]
    elif _is_frame(X):
        pairs = _frame_columns(X)
    else:
        raise DataError(
            f"An object of type {type(X).__name__} is not a table with named columns: give a data "
            "frame or a dictionary such as {'age': [31, 44], 'city': ['Ulm', 'Bonn']}."
        )
    names = _unique_names(name for name, _ in pairs)
    return Table(
        {n: column_of(values, name=n) for n, (_, values) in zip(names, pairs, strict=True)}
    )


def indexable(X: Any) -> Table | NDArray[Any]:
    """Return X as a table or an array, whose rows `rows_at` can select."""
    return as_table(X) if is_table(X) else np.asarray(dense(X))


def _is_frame(X: object) -> bool:
    import narwhals as nw  # lazily: only data frames need it

    return (
        isinstance(X, nw.DataFrame | nw.LazyFrame)
        or bool(nw.dependencies.is_into_dataframe(X))
        or bool(nw.dependencies.is_polars_lazyframe(X))
    )


def _frame_columns(X: Any) -> list[tuple[object, Any]]:
    import narwhals as nw  # lazily: only data frames need it

    native = nw.to_native(X, pass_through=True)
    if hasattr(native, "collect"):
        native = native.collect()
    # the names are read from the frame, because narwhals refuses repeated names with another message
    names = list(native.column_names if hasattr(native, "column_names") else native.columns)
    _unique_names(names)
    frame = nw.from_native(native, eager_only=True)
    return [(name, frame[:, j]) for j, name in enumerate(names)]


def _unique_names(names: Iterable[object]) -> list[str]:
    texts = [str(name) for name in names]
    repeated = [f"'{name}'" for name, count in Counter(texts).items() if count > 1]
    if repeated:
        raise DataError(
            f"More than one column is called {_first(repeated)}, so the name does not say which "
            "column is meant: rename all but one of them."
        )
    return texts


def _first(items: Iterable[str], limit: int = 20) -> str:
    items = list(items)
    more = f", ... ({len(items) - limit} more)" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def _same(a: Column, b: Column) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind != "O")


# libraries for data frames; the first that is installed is used
FRAMES = ("pandas", "polars", "pyarrow")


def frame_of(columns: Mapping[str, Any], backend: str | None = None) -> Any:
    """Return columns of equal length as a data frame, by default of the first library installed.

    Raises
    ------
    ConfigurationError: the library is not installed, or none of them is.
    """
    if backend is not None:
        resolve("library for data frames", backend, dict.fromkeys(FRAMES))
    wanted = FRAMES if backend is None else (backend,)
    installed: list[Any] = [name for name in wanted if importlib.util.find_spec(name) is not None]
    if not installed:
        raise ConfigurationError(
            f"A data frame needs {' or '.join(wanted)}, which is not installed: pip install {wanted[0]},"
            " or use to_dict(), which returns plain values."
        )
    import narwhals as nw  # lazily: only data frames need it

    return nw.to_native(nw.from_dict(dict(columns), backend=installed[0]))
