"""Train networks with `gn.train`, the scikit-learn estimators, sweeps and cross-validation.

Read in this order: train, inputs, estimators, base, estimator_inputs, recipes, sweeps,
cross_validation.
May import: `diagnosis`, `exporting` and below.
Private: import public names from `glassnet` itself.
"""
