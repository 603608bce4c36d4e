"""Tasks that leave something behind in their worker, for the tests of the hive."""

import _thread
import atexit
import builtins
import logging
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

calls = 0


class Thing:
    """Something with an end to be told of."""


def count_calls() -> int:
    """Count in a global of this module."""
    global calls
    calls += 1
    return calls


def add_one(number: int) -> int:
    """Add one."""
    return number + 1


class Telling:
    """An object in a cycle that tells of its end."""

    def __init__(self, fd: int, byte: bytes) -> None:
        self.me, self.fd, self.byte = self, fd, byte

    def __del__(self) -> None:
        os.write(self.fd, self.byte)


def keep_cycle(fd: int, byte: bytes) -> None:
    """Keep a cycle of garbage to be in a global."""
    globals()["telling"] = Telling(fd, byte)


def write_byte(fd: int, byte: bytes) -> None:
    """Tell the test through a pipe."""
    os.write(fd, byte)


def read_byte(fd: int) -> bytes:
    """Wait for the test, through a pipe."""
    return os.read(fd, 1)


def tell_and_read(tell: int, fd: int) -> bytes:
    """Tell the test that the task runs, and wait."""
    os.write(tell, b"!")
    return os.read(fd, 1)


def read_at(fd: int, where: int, item: int) -> int:
    """Wait at one item of a map."""
    if item == where:
        os.read(fd, 1)
    return item


def tell_and_read_at(tell: int, fd: int, where: int, item: int) -> int:
    """Tell the test that an item of a map has been reached, and wait there."""
    if item == where:
        os.write(tell, b"!")
        os.read(fd, 1)
    return item


def register_exit(fd: int, byte: bytes) -> None:
    """Leave an exit callback behind."""
    atexit.register(write_byte, fd, byte)


def leave_finalizer(fd: int, byte: bytes) -> bool:
    """Leave an object with a finalizer behind; whether finalizers work at all."""
    globals()["kept"] = thing = Thing()
    return weakref.finalize(thing, write_byte, fd, byte).alive


def leave_traces() -> None:
    """Change what the next executor's tasks could see."""
    logging.basicConfig(level=logging.DEBUG)
    logging.getLogger("left").addHandler(logging.NullHandler())
    sys.path.append("/left/behind")
    sys.excepthook = print
    sys.meta_path.append(Thing())  # type: ignore[arg-type]
    warnings.simplefilter("error", BytesWarning)
    sys.modules["left_behind"] = sys
    builtins.left_behind = sys  # type: ignore[attr-defined]
    sys.setrecursionlimit(4321)


def traces() -> list[str]:
    """Name the changes of leave_traces() that are still there."""
    found = {
        "handlers": bool(logging.getLogger().handlers),
        "level": logging.getLogger().level != logging.WARNING,
        "logger": "left" in logging.getLogger().manager.loggerDict,
        "path": "/left/behind" in sys.path,
        "hook": sys.excepthook is print,
        "finder": any(type(finder).__name__ == "Thing" for finder in sys.meta_path),
        "filter": any(f[2] is BytesWarning and f[0] == "error" for f in warnings.filters),
        "module": "left_behind" in sys.modules,
        "builtin": hasattr(builtins, "left_behind"),
        "limit": sys.getrecursionlimit() == 4321,
    }
    return [name for name, there in found.items() if there]


def leave_gil_holder(start: int, go: int, ready: int, stop: int) -> None:
    """Leave a thread behind that keeps its interpreter's GIL from ready until stop."""
    import ctypes

    read_holding_gil = ctypes.PyDLL(None).read
    memory = ctypes.create_string_buffer(1)

    def hold() -> None:
        os.read(go, 1)
        os.write(ready, b"!")
        read_holding_gil(stop, memory, 1)

    threading.Thread(target=hold).start()
    os.read(start, 1)


class Lender:
    """Memory whose end leaves a thread behind that keeps the GIL."""

    def __init__(self, *fds: int) -> None:
        self.fds, self.memory = fds, bytearray(8)

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.memory)

    def __del__(self) -> None:
        leave_gil_holder(*self.fds)


