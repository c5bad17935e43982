"""A model as a file that runs without glassnet: ONNX, or one Python file that needs NumPy alone.

Read in this order: export, onnx_graph, onnx_layers, onnx_columns.
May import: `models` and below.
Private: import public names from `glassnet` itself.
"""
