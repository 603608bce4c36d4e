"""A program whose allocations fail one after the other; run by test_no_memory.py.

``core`` lets each allocation of the C core fail in turn, on whatever thread, in a run of everything
that executors do; ``start`` in the start and the end of a worker. ``owner`` does likewise with
CPython's own allocations in single calls of the owner, ``worker`` with those in tasks. Nothing may
hang, crash or be lost: each call raises what says so, or has the right outcome, and the next run is
none the worse.
"""

import ctypes
import faulthandler
import itertools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import interp_executor
from interp_executor import BrokenInterpreterPool, InterpreterPoolExecutor, SharedBuffer
from tests import memory_tasks as tasks

TOLD = ("no memory", "could not be described", "MemoryError")
LARGE = bytes(300_000)  # lent, not copied
NEVER = (2**30,)  # of arguments, a tuple: to make one takes memory

escaped: list[str] = []


def tells(error: BaseException | None) -> bool:
    """Whether an exception says that there was no memory."""
    if isinstance(error, MemoryError) or any(text in str(error) for text in TOLD):
        return True
    causes = [] if error is None else [error.__cause__, error.__context__]
    return any(cause is not None and tells(cause) for cause in causes)


class Run:
    """Calls that may fail for want of memory, and for no other reason."""

    def __init__(self) -> None:
        self.expected: list[tuple[Future[object], object]] = []
        self.failed = 0

    def call(self, function: Callable[..., object], *args: object) -> object:
        """Call it; None where there was no memory."""
        try:
            return function(*args)
        except (MemoryError, RuntimeError) as error:
            if not tells(error) and not isinstance(error, BrokenInterpreterPool):
                raise
            self.failed += 1
            return None

    def expect(self, submit: Callable[..., object], expected: object, *call: object) -> None:
        """Submit a call whose result is known."""
        future = self.call(submit, *call)
        if isinstance(future, Future):
            self.expected.append((future, expected))

    def check(self) -> None:
        """Every future is done, and right or out of memory."""
        for future, expected in self.expected:
            assert future.done(), future
            error = self.call(future.exception, 0)
            if error is None:
                value = self.call(future.result, 0)
                if isinstance(value, memoryview):
                    value = value.tobytes()
                assert value in (None, expected), (value, expected)
            elif not isinstance(error, tasks.Refusal):
                assert isinstance(error, BrokenInterpreterPool) or tells(error), repr(error)
                self.failed += 1


def everything(run: Run) -> None:
    """Do a little of all that executors do."""
    with InterpreterPoolExecutor(2, reuse=True) as executor:
        timed = run.call(lambda: executor.with_options(timeout=60.0))
        for number in range(3):
            run.expect(executor.submit, number, tasks.echo, number)
        run.expect(executor.submit, "x" * 5000, tasks.fill, "x", 5000)
        run.expect(executor.submit, "x" * 300_000, tasks.fill, "x", 300_000)
        run.expect(executor.submit, len(LARGE), tasks.length, LARGE)
        run.expect(executor.submit, LARGE, tasks.echo, memoryview(LARGE))
        run.expect(executor.submit, [1, {"a": "b" * 2000}], tasks.echo, [1, {"a": "b" * 2000}])
        run.expect(executor.submit, None, tasks.refuse)
        run.expect(executor.submit, 4, lambda: 4)
        if isinstance(timed, InterpreterPoolExecutor):
            run.expect(timed.submit, 5, tasks.echo, 5)
        shared = run.call(SharedBuffer, 100)
        if shared is not None:
            run.expect(executor.submit, 100, tasks.length, shared)
        seen: list[object] = []
        for future, _ in run.expected[:2]:
            run.call(future.add_done_callback, seen.append)
        found = run.call(lambda: list(executor.map(tasks.add, range(200), range(200))))
        assert found in (None, list(range(0, 400, 2))), found
        long = run.call(lambda: list(executor.map(tasks.fill, "ab", [3000, 3000])))
        assert long in (None, ["a" * 3000, "b" * 3000])
    run.check()


def a_start(run: Run) -> None:
    """Start a worker anew, run a task and end it."""
    interp_executor.close_idle_workers()
    with InterpreterPoolExecutor(1) as executor:
        run.expect(executor.submit, 1, tasks.echo, 1)
    run.check()


def check_escaped(number: int) -> None:
    """No thread may have died of it."""
    assert not escaped, (number, escaped)


