"""``check``: which modules load in an interpreter with a GIL of its own, and which need processes.

Each module is imported in a worker of a process of its own, so that a crash is a row and not an
end.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from interp_executor._cli import requirements, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

TIMEOUT = 120.0
"""Seconds that an import may take."""

_PROGRAM = "import sys; from interp_executor._cli.probe import main; main(sys.argv[1])"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="a module to import")
    parser.add_argument(
        "-r",
        "--requirement",
        action="append",
        default=[],
        metavar="FILE",
        help="a requirements file: the modules of the distributions it names",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.set_defaults(error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Print what became of each module; return 1 if one does not load."""
    try:
        listed = [name for file in options.requirement for name in requirements.modules(file)]
    except (OSError, ValueError) as error:
        options.error(str(error))
    modules = list(dict.fromkeys([*options.modules, *listed]))
    if not modules:
        options.error("name a module, or a requirements file with -r")
    with ThreadPoolExecutor(min(len(modules), os.process_cpu_count() or 1)) as executor:
        rows = list(executor.map(check, modules))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print((table.markdown if options.markdown else table.plain)(rows))
    return int(any(row["status"] != "loads" for row in rows))


def check(module: str) -> dict[str, Any]:
    """Return the row of one module.

    Parameters
    ----------
    module : str
        Its name, as import takes it.

    Returns
    -------
    dict
        module, version, status ("loads", "refused", "crashes", "missing" or "fails"), and as far
        as they apply extension, detail, seconds, bytes, and without: extensions that refused while
        the module got along without them.
    """
    row = {"module": module, "version": version_of(module)}
    command = [sys.executable, "-c", _PROGRAM, module]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {**row, "status": "fails", "detail": f"no answer within {TIMEOUT:.0f} s"}
    return {**row, **_read(done)}


def _read(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Read the answer of the process: its last line, if it came to write one."""
    lines = done.stdout.splitlines()
    if done.returncode == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
    if done.returncode < 0:
        when = " when its interpreter ended" if lines and lines[-1].startswith("{") else ""
        return {"status": "crashes", "detail": _signal_name(-done.returncode) + when}
    words = done.stderr.strip().splitlines()
    ended = f"the process ended with status {done.returncode}"
    return {"status": "crashes", "detail": f"{ended}: {words[-1]}" if words else ended}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def version_of(module: str) -> str | None:
    """Return the version of the distribution that a module belongs to, if there is just one."""
    owners = _owners().get(module.partition(".")[0], [])
    return importlib.metadata.version(owners[0]) if len(set(owners)) == 1 else None


@functools.cache
def _owners() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
