"""Tasks of the process lane that fork: the copy goes on in them, too."""

import ctypes
import multiprocessing
import os
import select
import signal
import sys
import threading
from pathlib import Path

from interp_executor import _native


def wait_for(copy: int) -> int:
    """Wait for the end of a copy; return its exit status, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


def return_in_both() -> tuple[str, int]:
    copy = os.fork()
    return ("copy", 0) if copy == 0 else ("task", wait_for(copy))


def execute_what_there_is_not() -> tuple[str, int]:
    copy = os.fork()
    if copy == 0:
        os.execv("/no/such/program", ["program"])
    return "task", wait_for(copy)


def exit_in_the_copy(code: object) -> int:
    copy = os.fork()
    if copy == 0:
        sys.exit(code)  # type: ignore[arg-type]
    return wait_for(copy)


def fork_at(value: int, at: int, notes: Path) -> tuple[int, int]:
    """Fork at one of the items of a map, and note who runs which of them."""
    copy = os.fork() if value == at else None
    with notes.open("a") as file:
        print("copy" if copy == 0 else "task", value, file=file)
    if copy == 0 and value % 2:
        raise ValueError(value)
    return value, wait_for(copy) if copy else 0


def print_in_both() -> int:
    print("before")
    copy = os.fork()
    print("copy" if copy == 0 else "task")
    return wait_for(copy) if copy else 0


def print_in_a_copy_while_a_thread_writes() -> int:
    """Fork while a thread waits for room in a pipe that nobody reads; return the copy's status."""
    read, write = os.pipe()
    thread = threading.Thread(target=_native.write_whole, args=(write, b"x" * 300_000))
    thread.start()
    while select.select([], [write], [], 0)[1]:
        os.sched_yield()
    copy = os.fork()
    if copy == 0:
        signal.alarm(30)  # one that hangs ends all the same
        print("copy", flush=True)
        os._exit(0)
    status = wait_for(copy)
    with open(read, "rb") as reader:
        reader.read(300_000)
    thread.join()
    os.close(write)
    return status


def fork_in_an_executor_of_the_copy() -> int:
    """Have a copy use an executor of its own; return its exit status."""
    copy = os.fork()
    if copy == 0:
        # Not above: without it, nobody but the process itself sees to a copy's locks.
        from interp_executor import InterpreterPoolExecutor

        with InterpreterPoolExecutor(1, lane="process") as executor:
            os._exit(executor.submit(abs, -7).result())
    return wait_for(copy)


def double_in_a_copy(value: int) -> int:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=put_double, args=(queue, value))
    process.start()
    process.join()
    return int(queue.get())


def put_double(queue: "multiprocessing.SimpleQueue[int]", value: int) -> None:
    queue.put(2 * value)


def leave_a_copy_behind_python() -> tuple[int, int]:
    """Leave a copy that C code has made: Python is not told of it, so it holds all files."""
    copy = ctypes.PyDLL(None).fork()
    if copy == 0:
        signal.pause()
        os._exit(0)
    return os.getpid(), copy


def leave_a_copy() -> tuple[int, int]:
    """Leave a copy that lives on; return the numbers of the process and the copy."""
    copy = os.fork()
    if copy == 0:
        signal.pause()
        os._exit(0)
    return os.getpid(), copy
