"""Tasks that are to be stopped, for test_interrupts.py and its neighbours."""

import os
import threading
import time


def tell(fd: int) -> None:
    """Tell the test that the task has begun."""
    os.write(fd, b"!")


def loop(fd: int) -> None:
    """Run for ever, in Python."""
    tell(fd)
    while True:
        pass


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


def sleep(fd: int, seconds: float) -> str:
    """Sleep, which only 3.15 can interrupt."""
    tell(fd)
    time.sleep(seconds)
    return "slept"


def wait_in_c(fd: int, seconds: float) -> str:
    """Wait for a lock, which nothing can interrupt; what comes before or after is swallowed."""
    told = False
    lock = threading.Lock()
    lock.acquire()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            if not told:
                told = True
                tell(fd)
            lock.acquire(timeout=left)
        except BaseException:
            continue
    return "waited"


def wait_at(item: float) -> float:
    """Wait for so many seconds in C, unless it is 0."""
    if item:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire(timeout=item)
    return item


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
