"""Modules that use an executor while they are imported, and that its workers import again.

Each of these workers uses an executor too, whose workers import the module, and so on without end.
So a worker is told by the import of which modules it, its owner, that one's owner and so on have
come about; an executor that is used at the import of a module that is among them is refused. Once
is not enough, since the worker may import it for another task, and then that is the end of it: the
module may use the executor for what others define.
"""

from __future__ import annotations

import sys

from interp_executor import _worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_MOST = 2  # that many may a module be among them; one that is still being imported counts twice
_SCRIPTS = ("__main__", "__mp_main__")  # which have a guard of their own


def importing() -> list[str]:
    """Return the modules that the calling thread is importing. Raises RuntimeError to refuse."""
    names = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__")
        if frame.f_code.co_name == "<module>" and isinstance(name, str) and name not in _SCRIPTS:
            names.append(name)
        frame = frame.f_back
    inherited = _worker.importers()
    for name in names:
        if inherited.count(name) >= _MOST:
            raise RuntimeError(
                f"module {name!r} uses an InterpreterPoolExecutor while it is imported, and the "
                f"workers import it for what they are to run, so each uses another, and so on "
                f"without end: put that into a function that the program calls"
            )
    return names


def chain(names: list[str]) -> list[str]:
    """Return by whose import the worker has come about that is about to begin to serve."""
    return [*_worker.importers(), *names, *(name for name in names if _is_being_imported(name))]


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return getattr(spec, "_initializing", False) is True
