"""How the by-value pickler takes apart what cloudpickle cannot, or not as tasks need it.

Imported where something is pickled by value, and for what has to be rebuilt.
"""

from __future__ import annotations

import functools
import io
import sys
import weakref

from interp_executor._serialize import reference_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _reduce_file(file: io.TextIOWrapper) -> tuple[Any, ...]:
    """Let the standard streams go by name. Of other files cloudpickle would send a copy."""
    for name in ("stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    raise TypeError(f"cannot pickle {type(file).__name__!r} object")


def _reduce_cached(fn: functools._lru_cache_wrapper[Any]) -> str | tuple[Any, ...]:
    """Let a cached function go by name if a worker finds it so, else by value, without results."""
    if reference_to(fn) is not None and not _is_taken_by_value(fn.__module__):
        return fn.__reduce__()
    attributes = {name: value for name, value in vars(fn).items() if name not in _SET_ANEW}
    return rebuild_cached, (fn.__wrapped__, fn.cache_parameters()), attributes


# By lru_cache() when it is rebuilt. A method's __annotate__ holds the namespace of its class.
_SET_ANEW = ("__wrapped__", "cache_parameters", "__annotate__")


def _is_taken_by_value(module: str) -> bool:
    import cloudpickle

    taken = cloudpickle.list_registry_pickle_by_value()
    return any(f"{module}.".startswith(f"{name}.") for name in taken)


def rebuild_cached(fn: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    """Cache the results of a function that came by value."""
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(fn)
    return cached


def _reduce_weak_keys(mapping: weakref.WeakKeyDictionary[Any, Any]) -> tuple[Any, ...]:
    """Do as cloudpickle does with a WeakSet. What functools.singledispatch() makes has one."""
    return weakref.WeakKeyDictionary, (dict(mapping),)


REDUCERS = {
    io.TextIOWrapper: _reduce_file,
    functools._lru_cache_wrapper: _reduce_cached,
    weakref.WeakKeyDictionary: _reduce_weak_keys,
}
