"""Detect the dialect of delimited text (its delimiter and header line) from its first lines."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassnet.data.databases import unique_names
from glassnet.errors import DataError

MISSING_MARKS = (
    "", "?", "-", "NA", "na", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "NULL", "null",
    "Null", "None",
)  # fmt: skip
SPACES = " \t\u00a0"
# bytes that show the delimiter and the header; more if two lines are longer
_SAMPLE = 1 << 18
_SAMPLE_ROWS = 200
MAX_LINE = 100_000_000  # bytes
MAX_COLUMNS = 20_000  # of text: detecting the types of more takes over ten seconds
# "1,234.5" and "1.234,5"; RE2 in DuckDB and Python's re agree on these patterns
_EXPONENT = r"([eE][+-]?\d+)?"
POINT = rf"[+-]?((\d+|[1-9]\d?\d?(,\d\d\d)+)(\.\d*)?|\.\d+){_EXPONENT}|(?i:[+-]?inf(inity)?)"
COMMA = rf"[+-]?((\d+|[1-9]\d?\d?(\.\d\d\d)+)(,\d*)?|,\d+){_EXPONENT}|(?i:[+-]?inf(inity)?)"


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written; with a single column the delimiter is one that does not occur."""

    delimiter: str
    header: bool
    names: tuple[str, ...]


def sample(path: Path) -> str:
    """Return the first lines of a file in UTF-8, at least two complete lines if it has them."""
    data, size = b"", _SAMPLE
    with path.open("rb") as file:
        while data.count(b"\n") < 2 and (more := file.read(size)):
            data += more
            size = min(2 * size, MAX_LINE)
        cut = bool(file.read(1))
    text = codecs.getincrementaldecoder("utf-8")().decode(data)
    # the last line may be cut short and is left out, unless it is the only one
    return text[: text.rfind("\n") + 1] or text if cut else text


def sniff(text: str, name: str, wanted: Sequence[str] = ()) -> tuple[Dialect, list[str]]:
    r"""Return the dialect of delimited text, and notes; raises `DataError` for blank text.

    >>> sniff("a;b\n1,5;x\n", "x.csv")[0]
    Dialect(delimiter=';', header=True, names=('a', 'b'))
    """
    parsed = {delimiter: _parse(text, delimiter) for delimiter in (",", ";", "\t", "|")}
    fits = {delimiter: _fit(rows) for delimiter, rows in parsed.items()}
    delimiter = max(fits, key=lambda d: fits[d])  # the first on a tie
    if fits[delimiter] == (0.0, 0):
        delimiter = "\x1f"  # a single column: no character in its cells is a delimiter
        parsed[delimiter] = _parse(text, delimiter)
    rows = parsed[delimiter]
    if not rows and text.strip():
        raise DataError(
            f"The first line of '{name}' has a cell of more than {csv.field_size_limit()} characters."
            " A quote is probably never closed: close it or delete it."
        )
    if not any(cell.strip() for row in rows for cell in row):
        raise DataError(f"'{name}' holds nothing but spaces: there is nothing to learn from.")
    first = [cell.strip(SPACES) for cell in rows[0]]
    if len(first) > MAX_COLUMNS:
        raise DataError(
            f"'{name}' has {len(first)} columns, but text may have at most {MAX_COLUMNS}: save the numbers"
            " with numpy.savez(file, X=X, y=y)."
        )
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
    except csv.Error:  # a cell of more than 128 KB, which a stray quote can make
        pass
    return rows


def _fit(rows: list[list[str]]) -> tuple[float, int]:
    """Return the share of rows as wide as the first, and its width; (0, 0) for a single cell."""
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    width = len(rows[0])
    fitting = sum(len(r) == width or (len(r) == width + 1 and r[-1] == "") for r in rows)
    return fitting / len(rows), width


def _has_header(first: Sequence[str], body: Sequence[Sequence[str]], wanted: Sequence[str]) -> bool:
    """Return whether the first line is a header: it has text above numbers, or numbers above text."""
    if set(wanted) & set(first):
        return True
    above, repeated, numbers = False, False, False
    for j, cell in enumerate(first):
        below = [row[j].strip(SPACES) for row in body if j < len(row)]
        below = [value for value in below if value not in MISSING_MARKS]
        if cell in MISSING_MARKS:
            continue
        numbers |= _is_number(cell)
        repeated |= cell in below
        above |= {not _is_number(cell)} == set(map(_is_number, below))
    return above or not (numbers or repeated)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(POINT, cell) or re.fullmatch(COMMA, cell))
