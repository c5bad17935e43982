"""Run the `glassnet` command, with one file per subcommand.

Read in this order: commands, options, experiment, train, console, exits; then the other subcommands.
May import: everything.
Public: `glassnet.cli.app` and `glassnet.cli.main`. Everything else here is private.
"""

from glassnet.cli.commands import app, main

__all__ = ["app", "main"]
