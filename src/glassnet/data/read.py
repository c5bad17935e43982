"""Read a data set of any supported format from a file, a folder, a database or a sample.

| source                          | what it becomes                                            |
|---------------------------------|------------------------------------------------------------|
| CSV or TSV                      | a Table; files of a pattern are united by column name      |
| Parquet, JSON                   | a Table, of several files too                              |
| DuckDB, SQLite                  | one table of the database, or the rows of one query        |
| NumPy .npz                      | arrays X, y (or x_train, y_train, x_test, y_test)          |
| IDX (as MNIST)                  | (n, h, w) uint8; labels are classes                        |
| folder of pictures              | (n, h, w) or (n, h, w, 3) uint8; subfolders are classes    |
| `sample:digits`, `sample:iris`  | the sets that come with scikit-learn                       |

The content of a file decides its format, not its name. Files may be gzipped.
"""

from __future__ import annotations

from collections.abc import Sequence

from glassnet.data.datasets import Dataset, Request
from glassnet.data.files import find
from glassnet.data.formats import Format, format_of, names_of_databases
from glassnet.data.samples import read_sample
from glassnet.errors import DataError


def read(
    source: str,
    *,
    target: str | None = None,
    query: str | None = None,
    table: str | None = None,
    expected: Sequence[str] = (),
) -> Dataset:
    """Read the data set that `source` names: a path, a pattern such as "data/*.csv", or a sample.

    CSV or TSV, Parquet, JSON, DuckDB, SQLite, NumPy .npz, IDX (as MNIST), a folder of pictures
    (one subfolder per class), and scikit-learn's samples ("sample:iris") can be read.

    target: the column to predict, "a,b" for several; None keeps all columns in X. Pictures, IDX
    and samples bring their own. Rows whose target is missing are dropped, and a note counts them.
    expected: names of columns that the file should have, used to recognise a header line.
    table, query: for a database, the table to read or the SELECT to run.
    Raises `DataError` if there is no such file or column, or the data cannot be read.

    >>> data = read("sample:iris")
    >>> data.X
    Table(150 rows; sepal length (cm): number, ... petal width (cm): number)
    >>> data.target, data.y[0]
    ('target', 'setosa')
    """
    if source.startswith("sample:"):
        _refuse_sql(source, table, query)
        return read_sample(source, target)
    paths = find(source)
    formats = {format_of(path): path for path in paths}
    if len(formats) > 1:
        seen = ", ".join(f"{row.name} ('{path.name}')" for row, path in formats.items())
        raise DataError(
            f"The files of '{source}' have several formats: {seen}. Give a pattern that matches "
            "files of one format only."
        )
    (file_format,) = formats
    _check_request(file_format, source, len(paths), table, query)
    request = Request(source, tuple(paths), target, table, query, tuple(expected))
    return file_format.read(request)


def _check_request(
    file_format: Format, source: str, files: int, table: str | None, query: str | None
) -> None:
    if not file_format.has_tables:
        _refuse_sql(source, table, query)
    if table is not None and query is not None:
        raise DataError("A table and a query were both given: give one of them.")
    if files > 1 and not file_format.unites:
        raise DataError(
            f"'{source}' names {files} files, but only one file of the format {file_format.name} can be read "
            "at a time: name one of them."
        )


def _refuse_sql(source: str, table: str | None, query: str | None) -> None:
    if table is not None or query is not None:
        option = "table" if query is None else "query"
        raise DataError(
            f"'{source}' is not a {names_of_databases()} file, so it has no {option}: leave it out."
        )
