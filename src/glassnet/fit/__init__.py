"""Train networks with `gn.train`, the scikit-learn estimators, sweeps and cross-validation.

Read in this order: train, inputs, estimators, base, estimator_inputs, recipes, sweeps,
cross_validation; then the rest.
May import: `diagnosis`, `exporting` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
