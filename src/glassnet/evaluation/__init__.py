"""Test models on new rows, compare them with simpler ones, and say which to use.

Read in this order: evaluation, verdicts, contestants, single_split, race, compare, suspicions;
then the rest.
May import: `fit` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
