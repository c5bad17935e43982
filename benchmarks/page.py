"""Write docs/benchmarks.md and its chart docs/benchmarks.svg from docs/benchmarks.json."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.targets import PEERS, verdicts

HEAD = """# Benchmarks

Written by `make bench` (`python -m benchmarks`) from [benchmarks.json](benchmarks.json). `python -m
benchmarks PART` measures one part. The contestants take turns within one run, and the numbers are medians
over the turns.
Every contestant does the same work: the same network, loss, optimizer (Adam), batch size and number of
steps, in float32, with rows shuffled every epoch, and similar losses at the end. Each is written according
to its own best practice (`benchmarks/contestants.py`).

![Times faster than the best of PyTorch, Keras and scikit-learn](benchmarks.svg)
"""


def write(known: dict[str, Any], folder: Path) -> None:
    """Write the page and the chart."""
    parts = [HEAD, *(part for name, make in PARTS.items() if (part := _part(known, name, make)))]
    (folder / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    if "steps" in known:
        _chart(known["steps"], folder / "benchmarks.svg")


def _part(known: dict[str, Any], name: str, make: Any) -> str:
    if name == "targets":
        return str(make(known))
    if name not in known:
        return ""
    return (
        f"{make({k: v for k, v in known[name].items() if k != 'machine'})}\n{measured(known[name])}"
    )


def measured(part: dict[str, Any]) -> str:
    """Return the machine and the versions that a part was measured with."""
    machine = part["machine"]
    versions = ", ".join(
        f"{name} {machine[name]}" for name in ("jax", "torch", "keras", "scikit-learn", "optax")
    )
    return f"Measured {machine['date']} on {machine['processor']}; Python {machine['python']}, {versions}.\n"


def wrapped(text: str) -> str:
    """Return a paragraph wrapped to the width of the page."""
    return textwrap.fill(" ".join(text.split()), 110) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table.

    >>> print(table(["a", "b"], [[1, 2.5]]))
    | a | b |
    |---|---|
    | 1 | 2.5 |
    <BLANKLINE>
    """
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    bars = ("|" + "|".join(line) + "|" if line[0] == "---" else f"| {' | '.join(map(str, line))} |"
            for line in map(list, lines))  # fmt: skip
    return "\n".join(bars) + "\n"


def _targets(known: dict[str, Any]) -> str:
    rows = [
        [words, f"{number:.3g}", bound, "yes" if met else "**no**"]
        for words, number, bound, met in verdicts(known)
    ]
    return "## Targets\n\n" + table(["what", "measured", "target", "met"], rows)


def _steps(part: dict[str, Any], title: str = "A training step") -> str:
    names = list(next(iter(part.values()))["microseconds"])
    rows = [
        [
            case,
            *(f"{results['microseconds'][name]:,.1f}" for name in names),
            f"{results['times faster than the best peer']:.1f}",
            f"{results['floor']['microseconds']:,.1f}",
            f"{results['times the floor']:.1f}",
        ]
        for case, results in part.items()
    ]
    head = ["size", *(f"{name}, µs" for name in names), "times faster", "floor, µs", "times floor"]
    text = wrapped("""
        Sizes: xor 2-4-1 (4 rows, batch 4), iris 4-16-3 (150, 16), digits 64-64-10 (1 797, 32), mnist
        784-128-10 (10 000, 64), deep 784-256-128-10 (10 000, 128), wide 1024-2048-2048-10 (8 192,
        256). The floor is the time of the matrix products at the best rate measured in the same run,
        plus the time to move a step's memory at the bandwidth measured for that amount. "Times
        faster" compares with the best of PyTorch, Keras and scikit-learn.
    """)
    return f"## {title}\n\n{text}\n{table(head, rows)}"


