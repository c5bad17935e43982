"""Read DuckDB, SQLite, Parquet and JSON as Tables; columns keep their types.

SQL is never built from names or paths: paths are bound, columns are selected by position and renamed
c0, c1, ..., and table names are quoted. No extension is installed or loaded. Databases are opened
read-only, and a user's query cannot reach files or settings.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import numpy as np

from glassnet.data.files import needs_copy, plain_copy, unpacked_path
from glassnet.data.tables import Column, Table, as_table, column_of
from glassnet.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_SAFE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
_NUMBER, _TEXT, _DATE = "CAST({c} AS DOUBLE)", "CAST({c} AS VARCHAR)", "CAST({c} AS TIMESTAMP)"
# DuckDB's name of a type, and the SQL that converts it to a normal form
_FORMS: dict[str, str] = {
    **dict.fromkeys(
        ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger",
         "ubigint", "uhugeint", "float", "double", "decimal", "null"), _NUMBER),
    **dict.fromkeys(("varchar", "enum", "uuid"), _TEXT),
    **dict.fromkeys(
        ("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns",
         "timestamp with time zone"), _DATE),
    "boolean": "CASE WHEN {c} THEN 'True' WHEN NOT {c} THEN 'False' END",
    "time": "epoch({c})",
    "time_ns": "epoch({c})",
    "interval": "epoch({c})",
}  # fmt: skip
_JSON_OPTIONS = ", sample_size=-1, maximum_object_size=1000000000, compression='uncompressed'"
MAX_NOTES = 20  # of one kind
_JSON_TEXT = "{c} ->> '$'"


def connect(folder: Path) -> DuckDBPyConnection:
    """Return a database in memory that installs nothing and uses `folder` when memory runs short."""
    import duckdb  # lazily: it takes longer to import than the whole command line

    connection = duckdb.connect(config=dict(_SAFE, temp_directory=str(folder)))
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def normal_form(values: Column) -> Column:
    """Return a column that DuckDB returned (doubles, text, timestamps) in its normal form."""
    if values.dtype.kind != "O":
        return column_of(values)
    missing = np.ma.getmaskarray(values)
    # equal texts share one object, so memory grows with categories, not rows
    known: dict[Any, Any] = {}
    column = np.empty(len(values), dtype=object)
    column[:] = [known.setdefault(value, value) for value in np.ma.getdata(values)]
    column[missing] = None
    return column


def read_columnar(
    paths: Sequence[Path], kind: Literal["parquet", "json"]
) -> tuple[Table, list[str]]:
    """Return the table in Parquet or JSON files, united by column name, and notes.

    JSON is an array of records, or one record per line. Raises `DataError` for damaged files.
    """
    import duckdb  # lazily: it takes longer to import than the whole command line

    options = {"parquet": "", "json": _JSON_OPTIONS}[kind]
    with TemporaryDirectory(prefix="glassnet-") as name, connect(Path(name)) as connection:
        plain = [str(plain_copy(p, Path(name)) if needs_copy(p) else p) for p in paths]
        try:
            relation = connection.sql(
                f"SELECT * FROM read_{kind}(?, union_by_name=true{options})", params=[plain]
            )
            if kind == "json" and relation.columns == ["json"]:
                raise DataError(
                    f"'{paths[0]}' holds no records: give an array such as "
                    '[{"age": 31, "city": "Ulm"}], or one such record per line.'
                )
            return _from_relation(relation)
        except duckdb.Error as error:
            names = ", ".join(f"'{path}'" for path in paths[:3])
            raise DataError(
                f"{kind.capitalize()} cannot be read from {names}: {first_line(str(error))}."
            ) from None


def read_database(
    path: Path, kind: Literal["duckdb", "sqlite"], table: str | None, query: str | None
) -> tuple[Table, list[str]]:
    """Return one table, or the rows of one query, of a DuckDB or SQLite file, and notes.

    Without `table` and `query` the file must hold exactly one table. Raises `DataError`.
    """
    import duckdb  # lazily: it takes longer to import than the whole command line

    reader = {"duckdb": _read_duckdb, "sqlite": _read_sqlite}[kind]
    try:
        with unpacked_path(path) as plain:
            return reader(plain, path, table, query)
    except (duckdb.Error, sqlite3.Error, sqlite3.Warning) as error:
        attempt = f"Reading '{path}'" if query is None else f"The query on '{path}'"
        raise DataError(f"{attempt} failed: {first_line(str(error))}.") from None


def _read_duckdb(
    plain: Path, path: Path, table: str | None, query: str | None
) -> tuple[Table, list[str]]:
    """Read the unpacked file `plain`; messages name `path`."""
    import duckdb  # lazily: it takes longer to import than the whole command line

    with duckdb.connect(str(plain), read_only=True, config=dict(_SAFE)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        if query is not None:
            statements = connection.extract_statements(query)
            relation = connection.sql(statements[0].query) if len(statements) == 1 else None
            if relation is None:
                raise DataError("The query must be one statement that returns rows: give a SELECT.")
            return _from_relation(relation)
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_catalog = current_database() ORDER BY ALL"
        ).fetchall()
        names = {f"{s}.{n}" if s != "main" else n: f"{_quoted(s)}.{_quoted(n)}" for s, n in tables}
        chosen = _choose(path, table, list(names))
        return _from_relation(connection.sql(f"SELECT * FROM {names[chosen]}"))


def _read_sqlite(
    plain: Path, path: Path, table: str | None, query: str | None
) -> tuple[Table, list[str]]:
    """Read the unpacked file `plain`; messages name `path`."""
    # read with the standard library, because DuckDB would need an extension
    connection = sqlite3.connect(f"file:{quote(str(plain))}?mode=ro", uri=True)
    try:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        if query is None:
            tables = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
                " AND name NOT LIKE 'sqlite_%' ORDER BY name"
            ).fetchall()
            chosen = _choose(path, table, [name for (name,) in tables])
            query = f"SELECT * FROM {_quoted(chosen)}"
        connection.set_authorizer(_only_read)
        cursor = connection.execute(query)
        if cursor.description is None:
            raise DataError("The query must be one statement that returns rows: give a SELECT.")
        names, notes = unique_names([entry[0] for entry in cursor.description])
        rows = cursor.fetchall()
    finally:
        connection.close()
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return as_table(dict(zip(names, columns, strict=True))), notes


def _only_read(action: int, *_: str | None) -> int:
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION,
               sqlite3.SQLITE_RECURSIVE)  # fmt: skip
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


def _from_relation(relation: DuckDBPyRelation) -> tuple[Table, list[str]]:
    names, notes = unique_names(relation.columns)
    forms: dict[str, str] = {}
    for j, (name, kind) in enumerate(zip(names, relation.types, strict=True)):
        form = _JSON_TEXT if str(kind) == "JSON" else _FORMS.get(kind.id)
        if form is None:
            notes.append(
                f"Column '{name}' was left out, because its type {kind} is not a plain value."
            )
        else:
            forms[name] = (
                f"{form.format(c=f'#{j + 1}')} AS c{j}"  # by position, because names are not safe in SQL
            )
    if not forms:
        raise DataError("No column holds numbers, text or dates: there is nothing to learn from.")
    chosen = relation.project(", ".join(forms.values()))
    values = chosen.fetchnumpy()  # emptied column by column below, to free memory early
    keys = list(values)
    columns = {n: normal_form(values.pop(key)) for n, key in zip(forms, keys, strict=True)}
    return Table(columns), notes


def unique_names(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names stripped, completed where empty and made unique, and notes on the changes.

    >>> unique_names(["a", "", "a"])[0]
    ('a', 'column2', 'a_2')
    """
    taken = {name.strip() for name in names}
    unique: dict[str, None] = {}  # an ordered set
    counts: dict[str, int] = {}  # the last number tried for each name
    notes = []
    for j, name in enumerate(names):
        text = name.strip() or f"column{j + 1}"
        new = text
        while new in unique or (new != text and new in taken):
            counts[text] = counts.get(text, 1) + 1
            new = f"{text}_{counts[text]}"
        if new != text:
            notes.append(f"A second column called '{text}' was renamed to '{new}'.")
        unique[new] = None
    if len(notes) > MAX_NOTES:
        notes[MAX_NOTES:] = [f"{len(notes) - MAX_NOTES} more columns were renamed."]
    return tuple(unique), notes


def first_line(message: str) -> str:
    """Return the first line of a database error, without the class name and the full stop."""
    text = re.sub(r"^[A-Z]\w*( \w+)? Error: ", "", message.strip()).splitlines() or ["unknown"]
    return text[0].rstrip(" .!")[:300]


def _choose(path: Path, table: str | None, names: Sequence[str]) -> str:
    listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    if not names:
        raise DataError(f"'{path}' holds no table: there is nothing to learn from.")
    if table is None and len(names) > 1:
        raise DataError(f"'{path}' holds several tables: name one of {listed}.")
    if table is not None and table not in names:
        hint = did_you_mean(table, names)
        raise DataError(f"'{path}' has no table '{table}'.{hint} The tables are: {listed}.")
    return names[0] if table is None else table


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
