"""Our docstrings for Sphinx: sections, lists of names, formulas, without its markup in our sources."""

import re
from itertools import pairwise
from typing import Any

from sphinx.application import Sphinx

ITEM = re.compile(r"^([`*\w][\w`*., ]*): (.+)$")


def escaped(text: str) -> str:
    """Return a line with what is in `backticks` as code, and every other sign as itself."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        f"`{part}`" if part.startswith("`") and part.endswith("`") and len(part) > 1
        else re.sub(r"([*|_\\])", r"\\\1", part)
        for part in parts
    )  # fmt: skip


def paragraphs(lines: list[str]) -> list[list[str]]:
    """Return the lines between empty ones, section titles by themselves."""
    found: list[list[str]] = [[]]
    for line, after in pairwise([*lines, "", ""]):
        if re.fullmatch(r"-{4,}", line):
            continue
        title = re.fullmatch(r"-{4,}", after) is not None
        if not line.strip() or title:
            found.append([])
        if title:
            found[-1] = [line, "-"]
            found.append([])
        elif line.strip():
            found[-1].append(line)
    return [paragraph for paragraph in found if paragraph]


def converted(paragraph: list[str], in_section: bool) -> list[str]:
    """Return one paragraph in Sphinx's markup."""
    flush = [line for line in paragraph if not line.startswith(" ")]
    items = bool(flush) and all(ITEM.match(line) for line in flush) and paragraph[0] in flush
    if paragraph[0].startswith(">>>"):
        return [*paragraph, ""]
    if not flush:
        return ["::", "", *(f"    {line}" for line in paragraph), ""]
    if items and (in_section or len(flush) > 1):
        lines: list[str] = []
        for line in paragraph:
            found = ITEM.match(line)
            if found:
                lines += [f"``{found[1].replace('`', '')}``", f"    {escaped(found[2])}"]
            else:
                lines.append(f"    {escaped(line.strip())}")
        return [*lines, ""]
    if len(flush) < len(paragraph) and not re.match(r"[-\d]", paragraph[0]):
        first = next(i for i, line in enumerate(paragraph) if line.startswith(" "))
        last = next(
            (i for i in range(first, len(paragraph)) if not paragraph[i].startswith(" ")),
            len(paragraph),
        )
        return [
            *converted(paragraph[:first], False),
            *converted(paragraph[first:last], False),
            *(converted(paragraph[last:], False) if paragraph[last:] else []),
        ]
    return [*map(escaped, paragraph), ""]


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite one docstring in place."""
    del app, what, name, obj, options
    result, section = [], False
    for paragraph in paragraphs(lines):
        section = section or paragraph[-1] == "-"
        if paragraph[-1] == "-":
            result += [f".. rubric:: {paragraph[0]}", ""]
        else:
            result += converted(paragraph, section)
    lines[:] = result


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what others wrote: fields of tuples, and what scikit-learn adds to estimators."""
    foreign = type(obj).__name__ == "_tuplegetter" or re.fullmatch(r"set_\w+_request", name)
    return True if foreign else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
