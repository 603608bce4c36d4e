"""InterpreterPoolExecutor: the executor's policy; the mechanics are in C.

    submit ----> encode ----> queue ----> worker: decode, call, encode ----> task is DONE
     |                       (FIFO)         (own interpreter, own GIL)         |
     v                                                                         v
    future <------- result() reads the task, waiting on it if need be ----------
       ^                                                                       |
       +-- callbacks, wait(), asyncio <-- notifier publishes <-- outbox <------+

1. ``submit`` (C) encodes the callable and its arguments into a task, appends it to the pool's queue
   and wakes one worker; the owner's GIL is neither released nor waited for.
2. A worker takes the task, runs it in its interpreter, writes the outcome into the task and wakes
   whoever waits for it. It never takes the owner's GIL to do so.
3. A future that somebody observes (a callback, ``wait``, asyncio) goes through the outbox, and the
   notifier completes it as the base class does.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import types
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    ThreadPoolExecutor,
)

from interp_executor import _exit, _native, _outcome, _serialize
from interp_executor._errors import TaskInterrupt, TransferError
from interp_executor._hive import hive
from interp_executor._lane import LANES
from interp_executor._pool import Pool, broken_error

TYPE_CHECKING = False  # typing is slow to import, and dataclasses slower
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import Any, Self

    from interp_executor._stats import ExecutorStats
    from interp_executor._worker_thread import WorkerThread

_SHORTEST_TIMEOUT = 1e-6  # seconds; what is shorter could not be told from none
_LOGGER = logging.getLogger("concurrent.futures")
_counter = itertools.count()


def _log_callback(future: Future[Any], error: BaseException) -> None:
    _LOGGER.error("exception calling callback for %r", future, exc_info=error)


def _run_bytecode() -> None:
    """Give CPython the occasion to raise what another thread has asked it to."""


def _configure() -> None:
    """Give the C core what it calls in Python."""
    _native.configure(
        types.SimpleNamespace(
            encode_callable=_serialize.encode_callable,
            dumps_attaching=_serialize.dumps_attaching,
            loads_attached=_serialize.loads_attached,
            dumps_value=_serialize.dumps_value,
            dumps_call=_serialize.dumps_call,
            decode_exception=_outcome.decode,
            failed_error=_outcome.failed,
            undecodable_error=_outcome.undecodable,
            broken_error=broken_error,
            abandoned_error=_outcome.abandoned,
            run_bytecode=_run_bytecode,
            log_callback=_log_callback,
            new_condition=threading.Condition,
            transfer_error=TransferError,
            cancelled_error=CancelledError,
            invalid_state_error=InvalidStateError,
            future_base=Future,
        )
    )


_configure()


class _WorkQueue:
    """Answers what monitors ask of a ThreadPoolExecutor's ``_work_queue``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def qsize(self) -> int:
        """Return how many tasks no worker has taken yet."""
        return self._pool.counts()[4]

    def empty(self) -> bool:
        """Return whether nothing is queued."""
        return self.qsize() == 0


def _is_context(value: object) -> bool:
    """Whether value is a multiprocessing context; if its module is not loaded, it cannot be."""
    module = sys.modules.get("multiprocessing.context")
    kind = getattr(module, "BaseContext", None)  # another thread may be about to load it
    return kind is not None and isinstance(value, kind)


def _sort_out(mp_context: Any, thread_name_prefix: Any) -> tuple[Any, Any]:
    """Take a context in the place of the name as what ProcessPoolExecutor takes it for."""
    if _is_context(thread_name_prefix):
        if mp_context is not None:
            raise TypeError("mp_context is given twice")
        mp_context, thread_name_prefix = thread_name_prefix, ""
    if mp_context is not None and not _is_context(mp_context):
        raise TypeError(f"mp_context must be a multiprocessing context, not {mp_context!r}")
    return mp_context, thread_name_prefix


