"""Between leases: whether a worker is as it was born, and making it so as far as possible.

A worker serves any other executor only if nothing of what ran can be seen by its tasks:
``is_clean`` looks for that without changing anything. ``scrub`` undoes what can be undone: exit
callbacks run, user modules are dropped, and hooks, handlers, filters and what else the standard
library is commonly told are restored. More may be left in its modules, so a scrubbed worker serves
only executors with ``reuse=True``.
"""

import _thread
import atexit
import builtins
import copyreg
import gc
import os
import sys

from interp_executor import _native, _output, _worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import ModuleType
    from typing import Any

_HOOKS = (
    "excepthook",
    "displayhook",
    "unraisablehook",
    "breakpointhook",
    "stdout",
    "stderr",
    "stdin",
)


class _Birth:
    """What an interpreter was like before its first task."""

    def __init__(self) -> None:
        self.modules = frozenset(sys.modules)
        self.main: ModuleType = sys.modules["__main__"]
        self.hooks: tuple[Any, ...] = tuple(getattr(sys, name) for name in _HOOKS)
        self.meta_path: tuple[Any, ...] = tuple(sys.meta_path)
        self.path_hooks: tuple[Any, ...] = tuple(sys.path_hooks)
        self.callbacks = atexit._ncallbacks()
        self.settings = _settings()
        # Namespaces that every module can reach, as exec() does.
        self.names = tuple((vars(m), dict(vars(m))) for m in (self.main, builtins))
        self.reducers = copyreg.dispatch_table.copy()


# What builtins alone can change, as functions that tell and set it.
_SETTINGS: "tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...]" = (
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.getdlopenflags, sys.setdlopenflags),
    (sys.getswitchinterval, sys.setswitchinterval),
    (sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    (sys.get_coroutine_origin_tracking_depth, sys.set_coroutine_origin_tracking_depth),
    (gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
    (gc.get_threshold, lambda thresholds: gc.set_threshold(*thresholds)),
    (gc.get_debug, gc.set_debug),
    (lambda: gc.callbacks[:], lambda callbacks: gc.callbacks.__setitem__(slice(None), callbacks)),
)


def _settings() -> "tuple[Any, ...]":
    return tuple(tell() for tell, _ in _SETTINGS)


_birth: _Birth | None = None

# Whether a task has added an audit hook: nothing can remove it again.
_is_audited = False

# What tasks run in, where none of their callers' contexts came with them: it goes with its lease.
_context: "Context | None" = None

# Exit callbacks that the present lease registered: (function, args, kwargs).
_registered: "list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]" = []
_register, _unregister = atexit.register, atexit.unregister
_run_exitfuncs, _clear = atexit._run_exitfuncs, atexit._clear

_addaudithook, _register_at_fork = sys.addaudithook, os.register_at_fork


def remember_birth() -> None:
    """Take the snapshot that is_clean() compares with and scrub() goes back to."""
    global _birth
    _birth = _Birth()
    _renew_context()
    atexit.register, atexit.unregister = _register_recorded, _unregister_recorded
    atexit._run_exitfuncs, atexit._clear = _run_recorded, _clear_recorded
    sys.addaudithook, os.register_at_fork = _add_noted, _register_none


def _register_recorded(function: "Callable[..., Any]", /, *args: "Any", **kwargs: "Any") -> "Any":
    _registered.append((function, args, kwargs))
    return _register(function, *args, **kwargs)


def _unregister_recorded(function: "Callable[..., Any]", /) -> None:
    _registered[:] = [each for each in _registered if each[0] != function]
    _unregister(function)


def _run_recorded() -> None:
    _registered.clear()
    _run_exitfuncs()


def _clear_recorded() -> None:
    _registered.clear()
    _clear()


def _add_noted(hook: "Callable[..., Any]") -> None:
    global _is_audited
    _is_audited = True
    _addaudithook(hook)


def _register_none(**hooks: "Any") -> None:
    """Check what is to be called at a fork and keep nothing: no worker can fork."""
    if not hooks or not all(map(callable, hooks.values())) or hooks.keys() - _AT_FORK:
        _register_at_fork(**hooks)  # which says what is wrong with it


_AT_FORK = {"before", "after_in_child", "after_in_parent"}

for _function, _name in (
    (_register_recorded, "register"),
    (_unregister_recorded, "unregister"),
    (_run_recorded, "_run_exitfuncs"),
    (_clear_recorded, "_clear"),
    (_add_noted, "addaudithook"),
    (_register_none, "register_at_fork"),
):
    _function.__name__ = _function.__qualname__ = _name


def is_clean() -> bool:
    """Return whether nothing of what ran is left that the next executor's tasks could see."""
    birth = _birth
    return (
        birth is not None
        and not _worker.came_by_value
        and not _is_audited
        and all(name in birth.modules or _is_ours(name) for name in sys.modules)
        and sys.modules["__main__"] is birth.main
        and _same(birth.hooks, (getattr(sys, name) for name in _HOOKS))
        and _same(birth.meta_path, sys.meta_path)
        and _same(birth.path_hooks, sys.path_hooks)
        and birth.settings == _settings()
        and birth.reducers == copyreg.dispatch_table
        and _worker.is_as_the_world()
        and sys.gettrace() is None
        and sys.getprofile() is None
        and atexit._ncallbacks() == birth.callbacks
        and _thread._count() == 0
    )


def _same(before: "tuple[Any, ...]", now: "Any") -> bool:
    now = tuple(now)
    return len(before) == len(now) and all(a is b for a, b in zip(before, now, strict=True))


# What the worker itself imports when it needs it; these hold nothing of a task's.
_OURS = frozenset({"_pickle", "_compat_pickle", "copyreg", "_thread", "atexit", "functools"})


def _is_ours(name: str) -> bool:
    return name in _OURS or name in {
        "interp_executor._error_parts",
        "interp_executor._filters",
        "interp_executor._native",
        "interp_executor._outcome",
        "interp_executor._scrub",
        "interp_executor._stdlib",
        "interp_executor._world",
    }


def scrub() -> bool:
    """Undo what the lease left behind; return whether the worker may serve another."""
    if _birth is None or _thread._count() != 0:
        return False  # its end waits for the threads, and runs the exit callbacks after that
    _run_exit_callbacks()
    if _thread._count() != 0:
        return False
    _restore(_birth)
    _drop_user_modules(_birth)
    gc.collect()
    _restore(_birth)  # whatever has been freed may have changed something
    _worker.came_by_value = False
    return _thread._count() == 0 and _output.is_whole() and not _is_audited


def _restore(birth: _Birth) -> None:
    _renew_context()
    _restore_hooks(birth)
    _restore_stdlib()
    _worker.apply_world()


def _run_exit_callbacks() -> None:
    """Run what the lease registered, as the interpreter's end would.

    Not through atexit itself, nor by what weakref registers there: that would end weakref.finalize
    for good. Its finalizers are called one by one instead, the youngest first.
    """
    while _registered:
        function, args, kwargs = _registered.pop()
        if getattr(function, "__qualname__", "") == "finalize._exitfunc":
            continue
        _unregister(function)
        _run(function, *args, **kwargs)
    _run_finalizers()


def _run_finalizers() -> None:
    finalize: Any = getattr(sys.modules.get("weakref"), "finalize", None)
    if finalize is None:
        return
    pending = [(info.index, each) for each, info in finalize._registry.items() if info.atexit]
    for _, each in sorted(pending, key=lambda pair: pair[0], reverse=True):
        _run(each)


def _run(function: "Callable[..., Any]", *args: object, **kwargs: object) -> None:
    try:
        function(*args, **kwargs)
    except BaseException as error:
        _report(error, function)


def _report(error: BaseException, function: object) -> None:
    """Write what the interpreter's end writes; its hook takes no arguments from Python."""
    import traceback

    if sys.stderr is not None:
        print(f"Exception ignored in atexit callback {function!r}:", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)


def _renew_context() -> None:
    """Forget what context variables have been set to."""
    global _context
    _context = _native.renew_context(_context)


def _restore_hooks(birth: _Birth) -> None:
    for name, value in zip(_HOOKS, birth.hooks, strict=True):
        setattr(sys, name, value)
    sys.meta_path[:] = birth.meta_path
    sys.path_hooks[:] = birth.path_hooks
    sys.path_importer_cache.clear()
    sys.settrace(None)
    sys.setprofile(None)
    _free_monitors()
    _restore_reducers(birth)
    for (_, change), value in zip(_SETTINGS, birth.settings, strict=True):
        change(value)


# What tools of sys.monitoring may call themselves; sys.settrace and sys.setprofile have others.
_TOOLS = range(6)


def _free_monitors() -> None:
    """Have nobody monitor what runs, and let the next lease's tools have their numbers."""
    monitoring = sys.monitoring
    in_use = [tool for tool in _TOOLS if monitoring.get_tool(tool) is not None]
    for tool in in_use:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        for event in _events():
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)  # 3.13 leaves to the next what the last has set


