"""Symbols: the unit's letters with their indices, and what the inputs of a layer are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glassnet.nn.activations import ACTIVATIONS, Activation
from glassnet.nn.embeddings import Embedding, Periodic, Scale
from glassnet.nn.layers import BatchNorm, Dense, Dropout, Flatten, Layer, Rescale
from glassnet.tracing.records import LayerTrace

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
ONE_TO_ONE = (Activation, BatchNorm, Dropout, Flatten, Rescale, Scale)
"""Layers each of whose outputs comes from the input in the same place."""


def sub(*places: int) -> str:
    """Return places, from 0, as subscripts, from 1, as the unit counts neurons.

    >>> "w" + sub(1, 0), "w" + sub(11, 2)
    ('w₂₁', 'w₁₂,₃')
    """
    numbers = [place + 1 for place in places]
    return ("," if max(numbers) > 9 else "").join(str(n) for n in numbers).translate(_SUBSCRIPTS)


def letter(layer: Layer) -> str:
    """Return the letter of what a layer puts out: z of neurons, a of activation functions."""
    for kind, found in _LETTERS:
        if isinstance(layer, kind):
            return found
    return "y"


_LETTERS: tuple[tuple[type[Layer], str], ...] = (
    (Dense, "z"),
    (Activation, "a"),
    (BatchNorm, "ẑ"),
    (Dropout, "ã"),
)


def function_name(activation: Activation) -> str:
    """Return the name of an activation function, as in `gn.Network([..., "tanh"])`.

    >>> from glassnet.nn.activations import LeakyReLU
    >>> function_name(LeakyReLU(0.3))
    'leaky_relu'
    """
    names = {type(known): name for name, known in ACTIVATIONS.items()}
    return names.get(type(activation), type(activation).__name__.lower())


def input_labels(
    layers: Sequence[LayerTrace], first: Sequence[str]
) -> list[tuple[str, ...] | None]:
    """Return by layer what its inputs are called: after the features, as long as each is one of them.

    first: the names of the network's own inputs. None: the inputs come from neurons.
    """
    found: list[tuple[str, ...] | None] = []
    names: tuple[str, ...] | None = tuple(first)
    for layer in layers:
        found.append(names)
        names = None if names is None else _passed_on(layer.layer, names)
    return found


def _passed_on(layer: Layer, names: tuple[str, ...]) -> tuple[str, ...] | None:
    if isinstance(layer, ONE_TO_ONE):
        return names
    if isinstance(layer, Periodic):
        waves = [
            f"{name} wave {k + 1}" for name in names[: layer.columns] for k in range(layer.outputs)
        ]
        return (*names, *waves)
    if isinstance(layer, Embedding):
        plain = len(names) - len(layer.places)
        places = [
            f"{name.removesuffix(': code')}[{k + 1}]"
            for name in names[plain:]
            for k in range(layer.size)
        ]
        return (*names[:plain], *places)
    return None


def pixel_names(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return what the numbers of a picture, or of a vector without names, are called.

    >>> pixel_names((1, 2)), pixel_names((2,))
    (('pixel (0, 0)', 'pixel (0, 1)'), ('x0', 'x1'))
    """
    if len(shape) == 1:
        return tuple(f"x{place}" for place in range(shape[0]))
    return tuple(f"pixel ({', '.join(map(str, place))})" for place in np.ndindex(*shape))
