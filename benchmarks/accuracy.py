"""`python -m benchmarks accuracy`: compare the default network with peers and stored scores on many tables.

The test rows of the real tables are only for the final measurement (`--test`). Constants are chosen on inner
splits of the training rows (`--inner`, which is the default).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import accuracy_page, scores
from benchmarks.kinds import KINDS, Table
from benchmarks.peers import PEERS, Maker
from benchmarks.scores import Row

Source = Callable[[int], Table]  # a seed -> a table
DEFAULT_FOLDER = Path(__file__).parent.parent.parent / "shared"
STORED = {"realmlp": "RealMLP-TD", "catboost": "CatBoost"}  # never run here, unlike the others
TEST_SEED = (
    20_000  # of the generated tables in the final measurement; inner seeds are small numbers
)
COVERAGE = 0.9


def network(**options: Any) -> Maker:
    """Return the maker of glassnet's estimator with these options."""

    def make(task: str, seed: int) -> Any:
        import glassnet as gn

        named = {  # objects, created here so that listing the models imports nothing
            "cosine": lambda: gn.AdamW(gn.WarmUp(gn.Cosine(4e-3), warm_up=50), weight_decay=0.01),
            "plain": lambda: gn.EarlyStopping(12),
            "smoothed": lambda: (
                gn.CrossEntropy(label_smoothing=0.05) if task == "classification" else "auto"
            ),
        }
        chosen = {
            name: named[value]() if value in named else value for name, value in options.items()
        }
        estimator = gn.NeuralClassifier if task == "classification" else gn.NeuralRegressor
        return estimator(random_state=seed, **chosen)

    return make


# The default with or without one ingredient.
ABLATIONS: dict[str, Maker] = {
    "1 member": network(members=1),
    "4 members": network(members=4),
    "no embedding": network(embedding="none"),
    "scales alone": network(embedding="scale"),
    "waves everywhere": network(embedding="periodic"),
    "labels smoothed by .05": network(loss="smoothed"),
    "a cosine, not averaged": network(optimizer="cosine"),
    "not calibrated": network(early_stopping="plain"),
    "no dropout": network(dropout=0.0),
    "batch norm": network(batch_norm=True),
    "ReLU": network(activation="relu"),
    "one hidden layer": network(hidden=(128,)),
    "three of 256": network(hidden=(256, 256, 256)),
}
MODELS: dict[str, Maker] = {"glassnet": network(), **PEERS, **ABLATIONS}
USUAL = ("glassnet", "linear", "mlp", "hgb")


