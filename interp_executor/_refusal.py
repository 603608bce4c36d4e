"""Whether an exception says that an extension module cannot load in a worker's interpreter.

CPython raises an ImportError for an extension that has not declared that it supports interpreters
with a GIL of their own. Packages pass it on in their own ways: NumPy as the cause of an ImportError
that quotes it, pandas as a part of a text, others while they handle it. So the whole chain is
searched, and the texts in it. Used in workers, so it imports nothing until it is needed.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_SIGNS = (
    r"module ([\w.]+) does not support loading in subinterpreters",  # CPython
    r"()PyO3 modules .*(?:sub-?interpreter|initialized once)",
    r"()Interpreter change detected - this module can only be loaded into one inter",  # Cython
)


def refused_module(error: BaseException) -> str | None:
    """Return the name of the extension that refused to load, or None if that is not what failed.

    Parameters
    ----------
    error : BaseException
        What an import, or what needed one, has raised.

    Returns
    -------
    str or None
        The extension's name; where nobody tells it, the name of the module whose import failed.
    """
    for link in _chain(error):
        if isinstance(link, ImportError):
            name = _extension(link)
            if name is not None:
                return name
    return None


def refused_modules(error: BaseException) -> list[str]:
    """Return the extension that refused to load, first, and the modules whose import it spoilt."""
    extension = refused_module(error)
    if extension is None:
        return []
    spoilt = (str(module["__name__"]) for link in _chain(error) for module in _imports(link))
    return list(dict.fromkeys([extension, *spoilt]))


def _extension(error: ImportError) -> str | None:
    import re

    text = str(error)
    for sign in _SIGNS:
        found = re.search(sign, text)
        if found is not None:
            under_way = list(_imports(error))
            if not under_way:
                return found[1] or error.name or "unknown"
            return _in_full(found[1] or error.name, under_way[-1])
    return None


def _in_full(name: str | None, importer: "dict[str, Any]") -> str:
    """Return an extension's name with its package, which CPython's text may lack."""
    package, file = importer.get("__package__"), importer.get("__file__")
    if not name:
        return str(importer["__name__"])
    if "." in name or not package or not file:
        return name
    from importlib.machinery import PathFinder

    found = PathFinder.find_spec(f"{package}.{name}", [file.rpartition("/")[0]])
    return name if found is None else f"{package}.{name}"


def _chain(error: BaseException) -> "Iterator[BaseException]":
    """Iterate over an exception and what led to it, each once."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [other for other in (link.__context__, link.__cause__) if other is not None]


def _imports(error: BaseException) -> "Iterator[dict[str, Any]]":
    """Iterate over the namespaces of the modules that were being imported, outermost first."""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        name = frame.f_globals.get("__name__")
        if frame.f_code.co_name == "<module>" and name not in ("__main__", "__mp_main__", None):
            yield frame.f_globals
        traceback = traceback.tb_next
