"""Explain a model by attributions, importance, partial dependence, neurons and examples.

Read in this order: rows, paths, attribution, importance, dependence, neurons, examples.
May import: `evaluation`, `tracing` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
