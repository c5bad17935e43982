"""Predict with a trained model, add intervals, and read and write its file.

Read in this order: model, intervals, model_file, layer_records.
May import: `encoding` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