def lend_and_leave_gil_holder(*fds: int) -> memoryview:
    """Lend memory; whoever gives it back makes the worker leave such a thread behind."""
    return memoryview(Lender(*fds))


def leave_raw_thread(read: int, write: int) -> None:
    """Leave a thread behind that nobody joins: it waits for the test, and tells of its end."""

    def wait() -> None:
        os.read(read, 1)
        os.write(write, b"!")

    _thread.start_new_thread(wait, ())


def leave_thread(fd: int) -> None:
    """Leave a thread behind that waits for the test."""
    threading.Thread(target=os.read, args=(fd, 1)).start()


def make_doubler() -> Callable[[int], int]:
    """Return a function that can only cross by value."""
    return lambda number: 2 * number


def leave_waiting_thread(fd: int) -> int:
    """Leave a thread behind that nothing ends but the test."""
    threading.Thread(target=os.read, args=(fd, 1)).start()
    return fd


def leave_blocking_callback(fd: int) -> int:
    """Leave an exit callback behind that nothing ends but the test."""
    atexit.register(os.read, fd, 1)
    return fd


def leave_computing_callback(fd: int, seconds: float) -> None:
    """Leave an exit callback behind that writes a byte when it has computed for so long."""

    def compute() -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        os.write(fd, b"!")

    atexit.register(compute)


def fail_while(fd: int) -> None:
    """Fail as long as there is something to read, a byte each time."""
    if os.read(fd, 1) == b"x":
        raise ValueError("not yet")


def import_datetime(fd: int, number: int) -> str:
    """Import datetime at the same moment as others, and use it."""
    os.read(fd, 1)
    import datetime

    return str(datetime.date(2000, 1, 1) + datetime.timedelta(days=number))


def tell_stdlib() -> None:
    """Have the standard library remember something, as a usual initializer does."""
    import decimal
    import random
    import socket
    import tempfile

    random.seed(42)
    decimal.getcontext().prec = 4
    logging.captureWarnings(True)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    socket.setdefaulttimeout(0.001)
    tempfile.tempdir = "/nowhere"
    threading.excepthook = print  # type: ignore[assignment]
    sys.tracebacklimit = 1


def what_stdlib_knows() -> list[str]:
    """Name what of tell_stdlib() is remembered."""
    import asyncio.log
    import decimal
    import random
    import socket
    import tempfile

    seeded = random.Random(42)
    found = {
        "seed": random.getstate() == seeded.getstate(),
        "precision": decimal.getcontext().prec == 4,
        "captured": warnings.showwarning.__module__ == "logging",
        "level": asyncio.log.logger.level != logging.NOTSET,
        "logger": asyncio.log.logger is not logging.getLogger("asyncio"),
        "timeout": socket.getdefaulttimeout() is not None,
        "folder": tempfile.tempdir == "/nowhere",
        "excepthook": threading.excepthook is print,
        "limit": hasattr(sys, "tracebacklimit"),
    }
    return [name for name, there in found.items() if there]


def take_back_exit(fd: int, byte: bytes) -> None:
    """Register an exit callback and take it back: the work went well."""
    atexit.register(write_byte, fd, byte)
    atexit.unregister(write_byte)


def leave_thread_and_exit(fd: int) -> None:
    """Leave a thread behind that needs what an exit callback takes away."""
    ready = threading.Event()

    def work() -> None:
        ready.set()
        time.sleep(0.2)
        os.write(fd, b"1")

    atexit.register(os.write, fd, b"2")
    threading.Thread(target=work).start()
    ready.wait()


def leave_daemon_child() -> int:
    """Leave a daemonic process behind, which multiprocessing ends with its parent."""
    import multiprocessing

    child = multiprocessing.get_context("spawn").Process(
        target=time.sleep, args=(1000,), daemon=True
    )
    child.start()
    assert child.pid is not None
    return child.pid


def make_pattern() -> "re.Pattern[str]":
    """Import a module that tells copyreg how to pickle something of its own."""
    import re

    return re.compile("a+")


