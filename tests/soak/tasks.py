"""Tasks of random kind from eight threads, every future accounted for exactly once.

Each thread keeps a window of futures and settles the oldest first: it checks that the future ended
as its kind may end, and notes its number. A number that is noted once is a task that is not lost.
"""

import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from interp_executor import (
    InterpreterPoolExecutor,
    ProcessCrashError,
    TaskInterrupted,
    TaskTimeoutError,
    TransferError,
)

from . import work
from .report import Progress, complain

THREADS = 8
WINDOW = 100  # futures that a thread has under way
PATIENCE = 120.0  # seconds after which a future is lost
GRACE = 20.0  # seconds after which a stop is lost, however busy the machine

Check = Callable[[], bool]


class Submitter:
    """One thread's part: begins tasks of every kind and settles them."""

    def __init__(self, executor: InterpreterPoolExecutor, seed: int) -> None:
        self.executor = executor
        self.hurried = executor.with_options(timeout=0.02)
        self.processes: Any = executor.with_options(lane="process")
        self.hurried_processes = executor.with_options(lane="process", timeout=0.02)
        self.random = random.Random(seed)

    def begin(self, number: int) -> tuple[str, Check]:
        """Submit a task of random kind; return the kind, and what settles it."""
        (kind,) = self.random.choices(list(_KINDS), _WEIGHTS)
        begin: Callable[[Submitter, int], Check] = _KINDS[kind][1]
        return kind, begin(self, number)

    def result(self, number: int) -> Check:
        future = self.executor.submit(work.echo, number)
        return lambda: future.result(PATIENCE) == number

    def builtin(self, number: int) -> Check:
        future = self.executor.submit(divmod, number, 7)
        return lambda: future.result(PATIENCE) == divmod(number, 7)

    def closure(self, number: int) -> Check:
        future = self.executor.submit(lambda: number + 1)
        return lambda: future.result(PATIENCE) == number + 1

    def exception(self, number: int) -> Check:
        future = self.executor.submit(work.fail, number)
        return lambda: _raised(future, work.OddError).args == (number,)

    def bad_argument(self, number: int) -> Check:
        future = self.executor.submit(work.echo, threading.Lock())  # type: ignore[arg-type]
        return lambda: isinstance(_raised(future, TransferError), TransferError)

    def bad_result(self, number: int) -> Check:
        future = self.executor.submit(work.make_lock, number)
        return lambda: isinstance(_raised(future, TransferError), TransferError)

    def cancel(self, number: int) -> Check:
        future = self.executor.submit(work.echo, number)
        cancelled = future.cancel()

        def settle() -> bool:
            try:
                return future.result(PATIENCE) == number and not cancelled
            except CancelledError:
                return cancelled

        return settle

    def callback(self, number: int) -> Check:
        called = threading.Semaphore(0)
        future = self.executor.submit(work.count, number)
        future.add_done_callback(lambda _: called.release())

        def settle() -> bool:
            once = called.acquire(timeout=PATIENCE)
            return once and future.result(0) == work.count(number) and not called.acquire(False)

        return settle

    def map(self, number: int) -> Check:
        results = self.executor.map(work.echo, range(number, number + 20))
        return lambda: list(results) == list(range(number, number + 20))

    def timeout(self, number: int) -> Check:
        future = self.hurried.submit(work.spin, number)
        return lambda: isinstance(_raised(future, TaskTimeoutError), TaskTimeoutError)

    def interrupt(self, number: int) -> Check:
        future: Any = self.executor.submit(work.spin_for_a_while, number)

        def settle() -> bool:
            future.interrupt()
            try:
                return future.result(PATIENCE) == number
            except (CancelledError, TaskInterrupted):
                return True

        return settle

    def nested(self, number: int) -> Check:
        future = self.executor.submit(work.nest, number)
        return lambda: future.result(PATIENCE) == -number

    def process(self, number: int) -> Check:
        future = self.processes.submit(work.echo, number)
        return lambda: future.result(PATIENCE) == number

    def process_exception(self, number: int) -> Check:
        future = self.processes.submit(work.fail, number)
        return lambda: _raised(future, work.OddError).args == (number,)

    def process_map(self, number: int) -> Check:
        results = self.processes.map(work.echo, range(number, number + 20))
        return lambda: list(results) == list(range(number, number + 20))

    def process_timeout(self, number: int) -> Check:
        future = self.hurried_processes.submit(work.spin, number)
        return lambda: isinstance(_raised(future, TaskTimeoutError), TaskTimeoutError)

    def crash(self, number: int) -> Check:
        future = self.processes.submit(work.crash)
        return lambda: "SIGABRT" in str(_raised(future, ProcessCrashError))


