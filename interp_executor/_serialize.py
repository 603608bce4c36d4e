"""What crosses, and how: the parts that plain pickle and the C codec cannot do.

Used on both sides, so it imports next to nothing by itself. The C codec tries its compact form,
then pickle; only what neither can do arrives here, is tried by value with cloudpickle, and
otherwise explained.
"""

import io
import sys
from _functools import _lru_cache_wrapper  # type: ignore[import-not-found]
from _thread import RLock

from interp_executor import _native
from interp_executor._errors import TransferError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    Pack = Callable[[object], object]
    Unpack = Callable[[object], object]
    Reduce = Callable[[object], Any]

FunctionType = type(lambda: None)
BuiltinFunctionType = type(len)
_NAMED = (FunctionType, BuiltinFunctionType, type, _lru_cache_wrapper)

# The forms of a callable's bytes, as _worker.load_callable() reads them.
BY_REFERENCE = 0  # module, NUL, qualified name
IN_MAIN = 1  # qualified name in the main script
PICKLED = 2
BY_VALUE = 3  # pickled by cloudpickle
IN_CONTEXT = 4  # a call that asyncio.to_thread() wraps; see _context.py


# Tells a callable's lane: _lanes.py puts it here, once something needs a process and it is loaded.
lane_of: "Callable[[object, int, bytes], int] | None" = None


def encode_callable(fn: object, pack: "Pack") -> tuple[bool, int, bytes, int]:
    """Encode a callable; return whether workers may keep it, its form, its bytes and its lane.

    What it carries that is large or lent goes through pack: see dumps_attaching().
    Raises TransferError if it cannot cross. That it can be called is for the worker to find out.
    """
    try:
        keep, form, data = _encode_callable(fn, pack)
    except TransferError:
        raise
    except Exception as error:  # a metaclass or a property of its own
        from interp_executor._diagnose import transfer_error

        raise transfer_error(fn, "the callable", error, pack) from error
    return keep, form, data, 0 if lane_of is None else lane_of(fn, form, data)


def _encode_callable(fn: object, pack: "Pack") -> tuple[bool, int, bytes]:
    is_named = isinstance(fn, _NAMED)
    if is_named:
        place = reference_to(fn)
        if place is not None and place not in _sent_by_value:
            return True, *place
    _refuse_asyncios_own(fn)
    if is_named:
        return False, BY_VALUE, _by_value(fn, "the callable", pack)
    if type(fn).__module__ == "functools":
        from interp_executor._context import encode_in_context

        data = encode_in_context(fn, pack)
        if data is not None:
            return False, IN_CONTEXT, data
    return False, *_encode_object(fn, pack)


def _refuse_asyncios_own(fn: object) -> None:
    """Refuse methods that asyncio gives to its default executor and that need a thread of here."""
    owner = getattr(fn, "__self__", None)
    events = sys.modules.get("asyncio.events")
    if events is not None and isinstance(owner, events.AbstractEventLoop):
        problem = (
            "a method of an event loop; asyncio gives it to its default executor: leave asyncio's "
            "debug mode, or pass this executor to run_in_executor() and do not make it the default"
        )
    elif getattr(fn, "__name__", "") in _READ_INTO and isinstance(owner, io.IOBase):
        # asyncio's sendfile() calls it until the file is at its end, which the copies never are.
        problem = (
            "a method that reads a file, of which each task would have a copy; read it here, or "
            "have a task open it; asyncio's sendfile() needs a default executor of threads"
        )
    else:
        return
    raise TransferError(f"the callable cannot cross to another interpreter: {problem}")


_READ_INTO = ("readinto", "readinto1")


# References that a worker could not resolve: what they name exists here alone.
_sent_by_value: set[tuple[int, bytes]] = set()


def send_by_value(form: int, data: bytes) -> bytes:
    """Encode by value what a worker could not find by reference, now and from now on."""
    module, name = "__main__", data.decode()
    if form == BY_REFERENCE:
        module, _, name = name.partition("\0")
    _sent_by_value.add((form, data))
    return _by_value(resolve(sys.modules.get(module), name), "the callable", pack_nothing)


