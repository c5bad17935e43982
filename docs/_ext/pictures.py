"""Pictures for dark pages: each drawing of a page gets a twin in the library's colours for a dark background.

The pages draw once, in the colours for light, on nothing; what differs in the twin is the colours alone.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

IMAGE = re.compile(
    r'<img (?P<before>[^>]*?)src="(?P<path>[^"]*_images/[0-9a-f]{64})\.svg"(?P<after>[^>]*)>'
)


def twins() -> dict[str, str]:
    """Return the colour on a dark page for each colour on a light one."""
    from glassnet.display.drawing import DARK, LIGHT

    pairs = {"#000000": DARK.ink}
    for name in LIGHT._fields:
        light, dark = getattr(LIGHT, name), getattr(DARK, name)
        pairs |= dict(zip(light, dark, strict=True)) if isinstance(light, tuple) else {light: dark}
    return pairs


def darkened(drawing: str, pairs: dict[str, str]) -> str:
    """Return an SVG in the colours for a dark page; letters in black or white stand on their own ground."""
    colour = r'<g style="fill: #(?:000000|ffffff)"|#[0-9a-f]{6}\b'
    return re.sub(colour, lambda found: pairs.get(found[0], found[0]), drawing)


def pair(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Let a page show each drawing where it is light, and its twin where it is dark."""
    del app, page, template, doctree

    def two(found: re.Match[str]) -> str:
        return "".join(
            f'<img class="only-{theme} dark-light" loading="lazy" {found["before"]}'
            f'src="{found["path"]}{ending}.svg"{found["after"]}>'
            for theme, ending in (("light", ""), ("dark", "-dark"))
        )

    context["body"] = IMAGE.sub(two, context.get("body", ""))


def write_twins(app: Sphinx, failed: Exception | None) -> None:
    """Write the dark twin of each drawing beside it."""
    if failed is None:
        pairs = twins()
        for path in Path(app.outdir, "_images").glob("?" * 64 + ".svg"):
            twin = path.with_name(f"{path.stem}-dark.svg")
            twin.write_text(darkened(path.read_text("utf-8"), pairs), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to pages and to the end."""
    app.connect("html-page-context", pair)
    app.connect("build-finished", write_twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
