r"""Read delimited text (CSV, TSV, ...) as a Table.

1. The bytes become UTF-8, and the first lines show the delimiter and whether there is a header line.
2. DuckDB parses the file in this dialect, with every cell as text. So no type is guessed from a
   sample, and a line of the wrong length is an error.
3. A column gets the first type that ALL its cells have: number, true/false, time, date; else text.

The whole file decides whether commas are decimal or thousands marks: "7,1" can only be decimal and
"1,234,567" only thousands, and ambiguous numbers are read like the rest of the file.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from glassnet.data.databases import connect, first_line, normal_form
from glassnet.data.dialects import (
    COMMA,
    MAX_LINE,
    MISSING_MARKS,
    POINT,
    SPACES,
    Dialect,
    sample,
    sniff,
)
from glassnet.data.files import needs_copy, open_unpacked
from glassnet.data.tables import Column, Table
from glassnet.errors import DataError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CHUNK = 1 << 22
_WIDTH = 64  # columns per table: the time to plan a query grows with the square of its columns
_DAY_FIRST = ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")

# one count for each way of writing the cells of a column
_COUNTS: dict[str, str] = {
    "cells": "count({c})",
    "point": f"count(*) FILTER (regexp_full_match({{c}}, '{POINT}'))",
    "comma": f"count(*) FILTER (regexp_full_match({{c}}, '{COMMA}'))",
    "commas": "count(*) FILTER (contains({c}, ','))",
    "points": "count(*) FILTER (contains({c}, '.'))",
    "codes": "count(*) FILTER (regexp_full_match({c}, '[+-]?0\\d+'))",
    "booleans": "count(*) FILTER (lower({c}) IN ('true', 'false'))",
    "times": "count(*) FILTER (regexp_full_match({c}, '\\d?\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?')"
    " AND try_cast({c} AS TIME) IS NOT NULL)",
    "moments": "count(*) FILTER (regexp_full_match({c}, '\\d{{4}}[-/]\\d?\\d[-/]\\d?\\d([ T].*)?')"
    " AND try_cast({c} AS TIMESTAMPTZ) IS NOT NULL)",
    "dates": "count(*) FILTER (regexp_full_match({c}, '\\d?\\d[-./]\\d?\\d[-./]\\d{{4}}( .*)?'))",
}


class NotTextError(Exception):
    """The bytes of a file are not text in any known encoding; the argument is the file's path."""


def read_delimited(paths: Sequence[Path], wanted: Sequence[str]) -> tuple[Table, list[str]]:
    """Return the table in these files, united by column name, and notes on how they were read.

    `wanted` are names that a header line would contain, such as the targets. Raises `DataError` with
    the line number for text that is not a table, and `NotTextError` for bytes that are not text.
    """
    notes: list[str] = []
    with TemporaryDirectory(prefix="glassnet-") as name, connect(Path(name)) as connection:
        parts = [
            _load(connection, part, path, Path(name), wanted, notes)
            for part, path in enumerate(paths)
        ]
        names = list(dict.fromkeys(name for part in parts for name in part.names))
        if len({part.names for part in parts}) > 1:
            notes.append(
                "The files do not have the same columns; values of columns that a file lacks are missing."
            )
        # this optimizer turns each list of missing marks into a join, which is slow to plan
        connection.execute("SET disabled_optimizers = 'in_clause'")
        cells = [
            {name: f"b{j // _WIDTH}[{j % _WIDTH + 1}]" for j, name in enumerate(part.names)}
            for part in parts
        ]
        counts = [
            count
            for first in range(0, len(names), _WIDTH)
            for count in _cut(connection, cells, names[first : first + _WIDTH], first)
        ]
        if connection.execute("SELECT count(*) FROM cells0").fetchall()[0][0] == 0:
            raise DataError(
                f"'{paths[0]}' has a header line but no rows: there is nothing to learn from."
            )
        columns = _columns(connection, names, counts, parts[0].delimiter, notes)
    return Table(columns), notes


def _cut(
    connection: DuckDBPyConnection,
    parts: Sequence[Mapping[str, str]],
    names: Sequence[str],
    first: int,
) -> list[dict[str, int]]:
    """Create the table `cells<first>` with these columns of all files; return the counts of each column."""
    selects = (_select(part, cells, names, first) for part, cells in enumerate(parts))
    connection.execute(f"CREATE TEMP TABLE cells{first} AS {' UNION ALL '.join(selects)}")
    return _count(connection, len(names), first)


