"""Draw every figure in light and dark from small networks trained on the spot, and a page that shows them.

A new figure is a function that its module lists in `__all__`, and one row of `PICTURES`.
A network that several figures share is one property of `Networks`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glassnet import figures
from glassnet.display.drawing import Axes
from glassnet.display.html import escape, page, paragraph
from glassnet.errors import ConfigurationError
from glassnet.figures.answers import CORNERS, train_xor
from glassnet.figures.networks import untrained
from glassnet.fit.train import Run, train
from glassnet.models.model import Model
from glassnet.nn.activations import ReLU, Sigmoid, Tanh
from glassnet.nn.layers import BatchNorm, Dense, Dropout
from glassnet.nn.network import Network
from glassnet.nn.optimizers import Adam
from glassnet.storage.atomic import write_atomically

Rows = tuple[np.ndarray, np.ndarray]


class Networks:
    """The networks that the figures are drawn from, each trained when it is first used."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @cached_property
    def xor(self) -> Run:
        """A 2-4-2 network trained on XOR."""
        return train_xor(self.seed)

    @cached_property
    def moon_rows(self) -> Rows:
        """Two interleaved half circles, with noise."""
        from sklearn.datasets import make_moons

        X, y = make_moons(300, noise=0.25, random_state=self.seed)
        return X.astype(np.float32), y

    @cached_property
    def moons(self) -> Run:
        """A network for the moons, trained until it overfits."""
        net = Network([Dense(32), Tanh(), Dense(32), Tanh(), Dense(2)])
        return train(
            net, *self.moon_rows, optimizer=Adam(0.01), epochs=150, validation=0.5, seed=self.seed
        )

    @cached_property
    def deep(self) -> dict[str, Model]:
        """Untrained networks of nine Dense layers, by activation function."""

        def fresh(activation: Any) -> Model:
            layers = [
                layer for _ in range(8) for layer in (Dense(24, initializer="glorot"), activation)
            ]
            X, y = self.moon_rows
            return untrained(Network([*layers, Dense(2)]), X.shape[1:], y, seed=self.seed)

        return {
            type(function).__name__: fresh(function) for function in (Sigmoid(), Tanh(), ReLU())
        }

    @cached_property
    def digit_rows(self) -> Rows:
        """Scikit-learn's handwritten digits, pixels from 0 to 1."""
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32), y

    @cached_property
    def unseen_digits(self) -> Rows:
        """The last third of the digits, which the network was not trained on."""
        X, y = self.digit_rows
        return X[1200:], y[1200:]

    @cached_property
    def digits(self) -> Run:
        """A network for the digits with batch normalisation and dropout."""
        net = Network([Dense(24), BatchNorm(), ReLU(), Dropout(0.5), Dense(10)])
        X, y = self.digit_rows
        return train(
            net, X[:1200], y[:1200], optimizer=Adam(0.005), epochs=25, l2=0.003, seed=self.seed
        )

    @cached_property
    def diabetes_rows(self) -> Rows:
        """Scikit-learn's diabetes patients, and how far the disease had progressed a year later."""
        from sklearn.datasets import load_diabetes

        X, y = load_diabetes(return_X_y=True)
        return X, y

    @cached_property
    def diabetes(self) -> Any:
        """A regressor for the patients."""
        from glassnet.fit.estimators import NeuralRegressor

        regressor = NeuralRegressor((16,), members=1, epochs=30, random_state=self.seed)
        return regressor.fit(*self.diabetes_rows)

    @cached_property
    def line_rows(self) -> Rows:
        """Values that are a linear function of two features, with noise."""
        rng = np.random.default_rng(self.seed)
        X = rng.normal(size=(64, 2)) * [1.0, 0.5]
        return X.astype(np.float32), X @ [1.0, 1.5] + 0.3 * rng.normal(size=64)


class Picture(NamedTuple):
    """One figure of the gallery.

    heading: the title. text: what to look for. draw: a function that draws it on axes and returns axes.
    size: in inches. projection: of the axes.
    """

    heading: str
    text: str
    draw: Callable[[Networks, Axes], Any]
    size: tuple[float, float] = (6.4, 4.4)
    projection: str | None = None