def main(arguments: Sequence[str], docs: Path, machine: dict[str, str]) -> None:
    """Run the selected measurements, print each result at once, and write the files asked for."""
    asked = _parser().parse_args(arguments)
    shared = None if asked.kinds else _shared(asked.shared)
    made = shared is None
    sources: Mapping[str, Source] = KINDS
    anchors: dict[str, Any] = {}
    if shared is not None:
        sources, anchors = _real(shared)
    usual = ("glassnet", *ABLATIONS) if asked.ablation else (*USUAL, *["guess"] * made)
    models = {name: MODELS[name] for name in _names(asked.models, usual, MODELS, "model")}
    names = _names(asked.tables, tuple(sources), sources, "table")
    tables = _tables({name: sources[name] for name in names}, made, asked.inner, asked.test)
    rows = measure(tables, models, asked.seed, anchors if asked.test else {})
    results = result(rows, anchors, on_test_rows=asked.test) | {"asked": " ".join(arguments)}
    part = f"{'kinds' if made else 'tables'}{', ablation' if asked.ablation else ''}"
    print("\n" + accuracy_page.section(part, results), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if asked.write:
        accuracy_page.update(docs, part, results | {"machine": machine})


def measure(
    tables: Iterator[tuple[str, str, Table]],
    models: Mapping[str, Maker],
    seed: int = 0,
    anchors: Mapping[str, Any] | None = None,
) -> list[Row]:
    """Return a row for each model on each table; a failure is a row too."""
    rows = []
    for label, name, table in tables:
        task, X, _, X_test, _ = table
        best = KINDS[name].best if name in KINDS else None
        about = {
            "table": label,
            "source": name,
            "task": task,
            "rows": len(X),
            "columns": X.shape[1],
        }
        print(f"{label}: {task}, {len(X)} x {X.shape[1]}, {len(X_test)} to score", flush=True)
        for model, make in models.items():
            row = {"model": model, **about, "best": best, **_one(make, table, seed)}
            rows.append(row)
            stored = (anchors or {}).get(f"{name}/{model}")
            print(f"  {model:18}{_line(row)}{_stored_note(stored)}", flush=True)
    return rows


def _one(make: Maker, table: Table, seed: int) -> dict[str, Any]:
    """Return the scores and seconds of one model on one table."""
    task, X, y, X_test, y_test = table
    try:
        estimator = make(task, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peers that have not converged are scored all the same
            began = time.perf_counter()
            estimator.fit(X, y)
            fitted = time.perf_counter()
            predict = estimator.predict_proba if task == "classification" else estimator.predict
            predicted = predict(X_test)
            done = time.perf_counter()
            values = (
                scores.of_classes(y_test, predicted, estimator.classes_)
                if task == "classification"
                else scores.of_values(y_test, predicted)
            )
            if hasattr(estimator, "predict_interval"):
                intervals = estimator.predict_interval(X_test, coverage=COVERAGE)
                values["coverage"] = scores.coverage(y_test, intervals)
    except Exception as error:  # one failure must not cost hours of other results
        return {"failed": f"{type(error).__name__}: {error}"}
    return {**values, "fit seconds": fitted - began, "predict seconds": done - fitted,
            "seconds": done - began}  # fmt: skip


def result(rows: list[Row], anchors: Mapping[str, Any], on_test_rows: bool) -> dict[str, Any]:
    """Return the rows, stored rows, and their summary.

    Stored seconds come from another machine. They are scaled by the ratio of scikit-learn's MLP time here to
    its time there. Stored scores are added only if they are on the same rows, the test rows.
    """
    results: dict[str, Any] = {"on test rows": on_test_rows}
    mlp = [row for row in rows if row["model"] == "mlp" and "failed" not in row]
    stored_seconds = sum(anchors[f"{row['source']}/mlp"]["s"] for row in mlp if anchors)
    results["speed"] = speed = (
        sum(row["seconds"] for row in mlp) / stored_seconds if stored_seconds else None
    )
    ours = [row for row in rows if row["model"] == "glassnet" and "failed" not in row]
    if speed and ours:
        theirs = speed * sum(anchors[f"{row['source']}/realmlp"]["s"] for row in ours)
        results["share of RealMLP-TD"] = sum(row["seconds"] for row in ours) / theirs
    stored = []
    if on_test_rows:
        models = {row["model"] for row in rows}
        stored = [
            {**{key: row[key] for key in ("table", "source", "task", "rows", "columns")},
             "model": STORED.get(model, f"{model}, stored"),
             **{key: anchor[key] for key in scores.MEANS if key in anchor},
             **({"seconds": anchor["s"] * speed} if speed else {})}
            for model in dict.fromkeys(key.split("/")[1] for key in anchors)
            if model not in models
            for row in {row["table"]: row for row in rows}.values()
            if (anchor := anchors.get(f"{row['source']}/{model}"))
        ]  # fmt: skip
    return results | {"summary": scores.summary(rows + stored), "rows": rows + stored}


def _tables(
    sources: Mapping[str, Source], made: bool, inner: list[int], test: bool
) -> Iterator[tuple[str, str, Table]]:
    """Yield label, name and table. Generated tables are drawn anew for each seed, real ones split anew."""
    for name, source in sources.items():
        if test:
            yield name, name, source(TEST_SEED)
            continue
        for seed in inner:
            table = source(seed) if made else inner_split(source(seed), seed)
            yield name if len(inner) == 1 else f"{name} #{seed}", name, table


def inner_split(table: Table, seed: int) -> Table:
    """Return a table made of training rows only, of which a quarter is scored."""
    task, X, y, *_ = table
    order = np.random.default_rng(seed).permutation(len(y))
    train, held = np.split(order, [int(0.75 * len(y))])
    return (
        task,
        X.iloc[train].reset_index(drop=True),
        y[train],
        X.iloc[held].reset_index(drop=True),
        y[held],
    )


def _shared(given: str | None) -> Path | None:
    """Return the folder of the real tables; print a note and return None if it is not here."""
    named = given or os.environ.get("GLASSNET_SHARED")
    folder = Path(named or DEFAULT_FOLDER)
    if (folder / "tables.py").exists():
        return folder
    if named:
        raise SystemExit(f"{folder} has no tables.py: name the folder of the real tables.")
    print(
        "The real tables are not here (name their folder with --shared or in GLASSNET_SHARED): "
        "only the generated ones are measured."
    )
    return None


def _real(shared: Path) -> tuple[dict[str, Source], dict[str, Any]]:
    """Return the loaders of the real tables by name, and the stored scores by "table/model"."""
    spec = importlib.util.spec_from_file_location("tables", shared / "tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def loader(name: str) -> Source:
        return lambda seed: module.load(name)  # one fixed split, whatever the seed

    anchors = json.loads((shared / "anchors.json").read_text(encoding="utf-8"))
    return {name: loader(name) for name in module.TABLES}, anchors


def _names(
    given: str | None, usual: Sequence[str], known: Mapping[str, Any], kind: str
) -> list[str]:
    """Return the given names, or the usual ones; an unknown name ends the program with a message."""
    names = [name.strip() for name in given.split(",")] if given else list(usual)
    for name in names:
        if name not in known:
            raise SystemExit(f"There is no {kind} {name!r}; there are {', '.join(known)}.")
    return names


def _line(row: Row) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    numbers = "  ".join(
        f"{key} {row[key]:.4f}" for key in (*scores.MEANS, "ece", "coverage") if key in row
    )
    return f"{numbers}  fit {row['fit seconds']:.2f} s  predict {row['predict seconds']:.3f} s"


def _stored_note(anchor: Mapping[str, float] | None) -> str:
    if anchor is None:
        return ""
    numbers = ", ".join(f"{anchor[key]:.4f}" for key in scores.MEANS if key in anchor)
    return f"  (stored: {numbers}, {anchor['s']:.2f} s)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks accuracy", description=__doc__)
    add = parser.add_argument
    add("--tables", metavar="A,B", help="measure only these tables")
    add("--models", metavar="A,B", help=f"measure only these models: {', '.join(MODELS)}")
    add("--seed", type=int, default=0, help="seed of the models (default 0)")
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument("--inner", type=int, nargs="+", default=[0], metavar="K",
                      help="score on a quarter of the training rows, drawn with these seeds")  # fmt: skip
    rows.add_argument(
        "--test", action="store_true", help="score on the test rows, for the final measurement"
    )
    add("--kinds", action="store_true", help="use the generated tables instead of the real ones")
    add("--ablation", action="store_true", help="compare the default network with its variants")
    add(
        "--shared",
        metavar="FOLDER",
        help="folder of the real tables (default: shared, next to the checkout)",
    )
    add("--json", type=Path, metavar="FILE", help="write the results to this file")
    add("--write", action="store_true", help="write docs/accuracy.json and docs/accuracy.md")
    return parser
