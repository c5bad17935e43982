"""scikit-learn's estimator checks, run for many settings, all expected to pass.

The default estimators must pass all checks. The other settings use networks of four neurons and a few
epochs, because nearly all the time of a check goes into compiling a program for the shapes of its data.
Input checks (INPUT_CHECKS) run only for the defaults, because no setting affects them:
`fit.estimator_inputs.checked_rows`, which turns rows into arrays, reads no parameter, and `_dtype`, which
does, is called in every check. GLASSNET_WHOLE_MATRIX=1 in the environment runs them for every setting.
"""

import os
from functools import partial
from unittest import SkipTest

import jax
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import glassnet as gn
from glassnet.encoding.objectives import outputs_needed
from glassnet.fit.base import NeuralEstimator

pytestmark = pytest.mark.slow  # each check compiles programs for new shapes

TINY = {
    "hidden": (4,), "epochs": 40, "members": 1, "embedding": "none", "dropout": 0.0,
    "optimizer": gn.Adam(0.05), "early_stopping": False, "random_state": 0,
}  # fmt: skip
MATRIX = {
    "BatchNorm and Dropout": {"batch_norm": True, "dropout": 0.1},
    "SGD": {"optimizer": gn.SGD(0.1)},
    "early stopping": {"early_stopping": gn.EarlyStopping(20)},
    "members": {"members": 2},
    "float32": {"dtype": "float32"},
    "float64": {"dtype": "float64"},
}
NOT_SUPPORTED = {
    "check_classifiers_multilabel_output_format_decision_function": "networks give probabilities and have no"
    " decision_function, like scikit-learn's MLPClassifier"
}
INPUT_CHECKS = {
    "check_fit_score_takes_y", "check_n_features_in_after_fitting", "check_positive_only_tag_during_fit",
    "check_estimators_dtypes", "check_sample_weights_pandas_series", "check_sample_weights_not_an_array",
    "check_sample_weights_list", "check_sample_weights_shape", "check_sample_weights_not_overwritten",
    "check_dtype_object", "check_pipeline_consistency", "check_estimator_sparse_tag",
    "check_estimator_sparse_array", "check_estimator_sparse_matrix", "check_array_api_input",
    "check_f_contiguous_array_estimator", "check_classifier_data_not_an_array",
    "check_regressor_data_not_an_array", "check_supervised_y_2d", "check_regressors_int",
    "check_classifiers_multilabel_representation_invariance",
}  # fmt: skip
WHOLE = os.environ.get("GLASSNET_WHOLE_MATRIX") == "1"


class _OwnNetwork(NeuralEstimator):
    """An estimator with the user's own network, which gets as many outputs as the data of the check need.

    It equals the network that `hidden` makes, so two settings share its compiled programs.
    """

    def _blueprint(self, rows, recipe, loss, target_encoder):
        outputs = gn.Dense(outputs_needed(loss, target_encoder, rows.target), initializer="lecun")
        self.network = gn.Network([gn.Dense(4), "silu", outputs])
        try:
            return super()._blueprint(rows, recipe, loss, target_encoder)
        finally:
            self.network = None


class OwnClassifier(_OwnNetwork, gn.NeuralClassifier):
    pass


class OwnRegressor(_OwnNetwork, gn.NeuralRegressor):
    pass


KINDS = gn.NeuralClassifier, gn.NeuralRegressor
DEFAULTS = [kind(random_state=0) for kind in KINDS]
LEGS = {name: [kind(**TINY | changed) for kind in KINDS] for name, changed in MATRIX.items()}
LEGS["own network"] = [OwnClassifier(**TINY), OwnRegressor(**TINY)]


def checks_of(leg, estimators):
    """Return the checks of the estimators as test parameters with short names."""
    pairs = []
    for estimator, check in parametrize_with_checks(estimators).args[1]:
        if WHOLE or leg == "default" or name_of(check) not in INPUT_CHECKS:
            options = "".join(f" {key}={value}" for key, value in check.keywords.items())
            pairs.append(
                pytest.param(
                    estimator, check, id=f"{leg}-{check.args[0]}-{name_of(check)}{options}"
                )
            )
    return pairs


def name_of(check):
    return check.func.__name__ if isinstance(check, partial) else check.__name__


def passes(check, estimator):
    """Run a check; it may skip itself only if it is listed in NOT_SUPPORTED."""
    try:
        check(estimator)
    except SkipTest as reason:
        if name_of(check) not in NOT_SUPPORTED:
            pytest.fail(f"{name_of(check)} was skipped: {reason}")
        pytest.skip(NOT_SUPPORTED[name_of(check)])


@pytest.mark.parametrize(("estimator", "check"), checks_of("default", DEFAULTS))
def test_the_defaults_pass_scikit_learns_checks(estimator, check):
    passes(check, estimator)


@pytest.fixture
def quick_compiler():
    """Compile with little optimisation, since the programs run only briefly."""
    option = "jax_disable_most_optimizations"
    before = jax.config.read(option)
    jax.config.update(option, True)
    yield
    jax.config.update(option, before)


@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.parametrize(
    ("estimator", "check"), [pair for leg in LEGS for pair in checks_of(leg, LEGS[leg])]
)
def test_every_setting_passes_scikit_learns_checks(estimator, check):
    passes(check, estimator)


def test_the_names_of_excluded_checks_exist_in_scikit_learn():
    """A name that scikit-learn no longer has would exclude nothing, and nobody would notice."""
    names = {name_of(pair.values[1]) for pair in checks_of("default", DEFAULTS)}
    assert INPUT_CHECKS | set(NOT_SUPPORTED) <= names
    assert "check_array_api_input" in names and os.environ["SCIPY_ARRAY_API"] == "1"
