"""The hive: an owner's workers, from the start of their threads to their end.

Each interpreter that uses executors is an owner and has one hive. A worker is a thread of the owner
that holds one interpreter; it serves one pool at a time:

    start -> open the interpreter -> serve a pool -> clean? -> park -> serve another -> ... -> close
                                                      no  -> scrub -> close

A pool counts its workers in before their threads exist, so that shutdown waits for those too, and
out when nothing of its tasks is left: when the interpreter was found clean or scrubbed or, if what
it holds cannot be scrubbed, has ended. A scrubbed interpreter ends behind the executor's back.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import warnings
import weakref

from interp_executor import _exit, _native, _outcome, _serialize, _worker, _world
from interp_executor._lane import ProcessLane
from interp_executor._refusal import refused_modules
from interp_executor._watchdog import Watchdog

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from interp_executor._process import WorkerProcess

_LOGGER = logging.getLogger("concurrent.futures")

# 3.13 corrupts memory when these are first imported in several interpreters at once; imported in
# the main interpreter first, they are safe.
_IMPORT_BEFORE_WORKERS = ("datetime",) if sys.version_info < (3, 14) else ()


# Failures of the initializer, one after the other, that break a pool which already had workers.
_MOST_FAILURES = 3

# Seconds that what tasks left in an interpreter has to end, where the pool's grace is shorter.
_LEAST_TO_END = 2.0

# Empty interpreters that end behind their executor, at most: each holds some megabytes.
_MOST_ENDING_BEHIND = 128


class Pool(ProcessLane):
    """The queue of an executor and what its workers need to know of it.

    Executors and their views share it, and workers hold it while they serve it; it knows none of
    them, so that an executor can be collected while its last tasks run.
    """

    def __new__(cls, max_workers: int, hive: Hive) -> Self:
        return super().__new__(cls, max_workers, hive.outbox, hive.watchdog.alarm)

    def __init__(self, max_workers: int, hive: Hive) -> None:
        super().__init__()
        self.max_workers = max_workers
        self.thread_name_prefix = ""
        self.initializer: Callable[..., object] | None = None
        self.initargs: tuple[object, ...] = ()
        self.max_tasks_per_child: int | None = None
        self.reuse = False
        self.grace = 2.0
        self.hive = hive
        self.forward_output = False
        self.lock = threading.RLock()
        self.threads: set[WorkerThread] = set()
        self.busy_before = 0.0  # seconds, of the workers that have left
        self.retired = 0  # interpreters that ended here
        self.failure: BaseException | None = None  # why the pool is broken
        self.shut_down = False
        self._failures = 0  # of the initializer, since it last went well
        self._names = itertools.count()

    def start_worker(self, *, replaces: bool = False) -> bool:
        """Start the worker that the queue has counted in; otherwise the caller counts it out.

        One that replaces another may fail in its initializer without breaking the pool at once. If
        no thread is to be had, those that the pool has do the work; without any, it raises.
        """
        try:
            self.hive.lease(self, replaces)
        except RuntimeError as error:
            if self.counts()[6] <= 1:  # the one that cannot come
                raise
            _LOGGER.warning("cannot start another worker: %s", error)
            return False
        return True

    def next_name(self) -> str:
        """Return the name of the next worker's thread."""
        return f"{self.thread_name_prefix}_{next(self._names)}"

    def refuse(self) -> None:
        """Raise why nothing more can be submitted."""
        if self.failure is not None:
            raise broken_error(self)
        if self.hive.closed:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        raise RuntimeError("cannot schedule new futures after shutdown")

    def world(self) -> bytes:
        """Return the owner's world as it is now."""
        return _world.encode()

    def by_value(self, form: int, data: bytes) -> bytes:
        """Encode by value a callable that a worker cannot find by reference."""
        encoded = _serialize.send_by_value(form, data)
        _native.forget_callables()
        return encoded

    def deliver_output(self, data: bytes) -> None:
        """Write and log here what a worker has written and logged."""
        from interp_executor import _forward

        _forward.deliver(data)

    def fail(self, error: BaseException) -> None:
        """Break the pool: nothing that is queued will run."""
        with self.lock:
            if self.failure is None:
                self.failure = error
        self.break_()

    def note_set_up(self) -> None:
        """Note that the initializer went well."""
        self._failures = 0

    def note_failure(self, error: BaseException, *, replacement: bool) -> bool:
        """Note that the initializer failed; whether another worker is to try it."""
        with self.lock:
            self._failures += 1
            again = replacement and self.failure is None and self._failures < _MOST_FAILURES
        level = logging.WARNING if again else logging.CRITICAL
        _LOGGER.log(level, "Exception in initializer:", exc_info=error)
        if not again:
            self.fail(error)
        return again

    def interrupt(self, future: object) -> bool:
        """Interrupt the running task of a future of this pool; whether there was one to stop."""
        for thread in self._snapshot():
            run = thread.present(future)
            if run is not None:
                self.hive.watchdog.stop(thread, run, self.grace_of(run))
                return True
        return False

    def stop_running(self, *, at_once: bool = False) -> None:
        """Interrupt all that runs, and do not wait for it to end if that is to be at once."""
        for thread in self._snapshot():
            run = thread.present()
            if run is not None:
                self.hive.watchdog.stop(thread, run, 0.0 if at_once else self.grace_of(run))
            if run is not None and at_once:
                thread.abandon(run, late=False)

    def grace_of(self, run: _native.Run) -> float:
        """Return how long a run may take to end once it is interrupted, in seconds."""
        grace = run.limits()[1]
        return self.grace if grace is None else grace

    def record(self) -> tuple[dict[str, float], float, int]:
        """Return what stats() tells of the workers: see ExecutorStats.busy and what follows it."""
        with self.lock:
            busy = {thread.name: thread.busy() for thread in self.threads if thread.serving}
            return busy, self.busy_before, self.retired

    def begin_lease(self, worker: WorkerThread) -> None:
        """Count a worker among those that serve."""
        with self.lock:
            self.threads.add(worker)
            worker.serving = True

    def end_lease(self, worker: WorkerThread) -> None:
        """Add what stats() tells of a worker to what it tells of those before."""
        with self.lock:
            worker.serving = False
            self.busy_before += worker.busy()

    def _snapshot(self) -> list[WorkerThread]:
        if self.is_inherited():  # the workers are the parent process's, and so may be the lock
            return []
        with self.lock:
            return list(self.threads)

    def stop(self) -> None:
        """Cancel what is pending and interrupt what runs."""
        self.cancel_pending()
        self.stop_running()

    def leave_behind(self) -> None:
        """Wait no more for what does not stop, not even at the end of the process."""
        self.stop_running(at_once=True)
        if not self.join(_exit.MOMENT):
            self.hive.leave_behind(self, self._snapshot())

    def join_threads(self) -> None:
        """Wait for the threads that have left and are about to end."""
        with self.lock:
            ending = [thread for thread in self.threads if thread.ending]
        for thread in ending:
            if thread is not threading.current_thread():
                thread.join()


