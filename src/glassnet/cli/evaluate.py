"""`glassnet evaluate`: test a model on rows whose target is known."""

# Modules that import JAX or scikit-learn are imported inside the commands: `glassnet --help` must not wait.
from __future__ import annotations

from glassnet.cli.console import print_json, print_scores
from glassnet.cli.exits import exit_on_error
from glassnet.cli.options import AsJson, Data, ModelFile, Query, TableName, TrueTarget
from glassnet.cli.rows import read_known, true_values


def evaluate(
    model: ModelFile,
    data: Data,
    target: TrueTarget = None,
    query: Query = None,
    table: TableName = None,
    as_json: AsJson = False,
) -> None:
    """Test MODEL on the rows of DATA, whose target is known."""
    with exit_on_error():
        from glassnet.evaluation.evaluation import evaluate as test
        from glassnet.models.model_file import load

        network = load(model)
        dataset = read_known(network, data, target, query, table)
        X, y = dataset.test or (dataset.X, dataset.y)
        evaluation = test(network, X, true_values(network, y, data))
        if as_json:
            print_json({"rows": len(evaluation.y_true), "scores": evaluation.scores})
        else:
            print_scores(evaluation)
