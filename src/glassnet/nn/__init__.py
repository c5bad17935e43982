"""The network and its training step: layers, activations, losses, penalties and optimizers as pure functions.

Read in this order: layers, activations, network, losses, penalties, optimizers, schedules; then the rest.
May import: `keys` and the ground modules. Nothing here knows about data files or training loops.
Private: import public names from `glassnet` itself.
"""
