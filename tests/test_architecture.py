"""The house rules that a reader relies on: one arrow of imports, small files, nothing heavy too early."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# The arrow: a file may import only from lines above its own, at its top or inside its functions.
# A new file gets a place here; two files of one line know nothing of each other.
ARROW = """
    drawing errors expressions forests history markup numpy_predict onnx_graph programs schedules
    verdicts
    _resolve atomic charts columns compilation files forks records thumbnails weighted
    _types choices conversion encoders intervals splits tables tensorfile
    databases dates keys losses metrics optimizers packing pictures tasks
    batches comparison dialects initializers suspicions targets typed wrappers
    baselines class_weights curves delimited findings layers objectives preprocessing
    activations augmentation contestants datasets embeddings onnx_columns penalties
    figures_functions network
    model onnx_layers remedies shapes training_state
    divergence evaluation explaining identity inputs layerwise passes paths persistence training
    attribution exporting figures_network figures_neuron importance mistakes neurons recording
    report_source standing
    checkpoint_file comparison_page dependence examples report_network report_scores traced
    checkpoints gradient_check report_reasons symbols trace_tables
    equations fitting own_units report
    jobs options progress recipes step_equations trace_text
    evidence fit_tasks neuron_equations trace_page variations
    illnesses run_illnesses
    diagnosis
    run
    figures_answers figures_landscape neural_estimator trace_start
    cross_validation estimators race sweeps tracing
    comparing experiment figures_training skl2onnx_converter
    console figures
    exits gallery known_rows
    command_compare command_diagnose command_explain command_export command_figures command_inspect
    command_trace command_train
    cli
    __main__
"""

MOST_LINES = 415  # of a file: some 400
MOST_CODE_LINES = 60  # of a function, without its docstring

# Packages that take long to import: only inside the functions that use them, so that
# `glassnet --help` and `import glassnet` stay quick. The files named may import them at their top.
HEAVY: dict[str, set[str]] = {
    "duckdb": set(),
    "matplotlib": set(),
    "narwhals": set(),
    "onnx": set(),
    "onnxruntime": set(),
    "PIL": set(),
    "rich": set(),
    "safetensors": set(),
    "scipy": set(),
    "skl2onnx": set(),
    "sklearn": {
        "comparing",
        "cross_validation",
        "dependence",
        "estimators",
        "fit_tasks",
        "importance",
        "neural_estimator",
        "race",
    },
}
FORBIDDEN = {"pickle", "cloudpickle", "joblib", "torch", "keras", "tensorflow"}
PRINTING = {"cli", "console", "exits"} | {
    name for name in ARROW.split() if name.startswith("command_")
}

RANK = {name: rank for rank, line in enumerate(ARROW.split("\n")) for name in line.split()}
FOLDER = Path(str(importlib.util.find_spec("glassnet").origin)).parent  # type: ignore[union-attr]
TREES = {path.stem: ast.parse(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.py"))}
MODULES = [name for name in TREES if name != "__init__"]


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each name that is imported, with dots, and whether that waits: in a function, or for types."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"relative import in line {child.lineno}"
            yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from imports(child, inside or function or for_types)


def own(name: str) -> set[str]:
    """Return the files of glassnet that a file imports; "__init__" for the package itself."""
    found = set()
    for dotted, _ in imports(TREES[name]):
        package, *rest = dotted.split(".")
        if package == "glassnet":
            found.add(rest[0] if rest and rest[0] in TREES else "__init__")
    return found


def functions(tree: ast.AST) -> Iterator[Any]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_every_file_has_one_place_on_the_arrow() -> None:
    assert len(RANK) == len(ARROW.split())
    assert set(RANK) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    for imported in own(name):
        assert imported != "__init__", f"{name} imports the package, which imports it"
        assert RANK[imported] < RANK[name], f"{name} may not import {imported}"


def test_no_circle_of_imports() -> None:
    """The same without the declared ranks: files that import nothing left can be taken off."""
    left = {name: own(name) - {"__init__"} for name in MODULES}
    while left:
        free = {name for name, needs in left.items() if not needs & set(left)}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_imported_where_they_are_used(name: str) -> None:
    for dotted, inside in imports(TREES[name]):
        package = dotted.split(".")[0]
        assert package not in FORBIDDEN, f"{name} imports {package}"
        if package in HEAVY and name not in HEAVY[package]:
            assert inside, f"{name} imports {package} at its top"


@pytest.mark.parametrize("name", TREES)
def test_every_file_and_public_function_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(TREES[name])
    for node in TREES[name].body:
        public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_"
        assert not public or ast.get_docstring(node), f"{name}.{node.name}"  # type: ignore[attr-defined, arg-type]


@pytest.mark.parametrize("name", TREES)
def test_files_and_functions_are_short(name: str) -> None:
    lines = (FOLDER / f"{name}.py").read_text("utf-8").count("\n")
    assert lines <= MOST_LINES
    for function in functions(TREES[name]):
        body = function.body[1:] if ast.get_docstring(function) else function.body
        length = function.end_lineno - body[0].lineno + 1 if body else 0
        assert length <= MOST_CODE_LINES, f"{function.name} has {length} lines"


@pytest.mark.parametrize("name", [name for name in MODULES if name not in PRINTING])
def test_only_the_command_prints(name: str) -> None:
    for node in ast.walk(TREES[name]):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        assert not (called and node.func.id in ("print", "exec", "eval"))  # type: ignore[attr-defined]
