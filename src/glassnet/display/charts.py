"""Draw charts as SVG elements of an HTML page, in its colours and fonts, with alternative texts."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassnet.display.drawing import LIGHT, suits_log_scale
from glassnet.display.html import escape

# matplotlib knows no CSS variables: the light colours are replaced by variables of the page
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
MAX_POINTS = 800
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
    """A curve over epochs: its label in the legend, and its values (NaN: none)."""

    label: str
    values: NDArray[Any]


def curves(
    key: str, title: str, epochs: NDArray[Any], lines: Sequence[Line], best: int, ylabel: str
) -> str:
    """Draw curves over epochs as SVG; a dotted line marks the best epoch (0: none).

    `key` is the prefix of the drawing's ids, unique on the page; `title` is its alternative text.
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
        if suits_log_scale([values]):
            ax.set_yscale("log")
            several = (1, 2, 5) if values.max() / values.min() < 1000 else (1,)
            ax.yaxis.get_major_locator().set_params(subs=several)
            # the default labels are formulas, which HTML cannot show
            ax.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda value, position: "")
        ax.set(xlabel="epoch", ylabel=ylabel)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(fontsize=9.5)

    return svg(key, title, draw)


def scatter(key: str, title: str, true: NDArray[Any], predicted: NDArray[Any]) -> str:
    """Draw predicted over true values as SVG, with a line where they are equal; many rows are thinned."""
    order = np.argsort(true, kind="stable")
    rows = order[np.unique(np.linspace(0, len(order) - 1, MAX_POINTS).astype(int))]
    x, y = true[rows], predicted[rows]
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
    """Draw a histogram of residuals as SVG; the end bins include the most extreme 1 % of the rows."""
    low, high = np.percentile(residuals, [0.5, 99.5])
    bins = int(np.clip(np.sqrt(len(residuals)) * 1.5, 5, 40))
    span = (low, high)
    if not (high - low) / bins > 2 * np.spacing(max(abs(low), abs(high))):
        margin = max(abs(low) / 8, 0.5)  # the values are too close together for several bins
        span, bins = (low - margin, low + margin), 5

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
    """Return what `draw` draws on matplotlib axes as an SVG element for an HTML page.

    Text stays text, colours are those of the page, ids begin with `key`, and the same drawing gives the
    same bytes. `title` is the alternative text. `formulas`: whether text between two "$" is a formula.
    """
    import matplotlib as mpl  # lazily: slow to import
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    settings = {**_SETTINGS, "svg.hashsalt": key, "text.parse_math": formulas}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # the page's fonts have the letters that matplotlib's font lacks
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
