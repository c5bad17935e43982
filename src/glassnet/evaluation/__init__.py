"""How good a model is: scores on new rows, simpler models beside it, and a verdict.

Read in this order: evaluation, contestants, race, compare, verdicts, suspicions.
May import: `fit` and below.
Private: import public names from `glassnet` itself.
"""
