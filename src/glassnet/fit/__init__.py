"""The entry points: `gn.train`, the scikit-learn estimators, sweeps and cross-validation.

Read in this order: train, estimators, base, recipes, sweeps, cross_validation.
May import: `diagnosis`, `exporting` and below.
Private: import public names from `glassnet` itself.
"""