def _load(
    connection: DuckDBPyConnection,
    part: int,
    path: Path,
    folder: Path,
    wanted: Sequence[str],
    notes: list[str],
) -> Dialect:
    """Parse one file into the table `part<n>`, whose columns b0, b1, ... are lists of `_WIDTH` cells."""
    import duckdb  # lazily: it takes longer to import than the whole command line

    plain, encoding = _as_utf8(path, folder)
    dialect, dialect_notes = sniff(sample(plain), str(path), wanted)
    notes += dialect_notes
    if encoding != "utf-8":
        notes.append(f"'{path.name}' was read as {encoding}.")
    columns = [f"c{j}" for j in range(len(dialect.names))]
    blocks = (
        f"[{', '.join(columns[j : j + _WIDTH])}] AS b{j // _WIDTH}"
        for j in range(0, len(columns), _WIDTH)
    )
    try:
        connection.execute(
            f"CREATE TEMP TABLE part{part} AS SELECT {', '.join(blocks)}"
            " FROM read_csv(?, auto_detect=false, delim=?, quote='\"', escape='\"', header=?, columns=?,"
            f" strict_mode=true, nullstr='', compression='none', max_line_size={MAX_LINE})",
            [str(plain), dialect.delimiter, dialect.header, dict.fromkeys(columns, "VARCHAR")],
        )
    except duckdb.Error as error:
        raise DataError(_parse_error(path, str(error))) from None
    return dialect


def _select(part: int, cells: Mapping[str, str], names: Sequence[str], first: int) -> str:
    """Return the SQL for one file's cells in the columns of all files, trimmed, with NULL for missing."""
    marks = ", ".join(f"'{mark}'" for mark in MISSING_MARKS)
    columns = (
        f"CASE WHEN trim({cells[name]}, '{SPACES}') NOT IN ({marks})"
        f" THEN trim({cells[name]}, '{SPACES}') END AS c{k}"
        if name in cells
        else f"NULL::VARCHAR AS c{k}"
        for k, name in enumerate(names, first)
    )
    return f"SELECT {', '.join(columns)} FROM part{part}"


# ------------------------------------------------------------------------------- text and dialect


def _as_utf8(path: Path, folder: Path) -> tuple[Path, str]:
    """Return a path that DuckDB can read (a copy in `folder` if necessary), and the encoding."""
    with open_unpacked(path) as file:
        start = file.read(4096)
    encoding = next((name for bom, name in _BOMS if start.startswith(bom)), None)
    if encoding is None and len(start) > 1 and 0 in start[:2] and start.count(0) > len(start) / 3:
        encoding = "utf-16-be" if start[0] == 0 else "utf-16-le"
    if encoding is None and 0 in start:
        raise NotTextError(path)
    if encoding is None:
        newlines = _newlines(path, "utf-8")
        if newlines is not None and len(newlines) <= 1 and not needs_copy(path):
            return path, "utf-8"
        encodings = ("utf-8",) if newlines is not None else ("cp1252", "latin-1")
    else:
        encodings = (encoding,)
    for name in encodings:
        if _newlines(path, name) is not None:
            return _copy(path, folder, name), name.removesuffix("-sig")
    raise NotTextError(path)


_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _newlines(path: Path, encoding: str) -> set[str] | None:
    """Return the kinds of line ends in the file, or None if it is not in this encoding."""
    try:
        with open_unpacked(path) as file:
            # newline=None translates line ends and records which kinds it saw
            text = io.TextIOWrapper(file, encoding=encoding, newline=None)
            while chunk := text.read(_CHUNK):
                if "\0" in chunk:
                    raise NotTextError(path)
            seen = text.newlines
            text.detach()
    except UnicodeError:
        return None
    return set() if seen is None else {seen} if isinstance(seen, str) else set(seen)


def _copy(path: Path, folder: Path, encoding: str) -> Path:
    copy = folder / f"text{len(list(folder.iterdir()))}"
    with open_unpacked(path) as file, copy.open("w", encoding="utf-8", newline="\n") as out:
        text = io.TextIOWrapper(file, encoding=encoding, newline=None)
        while chunk := text.read(_CHUNK):
            out.write(chunk)
        text.detach()
    return copy


# -------------------------------------------------------------------------- the types of columns


def _count(connection: DuckDBPyConnection, width: int, first: int) -> list[dict[str, int]]:
    """Return the counts of `_COUNTS` for every column of `cells<first>`."""
    # all columns are stacked into one, because a query over separate columns takes too long to plan
    cells = ", ".join(f"c{j}" for j in range(first, first + width))
    counted = ", ".join(count.format(c="cell") for count in _COUNTS.values())
    rows = connection.execute(
        f"SELECT number, {counted} FROM (SELECT unnest(range({width})) AS number, unnest([{cells}]) AS cell"
        f" FROM cells{first}) GROUP BY number"
    ).fetchall()
    counts = {number: dict(zip(_COUNTS, values, strict=True)) for number, *values in rows}
    zeros = dict.fromkeys(_COUNTS, 0)  # a table without rows has no groups
    return [counts.get(number, zeros) for number in range(width)]


