r"""Delimited text (CSV, TSV, ...) as a Table: how the file is written, then what its columns are.

1. The bytes become UTF-8; the delimiter and the header line are found from the first lines.
2. DuckDB parses the file with this dialect stated, every cell as text, so that nothing is guessed
   from a sample and a line of the wrong length is an error.
3. A column has the first type that ALL its cells have: number, true/false, date, time; else text.

A comma or point is a decimal or a thousands mark by what the whole file shows: "7,1" can only be
decimal, "1,234,567" only thousands, and what fits both follows the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from glassnet.databases import connect, first_line, normal_form, unique_names
from glassnet.errors import DataError
from glassnet.files import needs_copy, opened
from glassnet.tables import Column, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MISSING_MARKS = (
    "", "?", "-", "NA", "na", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NULL", "null",
    "Null", "None",
)  # fmt: skip
_SPACES = " \t\u00a0"
_SAMPLE = 1 << 18  # bytes from which delimiter and header are found
_SAMPLE_ROWS = 200
_CHUNK = 1 << 22
# "1,234.5" and "1.234,5"; RE2 in DuckDB and Python's re agree on these
_EXPONENT = r"([eE][+-]?\d+)?"
_POINT = rf"[+-]?((\d+|[1-9]\d?\d?(,\d\d\d)+)(\.\d*)?|\.\d+){_EXPONENT}|(?i:[+-]?inf(inity)?)"
_COMMA = rf"[+-]?((\d+|[1-9]\d?\d?(\.\d\d\d)+)(,\d*)?|,\d+){_EXPONENT}|(?i:[+-]?inf(inity)?)"
_DAY_FIRST = ("%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")

# one count for each way in which the cells of a column may be written
_COUNTS: dict[str, str] = {
    "cells": "count({c})",
    "point": f"count(*) FILTER (regexp_full_match({{c}}, '{_POINT}'))",
    "comma": f"count(*) FILTER (regexp_full_match({{c}}, '{_COMMA}'))",
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


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written; a file of one column has a delimiter it does not contain."""

    delimiter: str
    header: bool
    names: tuple[str, ...]


def read_delimited(paths: Sequence[Path], wanted: Sequence[str]) -> tuple[Table, list[str]]:
    """Return the table in these files (united by column name) and notes on how they were read.

    `wanted` are names that a header line would contain (the targets). Raises `DataError`, with
    the number of the line, for text that is no table.
    """
    notes: list[str] = []
    with TemporaryDirectory(prefix="glassnet-") as name, connect(Path(name)) as connection:
        parts = [
            _load(connection, part, path, Path(name), wanted, notes)
            for part, path in enumerate(paths)
        ]
        names = list(dict.fromkeys(name for part in parts for name in part.names))
        if len({part.names for part in parts}) > 1:
            notes.append("The files do not have the same columns; what a file lacks is missing.")
        selects = (_select(part, dialect, names) for part, dialect in enumerate(parts))
        # it turns each list of missing marks into a join, whose planning takes longer than the work
        connection.execute("SET disabled_optimizers = 'in_clause'")
        connection.execute(f"CREATE TEMP TABLE cells AS {' UNION ALL '.join(selects)}")
        counts = _count(connection, len(names))
        rows = connection.execute("SELECT count(*) FROM cells").fetchall()[0][0]
        if rows == 0:
            raise DataError(
                f"'{paths[0]}' has a header line but no rows: there is nothing to learn from."
            )
        columns = _columns(connection, names, counts, parts[0].delimiter, notes)
    return Table(columns), notes


def _load(
    connection: DuckDBPyConnection,
    part: int,
    path: Path,
    folder: Path,
    wanted: Sequence[str],
    notes: list[str],
) -> Dialect:
    """Parse one file into the table `part<n>` with columns c0, c1, ... of text."""
    import duckdb  # lazily: it takes longer to import than the whole command line

    plain, encoding = _as_utf8(path, folder)
    dialect, said = sniff(_sample(plain), str(path), wanted)
    notes += said
    if encoding != "utf-8":
        notes.append(f"'{path.name}' was read as {encoding}.")
    options = {f"c{j}": "VARCHAR" for j in range(len(dialect.names))}
    try:
        connection.execute(
            f"CREATE TEMP TABLE part{part} AS SELECT * FROM read_csv(?, auto_detect=false, delim=?,"
            " quote='\"', escape='\"', header=?, columns=?, strict_mode=true, nullstr='',"
            " compression='none', max_line_size=100000000)",
            [str(plain), dialect.delimiter, dialect.header, options],
        )
    except duckdb.Error as error:
        raise DataError(_parse_error(path, str(error))) from None
    return dialect


