"""Choose example rows that excite a neuron, are typical of a class, or are predicted wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet._checks import check_count
from glassnet.data.tables import frame_of
from glassnet.display.drawing import axes_for
from glassnet.display.text import text_table
from glassnet.errors import ConfigurationError
from glassnet.evaluation.evaluation import (
    Evaluation,
    confusion,
    evaluate,
    most_confused,
    task_of,
)
from glassnet.explain.neurons import last_hidden_layer, neuron_outputs, up_to_layer
from glassnet.explain.plots import COLORS
from glassnet.explain.rows import Rows, as_text, described
from glassnet.models.model import model_of


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows of X that were chosen as examples.

    title: what they are examples of. rows: their indices in X. facts: by name, a value for each row. cells:
    the rows in original units; empty for pictures. inputs: the encoded rows, (rows, *in_shape), whose last
    `codes` columns are category codes. input_names: the names of the inputs; empty for pictures.
    """

    title: str
    rows: NDArray[np.intp]
    facts: dict[str, tuple[Any, ...]]
    cells: tuple[dict[str, Any], ...]
    inputs: NDArray[Any]
    input_names: tuple[str, ...]
    codes: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        examples = [
            {"row": int(row), **{name: values[i] for name, values in self.facts.items()}}
            | ({"values": self.cells[i]} if self.cells else {})
            for i, row in enumerate(self.rows)
        ]
        return {"title": self.title, "examples": examples}

    def to_frame(self) -> Any:
        """Return a data frame with one row per example: row, the facts, then the columns of X."""
        columns = {"row": self.rows.tolist(), **{name: list(v) for name, v in self.facts.items()}}
        for name in self.cells[0] if self.cells else ():
            columns[name if name not in columns else f"X: {name}"] = [c[name] for c in self.cells]
        return frame_of(columns)

    def __str__(self) -> str:
        rows = [["row", *self.facts]]
        for i, row in enumerate(self.rows):
            rows.append([str(row), *(as_text(values[i]) for values in self.facts.values())])
        lines = text_table(rows, left=0).split("\n")
        shown = ["", *(described(cells) for cells in self.cells or [{}] * len(self))]
        lines = [f"{line}  {text}".rstrip() for line, text in zip(lines, shown, strict=True)]
        return "\n".join([self.title, *(lines if len(self) else ["none"])])

    def plot(self, ax: Any = None) -> Any:
        """Draw pictures side by side, or the inputs as a map with one line per row; return the axes."""
        ax = axes_for(ax, None if self.input_names else (1.2 * max(len(self), 4), 2.6))
        ax.set_title(self.title)
        names = [
            "\n".join(
                [f"row {row}", *(f"{name} {as_text(v[i])}" for name, v in self.facts.items())]
            )
            for i, row in enumerate(self.rows)
        ]
        if not len(self):
            return ax
        if not self.input_names:
            pictures = self.inputs if self.inputs.ndim == 3 else self.inputs.mean(axis=3)
            width = pictures.shape[2]
            ax.imshow(np.concatenate(list(pictures), axis=1), cmap="gray")
            ax.set_xticks(np.arange(len(self)) * width + (width - 1) / 2, names, fontsize=7)
            ax.set_yticks([])
            return ax
        count = len(self.input_names) - self.codes
        image = ax.imshow(self.inputs[:, :count], cmap=COLORS, aspect="auto")
        ax.figure.colorbar(image, ax=ax, label="input of the network")
        ax.set_yticks(
            np.arange(len(self)), [name.replace("\n", ", ") for name in names], fontsize=7
        )
        shown = self.input_names[:count] if count <= 30 else ()
        ax.set_xticks(np.arange(len(shown)), shown)
        ax.tick_params(axis="x", rotation=90)
        return ax


@dataclass(frozen=True, eq=False)
class Confusions:
    """The most confident mistakes, and which classes the model confuses.

    mistakes: the rows that were wrongly predicted, the most confident first. classes: their names.
    counts: rows by true class (down) and predicted class (across), both in the order of `classes`.
    """

    mistakes: Examples
    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    def pairs(self) -> list[tuple[str, str, int]]:
        """Return (true class, predicted class, rows), the most confused pair first; [] without mistakes."""
        names = self.classes
        return [(names[i], names[j], rows) for i, j, rows in most_confused(self.counts)]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        heads = ("true", "predicted", "rows")
        pairs = [dict(zip(heads, pair, strict=True)) for pair in self.pairs()]
        return self.mistakes.to_dict() | {"pairs": pairs}

    def to_frame(self) -> Any:
        """Return a data frame of the mistakes, one row each; see `Examples.to_frame`."""
        return self.mistakes.to_frame()

    def plot(self, ax: Any = None) -> Any:
        """Draw the mistakes and return the axes; see `Examples.plot`."""
        return self.mistakes.plot(ax)

    def __str__(self) -> str:
        pairs = [[true, predicted, str(rows)] for true, predicted, rows in self.pairs()[:10]]
        pairs.insert(0, ["true", "predicted", "rows"])
        return f"{self.mistakes}\nclasses confused\n{text_table(pairs, left=2)}"


def _examples(
    rows: Rows, chosen: Sequence[int] | NDArray[Any], title: str, **facts: Any
) -> Examples:
    """Return the chosen rows with the facts by which they were chosen."""
    indices = np.asarray(chosen, np.intp)
    plain = {name: tuple(np.asarray(values).tolist()) for name, values in facts.items()}
    cells = tuple(rows.cells(indices)) if rows.columns else ()
    return Examples(title, indices, plain, cells, rows.x[indices], rows.feature_names, rows.codes)


