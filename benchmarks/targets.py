"""List the targets, and where to find their numbers in benchmarks.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

PEERS = ("PyTorch", "Keras", "scikit-learn")


class Target(NamedTuple):
    """A target: its description, its number from the results, and the bound; at_least: a lower bound."""

    words: str
    number: Callable[[dict[str, Any]], float]
    bound: float
    at_least: bool


def faster(case: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for how many times faster than the best peer a step is."""
    return lambda known: float(known["steps"][case]["times faster than the best peer"])


def floors(case: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for the time of a step as a multiple of its floor."""
    return lambda known: float(known["steps"][case]["times the floor"])


def against(case: str, peer: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for how many times faster than one peer a step is."""
    return lambda known: float(known["steps"][case]["times faster than"][peer])


def scored(name: str, *others: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for the whole process's seconds on iris, divided by the lowest of the others'."""

    def number(known: dict[str, Any]) -> float:
        iris = known["fresh"]["iris"]
        return float(iris[name]["seconds"] / min(iris[other]["seconds"] for other in others))

    return number


def fashion(quantity: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for PyTorch's fit seconds, or its memory, divided by ours."""

    def number(known: dict[str, Any]) -> float:
        measured = known["fresh"]["Fashion-MNIST"]
        return float(measured["PyTorch"][quantity] / measured["glassnet train, warm"][quantity])

    return number


def predicted(n_rows: str, *others: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for our prediction time divided by the lowest of the others'."""

    def number(known: dict[str, Any]) -> float:
        measured = known["prediction"][n_rows]
        return float(measured["glassnet"] / min(measured[other] for other in others))

    return number


KERAS = ("Keras, cold", "Keras, warm")
TARGETS = (
    Target("step, xor: times faster than the best peer", faster("xor"), 15, True),
    Target("step, iris: times faster than the best peer", faster("iris"), 15, True),
    Target("step, digits: times faster than the best peer", faster("digits"), 8, True),
    Target("step, digits: times its floor", floors("digits"), 2, False),
    Target("step, mnist: times faster than the best peer", faster("mnist"), 2.5, True),
    Target("step, deep: times faster than the best peer", faster("deep"), 1.8, True),
    Target("step, wide: times faster than PyTorch", against("wide", "PyTorch"), 1.9, True),
    Target("step, wide: times faster than Keras", against("wide", "Keras"), 1, True),
    Target("step, wide: times its floor", floors("wide"), 1 / 0.85, False),
    Target("Fashion-MNIST, fit: times faster than PyTorch", fashion("fit seconds"), 1.8, True),
    Target("Fashion-MNIST: PyTorch's peak memory over ours", fashion("MiB"), 1, True),
    Target(
        "iris from a cold start, gn.train warm, over scikit-learn's time",
        scored("glassnet train, warm", "scikit-learn"), 1, False,
    ),
    Target(
        "iris from a cold start, estimator warm, over scikit-learn's time",
        scored("glassnet estimator, warm", "scikit-learn"), 1.5, False,
    ),
    Target(
        "iris from a cold start, gn.train cold, over the best of PyTorch and Keras",
        scored("glassnet train, cold", "PyTorch", *KERAS), 1, False,
    ),
    Target(
        "iris from a cold start, estimator cold, over the best of PyTorch and Keras",
        scored("glassnet estimator, cold", "PyTorch", *KERAS), 1, False,
    ),
    Target(
        "glassnet --help, seconds", lambda known: float(known["fresh"]["glassnet --help"]["seconds"]),
        0.3, False,
    ),
    Target(
        "32 iris networks over one", lambda known: float(known["many"]["iris"]["32"]["times one"]), 5, False
    ),
    Target(
        "32 digits networks over one", lambda known: float(known["many"]["digits"]["32"]["times one"]),
        10, False,
    ),
    Target("predict one row, over scikit-learn's time", predicted("1", "scikit-learn"), 1, False),
    Target("predict a million rows, over the best peer's time", predicted("1000000", *PEERS), 1, False),
    Target("growth in rows, exponent", lambda known: float(known["growth"]["rows"]["exponent"]), 1.05, False),
)  # fmt: skip


def mean_of(score: str) -> Callable[[dict[str, Any]], float]:
    """Return a function for the network's mean of a score over all tables."""
    return lambda results: float(results["summary"]["glassnet"][score])


def calibration_of_five(results: dict[str, Any]) -> float:
    """Return the network's fifth-lowest calibration error on tables of more than 5 000 rows."""
    return _fifth(float(row["ece"]) for row in _ours(results, "ece") if row["rows"] > 5000)


def coverage_of_five(results: dict[str, Any]) -> float:
    """Return the fifth-smallest distance of the network's interval coverage from 90 %."""
    return _fifth(abs(float(row["coverage"]) - 0.9) for row in _ours(results, "coverage"))


def _fifth(numbers: Iterable[float]) -> float:
    """Return the fifth-lowest number, or the largest of fewer."""
    return sorted(numbers)[:5][-1]


def _ours(results: dict[str, Any], score: str) -> list[dict[str, Any]]:
    rows = [row for row in results["rows"] if row["model"] == "glassnet" and score in row]
    if not rows:
        raise KeyError(score)
    return rows


def best_rank(results: dict[str, Any]) -> float:
    """Return the network's mean rank minus the lowest of the others'."""
    ranks = {model: float(mine["rank"]) for model, mine in results["summary"].items()}
    return ranks.pop("glassnet") - min(ranks.values())


ACCURACY = (
    Target("error, geometric mean", mean_of("error"), 0.1110, False),
    Target("log-loss, geometric mean", mean_of("logloss"), 0.288, False),
    Target("nRMSE, geometric mean", mean_of("nrmse"), 0.335, False),
    Target("mean rank less the best other's", best_rank, 0, False),
    Target(
        "share of RealMLP-TD's time",
        lambda results: float(results["share of RealMLP-TD"]),
        0.2,
        False,
    ),
    Target("calibration error, five tables above 5 000 rows", calibration_of_five, 0.03, False),
    Target("coverage's distance from 0.9, five tables", coverage_of_five, 0.02, False),
)


def verdicts(
    known: dict[str, Any], targets: Sequence[Target] = TARGETS
) -> list[tuple[str, float, str, bool]]:
    """Return the description, the number, the bound and whether it is met, for each measured target."""
    rows = []
    for target in targets:
        try:
            number = target.number(known)
        except KeyError:
            continue  # that part was not measured
        bound = f"{'at least' if target.at_least else 'at most'} {target.bound:.3g}"
        met = number >= target.bound if target.at_least else number <= target.bound
        rows.append((target.words, number, bound, met))
    return rows
