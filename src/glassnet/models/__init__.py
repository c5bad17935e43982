"""The trained model: everything that predicts, and its file.

Read in this order: model, intervals, model_file.
May import: `encoding` and below.
Private: import public names from `glassnet` itself.
"""