def _select(part: int, dialect: Dialect, names: Sequence[str]) -> str:
    """Return the cells of one file in the columns of all files, trimmed, missing marks as NULL."""
    where = {name: f"c{j}" for j, name in enumerate(dialect.names)}
    marks = ", ".join(f"'{mark}'" for mark in MISSING_MARKS)
    cells = (
        f"CASE WHEN trim({where[name]}, '{_SPACES}') NOT IN ({marks})"
        f" THEN trim({where[name]}, '{_SPACES}') END AS c{k}"
        if name in where
        else f"NULL::VARCHAR AS c{k}"
        for k, name in enumerate(names)
    )
    return f"SELECT {', '.join(cells)} FROM part{part}"


# ------------------------------------------------------------------------------- text and dialect


def _as_utf8(path: Path, folder: Path) -> tuple[Path, str]:
    """Return a file that DuckDB reads as it is, a copy where need be, and the encoding found."""
    with opened(path) as file:
        start = file.read(4096)
    encoding = next((name for bom, name in _BOMS if start.startswith(bom)), None)
    if encoding is None and len(start) > 1 and 0 in start[:2] and start.count(0) > len(start) / 3:
        encoding = "utf-16-be" if start[0] == 0 else "utf-16-le"
    if encoding is None and 0 in start:
        raise DataError(_binary(path))
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
    raise DataError(_binary(path))


_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def _newlines(path: Path, encoding: str) -> set[str] | None:
    """Return the kinds of line end in the file, or None if it is not in this encoding."""
    try:
        with opened(path) as file:
            # newline=None translates, and remembers what it saw
            text = io.TextIOWrapper(file, encoding=encoding, newline=None)
            while chunk := text.read(_CHUNK):
                if "\0" in chunk:
                    raise DataError(_binary(path))
            seen = text.newlines
            text.detach()
    except UnicodeError:
        return None
    return set() if seen is None else {seen} if isinstance(seen, str) else set(seen)


def _copy(path: Path, folder: Path, encoding: str) -> Path:
    copy = folder / f"text{len(list(folder.iterdir()))}"
    with opened(path) as file, copy.open("w", encoding="utf-8", newline="\n") as out:
        text = io.TextIOWrapper(file, encoding=encoding, newline=None)
        while chunk := text.read(_CHUNK):
            out.write(chunk)
        text.detach()
    return copy


def _sample(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_SAMPLE)
        cut = bool(file.read(1))
    text = codecs.getincrementaldecoder("utf-8")().decode(data)
    # the last line may be cut short, but a sample without a line end is all there is
    return text[: text.rfind("\n") + 1] or text if cut else text


def sniff(sample: str, name: str, wanted: Sequence[str] = ()) -> tuple[Dialect, list[str]]:
    r"""Return the dialect of delimited text and notes; raises `DataError` if there are no lines.

    >>> sniff("a;b\n1,5;x\n", "x.csv")[0]
    Dialect(delimiter=';', header=True, names=('a', 'b'))
    """
    found = {delimiter: _parse(sample, delimiter) for delimiter in (",", ";", "\t", "|")}
    fits = {delimiter: _fit(rows) for delimiter, rows in found.items()}
    delimiter = max(fits, key=lambda d: fits[d])  # the earliest of equals
    if fits[delimiter] == (0.0, 0):
        delimiter = "\x1f"  # one column: whatever its cells contain is no delimiter
        found[delimiter] = _parse(sample, delimiter)
    rows = found[delimiter]
    if not any(cell.strip() for row in rows for cell in row):
        raise DataError(f"'{name}' has no text but spaces: there is nothing to learn from.")
    first = [cell.strip(_SPACES) for cell in rows[0]]
    if _has_header(first, rows[1:], wanted):
        names, notes = unique_names(first)
        return Dialect(delimiter, True, names), notes
    names, notes = unique_names([""] * len(first))
    notes.append(f"No header line was found; the columns are called {names[0]} to {names[-1]}.")
    return Dialect(delimiter, False, names), notes


