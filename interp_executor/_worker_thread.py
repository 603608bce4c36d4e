"""The worker: a thread of the owner that holds one interpreter and serves one pool at a time.

    start -> open the interpreter -> serve a pool -> clean? -> park -> serve another -> ... -> close
                                                      no  -> scrub -> close

It is counted out of its pool when the interpreter was found clean or scrubbed or, if what it holds
cannot be scrubbed, has ended. A scrubbed interpreter ends behind the executor's back.
"""

from __future__ import annotations

import logging
import threading

from interp_executor import _native, _outcome, _worker, _world
from interp_executor._lease import Departure, Lease, Start
from interp_executor._own_thread import OwnThread
from interp_executor._refusal import refused_modules

TYPE_CHECKING = False  # typing is slow to import
if TYPE_CHECKING:
    from collections.abc import Callable

    from interp_executor._hive import Hive
    from interp_executor._pool import Pool
    from interp_executor._process import WorkerProcess

_LOGGER = logging.getLogger("concurrent.futures")


class WorkerThread(OwnThread):
    """A worker: one thread of the owner, one interpreter, bound together for life."""

    def __init__(
        self,
        hive: Hive,
        pool: Pool | None,
        name: str,
        replaces: bool = False,
        importing: list[str] | None = None,
    ) -> None:
        super().__init__(name)
        self.ending = False
        self._lease = None if pool is None else Lease(self, pool)  # the present one
        self._next: Lease | None = None  # what it has been assigned while it was idle
        self._parked = False
        self.serving = False  # a pool counts how long it is busy
        self.scrubbed = False  # rather than found clean, when it was last kept
        self.unwanted = False  # a spare one that is not to be kept when it is ready
        self._is_spare = pool is None  # no pool has ever had it
        self._viewed = False  # others look at the interpreter's memory, as its last lease ends
        self.ready = threading.Event()  # the worker has been parked, or cannot be
        self._hive = hive
        self.replaces = replaces  # another worker of the pool
        self.importing = importing  # modules, the thread that has asked for this worker
        self._path = _world.path()
        self._first_world = _world.encode()
        self.worker = _native.Worker()
        self.process: WorkerProcess | None = None  # of the present lease
        self.given_up = False  # with what it ran: a process that it has yet to make is to end
        self._bare = False  # without an interpreter: the pool runs everything in processes
        self._mail = threading.Lock()  # released once per assignment
        self._mail.acquire()

    def __repr__(self) -> str:
        # Who checks for threads left behind shows this: it has to say what ends them.
        said = super().__repr__()
        if self._hive.is_parked(self):
            return f"{said[:-1]}, until interp_executor.close_idle_workers()>"
        return said

    def is_coming(self) -> bool:
        """Whether this is a spare worker that is not ready yet."""
        return self._is_spare and not self.ready.is_set()

    def busy(self) -> float:
        """Return for how many seconds the worker has not waited for work, in the present lease."""
        return self.worker.awake()

    def computed(self) -> float:
        """Return how much of a processor's time it and what it has started have had, in seconds.

        That is threads and executors which its tasks left behind; it falls when one of them ends.
        """
        return max(super().computed(), self.worker.computed())

    def work(self) -> None:
        """Open the interpreter, serve pools, close it. Only faults of our own escape."""
        try:
            opened = self._open()
            while opened and (self._lease is not None or self._wait_for_pool()):
                assert self._lease is not None
                patience = self._lease.patience
                opened = self._serve(self._lease)
                self._lease = None
                if self._viewed:
                    self._linger(opened, patience)
            self._leave_hive()
        except BaseException as error:
            self._break_down(error)
            raise

    def miss(self) -> None:
        """Break the pool, unless that has been done."""
        self._break_down(
            RuntimeError(
                "a worker's thread could not begin: a function that threading.settrace() or "
                "threading.setprofile() was given has raised an exception"
            )
        )

    def _leave_hive(self) -> None:
        self.ready.set()
        self._hive.forget(self)

    def _break_down(self, error: BaseException) -> None:
        """Break the pools, unless they are done with this worker; leave nothing behind."""
        self.ending = True
        last = self._lease
        self._take_next()
        leases = [lease for lease in {last, self._lease} if lease is not None]
        try:
            for lease in leases:
                if lease is last:
                    self._fail(lease, error)
                else:  # it has not begun: another worker takes this one's place
                    lease.is_retried = True
        finally:
            try:
                self._hive.end(self.worker)
            finally:
                for lease in leases:
                    lease.end()
                self._leave_hive()

    def _fail(self, lease: Lease, error: BaseException) -> None:
        if lease.is_over() or self.worker.abandoned:
            return
        lease.pool.fail(error)
        lease.pool.end_lease(self)
        self._hive.watchdog.expect(lease)  # what its tasks left behind may not end
        lease.pool.end_process(self)

    def call_off(self) -> bool:
        """End a worker whose assignment failed; False if it has begun to serve all the same."""
        if not super().call_off():
            return False
        self._next = None
        if not self._begun:  # nor will it: nobody else counts it out
            self._lease = None
            self._hive.forget(self)
        if self._mail.locked():
            self._mail.release()
        return True

    def assign(self, pool: Pool | None) -> None:
        """Give a parked worker its next pool, or None to end it."""
        if pool is not None:
            self._is_spare = False  # who waits for spares need not wait for the pool's end
            self._next = Lease(self, pool)
            self.name = pool.next_name()
        self._mail.release()

    def present(self, of: object = None) -> _native.Run | None:
        """Return what the worker runs now; with a future or a pool, only if it is of that."""
        return self.worker.present() if of is None else self.worker.present(of)

    def deadline(self) -> tuple[int, int] | None:
        """Return the number of the present run and when its time is over, if it has a limit."""
        return self.worker.deadline()

    def interrupt(self, run: _native.Run, late: bool) -> bool:
        """Have a run of this worker stop, if it still is the present one. Does not block.

        Returns whether its process has been killed for that.
        """
        process = self.process
        if process is not None and process.stop(run, late):
            return True
        run.interrupt(late)
        return False

    def stop_under_way(self) -> tuple[bool, float] | None:
        """Return whether the present run is to stop: late or not, and its time limit."""
        return self._hive.watchdog.stop_under_way(self)

    def grace_of(self, run: _native.Run) -> float:
        """Return how long the present run may take to end once it is interrupted, in seconds."""
        lease = self._lease
        return 0.0 if lease is None else lease.pool.grace_of(run)

    def abandon(self, run: _native.Run, late: bool) -> bool:
        """Give up a run and the worker with it; False if the run is over by itself."""
        lease = self._lease  # if the run is not over, still its lease
        killed = self.process is not None and self.process.was_killed_for(run)
        error = _outcome.abandoned(late, killed, run.limits()[0] or 0.0)
        successor = run.abandon(late, killed, _outcome.encode(error))
        if successor is None:
            return False
        assert lease is not None
        self.given_up = True
        try:
            if not killed:
                _LOGGER.warning("%s has been abandoned: its task could not be stopped", self.name)
        finally:  # whatever a handler of logs raises, or Ctrl-C
            if self.process is not None:
                self.process.give_up()
            with lease.pool.lock:
                lease.pool.threads.discard(self)
            self._hive.give_up(self)
            if successor:
                lease.pool.start_successor()
        return True

    def _open(self) -> bool:
        if self._lease is not None and self._lease.pool.only_processes:
            self._bare = True
            return True
        self._hive.wait_to_begin()
        try:
            self.worker.open(self._path, self._first_world)
        except (RuntimeError, MemoryError) as error:
            _LOGGER.critical("a worker cannot be started: %s", error)
            self._break_down(error)
            return False
        return True

    def _park(self) -> None:
        """Have the hive keep this worker, unless it is closed; an assignment may come at once."""
        self.name = "interp_executor-idle"
        self.claim = threading.RLock()  # of the next assignment
        self._parked = self._hive.park(self)

    def _wait_for_pool(self) -> bool:
        """Wait to be assigned a pool; False if the interpreter has been closed instead."""
        if not self._parked:
            self._park()
        self.ready.set()
        while self._parked and not self._mail.acquire(timeout=self._hive.idle_timeout()):
            if self._hive.unpark(self):
                break  # idle for too long; otherwise an assignment is on its way
        self._take_next()
        if self._lease is None:
            self.ending = True
            self._hive.end(self.worker)
        return self._lease is not None

    def _take_next(self) -> None:
        """Take what the worker has been assigned, if anything; from here on it gets nothing more.

        After a fault at any line of it, another call takes what is left to take.
        """
        self._hive.unpark(self)
        self._parked = False
        if self._next is not None:
            if self.claim.acquire(blocking=False):  # otherwise it has been called off
                self._lease = self._next
            self._next = None

    def _serve(self, lease: Lease) -> bool:
        """Serve the pool; return whether the interpreter is still open."""
        pool = lease.pool
        pool.begin_lease(self)
        arrived = self._set_up(lease)
        lease.is_worn = arrived and self.worker.serve(pool, pool.max_tasks_per_child or 0)
        pool.end_lease(self)
        pool.end_process(self)
        if self.worker.shares_gil:
            self._hurry_departure()  # whatever follows may be kept from the GIL
        reusable = arrived and not (lease.is_worn or self._bare or self.worker.abandoned)
        kept = reusable and self._is_fit(pool) and not lease.is_over()
        emptied = kept or (reusable and self._is_emptied(pool))
        self._viewed = not self._bare and self.worker.is_viewed()
        self.ending = not kept and not self._viewed
        if not emptied and arrived and not self._bare and pool.forward_output:
            self._ask(pool, _worker.stop_forwarding)  # its exit callbacks may print
        if not emptied and not self._bare and not self._viewed:
            self._hurry_departure()
            self._hive.end(self.worker)
        with pool.lock:
            pool.retired += not kept and not lease.is_over()
            if emptied or self._viewed:
                pool.threads.discard(self)
                self.name = "interp_executor-ending"
        if kept and not self._viewed:
            self._park()  # so that whoever has waited for the end of this lease finds it
        lease.end()
        if emptied and not kept and not self._viewed:
            self._hive.end_behind(self.worker, pool)
        return kept

    def _linger(self, kept: bool, patience: float) -> None:
        """Wait, apart from any pool, until nobody looks at this interpreter's memory any more.

        At the owner's exit nobody waits: what is still viewed then is never freed. What tasks left
        behind may keep the interpreter from its end, for as long as the pool's patience.
        """
        self.name = "interp_executor-viewed"
        departure = Departure(self, self._hive, patience)
        try:
            self._hive.begin_lingering(departure)
            try:
                self.worker.linger()
            finally:
                self._hive.end_lingering(departure)
            if not kept:
                self.ending = True
                self._hive.watchdog.expect(departure)
                self._hive.end(self.worker)
        finally:
            departure.end()

    def _set_up(self, lease: Lease) -> bool:
        """Name the worker and run the pool's initializer; whether that went well."""
        worker, pool = self.worker, lease.pool
        if self._bare:
            return True
        try:
            worker.call(pool, _worker.begin_lease, self.name, _world.encode(self.importing))
            if pool.forward_output and not pool.only_processes:
                from interp_executor import _forward

                worker.call(pool, _worker.forward_output, _forward.levels())
            if pool.initializer is not None and not pool.only_processes:
                return self._initialize(lease, pool.initializer)
        except BaseException as error:
            if pool.stopped:
                return False
            refused = refused_modules(error)
            if refused and pool.move(refused[0]):
                worker.close()
                self._bare = True
                return True
            lease.is_retried = pool.note_failure(error, replacement=self.replaces)
            return False
        pool.note_set_up()
        return True

    def _initialize(self, lease: Lease, initializer: Callable[..., object]) -> bool:
        """Run the initializer; False if the worker is not to serve, since its pool is stopped."""
        pool, start = lease.pool, Start(self, lease)
        lease.start = start  # from now on whoever stops the pool reaches it
        try:
            if pool.stopped:
                return False
            self.worker.start(pool, initializer, *pool.initargs)
        finally:
            in_time = start.end()
            lease.start = None  # which holds its lease
            if pool.stopped:
                self._hive.watchdog.alarm.ring()  # so that the watchdog lets go of it, too
        if in_time:
            pool.note_set_up()
        return in_time

    def stop_start(self, pool: Pool, *, at_once: bool) -> None:
        """Interrupt the pool's initializer if it is at work, and give it up if it does not end."""
        lease = self._lease  # perhaps with another pool by now
        start = None if lease is None or lease.pool is not pool else lease.start
        if start is None or start.is_over():
            return
        try:
            self.worker.interrupt_start(pool)
        except RuntimeError as error:
            _LOGGER.warning("an initializer cannot be interrupted: %s", error)
        if at_once:
            start.give_up()
        else:
            self._hive.watchdog.expect(start)

    def _is_fit(self, pool: Pool) -> bool:
        """Whether the interpreter may serve another executor."""
        if pool.failure is not None or self._hive.closed:
            return False
        if pool.reuse:
            self.scrubbed = True
            return self._is_scrubbed(pool)
        return pool.initializer is None and self._ask(pool, _worker.is_clean)

    def _hurry_departure(self) -> None:
        """Let the watchdog count it out of its pool if what its tasks left behind does not end."""
        if self._lease is not None and not self.worker.abandoned:
            self._hive.watchdog.expect(self._lease)

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
        if pool.failure is not None or self._hive.closed or not self._hive.may_end_behind(self):
            return False
        return self._is_scrubbed(pool)
