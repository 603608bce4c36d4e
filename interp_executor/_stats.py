"""What an executor tells of itself: executor.stats()."""

from __future__ import annotations

from collections import namedtuple

from interp_executor import _native

TYPE_CHECKING = False  # typing is slow to import, and dataclasses slower
if TYPE_CHECKING:
    from typing import NamedTuple

    from interp_executor._pool import Pool

    class _Stats(NamedTuple):
        max_workers: int
        workers: int
        idle: int
        running: int
        queued: int
        submitted: int
        completed: int
        failed: int
        cancelled: int
        mapped: int
        interrupted: int
        timed_out: int
        abandoned: int
        busy: dict[str, float]
        busy_before: float
        warm: int
        retired: int
        ended: int
        bytes_copied: int
        bytes_shared: int
        processes: int
        sent_to_processes: int
        moved: tuple[str, ...]

else:
    _Stats = namedtuple(
        "_Stats",
        "max_workers workers idle running queued submitted completed failed cancelled "
        "mapped interrupted timed_out abandoned busy busy_before warm retired ended bytes_copied "
        "bytes_shared processes sent_to_processes moved",
    )


class ExecutorStats(_Stats):
    """What an executor's pool is doing, at one moment.

    Attributes
    ----------
    max_workers : int
        The most workers the pool may have.
    workers : int
        Workers that serve the pool or are being started for it.
    idle : int
        Workers that wait for work.
    running : int
        Workers that run a task or a part of a map.
    queued : int
        Tasks that no worker has taken yet; a map counts as one.
    submitted, completed, failed, cancelled : int
        Tasks submitted so far; of these, those that ran to an end (failed: by an exception) and
        those that a worker found cancelled. Maps and their items are not counted.
    mapped : int
        Items of maps that have run, well or not; counted as a worker ends its part of a map.
    interrupted, timed_out, abandoned : int
        Tasks, and items of maps, that failed because they were interrupted, because they were over
        their time, and because they did not stop within the grace period.
    busy : dict
        Seconds that each present worker, by its thread's name, has not waited for work. They are
        measured around its waits and add up to the right sum; a single one is right to some
        milliseconds.
    busy_before : float
        The same of the workers that have left the pool.
    warm : int
        Interpreters of this process's hive that wait for an executor.
    retired : int
        Interpreters that served the pool and ended with that: they were worn, or could not be
        proved to be as new.
    ended : int
        Interpreters that this package has ended in this process so far, of whichever executor. On
        3.13 CPython loses some megabytes with each.
    bytes_copied, bytes_shared : int
        Bytes of arguments and results that crossed by being copied, and that crossed in place, as
        views and SharedBuffers do.
    processes : int
        Child processes that workers have at the moment for tasks that need one.
    sent_to_processes : int
        Tasks, and claims of maps, that have gone to processes so far.
    moved : tuple of str
        Extension modules that do not load in an interpreter and made tasks move to processes.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        parts = [
            f"{self.workers} of {self.max_workers} workers, {self.idle} idle",
            f"{self.queued} queued, {self.running} running",
            (
                f"{self.submitted} submitted, {self.completed} completed ({self.failed} failed), "
                f"{self.cancelled} cancelled"
            ),
            f"{self.mapped} items mapped" if self.mapped else "",
            self._nonzero("interrupted", "timed_out", "abandoned"),
            f"busy {sum(self.busy.values(), self.busy_before):.2f} s",
            f"interpreters: {self.warm} warm, {self.retired} retired",
            self._nonzero("bytes_shared"),
            self._nonzero("processes", "sent_to_processes"),
            f"moved by {', '.join(self.moved)}" if self.moved else "",
        ]
        return f"<ExecutorStats: {'; '.join(part for part in parts if part)}>"

    def _nonzero(self, *names: str) -> str:
        """Name the counts that are not 0, which they seldom are."""
        counts = [(getattr(self, name), name.replace("_", " ")) for name in names]
        return ", ".join(f"{count} {name}" for count, name in counts if count)


def collect(pool: Pool) -> ExecutorStats:
    """Return what the pool is doing now."""
    submitted, finished, failed, cancelled, queued, running, workers, parked, *stops = pool.counts()
    interrupted, late, abandoned, mapped = stops
    busy, busy_before, retired = pool.record()
    copied, shared = pool.bytes_moved()
    return ExecutorStats(
        max_workers=pool.max_workers,
        workers=workers,
        idle=parked,
        running=running,
        queued=queued,
        submitted=submitted,
        completed=finished,
        failed=failed,
        cancelled=cancelled,
        mapped=mapped,
        interrupted=interrupted,
        timed_out=late,
        abandoned=abandoned,
        busy=busy,
        busy_before=busy_before,
        warm=pool.hive.warm(),
        retired=retired,
        ended=_native.interpreters_ended(),
        bytes_copied=copied,
        bytes_shared=shared,
        processes=pool.processes_alive(),
        sent_to_processes=pool.sent,
        moved=tuple(pool.moved),
    )