def fail_in_the_core(scene: Callable[[Run], None]) -> int:
    """Return how many allocations have failed."""
    shim = ctypes.CDLL(None)
    shim.failing_malloc_watch.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
    shim.failing_malloc_arm.argtypes = [ctypes.c_long]
    shim.failing_malloc_has_failed.restype = ctypes.c_bool
    code = [
        line.split()[0].split("-")
        for line in Path("/proc/self/maps").read_text().splitlines()
        if "/_native." in line
    ]
    shim.failing_malloc_watch(int(code[0][0], 16), int(code[-1][1], 16))
    for number in itertools.count(1):
        run = Run()
        faulthandler.dump_traceback_later(30, exit=True)
        shim.failing_malloc_arm(number)
        scene(run)
        failed = bool(shim.failing_malloc_has_failed())
        shim.failing_malloc_arm(0)
        check_escaped(number)
        if not failed:
            break
    assert run.failed == 0  # nothing of the earlier ones is left
    return number - 1


def pythons_failing() -> Callable[..., None]:
    """Return CPython's own function that lets allocations fail from one number on to another.

    Its hooks stay in place from here on, before other threads run: they are put in and taken away
    without a lock, and a thread that allocates meanwhile may take the function of one allocator
    and the context of the other.
    """
    import _testcapi

    _testcapi.set_nomemory(*NEVER)
    return _testcapi.set_nomemory


def fail_in_the_owner() -> int:
    """Return how many allocations failed."""

    def each(action: Callable[[], object]) -> object:
        """Call it until no allocation is left to fail; return what it returns then."""
        nonlocal total
        for number in range(1, 1000):
            fail(number, number + 1)
            try:
                value = action()
            except MemoryError:
                total += 1
            else:
                return value
            finally:
                fail(*NEVER)
        raise AssertionError("it never succeeds")

    fail = pythons_failing()
    total = 0
    submitted: list[Future[object]] = []
    with InterpreterPoolExecutor(1) as executor:
        calls: list[tuple[object, ...]] = [
            (tasks.echo, 1),
            (tasks.echo, "text"),
            (tasks.echo, [1, "two", {"three": 4.0}]),
            (tasks.add, 1, 2),
            (tasks.length, LARGE),
            (tasks.length, memoryview(LARGE)),
        ]
        for call in calls:
            executor.submit(*call).result()  # whatever is imported or kept for it is there
        for call in calls:
            # The only worker waits: all that is allocated meanwhile is the owner's.
            flag = SharedBuffer(1)
            busy = executor.submit(tasks.wait_without_memory, flag)
            view = memoryview(flag)
            faulthandler.dump_traceback_later(30, exit=True)
            while view[0] != 1:
                os.sched_yield()
            future = each(lambda call=call: executor.submit(*call))
            assert isinstance(future, Future)
            submitted.append(future)
            results = each(lambda: executor.map(tasks.echo, (1, "a", (2.5, None))))
            view[0] = 2
            busy.result()
            future.exception()
            executor.submit(tasks.echo, 0).result()  # all before it has run
            each(future.result)
            assert list(results) == [1, "a", (2.5, None)]  # type: ignore[call-overload]
    assert all(future.done() for future in submitted)
    return total


def fail_in_the_worker() -> int:
    """Return in how many runs something failed. Meanwhile the owner needs no memory.

    No task raises: CPython itself crashes in some places where a traceback is to be formatted.
    """
    fail = pythons_failing()
    failed = 0
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(tasks.echo, 0).result()  # from now on there is a worker
        for number in range(1, 61):
            run = Run()
            reader, writer = os.pipe()  # a task that fails before it reads leaves its byte behind
            faulthandler.dump_traceback_later(30, exit=True)
            run.expect(executor.submit, b".", tasks.wait_for_byte, reader)
            run.expect(executor.submit, [1, {"a": 2.0}], tasks.echo, [1, {"a": 2.0}])
            run.expect(executor.submit, "x" * 5000, tasks.fill, "x", 5000)
            first, last = run.expected[0][0], run.expected[-1][0]
            while not first.running():
                os.sched_yield()
            fail(number, number + 1)
            os.write(writer, b".")
            while not last.done():  # which needs no memory
                os.sched_yield()
            fail(*NEVER)
            os.close(reader)
            os.close(writer)
            run.check()
            check_escaped(number)
            failed += run.failed != 0
    return failed


def main() -> None:
    threading.excepthook = lambda args: escaped.append(repr(args.exc_value))
    scenes = {
        "core": lambda: fail_in_the_core(everything),
        "start": lambda: fail_in_the_core(a_start),
        "owner": fail_in_the_owner,
        "worker": fail_in_the_worker,
    }
    print(scenes[sys.argv[1]]())


if __name__ == "__main__":
    main()
