"""Choosing a lane: what is known to need a process, in the owner.

Imported when the first extension has refused to load in a worker. From then on callables are looked
at once more when they are encoded: those that met a refusal, those whose module met one, and those
whose code imports a module known to refuse go to processes straight away.
"""

from __future__ import annotations

import functools
import logging
from types import CodeType, FunctionType, MethodType, ModuleType

from interp_executor import _native, _serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGGER = logging.getLogger("interp_executor")

# The lanes by number, as in task.h.
ANY, PROCESS, INTERPRETER = 0, 1, 2

_REMEMBERED_MAX = 4096

# Extensions that have refused, and the modules whose import they spoilt.
_refusing: set[str] = set()
# Of these, the extensions that have been reported.
_reported: set[str] = set()
# Callables that have met a refusal, in encoded form, and the extension that it was of.
_met_refusal: dict[tuple[int, bytes], str] = {}


def remember(modules: list[str], form: int, data: bytes) -> None:
    """Remember the modules of a refusal, the extension first, and the callable that met it."""
    if len(_met_refusal) >= _REMEMBERED_MAX:
        _met_refusal.clear()
    _met_refusal[form, data] = modules[0]
    if not _refusing.issuperset(modules):
        _refusing.update(modules)
        _native.forget_callables()  # they are encoded, and looked at, anew


def extension_of(form: int, data: bytes) -> str | None:
    """Return the extension because of which a callable goes to processes, if it is known."""
    return _met_refusal.get((form, data))


def report(extension: str, consequence: str) -> None:
    """Say once per extension that it does not load in an interpreter of its own."""
    if extension not in _reported:
        _reported.add(extension)
        _LOGGER.warning(
            "module %s does not load in an interpreter with a GIL of its own: %s",
            extension,
            consequence,
        )


def lane_of(fn: object, form: int, data: bytes) -> int:
    """Return PROCESS for a callable that is known to need one, otherwise ANY."""
    if (form, data) in _met_refusal:
        return PROCESS
    fn = _innermost(fn)
    if _is_refusing(getattr(fn, "__module__", None)):
        return PROCESS
    if not isinstance(fn, FunctionType):
        return ANY
    needed = any(map(_is_refusing, imports_of(fn.__code__)))
    if not needed and form in (_serialize.BY_VALUE, _serialize.IN_CONTEXT):
        needed = any(map(_is_refusing, _homes_of_globals(fn)))
    return PROCESS if needed else ANY


def _innermost(fn: object) -> object:
    """Return the function in a partial, a method, or what asyncio.to_thread() makes."""
    for _ in range(20):
        if isinstance(fn, MethodType):
            fn = fn.__func__
        elif isinstance(fn, functools.partial):
            fn = fn.args[0] if getattr(fn.func, "__name__", "") == "run" and fn.args else fn.func
        else:
            break
    return fn


def _is_refusing(name: object) -> bool:
    """Whether a module, or a package that it is in, is known to refuse."""
    if not isinstance(name, str):
        return False
    while name:
        if name in _refusing:
            return True
        name = name.rpartition(".")[0]
    return False


@functools.lru_cache(maxsize=1024)
def imports_of(code: CodeType) -> frozenset[str]:
    """Return the modules that a function's code, and the code inside it, may import."""
    return frozenset(_imports_of(code))


def _imports_of(code: CodeType) -> Iterator[str]:
    import dis

    constants: list[object] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            name, listed = str(instruction.argval), constants[-1] if constants else None
            yield name
            if isinstance(listed, tuple):  # from name import listed
                yield from (f"{name}.{part}" for part in listed)
        elif instruction.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
            constants.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports_of(constant)


def _homes_of_globals(fn: FunctionType) -> Iterator[object]:
    """Iterate over the modules that the globals and variables come from which a function uses."""
    used = [fn.__globals__.get(name) for name in fn.__code__.co_names]
    for cell in fn.__closure__ or ():
        try:
            used.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    for value in used:
        yield (
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        )


_serialize.lane_of = lane_of
