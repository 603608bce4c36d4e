"""``python -m interp_executor COMMAND``: each command lives in a module of its own in ``_cli``.

Such a module has ``add_arguments(parser)`` and ``run(options)``, which returns the exit status.
Only the module of the command that is run gets imported.
"""

from __future__ import annotations

import argparse
import importlib
import sys

COMMANDS = {
    "compare": "time your own function on every executor, and say which to use",
    "check": "try whether modules load in an interpreter with a GIL of its own",
    "info": "show what a bug report needs",
}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m interp_executor")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if arguments[:1] == [name]:
            module = importlib.import_module(f"interp_executor._cli.{name}")
            module.add_arguments(command)
    options = parser.parse_args(arguments)
    run = importlib.import_module(f"interp_executor._cli.{options.command}").run
    status: int = run(options)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