def broken_error(pool: Pool) -> BaseException:
    """Return a BrokenInterpreterPool with the reason as its cause."""
    from interp_executor._errors import BrokenInterpreterPool

    error = BrokenInterpreterPool(
        "A worker could not be set up (its initializer failed, or its interpreter could not be "
        "started), the pool is not usable anymore"
    )
    error.__cause__ = pool.failure
    return error


class _Departure:
    """How a worker leaves its pool at the end of a lease: by itself or, if it is stuck, without it.

    It is stuck where threads, exit callbacks or executors that its tasks left behind do not end.
    """

    def __init__(self, thread: WorkerThread, pool: Pool, arrived: bool, worn: bool) -> None:
        self.patience = max(pool.grace, _LEAST_TO_END)  # seconds
        self._thread = thread
        self._pool = pool
        self._arrived = arrived
        self._worn = worn
        self._once = threading.Lock()  # never released: whoever gets it counts the worker out

    def is_over(self) -> bool:
        """Whether the worker has been counted out."""
        return self._once.locked()

    def complete(self) -> None:
        """Count the worker out, unless that has been done."""
        if self._once.acquire(blocking=False):
            self._count_out(stuck=False)
        elif self._arrived:
            self._thread.worker.detach()

    def give_up(self) -> None:
        """Count out a worker that is stuck and let it go on for itself, for as long as it likes."""
        if not self._once.acquire(blocking=False):
            return
        thread, pool = self._thread, self._pool
        _LOGGER.warning(
            "%s has been abandoned: threads or exit callbacks that its tasks left behind do not "
            "end",
            thread.name,
        )
        with pool.lock:
            pool.threads.discard(thread)
            pool.retired += 1
        pool.hive.give_up(thread)
        self._count_out(stuck=True)

    def _count_out(self, *, stuck: bool) -> None:
        thread, pool = self._thread, self._pool
        if self._arrived:
            successor = thread.worker.leave(pool, self._worn, stuck)
        else:
            successor = thread.is_retried
            if not successor:
                pool.leave()
        if successor:
            thread.start_successor(pool)


