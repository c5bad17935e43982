"""Export a model to a file that runs without glassnet: ONNX, or one Python file that needs only NumPy.

Read in this order: export, onnx_graph, onnx_layers, onnx_columns.
May import: `models` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
