"""Lay out text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def subscript(digits: object) -> str:
    """Return digits as subscripts.

    >>> "x" + subscript(12)
    'x₁₂'
    """
    return str(digits).translate(_SUBSCRIPTS)


def text_table(rows: Sequence[Sequence[str]], left: int | None = 1, indent: int = 0) -> str:
    """Return rows of cells as lines of text with aligned columns, two spaces between them.

    left: how many columns, from the first, are aligned to the left; the others are aligned to the right.
    None: all of them. indent: spaces in front of each line.

    >>> print(text_table([["column", "mean"], ["age", "0.5"]]))
    column  mean
    age      0.5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    count = len(widths) if left is None else left
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:count], widths, strict=False)]
        cells += [
            cell.rjust(width) for cell, width in zip(row[count:], widths[count:], strict=True)
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def text_bar(share: float, width: int = 20) -> str:
    """Return a share from -1 to 1 as a bar of plus or minus signs.

    >>> text_bar(0.5, 4), text_bar(-1.0, 4), text_bar(0.0, 4)
    ('++', '----', '')
    """
    return ("+" if share > 0 else "-") * round(min(abs(share), 1.0) * width)