PICTURES: dict[str, Picture] = {
    "network": Picture(
        "The network",
        "Neurons in layers. Each line is a weight: wider where it is larger, solid above 0, dashed below.",
        lambda n, ax: figures.network(n.xor, ax=ax, inputs=["x₁", "x₂"]),
        (7.0, 4.8),
    ),
    "picture_as_vector": Picture(
        "A picture becomes a vector",
        "How the input layer reads a picture: row by row.",
        lambda n, ax: figures.picture_as_vector(n.digit_rows[0][0].reshape(8, 8) * 16, ax),
        (6.4, 4.2),
    ),
    "neuron": Picture(
        "One neuron",
        "The weighted sum of its inputs and its bias, then the activation, with the numbers of one row.",
        lambda n, ax: figures.neuron(n.xor, CORNERS[1:2], ax, layer=1, unit=1),
        (7.6, 4.2),
    ),
    "weights": Picture(
        "Weights as pictures",
        "What each neuron of the first layer responds to: light pixels raise it, dark ones lower it.",
        lambda n, ax: figures.weights(n.digits, ax),
        (6.4, 5.4),
    ),
    "xor": Picture(
        "XOR",
        "No line separates the filled squares from the circles. One hidden layer does.",
        lambda n, ax: figures.xor(n.xor, ax),
        (5.6, 5.6),
    ),
    "activations": Picture(
        "Activation functions",
        "Values solid, derivatives dashed. Where the dashed line is near 0, no gradient passes.",
        lambda n, ax: figures.activations(ax=ax),
        (9.0, 5.4),
    ),
    "approximation": Picture(
        "Universal approximation",
        "One hidden layer fits a curve with a corner, sin(3x) + |x|. Wider layers fit it better.",
        lambda n, ax: figures.approximation(ax=ax, epochs=6000, seed=n.seed),
    ),
    "losses": Picture(
        "Squared error and cross-entropy",
        "Where a network is confidently wrong, squared error's gradient is nearly 0, cross-entropy's is not.",
        lambda n, ax: figures.losses(ax),
        (8.4, 4.0),
    ),
    "surface": Picture(
        "The gradient",
        "The arrow on the floor below the surface points uphill; descent goes the other way.",
        lambda n, ax: figures.surface(ax=ax),
        (6.6, 5.6),
        "3d",
    ),
    "descent": Picture(
        "Optimizers",
        "Paths of several optimizers down the same valley from the same start.",
        lambda n, ax: figures.descent(ax=ax),
        (7.2, 4.8),
    ),
    "sgd_against_gd": Picture(
        "Stochastic and plain gradient descent",
        "A step of SGD follows the gradient of a few rows, not of all rows, so its path is less direct.",
        lambda n, ax: figures.sgd_against_gd(
            Network([Dense(1, bias=False)]), *n.line_rows, ax, epochs=6, seed=n.seed
        ),
    ),
    "learning_rates": Picture(
        "Learning rates",
        "If it is too small, little happens; if it is too large, the loss jumps up and down or grows.",
        lambda n, ax: figures.learning_rates(
            Network([Dense(16), Tanh(), Dense(2)]), *n.moon_rows, ax, optimizer="sgd", seed=n.seed
        ),
    ),
    "gradient_flow": Picture(
        "Gradient flow",
        "How much of the gradient reaches the first layers of a deep network, by activation function.",
        lambda n, ax: figures.gradient_flow(n.deep, *n.moon_rows, ax),
    ),
    "activity": Picture(
        "Outputs of the layers",
        "The spread of the neurons' outputs by layer, and the share of them that pass no gradient.",
        lambda n, ax: figures.activity(n.moons, n.moon_rows[0], ax),
    ),
    "learning_curves": Picture(
        "Learning curves",
        "When the validation loss rises while the training loss still falls, the network overfits.",
        lambda n, ax: figures.learning_curves(n.moons, ax),
    ),
    "dropout": Picture(
        "Dropout",
        "The crossed-out neurons and their weights take no part in this training pass.",
        lambda n, ax: figures.dropout(n.digits, n.digit_rows[0][:1], ax),
        (7.2, 5.0),
    ),
    "batch_norm": Picture(
        "Batch normalisation",
        "Before, each neuron has its own mean and spread; after, all have the same.",
        lambda n, ax: figures.batch_norm(n.digits, n.digit_rows[0][:128], ax),
        (7.2, 4.6),
    ),
    "decision_boundary": Picture(
        "Decision boundary",
        "What the network predicts over two features, with the rows as points.",
        lambda n, ax: figures.decision_boundary(n.moons, *n.moon_rows, ax),
    ),
    "confusion_matrix": Picture(
        "Confusion matrix",
        "How often each true class of new rows was predicted as each class.",
        lambda n, ax: figures.confusion_matrix(n.digits, *n.unseen_digits, ax),
        (6.0, 5.4),
    ),
    "residuals": Picture(
        "Residuals",
        "Errors over predictions: a curve or a funnel would mean that the network misses something.",
        lambda n, ax: figures.residuals(n.diabetes, *n.diabetes_rows, ax),
    ),
    "loss_landscape": Picture(
        "Loss landscape",
        "The loss around the solution, in two random directions as long as the weights themselves.",
        lambda n, ax: figures.loss_landscape(n.moons, *n.moon_rows, ax),
        (6.6, 5.2),
    ),
}
"""Name of the function and of its file -> figure, in the order of the lessons in docs/unit."""

