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
    finder = Finder(name, act)
    sys.meta_path.insert(0, finder)
    return finder.withdraw


class _Loader:
    """Loads a module as its own loader does, and then acts on it; else it is its own loader."""

    def __init__(self, loader: "Any", finder: "Finder") -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        spec = module.__spec__
        if spec is not None:  # before its code runs, which may ask the loader for more
            spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._finder.found(module)


class Finder:
    """Waits for the import of one module, once."""

    def __init__(self, name: str, act: "Callable[[Any], None]") -> None:
        self._name = name
        self._act = act

    def withdraw(self) -> None:
        """Wait no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def found(self, module: "ModuleType") -> None:
        """Act on the module, if it has been imported rather than merely run."""
        if self._name in sys.modules:
            self.withdraw()
            self._act(module)

    def find_spec(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Find it as those do that come after this finder."""
        following = iter(sys.meta_path[:])
        if name != self._name or self not in following:  # which goes up to this one
            return None
        for finder in following:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]
                return spec
        return None
