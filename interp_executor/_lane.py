"""The process lane of a pool: what its workers ask for, in the owner, on their own threads.

    worker takes a task
      marked for processes? -----------------------------> its process: decode, call, encode
      otherwise: load it ---- an extension refuses ------>   ^
                 call it                                     |
                                         refused(): may it move? if not, the error that says why

What needs ``multiprocessing`` is imported when the first process is needed.
"""

from __future__ import annotations

import threading

from interp_executor import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from interp_executor._channel import Large
    from interp_executor._process import WorkerProcess
    from interp_executor._worker_thread import WorkerThread

LANES = {None: 0, "process": 1, "interpreter": 2}
"""The lanes by name, with their numbers in task.h."""


# Kinds of outcomes, as in task.h, and a verdict on a claim, as in worker.h.
VALUE, RAISED = 1, 2
STOPPED = 1
# Why a run was interrupted, as in worker.h.
NOT_STOPPED, STOPPED_ASKED, STOPPED_LATE = 0, 1, 2


class ProcessUnavailable(Exception):
    """No process can be made; the text is the condition that failed, and the fix."""


class InitializerFailed(Exception):
    """The executor's initializer raised in the new process, or ended it.

    This holds the exception, and whether the next process is to try: a signal may have come from
    outside.
    """


class Call:
    """What a process is to run, as lane.c has it: number, form and data are the callable's."""

    def __init__(self, number: int, form: int, data: bytes | None, *rest: Any) -> None:
        self.number = number  # 0: the callable is not to be kept
        self.form = form
        self.data = data  # None: the process has the callable of this claim
        # The arguments of a task; or arity, items and offsets of a claim, and whether more follow.
        self.rest: tuple[Any, ...] = rest[:-2]
        # Descriptions of what the callable and the rest refer to, and the large contents of these.
        # None stands for what both sides write to.
        self.attached: tuple[list[Any], list[Any]] | None = rest[-2]
        self.large: list[Any] = rest[-1]

    def check(self) -> None:
        """Raise if the call must stay in this process."""
        if self.attached is None:
            raise incompatible(
                None,
                "it carries something that is shared with it (a SharedBuffer, a writable view or "
                "an interpreters' queue), and what a process writes there would be lost: pass a "
                "read-only view, or the data itself",
                ways_out="",
            )


