"""Format accuracy results as tables, for the terminal and for docs/accuracy.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import scores
from benchmarks.page import measured, table
from benchmarks.targets import ACCURACY, verdicts

HEAD = """# Accuracy

Written by `python -m benchmarks accuracy --write` from [accuracy.json](accuracy.json). glassnet's estimators
with their defaults are compared with scikit-learn's linear model (`linear`: logistic regression, or ridge
with its penalty chosen by cross-validation), multilayer perceptron (`mlp`) and histogram gradient boosting
(`hgb`), each in its usual pipeline (`benchmarks/peers.py`). All run in the same command, one after the
other. Stored scores are those of RealMLP-TD and CatBoost with their defaults on the same rows. Their seconds
are scaled by the ratio of the multilayer perceptron's time here to its stored time.

nRMSE is the root mean squared error divided by the standard deviation of the target: guessing the mean scores
1. Means over tables are geometric, exp(mean(log(v + 0.01))) − 0.01. The rank is by error or nRMSE. The
calibration error has 15 bins. Coverage is that of intervals with a nominal coverage of 90 %. Constants were
chosen on inner splits of the training rows, or with other seeds, never on the rows of a final measurement.
"""
TITLES = {
    "tables": "Real tables",
    "kinds": "Generated tables of different kinds",
    "tables, ablation": "Ablation on the real tables",
    "kinds, ablation": "Ablation on the generated tables",
}
COLUMNS = {
    "rank": ("mean rank", "{:.2f}"),
    "error": ("error", "{:.4f}"),
    "logloss": ("log-loss", "{:.4f}"),
    "nrmse": ("nRMSE", "{:.4f}"),
    "ece": ("calibration error", "{:.3f}"),
    "coverage": ("coverage", "{:.3f}"),
    "fit seconds": ("fit, s", "{:,.1f}"),
    "seconds": ("fit and predict, s", "{:,.1f}"),
}


def update(folder: Path, part: str, results: dict[str, Any]) -> None:
    """Replace one part of the results, and write the page."""
    path = folder / "accuracy.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[part] = results
    path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    write(known, folder)


def write(known: dict[str, Any], folder: Path) -> None:
    """Write the page."""
    parts = [HEAD, *(f"{section(p, known[p])}\n{measured(known[p])}" for p in TITLES if p in known)]
    (folder / "accuracy.md").write_text("\n".join(parts), encoding="utf-8")


def section(part: str, results: dict[str, Any]) -> str:
    """Return one part's tables: the summary, then either the changes or the scores on every table."""
    blocks = [f"## {TITLES[part]}\n", _command(results), *_failures(results["rows"])]
    if results["summary"]:
        blocks.append(_summary(results["summary"]))
    if "share of RealMLP-TD" in results:
        blocks.append(
            f"The network took {results['share of RealMLP-TD']:.3f} of RealMLP-TD's time. "
            f"This machine takes {results['speed']:.2f} times the stored seconds.\n"
        )
    if "ablation" in part:
        return "\n".join([*blocks, *_changes(results["summary"])])
    if part == "tables" and results["on test rows"]:
        rows = [
            [words, f"{number:.4g}", bound, "yes" if met else "**no**"]
            for words, number, bound, met in verdicts(results, ACCURACY)
        ]
        blocks += [table(["what", "measured", "target", "met"], rows)] if rows else []
    keys = [key for key in COLUMNS if key != "rank"]
    return "\n".join([*blocks, *(b for key in keys if (b := _by_table(results["rows"], key)))])


def _command(results: dict[str, Any]) -> str:
    rows = (
        "test rows"
        if results["on test rows"]
        else "inner splits of the training rows, or other seeds"
    )
    return f"`python -m benchmarks accuracy {results['asked']}`: scored on {rows}.\n"


def _failures(rows: list[scores.Row]) -> list[str]:
    return [
        f"- {r['model']} failed on {r['table']}: {r['failed']}\n" for r in rows if "failed" in r
    ]


def _summary(summary: dict[str, dict[str, float]]) -> str:
    keys = [key for key in COLUMNS if any(key in mine for mine in summary.values())]
    rows = [[model, *(_cell(mine, key) for key in keys)] for model, mine in summary.items()]
    return table(["over all tables", *(COLUMNS[key][0] for key in keys)], rows)


def _changes(summary: dict[str, dict[str, float]]) -> list[str]:
    if "glassnet" not in summary:
        return []
    changed = scores.changes(summary, "glassnet")
    keys = list(changed["glassnet"])
    rows = [[model, *(f"{mine[key]:+.1f} %" for key in keys)]
            for model, mine in changed.items() if model != "glassnet"]  # fmt: skip
    return [table(["change from the default", *(COLUMNS[key][0] for key in keys)], rows)]


def _by_table(rows: list[scores.Row], key: str) -> str:
    """Return one score by table (rows) and model (columns), with the best possible score if known."""
    scored = [row for row in rows if key in row]
    if not scored:
        return ""
    models = list(dict.fromkeys(row["model"] for row in scored))
    by_table: dict[str, dict[str, scores.Row]] = {}
    for row in scored:
        by_table.setdefault(row["table"], {})[row["model"]] = row
    best = key in ("error", "nrmse") and any(row.get("best") is not None for row in scored)
    lines = []
    for name, by_model in by_table.items():
        line = [name, *(_cell(by_model.get(model, {}), key) for model in models)]
        known = next(iter(by_model.values())).get("best")
        lines.append([*line, *[("" if known is None else f"{known:g}")] * best])
    return table([COLUMNS[key][0], *models, *["best possible"] * best], lines)


def _cell(row: dict[str, Any], key: str) -> str:
    return COLUMNS[key][1].format(row[key]) if key in row else ""
