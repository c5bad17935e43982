"""Define the style of all figures, with colours for light and dark pages.

Nothing is shown by colour alone. Lines differ by dashes and markers, areas by hatches, and signs by solid
and dashed lines. The colours, after Okabe and Ito ("Color Universal Design", 2008), can be told apart by
colour-blind readers, and have a contrast of at least 3 : 1 with their background.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Axes: TypeAlias = Any  # matplotlib's, which is imported when the first figure is drawn

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
HATCHES = ("", "//", "..", "\\\\", "xx", "++", "--", "oo", "||", "**")


class Palette(NamedTuple):
    """The colours on one background.

    ink: text and outlines. muted: less important parts. line: grids. face: the background.
    series: the colours of successive lines and areas. plus, minus: of positive and negative numbers.
    """

    ink: str
    muted: str
    line: str
    face: str
    series: tuple[str, ...]

    @property
    def plus(self) -> str:
        """The colour of positive numbers."""
        return self.series[0]

    @property
    def minus(self) -> str:
        """The colour of negative numbers."""
        return self.series[1]

    def look(self, index: int, every: int | None = None) -> dict[str, Any]:
        """Return the style of a line by its index, with a marker at every `every`-th point."""
        look: dict[str, Any] = {
            "color": self.series[index % len(self.series)],
            "linestyle": DASHES[index % len(DASHES)],
        }
        if every is not None:
            look |= {"marker": MARKERS[index % len(MARKERS)], "markevery": max(1, every)}
        return look


LIGHT = Palette(
    "#1b2430", "#5a6675", "#d8dee6", "#ffffff",
    ("#0067a8", "#c04e00", "#00805c", "#a3427f", "#7a6500", "#4b4fae"),
)  # fmt: skip
DARK = Palette(
    "#e4e9ef", "#9eabba", "#37424f", "#12171d",
    ("#62b5f0", "#f0933a", "#3ccf9e", "#e79ac6", "#e8d44d", "#a9abf5"),
)  # fmt: skip


@contextmanager
def style(dark: bool = False, transparent: bool = False) -> Iterator[None]:
    """Draw figures inside the block in glassnet's style, for a light or a dark page.

    Parameters
    ----------
    dark: whether the page is dark. Default False.
    transparent: whether the page shows through the figure. Default: the figure has a background.

    >>> import matplotlib
    >>> with style(dark=True):
    ...     matplotlib.rcParams["figure.facecolor"]
    '#12171d'
    """
    import matplotlib as mpl
    from cycler import cycler

    colors = DARK if dark else LIGHT
    face = colors.face + ("00" if transparent else "")
    settings: dict[Any, Any] = {
        "figure.facecolor": face,
        "axes.facecolor": face,
        "savefig.facecolor": face,
        "figure.figsize": (6.4, 4.4),
        "figure.dpi": 110,
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titlepad": 10,
        "axes.titleweight": "bold",
        "axes.edgecolor": colors.muted,
        "axes.labelcolor": colors.ink,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=colors.series),
        "grid.color": colors.line,
        "grid.linewidth": 0.7,
        "hatch.color": colors.muted,
        "hatch.linewidth": 0.6,
        "legend.frameon": True,
        "legend.framealpha": 0.85,
        "legend.facecolor": colors.face,
        "legend.edgecolor": colors.line,
        "legend.fontsize": 10,
        "lines.linewidth": 1.8,
        "text.color": colors.ink,
        "xtick.color": colors.muted,
        "ytick.color": colors.muted,
        "xtick.labelcolor": colors.ink,
        "ytick.labelcolor": colors.ink,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
    }
    with mpl.rc_context(settings):
        yield


def palette(ax: Axes) -> Palette:
    """Return the colours that suit the background of the axes."""
    from matplotlib.colors import to_rgba

    face = to_rgba(ax.get_facecolor())
    if face[3] < 0.5:
        face = to_rgba(ax.figure.get_facecolor())
    red, green, blue = face[:3]
    return DARK if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5 else LIGHT


def signed_colors() -> Any:
    """Return a colour map for numbers around 0 that gets lighter upwards, so that signs show in grey."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#0b2a4a", "#245f93", "#8a9099", "#e0a04c", "#fff0c2"]
    return LinearSegmentedColormap.from_list("signed", stops)


def axes_for(
    ax: Axes | None, size: tuple[float, float] | None = (6.4, 4.4), **options: Any
) -> Axes:
    """Return the given axes, or those of a new figure of a size in inches (None: matplotlib's default)."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    return figure.add_subplot(**options)


def panels(ax: Axes | None, rows: int, columns: int, size: tuple[float, float]) -> np.ndarray:
    """Return axes in rows and columns, which replace the given axes or fill a new figure."""
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=size, layout="constrained")
        return np.asarray(figure.subplots(rows, columns, squeeze=False))
    figure, spec = ax.figure, ax.get_subplotspec()
    if spec is None:
        box = ax.get_position()
        grid = figure.add_gridspec(
            rows, columns, left=box.x0, right=box.x1, bottom=box.y0, top=box.y1
        )
    else:
        grid = spec.subgridspec(rows, columns)
    ax.remove()
    return np.asarray(grid.subplots(squeeze=False))


def title(ax: Axes, text: str, size: float | None = None) -> None:
    """Write a title above the axes, from the left edge, in lines that fit the width."""
    share = ax.get_position().width / 0.775  # the final layout has no margins, which are 22.5 %
    width = share * ax.figure.get_size_inches()[0] * 72
    shown = ax.set_title("", x=0, ha="left", loc="center")
    if size is not None:
        shown.set_fontsize(size)
    # the average letter is about 0.62 font sizes wide
    letters = max(20, int(width / (0.64 * shown.get_fontsize())))
    shown.set_text("\n".join(textwrap.wrap(text, letters, break_on_hyphens=False)))


def suits_log_scale(values: Sequence[Any]) -> bool:
    """Return whether all finite numbers are above 0 and the largest is over 30 times the smallest.

    >>> suits_log_scale([np.array([1.0, 40.0]), np.array([np.nan])]), suits_log_scale([np.array([0.0, 40.0])])
    (True, False)
    """
    known = np.concatenate([np.asarray(array, np.float64) for array in values])
    known = known[np.isfinite(known)]
    return bool(len(known) and known.min() > 0 and known.max() / known.min() > 30)


def bare(ax: Axes) -> None:
    """Remove frame, ticks and grid from axes that hold a diagram."""
    ax.grid(False)
    ax.set_axis_off()


def literal(text: object, longest: int = 24) -> str:
    """Return a name from the data, escaped so that no part of it is read as a formula.

    >>> literal("cost in $")
    'cost in \\\\$'
    """
    shown = str(text)
    shown = shown if len(shown) <= longest else shown[: longest - 1] + "…"
    return shown.replace("$", "\\$")


def number(value: float, digits: int = 3) -> str:
    """Return a number with a number of significant digits and a true minus sign.

    >>> number(-0.12345), number(12.0), number(0.0)
    ('−0.123', '12', '0')
    """
    return f"{float(value):.{digits}g}".replace("-", "−")
