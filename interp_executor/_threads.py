"""The worker's thread under its own name in its own ``threading`` module.

In a subinterpreter ``threading`` takes the *process's* main thread for the interpreter's: there,
``current_thread()`` of the worker is a dummy. Once ``threading`` is imported, its main thread
object is given the identity of the thread that really runs the interpreter.
"""

import _thread
import sys

from interp_executor._imports import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_name: str | None = None


def set_name(name: str) -> None:
    """Name the interpreter's main thread, now or once threading is imported."""
    global _name
    _name = name
    threading = sys.modules.get("threading")
    if threading is not None:
        threading.main_thread().name = name


def adopt_when_imported() -> None:
    """Correct threading's main thread, now or once it is imported."""
    when_imported("threading", _adopt)


def outlive_raw_threads() -> None:
    """Let the interpreter end after the threads that tasks start without the module threading.

    Nobody joins these; CPython 3.13 aborts when it ends an interpreter that has any, and later
    versions take the interpreter away under them.
    """
    import atexit

    _thread.start_new_thread = _start_joined
    # The first, and so the last to be called; threading does the same, if it is imported.
    atexit.register(_thread._shutdown)  # type: ignore[attr-defined]


def _start_joined(
    function: "Callable[..., object]",
    args: "tuple[Any, ...]",
    kwargs: "dict[str, Any] | None" = None,
    /,
) -> int:
    """Start a thread as _thread.start_new_thread() does, but one that counts and will be joined."""
    begun = _thread.allocate_lock()
    begun.acquire()

    def run() -> None:
        begun.release()
        function(*args, **(kwargs or {}))

    handle = _thread.start_joinable_thread(run, daemon=False)
    begun.acquire()  # from now on it is seen by _thread._count()
    ident: int = handle.ident
    return ident


def _adopt(threading: "Any") -> None:
    ident = _thread.get_ident()
    main = threading.main_thread()
    handle = _thread._make_thread_handle(ident)  # type: ignore[attr-defined]
    with threading._active_limbo_lock:
        threading._active.pop(main._ident, None)
        main._ident = ident
        for attribute in ("_os_thread_handle", "_handle"):  # 3.14 and later; 3.13
            if hasattr(main, attribute):
                setattr(main, attribute, handle)
        main._set_native_id()
        # Meant for a run() that raises, which this thread does not have. But a stream written in
        # Python that is kept from here keeps the whole interpreter's memory from being freed.
        main._stderr = None
        threading._active[ident] = main
    if _name is not None:
        main.name = _name
