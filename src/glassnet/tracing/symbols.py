"""Name numbers with the unit's letters and indices, and inputs by their features."""

from __future__ import annotations

import numpy as np

from glassnet.display.text import subscript
from glassnet.encoding.encoders import numbered
from glassnet.nn.activations import ACTIVATIONS, Activation


def sub(*indices: int) -> str:
    """Return indices, counted from 0, as subscripts, counted from 1 as the unit counts neurons.

    >>> "w" + sub(1, 0), "w" + sub(11, 2)
    ('w₂₁', 'w₁₂,₃')
    """
    numbers = [index + 1 for index in indices]
    return subscript(("," if max(numbers) > 9 else "").join(map(str, numbers)))


def function_name(activation: Activation) -> str:
    """Return the name of an activation function, as in `gn.Network([..., "tanh"])`.

    >>> from glassnet.nn.activations import LeakyReLU
    >>> function_name(LeakyReLU(0.3))
    'leaky_relu'
    """
    names = {type(known): name for name, known in ACTIVATIONS.items()}
    return names.get(type(activation), type(activation).__name__.lower())


def pixel_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return names for the numbers of a picture, or of a vector whose columns have no names.

    >>> pixel_names((1, 2)), pixel_names((2,))
    (('pixel (0, 0)', 'pixel (0, 1)'), ('x0', 'x1'))
    """
    if len(shape) == 1:
        return numbered(shape[0])
    return tuple(f"pixel ({', '.join(map(str, index))})" for index in np.ndindex(*shape))