class InterpreterPoolExecutor(_native.Executor, ThreadPoolExecutor):
    """Runs calls in warm subinterpreters of this process, each with its own GIL.

    Parameters
    ----------
    max_workers : int, optional
        The most interpreters that work at once; by default os.process_cpu_count(). They are
        started on demand.
    thread_name_prefix : str, optional
        Prefix of the worker threads' names. A multiprocessing context given here is taken as
        mp_context, so that calls written for ProcessPoolExecutor work unchanged.
    initializer : callable, optional
        Called with initargs in each interpreter before its first task.
    initargs : tuple, optional
        Arguments of the initializer.
    max_tasks_per_child : int, optional
        After so many tasks an interpreter is ended and another takes its place; by default never.
    mp_context : multiprocessing context, optional
        How processes are started for tasks that need one; by default by forkserver, or spawn where
        there is none. A context that forks makes no process once interpreters are at work.
    fallback : {"process", None}, optional
        Where a task runs whose code needs a module that does not load in an interpreter with a GIL
        of its own: in a process of its worker's; None: nowhere, it raises IncompatibleModuleError.
    lane : {"process", "interpreter"}, optional
        Where all calls run, as with_options() has it for those of a view. An executor that is made
        with "process" starts no interpreters.
    reuse : bool, optional
        Keep the interpreters for later executors of this process that reuse them too, scrubbed of
        user modules, hooks, handlers and what the standard library is commonly told: a seed, a
        precision, a log level. What else tasks have changed in its modules stays. Without, only
        those are kept in which nothing is found to have changed.
    grace : float, optional
        Seconds that a task has to end once it has been interrupted. After that it is abandoned: its
        future fails, and another worker takes the place of its own.
    forward_output : bool, optional
        Send what tasks print, and the records they log, to this interpreter's ``sys.stdout``,
        ``sys.stderr`` and loggers, as notebooks and pytest's capture need it: in the order in which
        a worker wrote it, and before its task is seen to be done. Otherwise it goes to the file
        descriptors of the process.

    Raises
    ------
    ValueError, TypeError
        For arguments that do not fit, with the standard library's messages.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: Any = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        mp_context: Any = None,
        reuse: bool = False,
        fallback: str | None = "process",
        lane: str | None = None,
        grace: float = 2.0,
        forward_output: bool = False,
    ) -> None:
        mp_context, thread_name_prefix = _sort_out(mp_context, thread_name_prefix)
        if max_workers is None:
            max_workers = os.process_cpu_count() or 1
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        if fallback not in ("process", None):
            raise ValueError(f"fallback must be 'process' or None, not {fallback!r}")
        _check_lane(lane)
        _check_seconds("grace", grace, least=0)
        _serialize.find_main()  # which may be another now
        pool = Pool(max_workers, hive())
        pool.fallback = fallback is not None
        pool.mp_context = mp_context
        pool.thread_name_prefix = thread_name_prefix or f"InterpreterPoolExecutor-{next(_counter)}"
        pool.initializer = initializer
        pool.initargs = tuple(initargs)
        pool.max_tasks_per_child = max_tasks_per_child
        pool.reuse = reuse
        pool.grace = grace
        pool.forward_output = forward_output
        if lane == "process":
            pool.settle_in_processes()
        self._adopt(pool, mp_context, {} if lane is None else {"lane": lane})

    def _adopt(self, pool: Pool, mp_context: Any, options: dict[str, Any]) -> None:
        self._attach(
            pool,
            LANES[options.get("lane", None if pool.fallback else "interpreter")],
            options.get("timeout"),
            options.get("grace"),
            options.get("interrupt_on_cancel", False),
        )
        self._pool = pool
        self._mp_context = mp_context
        self._options = options
        self._work_queue = _WorkQueue(pool)  # type: ignore[assignment]
        self._shutdown_lock = pool.lock

    def map[T](
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over fn(*items), items taken from the iterables side by side.

        Parameters
        ----------
        fn : callable
            Called once per item, in the workers.
        *iterables : iterable
            Consumed at once, unless buffersize is given.
        timeout : float, optional
            Seconds from now after which the iterator raises TimeoutError.
        chunksize : int, optional
            Items per claim of a worker. By default claims are sized by the measured time per item.
        buffersize : int, optional
            The most items that may be under way or unread at a time.

        Returns
        -------
        iterator
            Results in order. At the first exception, what came before it has been yielded, it is
            raised, and what has not been started is cancelled.
        """
        chunksize = self._options.get("chunksize") if chunksize is None else chunksize
        buffersize = self._options.get("buffersize") if buffersize is None else buffersize
        _check_map_sizes(chunksize, buffersize)
        if type(self).submit is not _native.Executor.submit:
            return _map_by_submit(self, fn, iterables, timeout, buffersize)
        iterators = tuple(iter(iterable) for iterable in iterables)
        if not iterators:
            return iter(())
        return self._map(fn, iterators, chunksize or 0, buffersize or 0, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more tasks and free the workers once the pending ones are done.

        Parameters
        ----------
        wait : bool
            Return only when all is done, callbacks included, and no user state is left in any
            worker.
        cancel_futures : bool
            Cancel what no worker has taken yet.
        """
        pool = self._pool
        if pool.is_inherited():  # there is nothing to end in this process
            pool.shut_down = True
            return
        with pool.lock:
            pool.shut_down = True
        pool.close()
        if cancel_futures:
            pool.cancel_pending()
        if wait:
            pool.join()
            pool.join_threads()
            # At the interpreter's exit the hive has seen to the callbacks, as far as time allowed.
            if not (pool.hive.closed or pool.hive.is_notifier()):
                pool.join_callbacks()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Shut down and wait; after Ctrl-C, stop what runs instead and leave what does not stop.

        So it does within a task that is interrupted.
        """
        pool, stops = self._pool, (KeyboardInterrupt, TaskInterrupt)
        if kind is None or not issubclass(kind, stops) or pool.is_inherited():
            self.shutdown(wait=True)
            return
        self.shutdown(wait=False, cancel_futures=True)
        pool.stop()
        if not pool.join(_exit.PATIENCE):
            pool.leave_behind()

    def with_options(
        self,
        *,
        chunksize: int | None = None,
        buffersize: int | None = None,
        lane: str | None = None,
        timeout: float | None = None,
        grace: float | None = None,
        interrupt_on_cancel: bool | None = None,
    ) -> Self:
        """Return a view of this executor whose calls have other defaults.

        A view has the full interface and shares the workers; shutting it down shuts all down. Its
        options are added to those of the view it is made from.

        Parameters
        ----------
        chunksize, buffersize : int, optional
            The defaults of map().
        lane : {"process", "interpreter"}, optional
            Where calls run: in a process of the worker's, which a crash of the task takes along
            alone, or in its interpreter, come what may. By default in the interpreter, unless it
            cannot load what the call needs.
        timeout : float, optional
            Seconds that a task, or an item of a map, may take from its start on: neither the time
            in the queue counts nor that in which its worker, or the worker's process, gets ready.
            Then it is interrupted, and raises TaskTimeoutError.
        grace : float, optional
            Seconds that an interrupted task has to end before it is abandoned.
        interrupt_on_cancel : bool, optional
            Let future.cancel() interrupt a task that runs (and return False all the same), so that
            cancelling an asyncio task that awaits it stops the work.

        Returns
        -------
        InterpreterPoolExecutor
            The view.

        Raises
        ------
        ValueError, TypeError
            For values that do not fit.
        """
        _check_map_sizes(chunksize, buffersize)
        _check_lane(lane)
        _check_limits(timeout, grace, interrupt_on_cancel)
        given = {
            "chunksize": chunksize,
            "buffersize": buffersize,
            "lane": lane,
            "timeout": timeout,
            "grace": grace,
            "interrupt_on_cancel": interrupt_on_cancel,
        }
        options = {name: value for name, value in given.items() if value is not None}
        if timeout is not None and not self._pool.is_inherited():
            self._pool.hive.watchdog.start()
        view = type(self).__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._adopt(self._pool, self._mp_context, {**self._options, **options})
        return view

    def terminate_workers(self) -> None:
        """Shut down without waiting, cancel what is pending and interrupt what runs.

        What does not stop within the grace period is abandoned. Named after the method of
        ProcessPoolExecutor, whose workers are processes that can be ended at any point.
        """
        self.shutdown(wait=False, cancel_futures=True)
        self._pool.stop_running()

    def kill_workers(self) -> None:
        """Do as terminate_workers(), and abandon at once what runs: all futures are done.

        Tasks that can be interrupted still end soon; others go on in the background.
        """
        self.shutdown(wait=False, cancel_futures=True)
        self._pool.stop_running(at_once=True)

    def stats(self) -> ExecutorStats:
        """Return what the pool is doing now."""
        from interp_executor._stats import collect

        return collect(self._pool)

    # What monitors, tests and subclasses read of a ThreadPoolExecutor.

    @property
    def _thread_name_prefix(self) -> str:  # type: ignore[override]
        return self._pool.thread_name_prefix

    @property
    def _max_workers(self) -> int:  # type: ignore[override]
        return self._pool.max_workers

    @property
    def _threads(self) -> set[WorkerThread]:  # type: ignore[override]
        with self._pool.lock:
            return set(self._pool.threads)

    @property
    def _shutdown(self) -> bool:  # type: ignore[override]
        return self._pool.shut_down

    @property
    def _broken(self) -> BaseException | bool:  # type: ignore[override]
        return self._pool.failure or False


def _check_seconds(name: str, seconds: float, *, least: float) -> None:
    """Refuse what is not a finite number of seconds, or less than `least`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} must be a number of seconds, not {seconds!r}")
    if not least <= seconds < float("inf"):
        raise ValueError(f"{name} must be a finite number of at least {least} s, not {seconds!r}")


def _check_lane(lane: object) -> None:
    if lane not in LANES:
        raise ValueError(f"lane must be 'process' or 'interpreter', not {lane!r}")


def _check_limits(
    timeout: float | None, grace: float | None, interrupt_on_cancel: bool | None
) -> None:
    if timeout is not None:
        _check_seconds("timeout", timeout, least=_SHORTEST_TIMEOUT)
    if grace is not None:
        _check_seconds("grace", grace, least=0)
    if interrupt_on_cancel is not None and not isinstance(interrupt_on_cancel, bool):
        raise TypeError(f"interrupt_on_cancel must be True or False, not {interrupt_on_cancel!r}")


def _check_map_sizes(chunksize: int | None, buffersize: int | None) -> None:
    if chunksize is not None and chunksize < 1:
        raise ValueError("chunksize must be >= 1.")
    if buffersize is not None:
        if not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize < 1:
            raise ValueError("buffersize must be None or > 0")


def _map_by_submit(
    executor: Executor,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    timeout: float | None,
    buffersize: int | None,
) -> Iterator[Any]:
    """map() for a subclass with a submit() of its own: one future per item goes through it."""
    from time import monotonic

    end = None if timeout is None else timeout + monotonic()
    items = zip(*iterables, strict=False)
    futures = [executor.submit(fn, *args) for args in itertools.islice(items, buffersize)]
    futures.reverse()

    def results() -> Generator[Any]:
        try:
            while futures:
                for args in itertools.islice(items, 1):  # nothing is left without a buffersize
                    futures.insert(0, executor.submit(fn, *args))
                yield _result_or_cancel(futures.pop(), None if end is None else end - monotonic())
        finally:
            for future in futures:
                future.cancel()

    return results()


def _result_or_cancel(future: Future[Any], timeout: float | None) -> Any:
    """Return a future's result, or cancel it if that does not come in time."""
    try:
        return future.result(timeout)
    finally:
        future.cancel()  # without effect on one that is done
        del future  # or an exception's traceback would keep it, and it the exception
