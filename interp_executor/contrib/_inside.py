"""What runs inside the workers for the adapters: plain calls, without the packages they adapt.

Packages such as joblib and distributed do not load in an interpreter with a GIL of its own, and
others take long to import. So the owner takes their tasks apart and sends what is in them.
"""

import _pickle
import _thread
import time

from interp_executor import _worker
from interp_executor._errors import NotLoadedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


def run_calls(calls: "Iterable[tuple[Callable[..., Any], Any, Mapping[str, Any]]]") -> list[object]:
    """Make each call (function, args, kwargs) and return the results."""
    return [fn(*args, **kwargs) for fn, args, kwargs in calls]


# ---- calls whose arguments are calls ----


class Call:
    """A call to be made: arguments that are a Call or a Place are worked out before."""

    __slots__ = ("args", "fn", "kwargs")

    def __init__(
        self, fn: "Callable[..., Any]", args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs

    def __reduce__(self) -> "tuple[Any, ...]":
        return Call, (self.fn, self.args, self.kwargs)


class Place:
    """Stands for what another call of the same plan returned."""

    __slots__ = ("key",)

    def __init__(self, key: object) -> None:
        self.key = key

    def __reduce__(self) -> "tuple[Any, ...]":
        return Place, (self.key,)


class Plan:
    """Steps to be taken in their order, each under a key; the last one's result counts."""

    __slots__ = ("steps", "values")

    def __init__(self, steps: list[tuple[object, object]], values: dict[object, object]) -> None:
        self.steps = steps
        self.values = values

    def __reduce__(self) -> "tuple[Any, ...]":
        return Plan, (self.steps, self.values)


def work_out(what: object, values: "Mapping[object, object] | None" = None) -> object:
    """Make a call, follow a plan or look a place up; anything else is a value already."""
    if isinstance(what, Call):
        args = [work_out(argument, values) for argument in what.args]
        kwargs = {name: work_out(argument, values) for name, argument in what.kwargs.items()}
        return what.fn(*args, **kwargs)
    if isinstance(what, Place):
        assert values is not None
        return values[what.key]
    if isinstance(what, Plan):
        known = {key: work_out(value, values) for key, value in what.values.items()}
        result = None
        for key, step in what.steps:
            result = known[key] = work_out(step, known)
        return result
    return what


def make_list(*items: object) -> list[object]:
    """Return the arguments as a list."""
    return list(items)


def make_tuple(*items: object) -> tuple[object, ...]:
    """Return the arguments as a tuple."""
    return items


def make_set(*items: object) -> set[object]:
    """Return the arguments as a set."""
    return set(items)


def make_dict(*items: object) -> dict[object, object]:
    """Return a dict of arguments that are keys and values in turn."""
    return dict(zip(items[::2], items[1::2], strict=True))


def work_out_all(calls: "Iterable[object]") -> list[tuple[object, float, float, int]]:
    """Work out each call; return the result, when it began and ended (seconds since the epoch)
    and in which thread, for each.
    """
    return [_work_out_timed(call) for call in calls]


def _work_out_timed(call: object) -> tuple[object, float, float, int]:
    start = time.time()
    result = work_out(call)
    return result, start, time.time(), _thread.get_ident()


# ---- by value ----


def run_by_value(data: bytes) -> object:
    """Run a function on arguments, both pickled by value.

    Raises
    ------
    NotLoadedError
        If something in them cannot be imported here; nothing has been run then.
    """
    _worker.came_by_value = True
    try:
        run, args = _pickle.loads(data)
    except (ImportError, AttributeError) as error:
        unloadable = NotLoadedError(f"a worker cannot load the calls: {error}")
        unloadable.module = _culprit(data)
        raise unloadable from error
    return run(*args)


def _culprit(data: bytes) -> str:
    """Return the name of the module that the pickle needs and that does not load."""
    import io

    class Finder(_pickle.Unpickler):
        module = ""

        def find_class(self, module: str, name: str, /) -> "Any":
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                self.module = module
                raise

    finder = Finder(io.BytesIO(data))
    try:
        finder.load()
    except (ImportError, AttributeError):
        pass  # the same failure again: now it is known where
    return finder.module
