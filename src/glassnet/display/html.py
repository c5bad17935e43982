"""Write HTML pages without scripts, with text from the data escaped."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import NamedTuple

_BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
MAX_LENGTH = 200


def clean(text: object, longest: int = MAX_LENGTH) -> str:
    """Return text on one line, without control characters, direction marks or lone surrogates.

    >>> clean("a\\x1b[31m\\nb\\u202ec"), clean("abcdef", longest=4)
    ('a[31m bc', 'abc…')
    """
    kept = [
        " " if c in "\t\n\r\x0b\x0c\x85\u2028\u2029" else c
        for c in str(text)[: longest * 4]
        if c in "\t\n\r\x0b\x0c\x85"
        or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _BIDI)
    ]
    line = " ".join("".join(kept).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def escape(text: object, longest: int = MAX_LENGTH) -> str:
    """Return untrusted text as HTML text, also safe inside a quoted attribute.

    >>> escape("<script>")
    '&lt;script&gt;'
    """
    return html.escape(clean(text, longest), quote=True)


def name(text: object) -> str:
    """Return a name from the data as HTML, isolated from the writing direction of its surroundings.

    >>> name("a<b")
    '<bdi>a&lt;b</bdi>'
    """
    return f"<bdi>{escape(text, 60)}</bdi>"


def number(value: float) -> str:
    """Return a number with four significant digits, from 1000 without decimals, and a true minus sign.

    >>> number(0.123456), number(-12345.6), number(12.0), number(1.5e-7), number(float("nan"))
    ('0.1235', '−12346', '12', '1.5e−07', 'not defined')
    """
    if value != value:
        return "not defined"
    return (f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}").replace("-", "−")


def percent(value: float) -> str:
    """Return a share in percent.

    >>> percent(0.8214), percent(1.0), percent(0.00004)
    ('82.1\xa0%', '100\xa0%', 'under 0.1\xa0%')
    """
    text = f"{value * 100:.1f}".removesuffix(".0")
    if 0 < value < 0.0005:
        text = "under 0.1"
    if 0.9995 <= value < 1:
        text = "over 99.9"
    return text + "\xa0%"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in singular or plural.

    >>> counted(1, "row"), counted(345, "row"), counted(2, "class")
    ('1 row', '345 rows', '2 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{thousands(count)} {noun}{'' if count == 1 else plural}"


def thousands(count: float) -> str:
    """Return a whole number with narrow non-breaking spaces between thousands.

    >>> thousands(1234567).split()
    ['1', '234', '567']
    """
    return f"{int(count):,}".replace(",", "\u202f")


class Cell(NamedTuple):
    """HTML of one cell of a table, with its attributes."""

    html: str
    attributes: str = ""


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    *,
    numeric: Sequence[int] = (),
    kind: str = "",
    note: str = "",
) -> str:
    """Return a table in a box that scrolls sideways; the first cell of each row is its heading.

    `caption`, `head`, the cells and `note`, a paragraph below the table, are HTML; `numeric` lists the
    columns to align right.
    """
    heads = [f'<th scope="col"{_align(j, numeric)}>{h}</th>' for j, h in enumerate(head)]
    lines = []
    for row in rows:
        first, *others = (cell if isinstance(cell, Cell) else Cell(cell) for cell in row)
        cells = [f'<th scope="row"{first.attributes}>{first.html}</th>']
        cells += [
            f"<td{_align(j, numeric)}{cell.attributes}>{cell.html}</td>"
            for j, cell in enumerate(others, start=1)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    return (
        f'<div class="scroll" tabindex="0"><table{_class(kind)}><caption>{caption}</caption>\n'
        f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
        + paragraph(note, "note")
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of HTML; "" without text."""
    return f"<p{_class(kind)}>{text}</p>\n" if text else ""


def bullets(items: Iterable[str], kind: str = "") -> str:
    """Return a list of HTML items; "" without items."""
    lines = "".join(f"<li>{item}</li>\n" for item in items)
    return f"<ul{_class(kind)}>\n{lines}</ul>\n" if lines else ""


def figure(drawing: str, caption: str) -> str:
    """Return a drawing with its caption (HTML)."""
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>\n"


def bar(share: float) -> str:
    """Return a bar whose filled part is a share, cut to 0 to 1.

    >>> bar(1.5)
    '<div class="bar"><i style="width:100.0%"></i></div>'
    """
    return f'<div class="bar"><i style="width:{min(max(share, 0.0), 1.0) * 100:.1f}%"></i></div>'


POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src {images}"
"""What a browser may load for the page: only its own styles, and pictures from `images`."""


def code(text: str) -> str:
    """Return lines of text as a code block.

    >>> code("a < b")
    '<pre tabindex="0"><code>a &lt; b</code></pre>\\n'
    """
    lines = "\n".join(escape(line, 1000) for line in text.split("\n"))
    return f'<pre tabindex="0"><code>{lines}</code></pre>\n'


def page(
    title: str, header: str, sections: Sequence[tuple[str, str, str]], images: str = "data:"
) -> str:
    """Return a whole page from title (text), header (HTML) and sections (id, heading text, HTML).

    Sections without HTML are left out. The page's security policy forbids it to load anything but pictures
    from `images`. Default: only pictures inside the page.
    """
    sections = [section for section in sections if section[2]]
    style = (files("glassnet.display") / "report.css").read_text("utf-8")
    links = "".join(f'<li><a href="#{key}">{escape(head)}</a></li>' for key, head, _ in sections)
    parts = [
        f'<section id="{key}" aria-labelledby="{key}-heading">\n'
        f'<h2 id="{key}-heading">{escape(head)}</h2>\n{body}</section>\n'
        for key, head, body in sections
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY.format(images=images)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<header>
{header}<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{"".join(parts)}</main>
</body>
</html>
"""


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _align(column: int, numeric: Sequence[int]) -> str:
    return _class("number" if column in numeric else "")
