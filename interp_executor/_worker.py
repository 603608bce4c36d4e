"""The Python side of a worker: the only code of this package that every interpreter runs.

The C core calls what is defined here, in the worker's interpreter and on its thread. Start-up and
memory of each worker pay for every import, so all that is seldom needed is imported when needed.
"""

import marshal
import sys

from interp_executor import _native, _output, _serialize
from interp_executor._errors import TaskInterrupt  # noqa: F401 - for the C core to raise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from interp_executor._serialize import Pack, Unpack

# A world is what a worker takes over from its owner: marshalled by the owner's _world.py.
#   path: tuple of str            sys.path
#   argv: list of str             sys.argv
#   main: (kind, where) or None   how to load the main script, as _serialize.find_main() says
#   filters: list of tuples       warnings.filters, in the form of _filters.encode()
#   environ: dict of bytes, None  os.environ
#   importers: list of str        modules whose import this worker has come about by: _recursion.py
_world: "dict[str, Any]" = {}
_encoded = b""  # what that has been decoded from, if all of it has been applied

# True while the main script is being loaded: an executor that submits then would recurse.
loading_main = False

# The main script as a module, once it is loaded.
main: object = None

# Whether code came by value, if only as text or in an object: see _scrub.is_clean().
came_by_value = False


def start(world: bytes) -> bytearray:
    """Set the interpreter up; return the byte that tells whether output is waiting."""
    global main
    _output.install_streams()
    main = sys.modules.get("__mp_main__")  # a process of multiprocessing's has loaded it already
    if main is None:
        _install_main()
    update_world(world)
    if _native.is_main_interpreter():
        return _output.written  # a process of the process lane: it has no lives to keep apart
    from interp_executor import _scrub, _threads

    sys.unraisablehook = _native.unraisablehook
    _threads.adopt_when_imported()
    _threads.outlive_raw_threads()
    _keep_from_collector()
    _scrub.remember_birth()
    return _output.written


def _keep_from_collector() -> None:
    """Let no collection walk the 10,000 objects that every interpreter is born with.

    Each full one would spend a millisecond on them, those at the end of a lease included. When the
    interpreter ends, CPython needs to collect them after all, or their memory is lost.
    """
    import atexit
    import gc

    gc.freeze()
    atexit.register(gc.unfreeze)


def update_world(data: bytes) -> None:
    """Take over the owner's world, as a lease begins."""
    global _world, _encoded
    if data != _encoded:
        _world = marshal.loads(data)
        apply_world()
        _encoded = data


def refresh_world(data: bytes) -> bool:
    """Take over, in the midst of a lease, where modules are found now; whether that has changed.

    What initializers and tasks have made of the path, and of all the rest, stays.
    """
    global _world, _encoded
    world, before = marshal.loads(data), _world
    if (world["path"], world["main"]) == (before["path"], before["main"]):
        return False
    come = [entry for entry in world["path"] if entry not in before["path"]]
    first = next((i for i, entry in enumerate(world["path"]) if entry not in come), 0)
    kept = [entry for entry in sys.path if entry in world["path"] or entry not in before["path"]]
    sys.path[:] = [*come[:first], *kept, *come[first:]]
    sys.path_importer_cache.clear()
    _world, _encoded = {**before, "path": world["path"], "main": world["main"]}, b""
    return True


def importers() -> list[str]:
    """Return by the import of which modules this worker has come about: see _recursion.py."""
    names: list[str] = _world.get("importers", [])
    return names


def apply_world() -> None:
    """Make the interpreter as the world says, whatever tasks have made of it."""
    if sys.path != list(_world["path"]):
        sys.path[:] = _world["path"]
        sys.path_importer_cache.clear()
    sys.argv[:] = _world["argv"]
    from interp_executor import _filters
    from interp_executor._world import apply_environ

    _filters.apply(_world["filters"])
    apply_environ(_world["environ"])


def is_as_the_world() -> bool:
    """Whether what the world says holds here, as apply_world() makes it."""
    from interp_executor import _filters
    from interp_executor._world import environ

    return (
        tuple(sys.path) == _world["path"]
        and sys.argv == _world["argv"]
        and _filters.are(_world["filters"])
        and _world["environ"] in (None, environ())
    )


# ---- callables ----


def load_callable(form: int, data: bytes, unpack: "Unpack | None") -> "Callable[..., Any]":
    """Turn the bytes that _serialize.encode_callable() made into a callable again."""
    global came_by_value
    if form == _serialize.BY_REFERENCE:
        module, _, name = data.decode().partition("\0")
        return _in_a_frame(_resolve(_import(module), name))
    if form == _serialize.IN_MAIN:
        return _resolve(load_main(), data.decode())
    if form == _serialize.IN_CONTEXT:
        from interp_executor._context import decode_in_context

        return decode_in_context(data, unpack, load_callable)
    came_by_value = True
    loaded: Callable[..., Any] = _serialize.loads_attached(data, unpack)
    return loaded


