"""Calls that asyncio.to_thread() wraps in a context: what travels of it, and the function.

A ``ContextVar`` is known by its identity, so a variable travels if a module has it as a global,
under which the worker finds its own, and if its value can be pickled. The rest is dropped.
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
    for module, name, value in travellers:
        __import__(module)
        variable = resolve(sys.modules[module], name)
        if isinstance(variable, ContextVar):
            context.run(variable.set, _pickle.loads(value))

    def run_in_context(*more: object, **keywords: object) -> object:
        return context.run(fn, *args, *more, **{**kwargs, **keywords})

    return run_in_context
