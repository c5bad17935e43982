"""Charts: drawings as SVG inside the page, in its colours and its fonts, each with its text."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.display.drawing import LIGHT
from glassnet.display.html import escape

# matplotlib knows no CSS variables: the colours of a light page become those of the reader's page
INK, MUTED, GRID, FIRST, SECOND = LIGHT.ink, LIGHT.muted, LIGHT.line, LIGHT.plus, LIGHT.minus
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "line",
    LIGHT.face: "paper",
    FIRST: "first",
    SECOND: "second",
}

SIZE = (4.9, 3.3)
MOST_POINTS = 800
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


class Line(NamedTuple):
    """A curve over epochs: what the legend calls it, its values, NaN where there is none."""

    label: str
    values: NDArray[Any]


def curves(
    key: str, title: str, epochs: NDArray[Any], lines: Sequence[Line], best: int, ylabel: str
) -> str:
    """Return curves over epochs, the best epoch marked by a dotted line (0: none).

    `key` is the prefix of the drawing's ids, unique on the page; `title` is its text alternative.
    """
    styles = ((FIRST, "-", "o"), (SECOND, "--", "s"))
    values = np.concatenate([line.values for line in lines])
    values = values[np.isfinite(values)]

    def draw(ax: Any) -> None:
        for line, (color, dashes, marker) in zip(lines, styles, strict=False):
            shown = np.where(np.isfinite(line.values), line.values, np.nan)
            few = marker if len(epochs) <= 12 else ""
            ax.plot(epochs, shown, color=color, ls=dashes, marker=few, ms=4, label=line.label)
        if best:
            ax.axvline(best, color=MUTED, ls=":", lw=1.4, label=f"best: epoch {best}")
        if len(values) and values.min() > 0 and values.max() / values.min() > 30:
            ax.set_yscale("log")
            several = (1, 2, 5) if values.max() / values.min() < 1000 else (1,)
            ax.yaxis.get_major_locator().set_params(subs=several)
            # the usual labels are formulas, which a page cannot set
            ax.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda value, place: "")
        ax.set(xlabel="epoch", ylabel=ylabel)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(fontsize=9.5)

    return svg(key, title, draw)


def scatter(key: str, title: str, true: NDArray[Any], predicted: NDArray[Any]) -> str:
    """Return predicted over true values with the line where both are equal; evenly thinned."""
    order = np.argsort(true, kind="stable")
    places = order[np.unique(np.linspace(0, len(order) - 1, MOST_POINTS).astype(int))]
    x, y = true[places], predicted[places]
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]

    def draw(ax: Any) -> None:
        ax.plot(ends, ends, color=MUTED, ls="--", lw=1.2, label="prediction = truth")
        face = FIRST if len(x) < 100 else "none"
        ax.plot(x, y, "o", ms=3.5, mec=FIRST, mfc=face, mew=0.7, alpha=0.75, label="test row")
        ax.set(xlabel="true value", ylabel="predicted value")
        ax.locator_params(nbins=5)
        ax.legend(fontsize=9.5, loc="upper left")

    return svg(key, title, draw)


def histogram(key: str, title: str, residuals: NDArray[Any]) -> str:
    """Return how often each residual occurs; the rarest ends, 1 % of the rows, in the end bins."""
    low, high = np.percentile(residuals, [0.5, 99.5])
    bins = int(np.clip(np.sqrt(len(residuals)) * 1.5, 5, 40))
    span = (low, high)
    if not (high - low) / bins > 2 * np.spacing(max(abs(low), abs(high))):
        wide = max(abs(low) / 8, 0.5)  # too near to each other to be told apart: one bar
        span, bins = (low - wide, low + wide), 5

    def draw(ax: Any) -> None:
        clipped = np.clip(residuals, low, high)
        ax.hist(clipped, bins=bins, range=span, color=FIRST, alpha=0.8, ec=GRID, lw=0.4)
        ax.axvline(0, color=SECOND, ls="--", lw=1.4, label="no error")
        ax.set(xlabel="residual: predicted − true", ylabel="test rows")
        ax.locator_params(axis="x", nbins=5)
        ax.yaxis.get_major_locator().set_params(integer=True)
        ax.legend(fontsize=9.5)

    return svg(key, title, draw)


def svg(
    key: str,
    title: str,
    draw: Callable[[Any], None],
    size: tuple[float, float] = SIZE,
    formulas: bool = False,
) -> str:
    """Return what `draw` draws on matplotlib axes as an SVG element for inside an HTML page.

    Text stays text, colours are the page's, ids begin with `key`, and the same drawing gives the
    same bytes. `title` says in words what it shows. `formulas`: text between two "$" is one.
    """
    import matplotlib as mpl  # lazily: half a second that only a report needs
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    settings = {**_SETTINGS, "svg.hashsalt": key, "text.parse_math": formulas}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # of letters that matplotlib's font lacks: the page's fonts have them
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return _inline(out.getvalue(), key, title)


def _inline(drawing: str, key: str, title: str) -> str:
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawing, flags=re.S)
    drawing = re.sub(r'\bid="([^"]*)"', rf'id="{key}-\1"', drawing)
    drawing = re.sub(r'(?:xlink:)?href="#([^"]*)"', rf'href="#{key}-\1"', drawing)
    drawing = re.sub(r"url\(#([^)]*)\)", rf"url(#{key}-\1)", drawing)
    for color, variable in _VARIABLES.items():
        drawing = re.sub(rf"(fill|stroke): {color}\b", rf"\1: var(--{variable})", drawing)
    box = re.search(r'viewBox="[^"]*"', drawing)
    body = drawing[drawing.index(">") + 1 :]
    assert box is not None
    return (
        f'<svg role="img" aria-labelledby="{key}-title" {box[0]}>'
        f'<title id="{key}-title">{escape(title, 400)}</title>{body.strip()}'
    )
