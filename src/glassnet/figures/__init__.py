"""Figures: the field's pictures, drawn from live networks with matplotlib.

Read in this order: diagrams, neurons, functions, training, answers, landscape; opened, gallery.
May import: `evaluation`, `tracing` and below.
Public: the functions below, as `gn.figures.NAME`. The modules are private.

Each function takes a model (a `Model`, a `Run` or a fitted estimator; of many members the first is drawn
where weights are shown) or what else it draws, and an optional `ax`, and returns its axes: one, or an array
of axes where it draws several panels (in the place of the `ax` given). Titles say what was found.
`with gn.figures.style(dark=True):` draws for a dark page. `layer` counts the Dense layers from 0.

style(dark=False, transparent=False)                       colours and fonts of what is drawn inside `with`
untrained(network, in_shape, y=None, *, loss="auto", seed=0)   a model as it is before training, to draw
network(model, x=None, ax=None, *, inputs=None, most=10)   weights as line width and sign
neuron(model, x, ax=None, *, layer=0, unit=0, inputs=None, most=8)     z = Σ w a + b with its numbers
picture_as_vector(picture, ax=None)                        rows of pixels become one vector
weights(model, ax=None, *, layer=0, shape=None, most=16)   each neuron's weights as a picture
dropout(model, x, ax=None, *, key=None, most=12)           which neurons are dropped in this very pass
xor(model=None, ax=None)                                   the best line beside the network's boundary
activations(names=..., ax=None)                            functions and derivatives: panels
losses(ax=None)                                            squared error against cross-entropy: panels
surface(function=None, at=(...), ax=None, ...)             in 3-D, with the gradient's arrow and the descent
descent(function=None, start=(...), ax=None, *, optimizers=None, steps=40)   paths on the surface's contours
sgd_against_gd(network, X, y, ax=None, ...)                two paths on one loss
learning_rates(network, X, y, ax=None, *, rates=None, **options)   too small, right, too large
learning_curves(run, ax=None)                              training and validation loss by epoch
gradient_flow(models, X, y, ax=None)                       the gradient's size layer by layer; several by name
activity(model, X, ax=None)                                the neurons' outputs layer by layer
batch_norm(model, X, ax=None, *, place=0, most=8)          neurons before and after normalisation
decision_boundary(model, X, y, ax=None, *, features=(0, 1))    what is predicted where
confusion_matrix(model, X, y, ax=None)                     scikit-learn's ConfusionMatrixDisplay
residuals(model, X, y, ax=None)                            errors over predictions
loss_landscape(model, X, y, ax=None, *, span=1, points=25, seed=0)   around the solution (Li et al., 2018)
approximation(function=None, widths=..., ax=None, ...)     largest error of one hidden layer by its width
"""

from __future__ import annotations

from glassnet.display.drawing import style
from glassnet.figures.answers import confusion_matrix, decision_boundary, residuals, xor
from glassnet.figures.diagrams import dropout, network
from glassnet.figures.functions import activations, descent, losses, surface
from glassnet.figures.landscape import approximation, loss_landscape, sgd_against_gd
from glassnet.figures.neurons import neuron, picture_as_vector, weights
from glassnet.figures.opened import untrained
from glassnet.figures.training import (
    activity,
    batch_norm,
    gradient_flow,
    learning_curves,
    learning_rates,
)

__all__ = [
    "activations",
    "activity",
    "approximation",
    "batch_norm",
    "confusion_matrix",
    "decision_boundary",
    "descent",
    "dropout",
    "gradient_flow",
    "learning_curves",
    "learning_rates",
    "loss_landscape",
    "losses",
    "network",
    "neuron",
    "picture_as_vector",
    "residuals",
    "sgd_against_gd",
    "style",
    "surface",
    "untrained",
    "weights",
    "xor",
]
