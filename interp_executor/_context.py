"""Calls that asyncio.to_thread() wraps in a context: what travels of it, and the function.

A ``ContextVar`` is known by its identity, so a variable travels if a module has it as a global,
under which the worker finds its own, and if its value can be pickled and loaded there. The rest is
dropped.
"""

from __future__ import annotations

import _pickle
import functools
import sys
from contextvars import Context, ContextVar, copy_context

from interp_executor._serialize import (
    dumps_attaching,
    dumps_call,
    dumps_plain,
    encode_callable,
    loads_attached,
    names_lost_main,
    resolve,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from interp_executor._serialize import Pack, Unpack

_places: dict[ContextVar[Any], tuple[str, str] | None] = {}


def encode_in_context(fn: object, pack: Pack) -> bytes | None:
    """Encode partial(context.run, f, ...), as asyncio.to_thread() submits it; None for all else."""
    if not isinstance(fn, functools.partial):
        return None
    context = getattr(fn.func, "__self__", None)
    if not isinstance(context, Context) or not fn.args or fn.func.__name__ != "run":
        return None
    inner, *args = fn.args
    _, form, data, _ = encode_callable(inner, pack)
    call = _dumps(tuple(args), fn.keywords, pack)
    return _pickle.dumps((form, data, call, _travellers(context)), 5)


def _dumps(args: tuple[object, ...], kwargs: dict[str, object], pack: Pack) -> bytes:
    try:
        data = dumps_attaching((args, kwargs), pack)
    except Exception:  # explained there, if it cannot cross by value either
        return dumps_call(args, kwargs, pack)
    return dumps_call(args, kwargs, pack) if names_lost_main(data) else data


def _travellers(context: Context) -> list[tuple[str, str, bytes]]:
    travellers = []
    for variable, value in context.items():
        place = _place(variable)
        if place is None:
            continue
        try:
            data = dumps_plain(value)
        except Exception:
            continue
        if not names_lost_main(data):
            travellers.append((*place, data))
    return travellers


def _place(variable: ContextVar[Any]) -> tuple[str, str] | None:
    """Return the module and the name of the global that holds the variable."""
    if variable not in _places:
        _places[variable] = next(
            (
                (module, name)
                for module, namespace in list(sys.modules.items())
                for name, value in list(getattr(namespace, "__dict__", {}).items())
                if value is variable
            ),
            None,
        )
    return _places[variable]


def decode_in_context(
    data: bytes,
    unpack: Unpack | None,
    load_callable: Callable[[int, bytes, Unpack | None], Callable[..., object]],
) -> Callable[..., object]:
    """Return a callable that makes the call, in a context with what travelled."""
    form, function, call, travellers = _pickle.loads(data)
    fn = load_callable(form, function, unpack)
    args, kwargs = loads_attached(call, unpack)
    context = copy_context()
    for traveller in travellers:
        _arrive(context, *traveller)

    def run_in_context(*more: object, **keywords: object) -> object:
        return context.run(fn, *args, *more, **{**kwargs, **keywords})

    return run_in_context


# Modules of variables that could not be imported, with the path at that time: to try costs much.
_not_imported: dict[str, list[str]] = {}


def _arrive(context: Context, module: str, name: str, value: bytes) -> None:
    """Set a variable that has travelled, or drop it: the call may have nothing to do with it."""
    if not _import(module):
        return
    try:
        variable = resolve(sys.modules[module], name)
        if isinstance(variable, ContextVar):
            context.run(variable.set, _pickle.loads(value))
    except Exception:  # the main script cannot be loaded, or what the value consists of
        return


def _import(module: str) -> bool:
    if module in sys.modules:
        return True
    if _not_imported.get(module) == sys.path:
        return False
    try:
        __import__(module)
    except Exception:  # who needs the variable meets the same, where it is to be dealt with
        _not_imported[module] = sys.path[:]
        return False
    return True
