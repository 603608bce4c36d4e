"""What a worker takes over from its owner, and how: see _worker._world."""

import marshal
import os
import sys

from interp_executor import _native
from interp_executor._serialize import find_main


def encode(importing: "list[str] | None" = None) -> bytes:
    """Describe the calling interpreter's world for its workers.

    With importing for one that begins to serve: what the thread was importing that asked for it.
    """
    from interp_executor import _filters, _recursion

    world = {
        "path": path(),
        "argv": [str(argument) for argument in getattr(sys, "argv", [])],
        "main": find_main(),
        "filters": _filters.encode(),
        "environ": environ(),
        "importers": _recursion.chain(importing or []),
    }
    return marshal.dumps(world)


def path() -> tuple[str, ...]:
    """Return sys.path as plain strings; what is no string, the import system ignores."""
    return tuple(str.__str__(entry) for entry in sys.path if isinstance(entry, str))


def environ() -> "dict[bytes, bytes] | None":
    """Return the environment's variables; None where os.environ has been replaced."""
    data: dict[bytes, bytes] | None = getattr(os.environ, "_data", None)
    return None if data is None else data.copy()  # at once: other threads may change it


def apply_environ(encoded: "dict[bytes, bytes] | None") -> None:
    """Make these the variables of os.environ, unless they are already."""
    now = environ()
    if encoded is None or now is None or now == encoded:
        return
    if _native.is_main_interpreter():  # of a process of the process lane
        for name in now.keys() - encoded.keys():
            os.unsetenv(name)
        for name, value in encoded.items() - now.items():
            os.putenv(name, value)
    # In a worker, the environment that C code sees is the owner's as well: nothing is to be set.
    data: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]
    data.clear()
    data.update(encoded)
