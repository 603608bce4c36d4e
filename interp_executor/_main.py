"""Loading the main script in a worker, as multiprocessing's spawn does.

The script runs once, as ``__mp_main__``, in a module that is ``__main__`` too, so that pickles find
what it defines under either name and its globals live on between tasks.
"""

import sys
from types import ModuleType
from typing import Any


class _Script(ModuleType):
    """A script known by its path: multiprocessing, for one, asks for its __spec__, which is None.

    Its globals have none: linecache warns of one that is there and None.
    """

    __spec__ = None

    def __reduce__(self) -> tuple[Any, ...]:  # cloudpickle knows but plain modules
        return __import__, (self.__name__,)


def load(kind: str, where: str) -> ModuleType:
    """Load the script known by its module name or its path (see _serialize.find_main())."""
    code, module = _by_name(where) if kind == "name" else _by_path(where)
    previous = sys.modules["__main__"]
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules["__main__"] = sys.modules["__mp_main__"] = previous
        raise
    return module


def _by_name(name: str) -> tuple[Any, ModuleType]:
    from importlib.machinery import PathFinder
    from importlib.util import find_spec

    # A folder or an archive that is run puts itself on sys.path, and is "__main__" there.
    spec = PathFinder.find_spec(name) if name == "__main__" else find_spec(name)
    code = None
    if spec is not None and spec.loader is not None:
        code = spec.loader.get_code(name)  # type: ignore[attr-defined]
    if spec is None or code is None:
        raise ImportError(f"the main module {name!r} cannot be loaded in a worker", name=name)
    module = ModuleType("__mp_main__")
    module.__file__, module.__package__ = spec.origin, spec.parent
    module.__loader__, module.__spec__ = spec.loader, spec
    return code, module


def _by_path(path: str) -> tuple[Any, ModuleType]:
    from _frozen_importlib_external import MAGIC_NUMBER
    from io import open_code
    from marshal import loads

    with open_code(path) as file:
        data = file.read()
    module = _Script("__mp_main__")
    module.__file__, module.__package__ = path, None
    del module.__loader__, module.__spec__
    if data.startswith(MAGIC_NUMBER):  # a .pyc: the code follows a header of 16 bytes
        return loads(data[16:]), module
    return compile(data, path, "exec"), module
