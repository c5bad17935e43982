"""Draw the field's pictures from live networks with matplotlib.

Read in this order: diagrams, neurons, functions, training, answers, landscape; opened, gallery.
May import: `evaluation`, `tracing` and below.
Public: the functions that the modules list in `__all__`, as `gn.figures.NAME`. The modules are private.

Each function takes a model (a `Model`, a `Run` or a fitted estimator; of several members the first is drawn
where weights are shown) or another thing to draw, and an optional `ax`. It returns its axes, or an array of
axes where it draws several panels in place of the `ax` given. Titles state the finding.
`with gn.figures.style(dark=True):` draws for a dark page. `layer` counts the Dense layers from 0.
"""

from __future__ import annotations

from glassnet.display.drawing import style as style
from glassnet.figures.answers import *
from glassnet.figures.diagrams import *
from glassnet.figures.functions import *
from glassnet.figures.landscape import *
from glassnet.figures.neurons import *
from glassnet.figures.opened import untrained as untrained
from glassnet.figures.training import *

__all__ = sorted(name for name, value in globals().items() if callable(value))