def strongest_examples(
    model: Any, X: Any, layer: int, neuron: int, *, member: int = 0, count: int = 10
) -> Examples:
    """Return the rows that excite a neuron most, the strongest first.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model`. X: rows as the model takes them.
    layer, neuron: counted from 0, layers as in `network.summary`. member: which network. Default 0.
    count: the number of rows. Default 10.

    Raises
    ------
    ConfigurationError: there is no such layer, neuron or member. DataError: unusable rows.

    >>> import glassnet as gn
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 2.0, 4.0, 6.0]
    >>> run = gn.train(gn.Network([gn.Dense(1)]), X, y, optimizer=gn.SGD(0.1), epochs=100)
    >>> strongest_examples(run, X, layer=0, neuron=0, count=2).rows.tolist()
    [3, 2]
    """
    check_count("count", count)
    rows = Rows.of(model_of(model), X)
    _, outputs = neuron_outputs(rows, layer, neuron, member)
    order = np.argsort(-outputs, kind="stable")[:count]
    title = (
        f"neuron {neuron} of layer {layer}, member {member}: mean {outputs.mean():.4g},"
        f" deviation {outputs.std():.4g} over {len(outputs)} rows"
    )
    return _examples(rows, order, title, activation=outputs[order].astype(float))


def prototypes(model: Any, X: Any, y: Any, *, count: int = 3) -> Examples:
    """Return the most typical rows of each class: those nearest to the class's mean in the last hidden layer.

    d(x) = |h(x) - mean of h over the class|, where h is the input of the output layer, for all members.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model` of classes. X, y: rows and their true classes.
    count: the number of rows per class. Default 3.

    Raises
    ------
    ConfigurationError: the model predicts values or several labels. DataError: unusable rows or classes.

    >>> import glassnet as gn
    >>> X, y = [[0.0], [1.0], [2.0], [7.0], [8.0], [9.0]], ["low"] * 3 + ["high"] * 3
    >>> run = gn.train(gn.Network([gn.Dense(2)]), X, y, epochs=1)
    >>> print(prototypes(run, X, y, count=1).facts["class"])
    ('high', 'low')
    """
    check_count("count", count)
    rows = Rows.of(model_of(model), X)
    _check_classes(rows)
    truth = rows.truth(y)
    hidden = _last_hidden(rows)
    chosen, distances = [], []
    for label in np.unique(truth):
        of_class = np.flatnonzero(truth == label)
        distance = np.linalg.norm(hidden[of_class] - hidden[of_class].mean(axis=0), axis=1)
        nearest = np.argsort(distance, kind="stable")[:count]
        chosen += of_class[nearest].tolist()
        distances += distance[nearest].tolist()
    facts = {
        "class": truth[chosen],
        "predicted": rows.model.predict(rows.X)[chosen],
        "distance": distances,
    }
    return _examples(rows, chosen, "most typical rows of each class", **facts)


def _last_hidden(rows: Rows) -> NDArray[np.float64]:
    """Return the inputs of the output layer, the members side by side, (n, neurons)."""
    last = last_hidden_layer(rows.model)
    if last < 0:
        return rows.x.reshape(len(rows.x), -1).astype(np.float64)
    by_member = up_to_layer(rows.model, last).outputs_by_member(rows.x)
    return np.concatenate(list(by_member), axis=1).astype(np.float64)


def confusions(model: Any, X: Any, y: Any, *, count: int = 10) -> Confusions:
    """Return the most confident mistakes of a model, and which classes it confuses.

    Mistakes are sorted by the predicted probability of the wrong class. Such rows are often mislabelled, or
    of a kind that is rare in the training data.

    Parameters
    ----------
    model: a fitted estimator, a `Run`, or a `Model` of classes. X, y: rows and their true classes.
    count: the largest number of rows. Default 10.

    Raises
    ------
    ConfigurationError: the model predicts values or several labels. DataError: unusable rows or classes.

    >>> import glassnet as gn
    >>> X, y = [[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]], ["low"] * 3 + ["high"] * 3
    >>> run = gn.train(gn.Network([gn.Dense(2)]), X, y, optimizer=gn.Adam(0.1), epochs=100)
    >>> confusions(run, X, ["low", "low", "high", "high", "high", "high"]).pairs()
    [('high', 'low', 1)]
    """
    check_count("count", count)
    rows = Rows.of(model_of(model), X)
    _check_classes(rows)
    tested: Evaluation = evaluate(rows.model, rows.X, rows.truth(y))
    classes, counts = confusion(tested)
    assert tested.proba is not None
    confidence = tested.proba.max(axis=1)
    wrong = np.flatnonzero(tested.y_true != tested.y_pred)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    title = f"most confident of {len(wrong)} mistakes in {len(confidence)} rows"
    facts = {
        "true": tested.y_true,
        "predicted": tested.y_pred,
        "probability": confidence.astype(float),
    }
    chosen = {name: values[order] for name, values in facts.items()}
    return Confusions(
        _examples(rows, order, title, **chosen), classes=tuple(map(str, classes)), counts=counts
    )


def _check_classes(rows: Rows) -> None:
    if task_of(rows.model) != "classification":
        raise ConfigurationError(
            "This needs a model of classes, but this one predicts values or labels. For these use"
            " gn.attribute, gn.permutation_importance or gn.partial_dependence."
        )
