"""Acting on a module of this interpreter once it is imported, without importing it."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def when_imported(name: str, act: "Callable[[Any], None]") -> "Callable[[], None]":
    """Call act(module) now or right after the module's import; return what takes that back."""
    module = sys.modules.get(name)
    if module is not None:
        act(module)
        return lambda: None
    finder = _Finder(name, act)
    sys.meta_path.insert(0, finder)
    return finder.withdraw


class _Loader:
    """Loads a module as its own loader does, and then acts on it."""

    def __init__(self, loader: "Any", act: "Callable[[Any], None]") -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: "ModuleType") -> None:
        self._loader.exec_module(module)
        spec = module.__spec__
        if spec is not None:
            spec.loader = module.__loader__ = self._loader
        self._act(module)


class _Finder:
    """Waits for the import of one module, once."""

    def __init__(self, name: str, act: "Callable[[Any], None]") -> None:
        self._name = name
        self._act = act

    def withdraw(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != self._name:
            return None
        self.withdraw()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _Loader(spec.loader, self._act)  # type: ignore[assignment]
                return spec
        return None
