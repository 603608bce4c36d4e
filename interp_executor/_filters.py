"""Warning filters: how they cross, and how a worker comes to have its owner's.

A filter is no reason to load the module of its class, and must not keep the module that one lease
has loaded. So a worker's filters have classes that go by the name of those which they stand for.
"""

import _warnings
import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    # action, message, module and name of the category, module, line
    type Encoded = tuple[Any, Any, tuple[str, str], Any, int]


class _ByName(type):
    """The class of stand-ins: what has a class of that name among its bases is a subclass."""

    def __subclasscheck__(cls, other: type) -> bool:
        # What is issued meets every filter up to its own: names differ fastest.
        name = cls.__name__
        return any(each.__name__ == name and _kind(each) == _kind(cls) for each in other.__mro__)


def _kind(category: type) -> tuple[str, str]:
    module = str(getattr(category, "__module__", None))  # a class may have anything there
    return "__main__" if module == "__mp_main__" else module, category.__qualname__


def encode() -> "list[Encoded]":
    """Return the interpreter's warning filters in a form that crosses, but for what cannot."""
    return [each for entry in _filters() for each in _encode(entry)]


def _filters() -> "list[Any]":
    warnings = sys.modules.get("warnings", _warnings)  # the C part keeps them until it is imported
    filters: list[Any] = warnings.filters
    return filters


def _encode(entry: "tuple[Any, ...]") -> "Iterator[Encoded]":
    """Encode a filter: one for each of its classes."""
    action, message, category, module, line = entry
    if _crosses(message) and _crosses(module):
        for each in _classes(category):
            yield action, _encode_pattern(message), _kind(each), _encode_pattern(module), line


def _classes(category: "Any") -> "Iterator[type]":
    if isinstance(category, tuple):
        for each in category:
            yield from _classes(each)
    elif isinstance(category, type):
        yield category


def _crosses(pattern: "Any") -> bool:
    return pattern is None or isinstance(pattern, str) or type(pattern).__module__ == "re"


def _encode_pattern(pattern: "Any") -> "Any":
    if pattern is None or isinstance(pattern, str):
        return pattern
    return pattern.pattern, pattern.flags


def apply(encoded: "list[Encoded]") -> None:
    """Make these the interpreter's filters, unless they are."""
    if are(encoded):
        return
    import warnings

    warnings.filters[:] = map(_decode, encoded)  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def are(encoded: "list[Encoded]") -> bool:
    """Return whether these are the interpreter's filters, in a form that keeps no module."""
    filters = _filters()
    return (
        len(filters) == len(encoded)
        and encode() == encoded
        and all(isinstance(each[2], _ByName) or _is_builtin(each[2]) for each in filters)
    )


def _is_builtin(category: "Any") -> bool:
    return isinstance(category, type) and getattr(builtins, category.__name__, None) is category


def _decode(encoded: "Encoded") -> "tuple[Any, ...]":
    action, message, (module, qualname), of_module, line = encoded
    category = getattr(builtins, qualname, None) if module == "builtins" else None
    if category is None:
        name = {"__module__": module, "__qualname__": qualname}
        category = _ByName(qualname.rpartition(".")[2], (Warning,), name)
    return action, _decode_pattern(message), category, _decode_pattern(of_module), line


def _decode_pattern(encoded: "Any") -> "Any":
    if encoded is None or isinstance(encoded, str):
        return encoded
    import re

    return re.compile(*encoded)
