"""Tasks that are to be stopped, for test_interrupts.py and its neighbours."""

import os
import threading
import time
import weakref
from collections.abc import Callable


def tell(fd: int) -> None:
    """Tell the test that the task has begun."""
    os.write(fd, b"!")


def loop(fd: int) -> None:
    """Run for ever, in Python."""
    tell(fd)
    while True:
        pass


def nap_first(fd: int, seconds: float) -> None:
    """Sleep a little at a time, in Python, so that an interrupt would be noticed."""
    tell(fd)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)


class LoopsWhenItGoes:
    """What loops for ever, in Python, when it is freed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __del__(self) -> None:
        loop(self._fd)


def loop_in_a_finalizer(fd: int) -> None:
    """Run for ever where no exception can leave, and afterwards where one can."""
    LoopsWhenItGoes(fd)
    while True:
        pass


def loop_in_a_callback(fd: int) -> None:
    """As above, where a weak reference tells of an object's end."""
    freed = {1}  # a set can be referred to weakly
    reference = weakref.ref(freed, lambda _: loop(fd))
    del freed
    while reference() is None:
        pass


def free_many(fd: int, ended: int, number: int) -> None:
    """Free so many objects at once, of which the first to go loops for ever; the others tell."""

    class Tells:
        def __del__(self) -> None:
            os.write(ended, b".")

    objects: list[object] = [Tells() for _ in range(number)]
    objects.append(LoopsWhenItGoes(fd))  # a list goes from its end
    objects.clear()
    while True:
        pass


def fail_in_finalizers(fd: int) -> None:
    """Raise for ever where no exception can leave."""

    class Fails:
        def __del__(self) -> None:
            raise ValueError("of a finalizer")

    Fails()
    tell(fd)
    while True:
        Fails()


def fail_in_a_finalizer() -> None:
    """Raise where no exception can leave."""

    class Fails:
        def __del__(self) -> None:
            raise ValueError("of a finalizer")

    Fails()


def loop_past_exceptions(fd: int) -> None:
    """Run for ever, and swallow every Exception."""
    tell(fd)
    while True:
        try:
            while True:
                pass
        except Exception:
            continue


def return_all_the_same(fd: int) -> str:
    """Catch the interrupt and return."""
    try:
        loop(fd)
    except BaseException as error:
        return type(error).__name__
    return "not reached"


def raise_another(fd: int) -> None:
    """Turn the interrupt into another exception."""
    try:
        loop(fd)
    except BaseException as error:
        raise ValueError("cleaning up failed") from error


def load_badly(fd: int) -> None:
    """Swallow the interrupt while arguments are loaded, and find that a module does not load."""
    try:
        loop(fd)
    except BaseException:
        told = True
    assert told
    raise ImportError("module odd does not support loading in subinterpreters")


class LoadedBadly:
    """An argument that loads so."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        return load_badly, (self.fd,)


def load_for_ever() -> None:
    """Never end to load."""
    while True:
        pass


class LoadedForEver:
    """A callable that no worker ever has."""

    def __call__(self, item: int) -> int:
        return item

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return load_for_ever, ()


def sleep(fd: int, seconds: float) -> str:
    """Sleep, which only 3.15 can interrupt."""
    tell(fd)
    time.sleep(seconds)
    return "slept"


SLICE = 0.5
"""Seconds, longer than any grace, that a task waits before it looks whether the test is over."""


def wait_in_c(fd: int, gate: int) -> str:
    """Wait for a lock until the test closes the gate: nothing can interrupt that.

    What is raised before or after is swallowed, as what says that the gate is not closed yet.
    """
    told = False
    own = os.dup(gate)  # the test closes its own and is gone
    lock = threading.Lock()
    lock.acquire()
    while True:
        try:
            if not told:
                told = True
                tell(fd)
            lock.acquire(timeout=SLICE)
            os.read(own, 1)
        except BaseException:
            continue
        os.close(own)
        return "waited"


def wait_at(gate: int) -> int:
    """Wait so at one item of a map, unless it is 0."""
    if gate:
        unread, tell_nobody = os.pipe()
        wait_in_c(tell_nobody, gate)
        os.close(unread)
        os.close(tell_nobody)
    return gate


def loop_at(item: int) -> int:
    """Run for ever at one item of a map."""
    while item < 0:
        pass
    return item


def nap(seconds: float) -> float:
    """Sleep at one item of a map, in slices that can be interrupted."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.001)
    return seconds


def count(number: int) -> int:
    """Run some bytecode, in which a late interrupt would be raised."""
    return sum(1 for _ in range(200)) * 0 + number


def wait_for_an_executor(fd: int) -> None:
    """Wait for a task of an executor of one's own, which ends when nobody waits any more."""
    from interp_executor import InterpreterPoolExecutor

    read, write = os.pipe()
    with InterpreterPoolExecutor(1) as executor:
        try:
            tell(fd)
            executor.submit(os.read, read, 1).result()
        finally:
            os.write(write, b"!")
    os.close(read)
    os.close(write)


def wait_for_nested() -> None:
    """Have an executor of the task's own at work for ever, and wait for that."""
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as executor:
        executor.submit(spin).result()


def spin() -> None:
    """Compute for ever."""
    while True:
        pass
