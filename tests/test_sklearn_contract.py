"""scikit-learn's own checks of an estimator, on the defaults, with no failure expected.

One check, of scikit-learn's array API with NumPy, runs only where SCIPY_ARRAY_API=1 stood in the environment
before Python started, as `make test` does.
"""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from glassnet.estimators import NeuralClassifier, NeuralRegressor

pytestmark = pytest.mark.slow  # each check trains on data of another shape, which compiles anew


@parametrize_with_checks([NeuralClassifier(random_state=0), NeuralRegressor(random_state=0)])
def test_scikit_learns_check(estimator, check):
    check(estimator)
