"""What a worker takes over from its owner, and how: see _worker._world."""

import _warnings
import marshal
import os
import sys

from interp_executor import _native
from interp_executor._serialize import find_main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode(importing: "list[str] | None" = None) -> bytes:
    """Describe the calling interpreter's world for its workers.

    With importing for one that begins to serve: what the thread was importing that asked for it.
    """
    from interp_executor import _recursion

    world = {
        "path": path(),
        "argv": [str(argument) for argument in getattr(sys, "argv", [])],
        "main": find_main(),
        "filters": encode_filters(),
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


def encode_filters() -> "list[tuple[Any, ...]]":
    """Return the warning filters in a form that crosses."""
    warnings = sys.modules.get("warnings", _warnings)  # the C part keeps them until it is imported
    encoded = []
    for action, message, category, module, line in warnings.filters:
        kind = f"{category.__module__}\0{category.__qualname__}"
        encoded.append((action, _encode_pattern(message), kind, _encode_pattern(module), line))
    return encoded


def _encode_pattern(pattern: "Any") -> "Any":
    if pattern is None or isinstance(pattern, str):
        return pattern
    return pattern.pattern, pattern.flags


def _decode_pattern(encoded: "Any") -> "Any":
    if encoded is None or isinstance(encoded, str):
        return encoded
    import re

    return re.compile(*encoded)


def apply_filters(encoded: "list[tuple[Any, ...]]") -> "list[tuple[Any, ...]]":
    """Make these the interpreter's warning filters, unless they are already.

    Returns those that it has then: one that names a class which is not loaded here is left out.
    """
    if encoded == encode_filters():
        return encoded
    import warnings

    filters: list[Any] = []
    for action, message, kind, module, line in encoded:
        category = _category(*kind.split("\0"))
        if category is not None:
            entry = (action, _decode_pattern(message), category, _decode_pattern(module), line)
            filters.append(entry)
    warnings.filters[:] = filters  # type: ignore[index]
    with warnings.catch_warnings():
        pass  # its end tells the C side that the filters have changed
    return encode_filters()


def _category(module: str, qualname: str) -> type[Warning] | None:
    """Return the class, if its module is loaded here: a filter is no reason to import one."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, Warning) else None