class WorkerThread(threading.Thread):
    """A worker: one thread of the owner, one interpreter, bound together for life."""

    def __init__(self, hive: Hive, pool: Pool | None, name: str, replaces: bool = False) -> None:
        # Subinterpreters allow no daemon threads; in the main interpreter, a task that cannot be
        # stopped must not keep the process alive.
        super().__init__(name=name, daemon=_native.is_main_interpreter())
        self.ending = False
        self.is_retried = False  # its initializer failed, and its successor is to try again
        self._departure: _Departure | None = None  # from the present lease
        self.serving = False  # a pool counts how long it is busy
        self._viewed = False  # others look at the interpreter's memory, as its last lease ends
        self.ready = threading.Event()  # the worker has been parked, or cannot be
        self._hive = hive
        self._pool = pool
        self.replaces = replaces  # another worker of the pool
        self._path = _world.path()
        self._sent_world = _world.encode()
        self.worker = _native.Worker()
        self.process: WorkerProcess | None = None  # of the present lease
        self._bare = False  # without an interpreter: the pool runs everything in processes
        self._mail = threading.Lock()  # released once per assignment
        self._mail.acquire()
        self._claim = threading.Lock()  # taken once per assignment: to serve it, or to call it off

    def busy(self) -> float:
        """Return for how many seconds the worker has not waited for work, in the present lease."""
        return self.worker.awake()

    def run(self) -> None:
        """Open the interpreter, serve pools, close it. Only faults of our own escape."""
        if not self._claim.acquire(blocking=False):
            self._hive.forget(self)
            return
        try:
            opened = self._open()
            while opened and (self._pool is not None or self._park()):
                assert self._pool is not None
                opened = self._serve(self._pool)
                self._pool = None
                if self._viewed:
                    self._linger(opened)
        finally:
            self.ready.set()
            self._hive.forget(self)

    def call_off(self) -> bool:
        """End a worker whose assignment failed; False if it has begun to serve all the same.

        A signal may interrupt start() while it waits for a thread that is on its way.
        """
        if not self._claim.acquire(blocking=False):
            return False
        self._pool = None
        if self._mail.locked():
            self._mail.release()
        return True

    def assign(self, pool: Pool | None) -> None:
        """Give a parked worker its next pool, or None to end it."""
        self._pool = pool
        if pool is not None:
            self.name = pool.next_name()
        self._mail.release()

    def present(self, future: object = None) -> _native.Run | None:
        """Return what the worker runs now; with a future, only if that is its task."""
        return self.worker.present() if future is None else self.worker.present(future)

    def deadline(self) -> tuple[int, int] | None:
        """Return the number of the present run and when its time is over, if it has a limit."""
        return self.worker.deadline()

    def interrupt(self, run: _native.Run, late: bool) -> None:
        """Have a run of this worker stop, if it still is the present one. Does not block."""
        process = self.process
        if process is None or not process.stop(run, late):
            run.interrupt(late)

    def grace_of(self, run: _native.Run) -> float:
        """Return how long the present run may take to end once it is interrupted, in seconds."""
        pool = self._pool
        return 0.0 if pool is None else pool.grace_of(run)

    def abandon(self, run: _native.Run, late: bool) -> bool:
        """Give up a run and the worker with it; False if the run is over by itself."""
        pool = self._pool  # if the run is not over, still its pool
        error = _outcome.abandoned(late, run.limits()[0] or 0.0)
        successor = run.abandon(late, _outcome.encode(error))
        if successor is None:
            return False
        assert pool is not None
        _LOGGER.warning("%s has been abandoned: its task could not be stopped", self.name)
        if self.process is not None:
            self.process.kill()  # nobody is left to end it
        with pool.lock:
            pool.threads.discard(self)
        self._hive.give_up(self)
        if successor:
            self.start_successor(pool)
        return True

    def _open(self) -> bool:
        if self._pool is not None and self._pool.moved_by is not None:
            self._bare = True
            return True
        try:
            self.worker.open(self._path, self._sent_world)
        except RuntimeError as error:
            self.ending = True
            if self._pool is not None:
                self._pool.fail(error)
                self._pool.leave()
            return False
        return True

    def _park(self) -> bool:
        """Wait to be assigned a pool; False if the interpreter has been closed instead."""
        self.name = "interp_executor-idle"
        claim = self._claim = threading.Lock()
        kept = self._hive.park(self)
        self.ready.set()
        while kept and not self._mail.acquire(timeout=self._hive.idle_timeout()):
            if self._hive.unpark(self):
                break  # idle for too long; otherwise an assignment is on its way
        if not claim.acquire(blocking=False):
            self._pool = None
        if self._pool is None:
            self.ending = True
            self._hive.end(self.worker)
        return self._pool is not None

    def _serve(self, pool: Pool) -> bool:
        """Serve the pool; return whether the interpreter is still open."""
        pool.begin_lease(self)
        arrived = self._set_up(pool)
        worn = arrived and self.worker.serve(pool, pool.max_tasks_per_child or 0)
        departure = _Departure(self, pool, arrived, worn)
        self._departure = None if self.worker.abandoned else departure
        pool.end_lease(self)
        pool.end_process(self)
        reusable = arrived and not worn and not self._bare and not self.worker.abandoned
        kept = reusable and self._is_fit(pool) and not departure.is_over()
        emptied = kept or (reusable and self._is_emptied(pool))
        self._viewed = not self._bare and self.worker.is_viewed()
        self.ending = not kept and not self._viewed
        if not emptied and arrived and not self._bare and pool.forward_output:
            self._ask(pool, _worker.stop_forwarding)  # its exit callbacks may print
        if not emptied and not self._bare and not self._viewed:
            self._hurry_departure()
            self._hive.end(self.worker)
        with pool.lock:
            pool.retired += not kept and not departure.is_over()
            if emptied or self._viewed:
                pool.threads.discard(self)
                self.name = "interp_executor-idle" if kept else "interp_executor-ending"
        if self._departure is not None:
            self._departure.complete()
            self._departure = None
        if emptied and not kept and not self._viewed:
            self._hive.end_behind(self.worker, pool)
        return kept

    def _linger(self, kept: bool) -> None:
        """Wait, apart from any pool, until nobody looks at this interpreter's memory any more.

        At the owner's exit nobody waits: what is still viewed then is never freed.
        """
        self.name = "interp_executor-viewed"
        self._hive.begin_lingering(self.worker)
        self.worker.linger()
        self._hive.end_lingering(self.worker)
        if not kept:
            self.ending = True
            self._hive.end(self.worker)

    def _set_up(self, pool: Pool) -> bool:
        """Name the worker and run the pool's initializer; whether that went well."""
        worker = self.worker
        if self._bare:
            return True
        try:
            worker.call(pool, _worker.name_thread, self.name)
            world = pool.world()
            if world != self._sent_world:
                worker.call(pool, _worker.update_world, world)
                self._sent_world = world
            if pool.forward_output and pool.moved_by is None:
                from interp_executor import _forward

                worker.call(pool, _worker.forward_output, _forward.levels())
            if pool.initializer is not None and pool.moved_by is None:
                worker.call(pool, pool.initializer, *pool.initargs)
        except BaseException as error:
            refused = refused_modules(error)
            if refused and pool.move(refused[0]):
                worker.close()
                self._bare = True
                return True
            self.is_retried = pool.note_failure(error, replacement=self.replaces)
            return False
        pool.note_set_up()
        return True

    def _is_fit(self, pool: Pool) -> bool:
        """Whether the interpreter may serve another executor."""
        if pool.failure is not None or self._hive.closed:
            return False
        if pool.reuse:
            return self._is_scrubbed(pool)
        return pool.initializer is None and self._ask(pool, _worker.is_clean)

    def _hurry_departure(self) -> None:
        """Let the watchdog count it out of its pool if what its tasks left behind does not end."""
        if self._departure is not None:
            self._hive.watchdog.expect(self._departure)

    def _is_scrubbed(self, pool: Pool) -> bool:
        self._hurry_departure()
        self.worker.forget()
        return self._ask(pool, _worker.scrub)

    def _ask(self, pool: Pool, question: Callable[[], bool]) -> bool:
        try:
            return self.worker.call(pool, question)
        except BaseException as error:  # what tasks left behind got in the way
            _LOGGER.warning("a worker cannot be used again: %r", error)
            return False

    def _is_emptied(self, pool: Pool) -> bool:
        """Drop what the tasks left behind; whether nothing of it is left but memory.

        Then nobody needs to wait for the end of the interpreter, which takes some milliseconds.
        """
        if pool.failure is not None or self._hive.closed or not self._hive.may_end_behind():
            return False
        return self._is_scrubbed(pool)

    def start_successor(self, pool: Pool) -> None:
        """Start the worker that takes the place of this worn one; it has been counted in."""
        try:
            if not pool.start_worker(replaces=True):
                pool.leave()
        except RuntimeError as error:  # no thread to be had
            pool.fail(error)
            pool.leave()