class ProcessLane(_native.Pool):
    """What a pool does for tasks that need a process.

    The methods without documentation of their own parameters are called by lane.c; ``own`` is the
    lane that the executor or view was given, and ``call`` what a Call is made of.
    """

    def __init__(self) -> None:
        self.fallback = True
        self.reports = True  # what stays; an adapter tries another way before, and reports itself
        self.mp_context: Any = None
        self.moved: dict[str, None] = {}  # extensions for which work was moved, in order
        self.sent = 0  # tasks and claims that went to processes
        self.moved_by: str | None = None  # the extension that moved the whole pool
        self.only_processes = False  # it has moved, or was made so: workers need no interpreter
        self.processes: set[WorkerProcess] = set()

    def refused(
        self,
        own: int,
        form: int,
        data: bytes,
        modules: str,
        unloaded: str | None,
        outcome: bytes,
    ) -> tuple[int, bytes] | None:
        """Decide what becomes of a call in which an extension refused to load.

        Returns None if the call moves to a process, otherwise its outcome, which says why not.
        """
        from interp_executor import _lanes, _outcome

        extension, *spoilt = modules.split()
        _lanes.remember([extension, *spoilt], form, data)
        error = self._what_keeps_it(extension, own, unloaded)
        if error is None:
            self._report(extension)
            return None
        if self.fallback and self.reports:
            _lanes.report(extension, "what is known to need it runs in processes from now on")
        if outcome:
            error.__cause__ = _outcome.unframed(outcome)
        return RAISED, _outcome.framed(error)

    def _what_keeps_it(self, extension: str, own: int, unloaded: str | None) -> ImportError | None:
        """Return the error of a call that met a refusal and stays, or None if it moves."""
        if own == LANES["interpreter"]:
            chosen = (
                "lane='interpreter' was chosen for the call"
                if self.fallback
                else "the executor has fallback=None"
            )
            return incompatible(extension, f"{chosen}: leave that out")
        if unloaded is None:
            return incompatible(
                extension,
                "it was needed when the task had begun to run, so the task was not begun again in "
                "a process: the next call of this function goes to one",
            )
        reason = self.why_no_process()
        return None if reason is None else without_process(extension, reason)

    def why_no_process(self) -> str | None:
        """Return why processes are out of reach, and the fix, or None if one may be tried."""
        from interp_executor._process_start import default_context, why_unavailable

        return why_unavailable(self.mp_context or default_context())

    def _report(self, extension: str) -> None:
        from interp_executor import _lanes

        with self.lock:
            self.moved[extension] = None
        _lanes.report(extension, "what needs it runs in processes")

    def move(self, extension: str) -> bool:
        """Move the whole pool to processes, for its initializer's sake; False if it cannot."""
        if not self.fallback or self.why_no_process() is not None:
            return False
        self.moved_by = extension
        self._report(extension)
        self.settle_in_processes()
        return True

    def settle_in_processes(self) -> None:
        """Run everything in processes from now on."""
        self.only_processes = True
        self.use_processes()

    def run_in_process(self, own: int, *call: Any) -> tuple[int, bytes, int, list[Any], Large]:
        """Run a task in the calling worker's process.

        Returns the outcome's kind, the outcome, how it was stopped, and what it refers to: small
        and large.
        """
        self._count_sent()
        answer, failure, stop = self._settle(
            own, Call(*call), lambda process, call: process.run(call)
        )
        if answer is None:
            return RAISED, failure, stop, [], []
        kind, outcome, attached, large = answer
        return kind, outcome, stop, attached, large

    def run_items_in_process(
        self, own: int, is_first: bool, *call: Any
    ) -> tuple[int, int, list[Any], int, Large]:
        """Run items of a claim, the first of it or others.

        Returns verdict, nanoseconds, outcomes, how stopped, large. Outcomes may be fewer than
        items: then the others are to be asked for again, and with the callable if there are none.
        """
        if is_first:
            self._count_sent()
        answer, failure, stop = self._settle(
            own, Call(*call), lambda process, call: process.run_items(call)
        )
        if answer is None:
            return STOPPED, 0, [failure], stop, []
        verdict, elapsed, outcomes, large = answer
        return verdict, elapsed, outcomes, stop, large

    def _count_sent(self) -> None:
        with self.lock:
            self.sent += 1

    def _settle[T](
        self, own: int, call: Call, run: Callable[[WorkerProcess, Call], T]
    ) -> tuple[T | None, bytes, int]:
        """Run a call in the worker's process.

        Returns its answer, or None and the outcome that tells what went wrong; and how it was
        stopped, if it was.
        """
        from interp_executor import _outcome

        try:
            process = self._process(own)
        except BaseException as error:
            return None, _outcome.framed(self._explained(error, call)), NOT_STOPPED
        worker: WorkerThread = threading.current_thread()  # type: ignore[assignment]
        process.begin(worker.present())
        if worker.given_up:
            process.give_up()  # nobody has found it before
        answer, failure = None, None
        stopped = worker.stop_under_way()  # from before it began, when it could not be found either
        if stopped is None and self.stopped:
            stopped = False, 0.0
        try:
            if stopped is None:
                call.check()
                process.make_ready()
                worker.worker.begin_time_limit()
                answer = run(process, call)
        except BaseException as error:
            failure = error
        stopped = process.finish() or stopped
        if answer is not None:
            return answer, b"", NOT_STOPPED
        if stopped is None:
            assert failure is not None
            failure, stop = self._explained(failure, call), NOT_STOPPED
        else:
            failure = _outcome.process_stopped(*stopped)
            stop = STOPPED_LATE if stopped[0] else STOPPED_ASKED
        outcome = _outcome.framed(failure)
        failure = None  # its traceback leads to this frame, and so to the memory of the call
        return None, outcome, stop

    def _explained(self, error: BaseException, call: Call) -> BaseException:
        """Return what a task raises that a process could not run, because of error."""
        if isinstance(error, InitializerFailed):
            from interp_executor._pool import broken_error

            reason, may_retry = error.args
            if self.note_failure(reason, replacement=may_retry):
                return reason  # type: ignore[no-any-return]
            return broken_error(self)  # type: ignore[arg-type]
        if isinstance(error, ProcessUnavailable):
            from interp_executor import _lanes

            known = None if call.data is None else _lanes.extension_of(call.form, call.data)
            explained = without_process(self.moved_by or known, str(error))
            explained.__cause__ = error.__cause__
            return explained
        return error

    def _process(self, own: int) -> WorkerProcess:
        """Return the calling worker's process."""
        if own == LANES["interpreter"]:
            why = "no interpreter can be set up: the executor's initializer needs that module"
            if self.moved_by is None:
                why = "the executor has no interpreters: it was made with lane='process'"
            raise incompatible(
                self.moved_by, f"lane='interpreter' was chosen for the call, and {why}"
            )
        worker: WorkerThread = threading.current_thread()  # type: ignore[assignment]
        if worker.process is None:
            reason = self.why_no_process()
            if reason is not None:
                raise ProcessUnavailable(reason)
            from interp_executor._process import WorkerProcess

            worker.process = WorkerProcess(self, worker.name, worker.importing)  # type: ignore[arg-type]
            with self.lock:
                self.processes.add(worker.process)
        return worker.process

    def processes_alive(self) -> int:
        """Return how many processes the workers have now."""
        with self.lock:
            return sum(process.is_alive() for process in self.processes)

    def hurry_processes(self) -> None:
        """Wait no longer for what tasks have left behind in processes."""
        with self.lock:
            processes = list(self.processes)
        for process in processes:
            process.hurry()

    def end_process(self, worker: WorkerThread) -> None:
        """End the process of a worker that leaves the pool."""
        process, worker.process = worker.process, None
        if process is not None:
            try:
                process.end()
            finally:
                with self.lock:
                    self.processes.discard(process)

    if TYPE_CHECKING:
        lock: Any
        initializer: Callable[..., object] | None
        initargs: tuple[object, ...]

        def by_value(self, form: int, data: bytes) -> bytes: ...

        def note_failure(self, error: BaseException, *, replacement: bool) -> bool: ...


_WAYS_OUT = (
    ". Ways out: InterpreterPoolExecutor(fallback='process'), which is the default; "
    "executor.with_options(lane='process').submit(...); "
    "concurrent.futures.ProcessPoolExecutor"
)


def without_process(extension: str | None, reason: str) -> ImportError:
    """Return incompatible() where no process can be made: that is no way out then."""
    return incompatible(extension, f"no process can be made for it: {reason}", ways_out="")


def incompatible(extension: str | None, reason: str, *, ways_out: str = _WAYS_OUT) -> ImportError:
    """Return the error that says which module did not load, why nothing moved, and the ways out."""
    from interp_executor._errors import IncompatibleModuleError

    what = (
        "the task needs a process"
        if extension is None
        else (f"module {extension} does not load in an interpreter with a GIL of its own")
    )
    if extension is not None and extension.partition(".")[0] == "numpy":
        reason += ". To stay, pass memoryview(array): typed, shaped and not copied"
    return IncompatibleModuleError(f"{what}, and {reason}{ways_out}", name=extension)
