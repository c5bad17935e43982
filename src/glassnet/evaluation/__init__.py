"""Test models on new rows, compare them with simpler ones, and say which to use.

Read in this order: evaluation, verdicts, contestants, single_split, race, compare, suspicions.
May import: `fit` and below.
Private: import public names from `glassnet` itself.
"""
