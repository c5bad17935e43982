"""Show pictures and maps of their pixels as small PNGs inside an HTML page."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.display.drawing import signed_colors
from glassnet.display.html import escape

PICTURE_SIZE = 128


def thumbnail(picture: NDArray[Any], pictures: NDArray[Any], alt: str) -> str:
    """Return a picture (h, w) or (h, w, c) as HTML, scaled by the range of values of all `pictures`."""
    high = 255.0 if pictures.dtype == np.uint8 and pictures.max() > 127 else float(pictures.max())
    low = min(0.0, float(pictures.min()))
    scaled = (picture.astype(np.float64) - low) / ((high - low) or 1.0) * 255
    pixels = np.clip(scaled, 0, 255).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        pixels = pixels.mean(axis=2).astype(np.uint8)
    return _img(pixels, alt)


def pixel_map(values: NDArray[Any], alt: str) -> str:
    """Return a number per pixel (h, w[, c]) as a picture in HTML, summed over channels; light is positive."""
    flat = values.sum(axis=2) if values.ndim == 3 else values
    largest = float(np.abs(flat).max()) or 1.0
    colors = signed_colors()(0.5 + 0.5 * flat / largest)
    return _img(np.round(colors[..., :3] * 255).astype(np.uint8), alt)


def _img(pixels: NDArray[np.uint8], alt: str) -> str:
    from PIL import Image  # lazily: only needed for pictures

    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_SIZE, PICTURE_SIZE))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    size = f'width="{PICTURE_SIZE}" height="{PICTURE_SIZE}"'
    return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" {size}>'