def _fresh(part: dict[str, Any]) -> str:
    text = "## From a cold start\n\n" + wrapped("""
        Whole processes, from the start of Python until the model is fitted and scored, including imports
        and compilation. "Cold" starts with an empty cache of compiled programs, "warm" with the cache
        that an earlier process left (glassnet's, or JAX's for Keras). Peak memory is that of the process.
    """)
    for task, results in part.items():
        if task == "glassnet --help":
            text += f"\n`glassnet --help`: {results['seconds']:.2f} s.\n"
            continue
        rows = [
            [
                name,
                f"{r['seconds']:.2f}",
                f"{r['fit seconds']:.2f}",
                f"{r['MiB']:,.0f}",
                f"{r['score']:.3f}",
            ]
            for name, r in results.items()
        ]
        head = [task, "total, s", "fit, s", "peak memory, MiB", "score"]
        text += "\n" + table(head, rows)
    return text


def _many(part: dict[str, Any]) -> str:
    rows = [
        [
            case,
            n,
            f"{r['microseconds']:,.1f}",
            f"{r['times one']:.1f}",
            f"{r['faster than in turn']:.1f}",
        ]
        for case, counts in part.items()
        for n, r in counts.items()
    ]
    return (
        "## Many networks in one program\n\nWith different seeds and learning rates, by `gn.sweep`.\n\n"
        + table(
            [
                "size",
                "networks",
                "step of all, µs",
                "times one network",
                "times faster than in turn",
            ],
            rows,
        )
    )


def _prediction(part: dict[str, Any]) -> str:
    names = list(next(iter(part.values())))
    rows = [[n, *(f"{results[name] * 1e6:,.0f}" for name in names)] for n, results in part.items()]
    return "## Prediction\n\nClasses predicted by a 64-64-10 network, µs per call.\n\n" + table(
        ["rows", *names], rows
    )


def _growth(part: dict[str, Any]) -> str:
    rows = [
        [
            axis,
            size,
            f"{seconds * 1e3:,.2f}",
            f"{results['MiB'][size]:,.0f}",
            f"{results['exponent']:.2f}",
        ]
        for axis, results in part.items()
        for size, seconds in results["seconds an epoch"].items()
    ]
    text = wrapped("""
        An epoch of a 32-64-10 network with batch size 256 on 100 000 rows, where width, batch size or
        rows change one at a time: time, peak memory beyond that of importing and compiling, and the
        exponent b of time = a · size^b.
    """)
    head = ["what grows", "size", "epoch, ms", "memory, MiB", "exponent"]
    return f"## Growth\n\n{text}\n{table(head, rows)}"


PARTS = {
    "targets": _targets,
    "steps": _steps,
    "steps with batch norm and dropout": lambda part: _steps(
        part, "With batch normalization and dropout"
    ),
    "fresh": _fresh,
    "many": _many,
    "prediction": _prediction,
    "growth": _growth,
}


def _chart(steps: dict[str, Any], path: Path) -> None:
    """Draw each contestant's step as a multiple of glassnet's, by size."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    cases = [case for case in steps if case != "machine"]
    names = ["JAX + optax", *PEERS]
    grey = "#7f7f7f"  # readable on white and on black
    with mpl.rc_context({"svg.hashsalt": "glassnet", "svg.fonttype": "none", "text.color": grey}):
        figure = Figure(figsize=(8, 3.6))
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        for index, (name, marker) in enumerate(zip(names, "xsD^", strict=True)):
            times = [steps[case]["microseconds"] for case in cases]
            ratios = [t[name] / t["glassnet"] if name in t else float("nan") for t in times]
            positions = [k + 0.12 * (index - 1.5) for k in range(len(cases))]
            axes.plot(positions, ratios, marker, label=name, markersize=7)
        floors = [1 / steps[case]["times the floor"] for case in cases]
        axes.plot(range(len(cases)), floors, "_", color=grey, markersize=24, label="the floor")
        axes.axhline(1, color=grey, linewidth=1)
        axes.set_yscale("log")
        axes.set_xticks(range(len(cases)), cases)
        axes.set_ylabel("time of a step, glassnet = 1")
        axes.yaxis.label.set_color(grey)
        axes.tick_params(colors=grey, which="both")
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(grey)
        axes.legend(frameon=False, ncols=2, fontsize=9)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None})