def _columns(
    connection: DuckDBPyConnection,
    names: Sequence[str],
    counts: Sequence[dict[str, int]],
    delimiter: str,
    notes: list[str],
) -> dict[str, Column]:
    decimal_comma = _decimal_comma(counts, delimiter)
    kinds = [_type_of(count, decimal_comma) for count in counts]
    columns: dict[str, Column] = {}
    for first in range(0, len(names), _WIDTH):
        selected = []
        for j in range(first, min(first + _WIDTH, len(names))):
            sql = _TYPES[kinds[j]].format(c=f"c{j}")
            if kinds[j] == "date":
                cells = counts[j]["cells"]
                sql = _date(connection, f"cells{first}", f"c{j}", names[j], cells, delimiter, notes)
            selected.append(f"{sql} AS c{j}")
        values = connection.execute(f"SELECT {', '.join(selected)} FROM cells{first}").fetchnumpy()
        columns |= {names[int(key[1:])]: normal_form(values.pop(key)) for key in list(values)}
    notes += _notes_on(names, kinds, counts)
    return columns


def _notes_on(
    names: Sequence[str], kinds: Sequence[str], counts: Sequence[dict[str, int]]
) -> list[str]:
    """Return notes on commas in numbers and on columns that are almost all numbers."""
    notes = []
    marked: dict[str, list[str]] = {"decimal comma": [], "decimal point": []}
    for name, kind, count in zip(names, kinds, counts, strict=True):
        if kind in marked and count["commas"]:
            marked[kind].append(name)
        numbers = max(count["point"], count["comma"])
        if kind == "text" and 0.9 * count["cells"] <= numbers < count["cells"]:
            notes.append(
                f"Column '{name}' is text, because {count['cells'] - numbers} of its "
                f"{count['cells']} cells are not numbers."
            )
    for mark, columns in zip(("decimal", "thousands"), marked.values(), strict=True):
        if columns:
            notes.append(f"Commas were read as {mark} marks in: {', '.join(columns[:20])}.")
    return notes


def _decimal_comma(counts: Iterable[dict[str, int]], delimiter: str) -> bool:
    """Return whether the comma is the decimal mark, judged by the unambiguous columns."""
    full = [count for count in counts if count["cells"]]
    only_comma = any(n["comma"] == n["cells"] > n["point"] for n in full)
    only_point = any(n["point"] == n["cells"] > n["comma"] for n in full)
    if only_comma != only_point:
        return only_comma
    # files with decimal commas are usually delimited by ";"
    return delimiter == ";" and not any(n["points"] for n in full if n["point"] == n["cells"])


_TYPES = {
    "missing": "CAST(NULL AS DOUBLE)",
    "decimal comma": "CAST(replace(replace({c}, '.', ''), ',', '.') AS DOUBLE)",
    "decimal point": "CAST(replace({c}, ',', '') AS DOUBLE)",
    "boolean": "CASE lower({c}) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END",
    "time": "epoch(try_cast({c} AS TIME))",
    "moment": "CAST(CAST({c} AS TIMESTAMPTZ) AS TIMESTAMP)",
    "date": "{c}",
    "text": "{c}",
}


def _type_of(count: dict[str, int], decimal_comma: bool) -> str:
    """Return the first type that all cells of a column have."""
    cells = count["cells"]
    point, comma = count["point"] == cells, count["comma"] == cells
    number = count["codes"] == 0  # "007" is a code, not a number
    rules = (
        ("missing", cells == 0),
        ("decimal comma", number and comma and (decimal_comma or not point)),
        ("decimal point", number and point),
        ("boolean", count["booleans"] == cells),
        ("time", count["times"] == cells),
        ("moment", count["moments"] == cells),
        ("date", count["dates"] == cells),
    )
    return next((name for name, holds in rules if holds), "text")


def _date(
    connection: DuckDBPyConnection,
    table: str,
    c: str,
    name: str,
    cells: int,
    delimiter: str,
    notes: list[str],
) -> str:
    """Return the SQL for dates that end with the year, day or month first, whichever fits all cells."""
    fitting = []
    for order, formats in {"day": _DAY_FIRST, "month": _MONTH_FIRST}.items():
        texts = ", ".join(f"'{day}{clock}'" for day in formats for clock in _CLOCKS)
        parsed = f"try_strptime({c}, [{texts}])"
        if connection.execute(f"SELECT count({parsed}) FROM {table}").fetchall()[0][0] == cells:
            fitting.append((order, parsed))
    if not fitting:
        return c
    # files delimited by commas are mostly American, those delimited by semicolons European
    order, parsed = fitting[-1] if delimiter == "," else fitting[0]
    if len(fitting) > 1:
        notes.append(
            f"The dates in column '{name}' may start with the day or the month; they were read with "
            f"the {order} first."
        )
    return parsed


# ---------------------------------------------------------------------------------- messages


def _parse_error(path: Path, message: str) -> str:
    line = re.search(r"CSV Error on Line: (\d+)", message)
    widths = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    where = f"line {line[1]} of '{path}'" if line else f"'{path}'"
    if line and widths:
        return (
            f"Line {line[1]} of '{path}' has {widths[2]} cells where the first line has "
            f"{widths[1]}, so it is unclear which cell belongs to which column: correct or "
            "delete the line."
        )
    if "unterminated quote" in message:
        return f"A quote that opens in {where} is never closed: close it or delete it."
    return f"Delimited text cannot be read from {where}: {first_line(message)}."