def _raised(future: "Future[Any]", kind: type[BaseException]) -> BaseException:
    """Return the exception of a future, which must be of this kind."""
    error = future.exception(PATIENCE)
    if not isinstance(error, kind):
        raise AssertionError(f"{error!r} instead of {kind.__name__}")
    return error


# The kinds, and how many of each there are in 10,000.
_KINDS: dict[str, tuple[int, Any]] = {
    "result": (3751, Submitter.result),
    "builtin": (1500, Submitter.builtin),
    "closure": (500, Submitter.closure),
    "exception": (700, Submitter.exception),
    "bad argument": (400, Submitter.bad_argument),
    "bad result": (300, Submitter.bad_result),
    "cancel": (1500, Submitter.cancel),
    "callback": (1000, Submitter.callback),
    "map": (200, Submitter.map),
    "timeout": (20, Submitter.timeout),
    "interrupt": (20, Submitter.interrupt),
    "nested": (20, Submitter.nested),
    "in a process": (60, Submitter.process),
    "exception in a process": (20, Submitter.process_exception),
    "map in a process": (5, Submitter.process_map),
    "timeout in a process": (2, Submitter.process_timeout),
    "crash of a process": (2, Submitter.crash),
}
_WEIGHTS = [weight for weight, _ in _KINDS.values()]


class _Run:
    def __init__(self, tasks: int, seed: int, progress: Progress) -> None:
        self.progress = progress
        self.tasks = tasks
        self.seed = seed
        self.accounted = bytearray(tasks)  # how often each number was noted
        self.begun = bytearray(tasks)
        self.kinds: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.lost = 0
        self.executor = InterpreterPoolExecutor(4, grace=GRACE)

    def submit(self, part: int) -> None:
        """Begin and settle every eighth task."""
        submitter = Submitter(self.executor, self.seed * THREADS + part)
        window: deque[tuple[int, str, Check]] = deque()
        for number in range(part, self.tasks, THREADS):
            if self.progress.is_over():
                break
            self.begun[number] = 1
            try:
                window.append((number, *submitter.begin(number)))
            except Exception as error:
                self.note(number, "not begun", f"{type(error).__name__}: {error}")
            if len(window) > WINDOW:
                self.settle(*window.popleft())
        while window:
            self.settle(*window.popleft())

    def settle(self, number: int, kind: str, check: Check) -> None:
        """Note how a task ended."""
        try:
            fault = None if check() else "it ended with something else"
        except BaseException as error:
            fault = f"{type(error).__name__}: {error}"
        self.note(number, kind, fault)

    def note(self, number: int, kind: str, fault: str | None) -> None:
        """Account for a task."""
        with self.lock:
            self.accounted[number] += 1
            self.kinds[kind] += 1
            if fault is not None:
                self.lost += 1
                complain(f"task {number} ({kind}): {fault}")


def soak(tasks: int, seconds: float | None, seed: int) -> int:
    """Run so many tasks; return how many were lost."""
    progress = Progress("tasks", tasks, seconds)
    run = _Run(tasks, seed, progress)
    threads = [threading.Thread(target=run.submit, args=(part,)) for part in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1)
            progress.show(run.kinds.total())
    run.executor.shutdown(wait=True)
    stats = run.executor.stats()
    unsettled = stats.submitted - stats.completed - stats.cancelled
    if stats.abandoned:  # nothing here is beyond being stopped
        complain(f"{stats.abandoned} workers had to be given up")
    if unsettled or stats.queued or stats.running:
        complain(f"the executor's own count does not add up: {stats}")
    unsettled = abs(unsettled) + stats.abandoned
    wrong = sum(begun != noted for begun, noted in zip(run.begun, run.accounted, strict=True))
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in run.kinds.most_common())
    kinds += (
        f" ({stats.interrupted} interrupted, {stats.timed_out} late, {stats.abandoned} given up)"
    )
    return progress.close(sum(run.begun), run.lost + wrong + unsettled, kinds)
