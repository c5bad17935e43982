"""Draw the standard pictures of neural networks from trained models, with matplotlib.

Read in this order: diagrams, neurons, functions, training, answers, landscape; networks, gallery.
May import: `evaluation`, `tracing` and what is below them in ARCHITECTURE.md.
Public: every function in the `__all__` of these modules, as `gn.figures.NAME`. The modules are private.

Each function takes a model (a `Model`, a `Run` or a fitted estimator) or other data to draw, and an optional
`ax`. For an ensemble, pictures of weights show the first member. It returns the axes, or an array of axes
when it draws several panels in place of `ax`. Titles state the finding. `layer` counts the Dense layers
from 0. `with gn.figures.style(dark=True):` draws for a dark page.
"""

from __future__ import annotations

from glassnet.display.drawing import style as style
from glassnet.figures.answers import *
from glassnet.figures.diagrams import *
from glassnet.figures.functions import *
from glassnet.figures.landscape import *
from glassnet.figures.networks import untrained as untrained
from glassnet.figures.neurons import *
from glassnet.figures.training import *

__all__ = sorted(name for name, value in globals().items() if callable(value))