class Hive:
    """The workers of one owner, and the notifier that publishes the futures somebody observes."""

    def __init__(self) -> None:
        self.outbox = _native.Outbox()
        self.watchdog = Watchdog(self)
        self.closed = False
        self.hurried = False  # the process ends by Ctrl-C
        # Reentrant, as Pool.lock: a handler of signals or a __del__ may submit from within.
        self._lock = threading.RLock()
        self._ending = threading.Lock()  # one at a time: there is no hurry
        self._parked: list[WorkerThread] = []
        self._threads: set[WorkerThread] = set()
        self._abandoned: set[WorkerThread] = set()  # their tasks could not be stopped
        self._lingering: set[_native.Worker] = set()
        self._pools: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._notifier: threading.Thread | None = None
        self._idle_timeout = 60.0
        self._spares = itertools.count()

    def lease(self, pool: Pool, replaces: bool = False) -> None:
        """Give the pool a worker: a parked one, or a new thread.

        Where none comes, it raises. So it does if a signal interrupts it, and a worker may come
        all the same: that one gets the count which the caller takes back.
        """
        worker = None
        try:
            _refuse_while_loading_main()
            with self._lock:
                if self.closed and pool not in self._pools:
                    raise RuntimeError("cannot schedule new futures after interpreter shutdown")
                self._start_notifier_locked()
                self._pools.add(pool)
                if self._parked:
                    worker = self._parked[-1]
                    del self._parked[-1]
            if worker is not None:
                worker.replaces = replaces
                worker.assign(pool)
            else:
                worker = WorkerThread(self, pool, pool.next_name(), replaces)
                self._start(worker)
        except BaseException:
            if worker is not None and not worker.call_off():
                pool.count_in()
            raise

    def _start(self, thread: WorkerThread) -> None:
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            if thread.ident is None:
                self.forget(thread)
            raise

    def _start_notifier_locked(self) -> None:
        if self._notifier is not None:
            return
        for module in _IMPORT_BEFORE_WORKERS:
            __import__(module)
        notifier = threading.Thread(
            target=self.outbox.serve,
            name="interp_executor-notifier",
            daemon=_native.is_main_interpreter(),
        )
        self._notifier = notifier  # before the start: a signal's handler may come here meanwhile
        try:
            notifier.start()
        except BaseException:
            if notifier.ident is None:
                self._notifier = None
            raise

    def prewarm(self, n: int, wait: bool) -> None:
        """Make n spare interpreters."""
        _refuse_while_loading_main()
        with self._lock:
            if self.closed:
                raise RuntimeError("cannot start interpreters after interpreter shutdown")
            self._start_notifier_locked()
        names = (f"interp_executor-spare_{next(self._spares)}" for _ in range(n))
        threads = [WorkerThread(self, None, name) for name in names]
        for thread in threads:
            self._start(thread)
        if wait:
            for thread in threads:
                thread.ready.wait()

    def park(self, worker: WorkerThread) -> bool:
        """Keep a clean worker for the next pool; False if the hive is closed."""
        with self._lock:
            if not self.closed:
                self._parked.append(worker)
            return not self.closed

    def unpark(self, worker: WorkerThread) -> bool:
        """Take a worker off the parked ones; False if it has been taken already."""
        with self._lock:
            if worker not in self._parked:
                return False
            self._parked.remove(worker)
            return True

    def begin_lingering(self, worker: _native.Worker) -> None:
        """Note a worker that waits for views on its memory to go; once closed, none need wait."""
        with self._lock:
            self._lingering.add(worker)
            if self.closed:
                worker.dismiss()

    def end_lingering(self, worker: _native.Worker) -> None:
        """Note that it waits no more, so that it is not dismissed when it is gone."""
        with self._lock:
            self._lingering.discard(worker)

    def forget(self, worker: WorkerThread) -> None:
        """Count a thread out that ends."""
        with self._lock:
            self._threads.discard(worker)
            self._abandoned.discard(worker)

    def give_up(self, worker: WorkerThread) -> None:
        """Wait no more for a worker whose task cannot be stopped; it ends when the task does."""
        with self._lock:
            if worker in self._threads:
                self._threads.discard(worker)
                self._abandoned.add(worker)

    def threads(self) -> list[WorkerThread]:
        """Return the workers, but for those that were given up."""
        with self._lock:
            return list(self._threads)

    def leave_behind(self, pool: Pool, threads: list[WorkerThread]) -> None:
        """Count a pool out that does not come to its end, and its workers."""
        with self._lock:
            self._pools.discard(pool)
            self._threads.difference_update(threads)

    def idle_timeout(self) -> float:
        """Return how long a worker stays parked, in seconds; -1: for ever."""
        return self._idle_timeout

    def set_idle_timeout(self, seconds: float | None) -> None:
        """Set how long workers stay parked from now on."""
        self._idle_timeout = -1 if seconds is None else min(seconds, threading.TIMEOUT_MAX)

    def may_end_behind(self) -> bool:
        """Whether one more interpreter may end when its executor is gone already."""
        with self._lock:
            return sum(thread.ending for thread in self._threads) < _MOST_ENDING_BEHIND

    def end_behind(self, worker: _native.Worker, pool: Pool) -> None:
        """End an interpreter that is empty: after those who wait for the pool, and one by one."""
        pool.join(1.0)
        with self._ending:
            self.end(worker)

    def end(self, worker: _native.Worker) -> None:
        """End an interpreter, unless the process ends and does so in a hurry."""
        if self.hurried:
            worker.leave_open()
        else:
            worker.close()

    def close_idle_workers(self, left: Callable[[], float | None] = _exit.without_limit) -> None:
        """End the parked workers and wait for them, and for those that are ending."""
        with self._lock:
            parked, self._parked = self._parked, []
            ending = [worker for worker in self._threads if worker.ending]
        for worker in parked:
            worker.assign(None)
        for worker in parked + ending:
            if worker is not threading.current_thread():
                worker.join(left())

    def close(self) -> None:
        """At the interpreter's exit: finish what was submitted, then end every worker.

        After Ctrl-C, cancel and interrupt it instead, and leave behind what does not stop.
        """
        with self._lock:
            self.closed = True
            pools = list(self._pools)
            for worker in self._lingering:
                worker.dismiss()
        for pool in pools:
            pool.close()
        if not _exit.comes_from_ctrl_c():
            try:
                self._end(pools, _exit.without_limit)
                return
            except KeyboardInterrupt:
                pass  # said by how the process ends
        _exit.end_by_ctrl_c()
        self.hurried = True
        for pool in pools:
            pool.stop()
        self._end(pools, _exit.at_most(_exit.PATIENCE))

    def _end(self, pools: list[Pool], left: Callable[[], float | None]) -> None:
        for pool in pools:
            if not pool.join(left()):
                pool.leave_behind()
        self.close_idle_workers(left)
        for thread in self.threads():
            thread.join(left())
        self.watchdog.close()
        self.outbox.close()
        if self._notifier is not None:
            self._notifier.join(left())

    def has_workers(self) -> bool:
        """Return whether any worker lives, at work or parked."""
        return bool(self._threads)

    def is_notifier(self) -> bool:
        """Whether the calling thread is the one that runs callbacks."""
        return threading.current_thread() is self._notifier

    def warm(self) -> int:
        """Return how many interpreters wait for work."""
        with self._lock:
            return len(self._parked)


