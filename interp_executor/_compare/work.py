"""What is compared, on its way: a function and its items to the runners, their answers back.

A function that can be imported goes by its name, as executors send it. A script that is run is the
module of its file's name there, so a class ``__main__.C`` of a script is renamed on the way, and
back. Everything else goes by value, with cloudpickle.
"""

import os
import pickle
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from interp_executor._serialize import resolve

Items = Sequence[tuple[Any, ...]]


class Work(NamedTuple):
    """A function and the arguments of each call."""

    fn: Callable[..., Any]
    items: Items


def main_name() -> str | None:
    """Return under which name the main module can be imported elsewhere; None if it cannot."""
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        return None if name == "__main__" else str(name)
    path = getattr(main, "__file__", None)
    if path is None or not os.path.isfile(path):
        return None
    stem = Path(path)
    return stem.stem if stem.suffix == ".py" and "." not in stem.stem else None


def search_path() -> list[str]:
    """Return the folders from which a runner is to import, beyond Python's own."""
    import sysconfig

    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folders = [str(Path(script).resolve().parent)] if script and main_name() else []
    folders += [os.path.abspath(folder) for folder in sys.path]
    library = sysconfig.get_path("stdlib") + os.sep
    wanted = [folder for folder in folders if folder not in own and not folder.startswith(library)]
    return list(dict.fromkeys(wanted))


def dump(work: Work, path: Path) -> None:
    """Write the work for the runners to load.

    Raises
    ------
    TransferError
        If the function or an item can be pickled by nobody; it names the culprit.
    """
    items = _dump_items(work.items)
    path.write_bytes(pickle.dumps((main_name(), _reference(work.fn), items)))


def load(path: Path) -> Work:
    """Read the work in a runner."""
    main, (module, name, value), items = pickle.loads(path.read_bytes())
    if value is None:
        fn = resolve(import_module(module), name)
        if not callable(fn):
            raise AttributeError(f"module {module!r} has no function {name!r}")
    else:
        fn = loads(value, main)
        if module == "__main__" and "<" not in name:
            setattr(sys.modules["__main__"], name, fn)  # where its executors look for it
    return Work(fn, loads(items, main))


def dumps_answers(answers: list[Any]) -> bytes:
    """Pickle a list, by value if need be, or raise a TransferError that names the culprit."""
    return _dump_each(answers, "the answer to item {}")


def loads_answers(data: bytes) -> list[Any]:
    """Read in the owner what a runner has pickled."""
    name = main_name()
    answers: list[Any] = _Renaming(data, {} if name is None else {name: "__main__"}).load()
    return answers


def loads(data: bytes, main: str | None) -> Any:
    """Read in a runner what the owner, whose main module has the name *main*, has pickled."""
    return _Renaming(data, {} if main is None else {"__main__": main}).load()


class _Renaming(pickle.Unpickler):
    """Finds what a module defines under another module's name."""

    def __init__(self, data: bytes, names: dict[str, str]) -> None:
        import io

        super().__init__(io.BytesIO(data))
        self._names = names

    def find_class(self, module_name: str, global_name: str) -> Any:
        return super().find_class(self._names.get(module_name, module_name), global_name)


def _reference(fn: Callable[..., Any]) -> tuple[str, str, bytes | None]:
    module = getattr(fn, "__module__", None) or ""
    name = getattr(fn, "__qualname__", None) or "<object>"
    known = main_name() if module == "__main__" else module
    if known and resolve(sys.modules.get(module), name) is fn:
        return known, name, None
    return module, name, _dump_function(fn)


def _dump_function(fn: Callable[..., Any]) -> bytes:
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(fn)
    except Exception as error:
        from interp_executor._diagnose import transfer_error

        raise transfer_error(fn, "the function", error) from error
    return data


def _dump_items(items: Items) -> bytes:
    return _dump_each(list(items), "item {}")


def _dump_each(values: list[Any], place: str) -> bytes:
    try:
        return pickle.dumps(values)
    except Exception:
        import cloudpickle
    try:
        data: bytes = cloudpickle.dumps(values)
    except Exception:
        _blame(values, place)
        raise
    return data


def _blame(values: list[Any], place: str) -> None:
    import cloudpickle

    from interp_executor._diagnose import transfer_error

    for number, value in enumerate(values):
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            raise transfer_error(value, place.format(number), error) from error
