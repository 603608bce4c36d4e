"""Tasks of the process lane's tests: importable, and light."""

import atexit
import ctypes
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from contract.tasks import hold

initialised_with: tuple[Any, ...] = ()


def whereabouts() -> tuple[int, int]:
    """The process and the interpreter that run this task."""
    import _interpreters

    return os.getpid(), int(_interpreters.get_current()[0])


def process() -> int:
    return os.getpid()


def double(value: int) -> int:
    return value * 2


def abort() -> NoReturn:
    os.abort()


def die_with(argument: object) -> NoReturn:
    os.abort()


def segfault() -> None:
    ctypes.string_at(0)


def leave_a_child_and_be_killed(pid_file: Path) -> None:
    """Be killed, and leave a program running that has inherited all that is inheritable."""
    os.system(f"sleep 1000 & echo $! > {pid_file}")
    be_killed()


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(status: int) -> NoReturn:
    os._exit(status)


def abort_at(value: int, bad: int) -> int:
    if value == bad:
        os.abort()
    return value


def initialise(*args: Any) -> None:
    global initialised_with
    initialised_with = args


def note_in(path: Path) -> None:
    """Add this process to those that the file names."""
    with path.open("a") as file:
        print(os.getpid(), file=file)


def hold_elsewhere(process: int, inbox: str, gate: str) -> None:
    """Report and wait at the gate, in any process but this one."""
    if os.getpid() != process:
        hold(inbox, gate)


def note_item(item: object, path: Path) -> object:
    """Add the item's type to those that the file names."""
    with path.open("a") as file:
        print(type(item).__name__, file=file)
    return item


def get_nowhere(*_: object) -> None:
    """In place of what a process begins with."""
    signal.pause()


def initial() -> tuple[Any, ...]:
    return initialised_with


def import_refusing() -> str:
    import refusing_extension  # type: ignore[import-not-found]

    return str(refusing_extension.__name__)


def import_by_name(name: str) -> str:
    return str(__import__(name).__name__)


def initialise_with_refusing(value: int) -> None:
    import refusing_extension  # noqa: F401

    initialise(value)


class Arriving:
    """Its pickle needs the extension that refuses."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return import_refusing, ()


class Explodes:
    """Its pickle ends the process that loads it."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.abort, ()


def leave_thread() -> int:
    """Leave a thread behind that does not end; return the process."""
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()


def leave_thread_and_handler() -> int:
    """Leave a handler of SIGALRM that raises, too."""
    signal.signal(signal.SIGALRM, _raise)
    return leave_thread()


def _raise(*_: object) -> NoReturn:
    raise TimeoutError


def leave_process(pid_file: Path) -> int:
    """Leave a process behind that does not end; return this one."""
    child = multiprocessing.get_context("spawn").Process(target=signal.pause)
    child.start()
    pid_file.write_text(str(child.pid))
    return os.getpid()


def leave_computation(seconds: float) -> int:
    """Leave an exit callback behind that computes for a while; return the process."""
    atexit.register(_compute, seconds)
    return os.getpid()


def _compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    print("computed", flush=True)


def describe_initial() -> tuple[str, int, float]:
    """What an initializer was given, which is a buffer: its type, length and sum."""
    (value,) = initialised_with
    return type(value).__name__, len(value), sum(value)


class Unwritable(io.TextIOBase):
    """A stream whose flush raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def flush(self) -> NoReturn:
        raise self._error


def spoil_output(error: BaseException) -> int:
    """Leave a stream behind that cannot be flushed; return the process."""
    sys.stdout = Unwritable(error)
    return os.getpid()


class Endless(io.TextIOBase):
    """A stream whose flush does not end."""

    def flush(self) -> None:
        signal.pause()


def block_output() -> int:
    """Leave a stream behind that is never flushed; return the process."""
    sys.stdout = Endless()
    return os.getpid()


class Late(io.TextIOBase):
    """A stream that has something to say when it is flushed, which is at the process's end."""

    def __init__(self, stream: Any, text: str) -> None:
        self._stream, self._text = stream, text

    def flush(self) -> None:
        self._stream.write(self._text)
        self._stream.flush()
        self._text = ""


def leave_words(text: str) -> None:
    """Leave something to be said when the process ends."""
    sys.stdout = Late(sys.stdout, text)


def close_all_and_compute() -> None:
    """Go on without a way to the owner, as what becomes a daemon does."""
    os.closerange(3, 1000)
    while True:
        pass


def close_all_and_sleep() -> None:
    """Do nothing without a way to the owner."""
    os.closerange(3, 1000)
    signal.pause()


def leave_computing_process(seconds: float, notes: Path) -> int:
    """Leave a process behind that computes for a while; return this one."""
    child = multiprocessing.get_context("spawn").Process(
        target=_compute_and_note, args=(seconds, notes)
    )
    child.start()
    return os.getpid()


def _compute_and_note(seconds: float, notes: Path) -> None:
    _compute(seconds)
    notes.write_text("computed")


class Marker:
    """Counts how many of it there are in this process."""

    count = 0

    def __init__(self) -> None:
        Marker.count += 1

    def __del__(self) -> None:
        Marker.count -= 1

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return Marker, ()


class Marked:
    """A callable with a marker, which raises at bad items."""

    def __init__(self, pause: float = 0.0) -> None:
        self.marker = Marker()
        self.pause = pause

    def __call__(self, item: int) -> int:
        time.sleep(self.pause)
        return 1 // item


def count_markers() -> int:
    return Marker.count


def limit_memory(more: int) -> None:
    """Let this process have so many bytes more, and no more."""
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))


def report_and_close_all(inbox: str) -> None:
    """Say that this runs, and go on without a way to the owner."""
    with open(inbox, "w") as file:
        print("here", file=file)
    close_all_and_compute()
