"""Importing one module in a worker, in a process of its own: what ``check`` runs for each row.

The worker imports this module too, so it imports as little as it can: what is there already would
seem to cost nothing.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(name: str) -> None:
    """Print, as JSON, what became of the import in an interpreter with a GIL of its own."""
    import json

    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1, fallback=None) as executor:
        print(json.dumps(executor.submit(load, name).result()), flush=True)


def load(name: str) -> "dict[str, Any]":
    """Import the module here, in the worker; say how that went."""
    refused = record_refusals()
    memory = resident_bytes()
    started = time.perf_counter()
    try:
        __import__(name)
    except BaseException as error:
        return _failure(name, error, refused)
    seconds = time.perf_counter() - started
    return {
        "status": "loads",
        "seconds": seconds,
        "bytes": max(0, resident_bytes() - memory),
        **({"without": refused} if refused else {}),
    }


def record_refusals() -> list[str]:
    """Have the names of extensions that refuse recorded: some packages do without theirs."""
    import _imp

    refused: list[str] = []
    create = _imp.create_dynamic

    def create_recorded(spec: "Any", *rest: "Any") -> "Any":
        try:
            return create(spec, *rest)
        except ImportError:
            refused.append(spec.name)
            raise

    _imp.create_dynamic = create_recorded
    return refused


def _failure(name: str, error: BaseException, refused: list[str]) -> "dict[str, Any]":
    from interp_executor._refusal import refused_module

    extension = refused_module(error)
    if extension is not None:
        return {"status": "refused", "extension": refused[-1] if refused else extension}
    if isinstance(error, ModuleNotFoundError) and _is_part_of(error.name, name):
        return {"status": "missing", "detail": str(error)}
    return {"status": "fails", "detail": f"{type(error).__name__}: {error}"}


def _is_part_of(missing: str | None, name: str) -> bool:
    return missing is not None and (name == missing or name.startswith(f"{missing}."))


def resident_bytes() -> int:
    """Return how much memory the process has resident; 0 where the system does not tell."""
    import os

    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