def tell_copyreg(*kinds: type) -> None:
    """Have things pickled in another way."""
    import copyreg

    for kind in kinds:
        copyreg.pickle(kind, reduce_rudely)  # type: ignore[arg-type]


def reduce_rudely(_: object) -> str:
    """Pickle as a global, which is of no use to anybody."""
    return "calls"


def pickled_rudely() -> list[str]:
    """Name what is pickled as a task of this module has said."""
    import copyreg

    table = copyreg.dispatch_table.items()
    return [kind.__name__ for kind, reduce in table if reduce.__name__ == "reduce_rudely"]


def keep_in_typing(fd: int) -> str:
    """Have typing remember a class of this module, which tells of its end."""
    import typing

    globals()["told"] = Telling(fd, b"x")
    return str(typing.Annotated[Telling, "a class with functions, which lead to its module"])


def monitor(fd: int, tell: bool) -> list[str | None]:
    """Monitor calls, and tell of them; return which tools there are already."""
    monitoring = sys.monitoring
    tools = [monitoring.get_tool(tool) for tool in range(6)]
    for tool in (0, 3):
        monitoring.use_tool_id(tool, "left")
        starts = monitoring.events.PY_START
        if tell:
            monitoring.register_callback(tool, starts, lambda *_: os.write(fd, b"!"))
        monitoring.set_events(tool, starts)
    return tools


def set_start_method(method: str) -> str:
    """Do what can be done once."""
    import multiprocessing

    multiprocessing.set_start_method(method)
    return multiprocessing.get_start_method()


def keep_in_context(fd: int) -> None:
    """Have the context remember an object that tells of its end."""
    import contextvars

    contextvars.ContextVar[Telling]("told").set(Telling(fd, b"x"))


def keep_in_fork_hook(fd: int) -> None:
    """Have os remember an object for a fork."""
    os.register_at_fork(before=Telling(fd, b"x").__del__)


def keep_in_ctypes(fd: int) -> None:
    """Have ctypes remember a class of this module."""
    import ctypes

    class Structure(ctypes.Structure):
        _fields_ = [("number", ctypes.c_int)]
        told = Telling(fd, b"x")

    ctypes.POINTER(Structure)


def keep_in_overloads(fd: int) -> None:
    """Have typing remember a function of this module."""
    import typing

    told = Telling(fd, b"x")

    @typing.overload
    def overloaded(of: int) -> None: ...
    @typing.overload
    def overloaded(of: str) -> None: ...
    def overloaded(of: object) -> object:
        return told

    for function in typing.get_overloads(overloaded):
        function.told = told  # type: ignore[attr-defined]


def keep_in_filter(fd: int) -> None:
    """Have warnings remember a class of this module."""
    kind = type("Kind", (UserWarning,), {"told": Telling(fd, b"x")})
    warnings.simplefilter("ignore", kind)


def keep_in_function_type(fd: int) -> None:
    """Have ctypes remember a class of this module for a type of functions."""
    import ctypes

    ctypes.CFUNCTYPE(type("Kind", (ctypes.c_int,), {"told": Telling(fd, b"x")}))


def keep_in_reducer(fd: int) -> None:
    """Have copyreg remember an object for a class of the standard library."""
    import copyreg
    import decimal
    import functools

    copyreg.pickle(decimal.Decimal, functools.partial(repr, Telling(fd, b"x")))  # type: ignore[arg-type]


def leave_decimal_context() -> None:
    """Have the precision change once the generator is freed, and that of new contexts now."""
    import decimal

    def generate() -> "Iterator[None]":
        with decimal.localcontext():
            yield

    decimal.DefaultContext.prec = 7
    decimal.getcontext().prec = 6
    globals()["generator"] = generator = generate()
    next(generator)


def precisions() -> tuple[int, int]:
    """Return the precision of the context, and of new ones."""
    import decimal

    return decimal.getcontext().prec, decimal.Context().prec


def add_audit_hook(hook: Callable[..., object]) -> None:
    """Add what nothing can remove."""
    sys.addaudithook(hook)
