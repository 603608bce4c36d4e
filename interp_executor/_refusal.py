"""Whether an exception says that an extension module cannot load in a worker's interpreter.

CPython raises an ImportError for an extension that has not declared that it supports interpreters
with a GIL of their own. Packages pass it on in their own ways: NumPy as the cause of an ImportError
that quotes it, pandas as a part of a text, others while they handle it. So the whole chain is
searched, and the texts in it. Used in workers, so it imports nothing until it is needed.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNS = (
    r"module ([\w.]+) does not support loading in subinterpreters",  # CPython
    r"(?P<pyo3>PyO3 modules (?:do not yet|may not|compiled for).*(?:sub)?interpreter)",
    r"Interpreter change detected - this module can only be loaded into one interpreter",  # Cython
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
    import re

    for link in _chain(error):
        text = str(link) if isinstance(link, ImportError) else ""
        for sign in _SIGNS:
            found = re.search(sign, text)
            if found is not None:
                named = found.group(1) if found.lastindex and not found.lastgroup else None
                return named or getattr(link, "name", None) or _importing(link) or "unknown"
    return None


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


def _importing(error: BaseException) -> str | None:
    """Return the module that was being loaded when the error was raised, from its traceback."""
    name = None
    traceback = error.__traceback__
    while traceback is not None:
        spec = traceback.tb_frame.f_locals.get("spec")
        if traceback.tb_frame.f_code.co_name == "create_module" and spec is not None:
            name = str(spec.name)
        elif traceback.tb_frame.f_code.co_name == "<module>":
            name = str(traceback.tb_frame.f_globals.get("__name__"))
        traceback = traceback.tb_next
    return name