FORMATS = ("svg", "png")


class Drawn(NamedTuple):
    """A drawn figure: its name, the text of its titles, and its bytes in light and in dark."""

    name: str
    finding: str
    light: bytes
    dark: bytes


def picture_named(name: str) -> Picture:
    """Return a row of `PICTURES`; raises `ConfigurationError` if there is none of this name."""
    if name not in PICTURES:
        raise ConfigurationError(f"There is no figure '{name}'. There are: {', '.join(PICTURES)}.")
    return PICTURES[name]


def draw(name: str, networks: Networks, kind: str = "svg") -> Drawn:
    """Draw one figure in light and in dark.

    Raises
    ------
    ConfigurationError: there is no such figure or format.
    """
    picture = picture_named(name)
    if kind not in FORMATS:
        raise ConfigurationError(f"The format is '{kind}', but it must be svg or png.")
    finding, versions = "", []
    for dark in (False, True):
        with figures.style(dark=dark):
            figure, axes = _figure(picture, networks)
            titles = (" ".join(ax.get_title().split()) for ax in np.ravel(np.asarray(axes, object)))
            finding = "; ".join(text for text in titles if text)
            versions.append(_bytes(figure, kind, name))
    return Drawn(name, finding, *versions)


def _figure(picture: Picture, networks: Networks) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # not from pyplot, which would keep a reference to it

    figure = Figure(figsize=picture.size, layout="constrained")
    return figure, picture.draw(networks, figure.add_subplot(projection=picture.projection))


def _bytes(figure: Any, kind: str, name: str) -> bytes:
    import matplotlib as mpl

    out = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # so that the same drawing gives the same bytes
        figure.savefig(
            out, format=kind, dpi=144, metadata={"Date": None} if kind == "svg" else None
        )
    return out.getvalue()


def draw_all(
    folder: Path, networks: Networks, kind: str = "svg", names: list[str] | None = None
) -> Iterator[Drawn]:
    """Draw figures into an existing folder, yield each one once it is written, and write the page last."""
    done = []
    for name in names or PICTURES:
        drawn = draw(name, networks, kind)
        write_atomically(folder / f"{name}.{kind}", drawn.light)
        write_atomically(folder / f"{name}-dark.{kind}", drawn.dark)
        done.append(drawn)
        yield drawn
    write_atomically(folder / "index.html", index_html(done, kind).encode())


def index_html(done: list[Drawn], kind: str) -> str:
    """Return the page of the figures, each with its finding as text, in the reader's light or dark mode."""
    header = "<h1>glassnet's figures</h1>\n" + paragraph(
        "Each figure is drawn by the function of the same name in <code>gn.figures</code>, from a network"
        " that was trained when this page was made."
    )
    sections = []
    for drawn in done:
        picture = PICTURES[drawn.name]
        width, height = (round(inches * 96) for inches in picture.size)
        body = (
            f'<figure><picture><source srcset="{drawn.name}-dark.{kind}"'
            f' media="(prefers-color-scheme: dark)"><img src="{drawn.name}.{kind}" width="{width}"'
            f' height="{height}" alt="{escape(f"{picture.text} {drawn.finding}.", 600)}"></picture>\n'
            f"<figcaption>{escape(picture.text, 600)} <code>gn.figures.{drawn.name}</code></figcaption>"
            "</figure>\n"
        )
        sections.append((drawn.name, picture.heading, body))
    return page("glassnet's figures", header, sections, images="'self' file: data:")
