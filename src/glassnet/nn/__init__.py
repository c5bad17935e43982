"""Define networks, losses and optimizers as pure functions, with each derivative below its function.

Read in this order: layers, activations, network, losses, penalties, optimizers, schedules,
walk; then the rest.
May import: `keys`, `display` and the private modules of the library. Nothing here depends on
data files or on the training loop.
Private: import public names from `glassnet` itself.
"""