def reference_to(fn: object) -> tuple[int, bytes] | None:
    """How a worker finds fn by its name, or None if it cannot."""
    module = getattr(fn, "__module__", None)
    name = getattr(fn, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    if resolve(sys.modules.get(module), name) is not fn and not _is_own(fn, module, name):
        return None
    if module not in ("__main__", "__mp_main__"):
        return BY_REFERENCE, f"{module}\0{name}".encode()
    return (IN_MAIN, name.encode()) if find_main() is not None else None


def _is_own(fn: object, module: str, name: str) -> bool:
    """Whether fn is this package's: workers have it, even where the program drops its modules."""
    names = getattr(fn, "__globals__", {})
    return module.startswith("interp_executor.") and names.get(name) is fn


def resolve(module: object, qualname: str) -> object:
    """Return the attribute of that qualified name, or None."""
    found = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def find_main() -> tuple[str, str] | None:
    """Say how the main module can be loaded again: ("name" or "path", which), or None.

    None for a REPL, a notebook and ``-c``; then what it defines goes by value. The main module may
    be another than the last time: IPython's %run, for one, puts a script's in its place.
    """
    global _found_main
    main = sys.modules.get("__main__")
    last, found = _found_main
    if main is not last:
        # Once and for all: when a script has ended, CPython takes its __file__ away.
        found = None if main in _notebooks else _find_main(main)
        if found is None and main is not None:
            _notebooks.add(main)
        _found_main = main, found
        _native.set_main_by_value(found is None)
        _sent_by_value.clear()
        _native.forget_callables()
    _name_main(main)
    return found


_found_main: "tuple[ModuleType | None, tuple[str, str] | None]" = None, None

# Main modules that are not loaded again, though %run -i leaves a __file__ in one. They are few.
_notebooks: "set[ModuleType]" = set()


def _name_main(main: "ModuleType | None") -> None:
    """Let pickles from workers find the main module by its name there, if it is not that already.

    What has that name by itself has been loaded by multiprocessing, or in a worker.
    """
    named = sys.modules.get("__mp_main__")
    if main is not None and getattr(named, "__name__", None) != "__mp_main__":
        sys.modules["__mp_main__"] = main


def _find_main(main: object) -> tuple[str, str] | None:
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        return "name", name
    path = getattr(main, "__file__", None)
    if path is None:
        return None
    import os.path

    path = os.path.abspath(path)
    return ("path", path) if os.path.isfile(path) else None


# ---- pickles ----


def pack_nothing(value: object) -> None:
    """Be a pickler's persistent_id where there are no attachments."""
    kind = type(value)
    if kind.__name__ == "Connection" and kind.__module__ == "multiprocessing.connection":
        # As the C core's persistent_id has it.
        raise TypeError("a copy would close its file descriptor")


def dumps_plain(value: object) -> bytes:
    """Pickle a value, or raise where that would send the number of a file descriptor."""
    import _pickle

    data = _pickle.dumps(value, 5)
    if b"multiprocessing.connection" in data:
        return dumps_attaching(value, pack_nothing)  # which asks about each object
    return data


def dumps_attaching(value: object, pack: "Pack", reduce: "Reduce | None" = None) -> bytes:
    """Pickle a value; pack, the pickler's persistent_id, takes out what is large or lent."""
    file = io.BytesIO()
    pickler = _classes().Pickler(file, 5)
    pickler.persistent_id = pack
    if reduce is not None:
        pickler.reducer_override = reduce
    pickler.dump(value)
    return file.getvalue()


def dumps_by_value(value: object, pack: "Pack", reduce: "Reduce | None" = None) -> bytes:
    """Do the same with cloudpickle; reduce, a reducer_override, goes before cloudpickle's own."""
    file = io.BytesIO()
    pickler = _classes(by_value=True).CloudPickler(file, 5)
    pickler.persistent_id = pack
    if reduce is None:
        pickler.dump(value)
        return file.getvalue()
    own = pickler.reducer_override

    def reduce_first(each: object) -> "Any":
        reduced = reduce(each)
        return own(each) if reduced is NotImplemented else reduced

    pickler.reducer_override = reduce_first
    try:
        pickler.dump(value)
    finally:
        del pickler.reducer_override  # a reference cycle with all that was pickled
    return file.getvalue()


def loads_attached(data: "bytes | memoryview", unpack: "Unpack | None") -> "Any":
    """Rebuild such a value; unpack, where there are attachments, is its persistent_load."""
    if unpack is None:
        import _pickle

        return _pickle.loads(data)
    unpickler = _classes().Unpickler(io.BytesIO(data))
    unpickler.persistent_load = unpack
    return unpickler.load()


class _Classes:
    """Picklers whose hooks are attributes. Made on first need, as is pickle imported."""

    Pickler: "Any" = None
    Unpickler: "Any" = None
    CloudPickler: "Any" = None


def _classes(by_value: bool = False) -> type[_Classes]:
    if _Classes.Pickler is None:
        import _pickle

        # Slots, since instances of 3.13's own picklers do not take these attributes.
        hooks = {"__slots__": ("persistent_id", "reducer_override")}
        _Classes.Pickler = type("Pickler", (_pickle.Pickler,), hooks)
        _Classes.Unpickler = type(
            "Unpickler", (_pickle.Unpickler,), {"__slots__": ("persistent_load",)}
        )
    if by_value:
        import cloudpickle

        # Made anew after a scrub, which drops cloudpickle: of the old one, only ruins are left.
        if not issubclass(_Classes.CloudPickler or object, cloudpickle.Pickler):
            from interp_executor._reducers import REDUCERS

            table = cloudpickle.Pickler.dispatch_table
            # In one dict with cloudpickle's own, since each that is looked into costs.
            table = table.new_child({**table.maps[0], **REDUCERS})
            _Classes.CloudPickler = type(
                "CloudPickler",
                (cloudpickle.Pickler,),
                {"__slots__": ("persistent_id",), "dispatch_table": table},
            )
    return _Classes


def _encode_object(fn: object, pack: "Pack") -> tuple[int, bytes]:
    try:
        data = dumps_attaching(fn, pack)
    except Exception:  # cloudpickle meets the same failure, and it is explained
        return BY_VALUE, _by_value(fn, "the callable", pack)
    if names_lost_main(data):
        return BY_VALUE, _by_value(fn, "the callable", pack)
    return PICKLED, data


def names_lost_main(data: bytes) -> bool:
    """Whether a pickle refers to a main module that no worker can load."""
    return b"__main__" in data and find_main() is None


def _by_value(value: object, place: str, pack: "Pack" = pack_nothing) -> bytes:
    try:
        with TakenByValue(_home_of(value)):
            return dumps_by_value(value, pack)
    except Exception as error:
        from interp_executor._diagnose import transfer_error

        raise transfer_error(value, place, error, pack) from error


def _home_of(value: object) -> str | None:
    """Return the module that a callable is not to be tied to, since no worker finds it there.

    What is taken by value of a main script may use what workers do find in it.
    """
    if not isinstance(value, _NAMED):
        return None
    if value.__module__ != "__main__" or (IN_MAIN, value.__qualname__.encode()) in _sent_by_value:
        return value.__module__
    return None


# How many threads want a module taken by value, and the lock for that: a __del__ may submit within.
_wishes: "dict[str, int]" = {}
_wishes_lock = RLock()


class TakenByValue:
    """Has cloudpickle take by value what these modules define, while any thread wants that.

    cloudpickle's register is the whole interpreter's, so each thread's wish is counted. What is
    registered already is somebody else's, and stays.
    """

    def __init__(self, *names: "str | None") -> None:
        found = (sys.modules.get(name) for name in names if name is not None)
        self._modules = [module for module in found if isinstance(module, type(sys))]
        self._wished: list[ModuleType] = []

    def __enter__(self) -> None:
        import cloudpickle

        with _wishes_lock:
            for module in self._modules:
                wishes = _wishes.get(module.__name__, 0)
                if wishes == 0:
                    if module.__name__ in cloudpickle.list_registry_pickle_by_value():
                        continue
                    cloudpickle.register_pickle_by_value(module)
                _wishes[module.__name__] = wishes + 1
                self._wished.append(module)

    def __exit__(self, *failure: object) -> None:
        import cloudpickle

        with _wishes_lock:
            for module in self._wished:
                wishes = _wishes.pop(module.__name__, 0)  # none: this is a forked child
                if wishes > 1:
                    _wishes[module.__name__] = wishes - 1
                elif module.__name__ in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.unregister_pickle_by_value(module)


def begin_child() -> None:
    """Forget in a forked child what the threads of the parent wish for: one may hold the lock."""
    global _wishes_lock
    _wishes_lock = RLock()
    if _wishes:
        import cloudpickle

        for name in set(_wishes).intersection(cloudpickle.list_registry_pickle_by_value()):
            if name in sys.modules:
                cloudpickle.unregister_pickle_by_value(sys.modules[name])
        _wishes.clear()


def dumps_call(args: tuple[object, ...], kwargs: dict[str, object], pack: "Pack") -> bytes:
    """Pickle a call's arguments by value, or raise a TransferError that names the culprit."""
    try:
        return dumps_by_value((args, kwargs), pack)
    except Exception as error:
        from interp_executor._diagnose import transfer_error_of_call

        raise transfer_error_of_call(args, kwargs, error, pack) from error


def dumps_value(value: object, pack: "Pack") -> bytes:
    """Pickle one argument of a map by value, or raise a TransferError that names the culprit."""
    return _by_value(value, "the argument", pack)


def dumps_result(value: object, pack: "Pack") -> bytes:
    """Pickle a task's result by value, or raise a TransferError that names the culprit."""
    return _by_value(value, "the result", pack)