def _events() -> "list[int]":
    """Return all that can be monitored, each by itself."""
    found = vars(sys.monitoring.events).values()
    return [event for event in found if isinstance(event, int) and event.bit_count() == 1]


def _restore_reducers(birth: _Birth) -> None:
    """Forget how tasks would have things pickled, but not what the standard library says itself.

    Its modules say that when they are imported, and stay loaded.
    """
    for kind, reduce in list(copyreg.dispatch_table.items()):
        if not (_is_of_stdlib(kind) and _is_of_stdlib(reduce)):
            del copyreg.dispatch_table[kind]
    copyreg.dispatch_table.update(birth.reducers)


def _is_of_stdlib(named: object) -> bool:
    if not isinstance(named, type | type(_same) | type(len)):
        return False  # it says of what module its class is
    module = named.__module__
    return isinstance(module, str) and module.partition(".")[0] in sys.stdlib_module_names


def _restore_stdlib() -> None:
    from interp_executor import _stdlib

    _stdlib.restore()


def _drop_user_modules(birth: _Birth) -> None:
    """Forget what was imported, but for the standard library, which takes long to import."""
    sys.modules["__main__"] = sys.modules["__mp_main__"] = birth.main
    _worker.main = None
    for namespace, names in birth.names:
        for name in namespace.keys() - names.keys():
            del namespace[name]
        namespace.update(names)
    for name in list(sys.modules):
        top = name.partition(".")[0]
        if name in birth.modules or top in sys.stdlib_module_names or top == "interp_executor":
            continue
        del sys.modules[name]
