"""Networks, losses and optimizers as pure functions, each derivative under its value.

Read in this order: layers, activations, network, losses, penalties, optimizers, schedules, walk; the rest.
May import: `keys` and the ground modules. Nothing here knows about data files or training loops.
Private: import public names from `glassnet` itself.
"""
