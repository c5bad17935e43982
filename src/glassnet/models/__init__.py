"""The trained model, which predicts, its intervals, and its file.

Read in this order: model, intervals, model_file, layer_records.
May import: `encoding` and below.
Private: import public names from `glassnet` itself.
"""