def _parse(sample: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:  # a cell of more than 128 KB, as in text with a stray quote
        pass
    return rows


def _fit(rows: list[list[str]]) -> tuple[float, int]:
    """Return the share of rows as wide as the first, and its width; (0, 0) for one cell."""
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    width = len(rows[0])
    fitting = sum(len(r) == width or (len(r) == width + 1 and r[-1] == "") for r in rows)
    return fitting / len(rows), width


def _has_header(first: Sequence[str], body: Sequence[Sequence[str]], wanted: Sequence[str]) -> bool:
    """Return whether the first line names columns: text above numbers, or the reverse, says so."""
    if set(wanted) & set(first):
        return True
    above, repeated, numbers = False, False, False
    for j, cell in enumerate(first):
        below = [row[j].strip(_SPACES) for row in body if j < len(row)]
        below = [value for value in below if value not in MISSING_MARKS]
        if cell in MISSING_MARKS:
            continue
        numbers |= _is_number(cell)
        repeated |= cell in below
        above |= {not _is_number(cell)} == set(map(_is_number, below))
    return above or not (numbers or repeated)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(_POINT, cell) or re.fullmatch(_COMMA, cell))


# -------------------------------------------------------------------------- the types of columns


def _count(connection: DuckDBPyConnection, width: int) -> list[dict[str, int]]:
    """Return the counts of `_COUNTS` for every column."""
    counts = []
    for j in range(width):  # not all in one query: its planning would take longer than its work
        sql = ", ".join(count.format(c=f"c{j}") for count in _COUNTS.values())
        values = connection.execute(f"SELECT {sql} FROM cells").fetchall()[0]
        counts.append(dict(zip(_COUNTS, values, strict=True)))
    return counts


def _columns(
    connection: DuckDBPyConnection,
    names: Sequence[str],
    counts: Sequence[dict[str, int]],
    delimiter: str,
    notes: list[str],
) -> dict[str, Column]:
    decimal_comma = _decimal_comma(counts, delimiter)
    columns: dict[str, Column] = {}
    marked: dict[str, list[str]] = {"decimal comma": [], "decimal point": []}
    for j, (name, count) in enumerate(zip(names, counts, strict=True)):
        kind = _type_of(count, decimal_comma)
        sql = _TYPES[kind].format(c=f"c{j}")
        if kind == "date":
            sql = _date(connection, f"c{j}", name, count["cells"], delimiter, notes)
        values = connection.execute(f"SELECT {sql} AS value FROM cells").fetchnumpy()["value"]
        columns[name] = normal_form(values)
        if kind in marked and count["commas"]:
            marked[kind].append(name)
        numbers = max(count["point"], count["comma"])
        if kind == "text" and 0.9 * count["cells"] <= numbers < count["cells"]:
            notes.append(
                f"Column '{name}' is text, because {count['cells'] - numbers} of its "
                f"{count['cells']} cells are not numbers."
            )
    for mark, those in zip(("decimal", "thousands"), marked.values(), strict=True):
        if those:
            notes.append(f"Commas were read as {mark} marks in: {', '.join(those[:20])}.")
    return columns


def _decimal_comma(counts: Iterable[dict[str, int]], delimiter: str) -> bool:
    """Return whether the comma is the file's decimal mark, by the columns that show it."""
    full = [count for count in counts if count["cells"]]
    only_comma = any(n["comma"] == n["cells"] > n["point"] for n in full)
    only_point = any(n["point"] == n["cells"] > n["comma"] for n in full)
    if only_comma != only_point:
        return only_comma
    # people delimit by ";" because their commas are decimal
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
    number = count["codes"] == 0  # "007" is a name made of digits
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
    c: str,
    name: str,
    cells: int,
    delimiter: str,
    notes: list[str],
) -> str:
    """Return the SQL for dates with the year last; day or month first by which parses all cells."""
    fitting = []
    for order, formats in {"day": _DAY_FIRST, "month": _MONTH_FIRST}.items():
        texts = ", ".join(f"'{day}{clock}'" for day in formats for clock in _CLOCKS)
        parsed = f"try_strptime({c}, [{texts}])"
        if connection.execute(f"SELECT count({parsed}) FROM cells").fetchall()[0][0] == cells:
            fitting.append((order, parsed))
    if not fitting:
        return c
    # a comma between cells suggests the American order, a semicolon the European one
    order, parsed = fitting[-1] if delimiter == "," else fitting[0]
    if len(fitting) > 1:
        notes.append(
            f"Column '{name}' fits two orders of dates; it was read with the {order} first."
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
            f"{widths[1]}, so that cells cannot be told to columns: correct or delete the line."
        )
    if "unterminated quote" in message:
        return f"A quote that opens in {where} is never closed: close or delete it."
    return f"Delimited text cannot be read from {where}: {first_line(message)}."


def _binary(path: Path) -> str:
    return (
        f"'{path}' is neither text nor a format that can be read: give CSV, TSV, Parquet, JSON, a "
        "DuckDB or SQLite file, IDX, .npz, or a folder of pictures."
    )