def _is_loading_main() -> bool:
    """Whether the main script is being loaded for its definitions: by a worker, or in a process."""
    process = sys.modules.get("multiprocessing.process")
    return _worker.loading_main or (
        process is not None and getattr(process.current_process(), "_inheriting", False)
    )


def _refuse_while_loading_main() -> None:
    if _is_loading_main():
        raise RuntimeError(
            "An attempt has been made to use an InterpreterPoolExecutor while a worker loads the "
            "main script. Workers load it to find the functions it defines, so what is to run "
            "only once must be guarded:\n\n"
            "    if __name__ == '__main__':\n"
            "        main()\n"
        )


_hive = Hive()


def _close_hive() -> None:
    _hive.close()


# Whether CPython's runtime can be made to forget interpreters: see _native/runtime.h.
_knows_runtime = _native.knows_runtime()


def _warn_of_fork() -> None:
    """Say what comes of a fork on a version of CPython that is not known: no hook can stop it."""
    if _knows_runtime or not _hive.has_workers():
        return
    warnings.warn(
        "this version of CPython kills a forked child as long as interpreters live: before a fork, "
        "shut the executors down and call interp_executor.close_idle_workers()",
        RuntimeWarning,
        stacklevel=2,
    )


def _begin_child() -> None:
    """Begin anew in a forked child: the workers are the parent's, and so may be their locks."""
    global _hive
    _hive = Hive()


# When the main thread has ended, and before the others are joined: as ThreadPoolExecutor does.
threading._register_atexit(_close_hive)  # type: ignore[attr-defined]
os.register_at_fork(before=_warn_of_fork, after_in_child=_begin_child)


def hive() -> Hive:
    """Return the hive of the calling interpreter."""
    return _hive


def prewarm(n: int = 1, *, wait: bool = False) -> None:
    """Make n spare interpreters in the background, for the executors to come.

    Parameters
    ----------
    n : int
        How many; at least 1.
    wait : bool
        Return only when they are ready.
    """
    if n < 1:
        raise ValueError("n must be at least 1")
    hive().prewarm(n, wait)


def close_idle_workers() -> None:
    """End the interpreters that wait for an executor, and wait until they are gone."""
    hive().close_idle_workers()


def set_idle_timeout(seconds: float | None) -> None:
    """Set how long an interpreter waits for the next executor before it ends.

    Parameters
    ----------
    seconds : float or None
        At least 0; None means without limit. The default is 60.
    """
    if seconds is not None and seconds < 0:
        raise ValueError("seconds must be at least 0 or None")
    hive().set_idle_timeout(seconds)