def _import(name: str) -> object:
    __import__(name)
    return sys.modules[name]


def _resolve(module: object, qualname: str) -> "Callable[..., Any]":
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part)
    resolved: Callable[..., Any] = found
    return resolved


# Builtins that ask who calls them: the C core has no frame for them to find.
_LOOK_AT_THEIR_CALLER = ("eval", "exec", "globals", "locals", "vars", "dir")


def _in_a_frame(fn: "Callable[..., Any]") -> "Callable[..., Any]":
    if getattr(fn, "__name__", None) not in _LOOK_AT_THEIR_CALLER:
        return fn
    if getattr(fn, "__module__", None) != "builtins":
        return fn
    global came_by_value
    came_by_value = True
    function: Any = _serialize.FunctionType
    call = function(_call.__code__, sys.modules["__main__"].__dict__)
    call.__kwdefaults__ = {"fn": fn}
    in_a_frame: Callable[..., Any] = call
    return in_a_frame


def _call(*args: object, fn: "Any", **kwargs: object) -> object:
    return fn(*args, **kwargs)


# ---- the main script ----


def _install_main() -> None:
    """Let pickles that name __main__ or __mp_main__ load the main script on first need."""
    module = sys.modules["__mp_main__"] = sys.modules["__main__"]
    module.__dict__["__getattr__"] = _main_attribute


def _main_attribute(name: str) -> object:
    if name.startswith("__") or _world.get("main") is None or loading_main:
        raise AttributeError(f"module '__main__' has no attribute {name!r}")
    return getattr(load_main(), name)


def load_main() -> object:
    """Return the main script as a module, loading it once, as multiprocessing's spawn does."""
    global loading_main, main
    if main is not None:
        return main
    if _world.get("main") is None:
        raise ImportError("the main module is not a script that a worker could load")
    if loading_main:
        raise RuntimeError(
            "the main script is still being loaded: what it defines cannot be used yet"
        )
    from interp_executor._main import load

    loading_main = True
    try:
        main = load(*_world["main"])
    finally:
        loading_main = False
    return main


# ---- outcomes ----


dumps_attaching = _serialize.dumps_attaching
loads_attached = _serialize.loads_attached


def dumps_value(value: object, pack: "Pack") -> bytes:
    """Pickle a result that plain pickle cannot, or raise TransferError."""
    return _serialize.dumps_result(value, pack)


def dumps_call(args: tuple[object, ...], kwargs: dict[str, object], pack: "Pack") -> bytes:
    """Complete what the C codec asks of an interpreter; workers send no calls to their owner."""
    return _serialize.dumps_call(args, kwargs, pack)


def encode_raised(error: BaseException) -> bytes:
    """Encode what a task raised."""
    from interp_executor import _outcome

    return _outcome.encode(error)


def encode_stopped(error: BaseException, late: bool, timeout: float) -> bytes | None:
    """Encode that a task was interrupted, or return None if error has nothing to do with that."""
    from interp_executor import _outcome

    return _outcome.encode_stopped(error, late, timeout)


def encode_unloadable(error: BaseException, what: str) -> bytes:
    """Encode that a task's callable or arguments could not be loaded."""
    from interp_executor import _outcome

    return _outcome.encode_unloadable(error, what)


def refused(error: BaseException) -> "str | None":
    """Return which modules refused to load, separated by spaces, or None if that is not it."""
    from interp_executor._refusal import refused_modules

    return " ".join(refused_modules(error)) or None


flush = _output.flush  # called by the C core


# ---- between leases ----


def begin_lease(name: str, world: bytes) -> None:
    """Give the interpreter's main thread the worker's name, and take over the owner's world."""
    from interp_executor import _threads

    _threads.set_name(name)
    update_world(world)


def forward_output(levels: "_output.Levels") -> None:
    """Send output and log records to the owner from now on, whose loggers have these levels."""
    _output.forward(levels)


def stop_forwarding() -> bool:
    """Let output go to the file descriptors again; return True."""
    _output.forward(None)
    return True


def is_clean() -> bool:
    """Return whether nothing of what ran is left that the next executor's tasks could see."""
    _output.forward(None)
    from interp_executor import _scrub

    return _scrub.is_clean()


def scrub() -> bool:
    """Undo what tasks left behind as far as possible; return whether the worker may go on."""
    _output.forward(None)
    from interp_executor import _scrub

    return _scrub.scrub()
