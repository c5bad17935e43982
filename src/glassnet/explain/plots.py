"""Draw explanations as bars and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLORS = "cividis"  # ordered by lightness, so that it can be read without colour


def draw_bars(
    ax: Any, names: Sequence[str], values: NDArray[Any], spread: NDArray[Any] | None, label: str
) -> Any:
    """Draw one horizontal bar per name, the first on top, and return the axes."""
    heights = np.arange(len(names))
    ax.barh(
        heights, values, xerr=spread, color="tab:blue", edgecolor="black", linewidth=0.5, capsize=2
    )
    ax.set_yticks(heights, names)
    ax.invert_yaxis()
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_xlabel(label)
    return ax


def draw_picture(ax: Any, picture: NDArray[Any], *, signed: bool = False) -> Any:
    """Draw a picture (h, w) or (h, w, c) and return the axes.

    signed: draw values around 0, summed over channels, with a colour bar; light is positive.
    """
    if signed:
        flat = picture.sum(axis=2) if picture.ndim == 3 else picture
        largest = float(np.abs(flat).max()) or 1.0
        image = ax.imshow(flat, cmap=COLORS, vmin=-largest, vmax=largest)
        ax.figure.colorbar(image, ax=ax)
    else:
        image = np.asarray(picture, np.float64)
        if image.ndim == 3 and image.shape[2] not in (3, 4):
            image = image.mean(axis=2)
        if image.ndim == 3:
            image = image / (255.0 if image.max() > 1 else 1.0)
        ax.imshow(image, cmap="gray")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax
