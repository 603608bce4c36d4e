"""Warning filters: how they cross, and how a worker comes to have its owner's.

A filter for a class whose module a worker has not loaded is no reason to load it: such a filter
comes with the module.
"""

import _warnings
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    # action, message, module and name of the category, module, line
    type Encoded = tuple[Any, Any, tuple[str, str], Any, int]

# What the interpreter was given last, and what its filters were when that was done.
_given: "list[Encoded]" = []
_applied: "list[Encoded]" = []

# Each has filters come no more with one module.
_withdrawals: "list[Callable[[], None]]" = []


def encode() -> "list[Encoded]":
    """Return the interpreter's warning filters in a form that crosses."""
    warnings = sys.modules.get("warnings", _warnings)  # the C part keeps them until it is imported
    return [each for entry in warnings.filters for each in _encode(entry)]


def _encode(entry: "Any") -> "Iterator[Encoded]":
    """Encode a filter: one for each of its classes. One for what is no class never applies."""
    action, message, category, module, line = entry
    for kind in _kinds(category):
        yield action, _encode_pattern(message), kind, _encode_pattern(module), line


def _kinds(category: "Any") -> "Iterator[tuple[str, str]]":
    if isinstance(category, tuple):
        for each in category:
            yield from _kinds(each)
    elif isinstance(category, type):
        module = str(category.__module__)  # a class may have anything there
        yield "__main__" if module == "__mp_main__" else module, category.__qualname__


def _encode_pattern(pattern: "Any") -> "Any":
    if pattern is None or isinstance(pattern, str):
        return pattern
    return pattern.pattern, pattern.flags


def _decode(encoded: "Encoded") -> "Any":
    """Return the filter, or None where its class is not loaded."""
    action, message, (module, qualname), of_module, line = encoded
    first, *rest = qualname.split(".")
    # Not by getattr(): a module may load what it is asked for, the main one above all.
    found: Any = getattr(sys.modules.get(module), "__dict__", {}).get(first)
    for part in rest:
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Warning)):
        return None
    return action, _decode_pattern(message), found, _decode_pattern(of_module), line


def _decode_pattern(encoded: "Any") -> "Any":
    if encoded is None or isinstance(encoded, str):
        return encoded
    import re

    return re.compile(*encoded)


def apply(encoded: "list[Encoded]") -> None:
    """Make these the interpreter's filters, unless they are; each as soon as its class is there."""
    global _given, _applied
    while _withdrawals:
        _withdrawals.pop()()
    if encoded != encode():
        import warnings

        decoded = map(_decode, encoded)
        warnings.filters[:] = [each for each in decoded if each is not None]  # type: ignore[index]
        _tell_c()
    _given, _applied = encoded, encode()
    for module in {each[2][0] for each in encoded if each not in _applied} - {"__main__"}:
        _withdrawals.append(_await(module))


def _await(module: str) -> "Callable[[], None]":
    from interp_executor._imports import when_imported

    def come(_: object) -> None:
        add(module)

    return when_imported(module, come)


def add(module: str) -> None:
    """Add the given filters for a module's classes, now that it is loaded.

    Each goes before the next one of the given that is there: what tasks have changed stays.
    """
    global _applied
    import warnings

    filters: Any = warnings.filters
    untouched = is_as_given()
    place = len(filters)
    for each in reversed(_given):
        found = [i for i, entry in enumerate(filters) if each in _encode(entry)]
        decoded = _decode(each) if each[2][0] == module and not found else None
        if found:
            place = found[0]
        elif decoded is not None:
            filters.insert(place, decoded)
    if untouched:
        _applied = encode()
    _tell_c()


def is_as_given() -> bool:
    """Return whether the interpreter's filters are those that it was given."""
    return encode() == _applied


def _tell_c() -> None:
    """Tell the C side that the filters have changed, as the end of this does."""
    import warnings

    with warnings.catch_warnings():
        pass
