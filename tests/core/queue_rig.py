"""A queue, and what a test puts into it and takes out."""

from .harness import Call, CData, Core, until


class Rig:
    """A queue, and what a test puts into it and takes out."""

    def __init__(self, core: Core, max_workers: int = 4) -> None:
        self.core = core
        self.lib = core.lib
        self.queue = core.new("struct ix_queue")
        assert self.lib.ix_queue_init(self.queue, max_workers) == 0
        self._owned: list[CData] = []
        self._seats: list[CData] = []  # the stack may still lead to those that have left

    def task(self) -> CData:
        """The queue's end of a task that is freed with the rig."""
        task = self.core.task()
        self._owned.append(task)
        return self.core.entry(task)

    def job(self) -> CData:
        """The queue's end of a job that is freed with the rig."""
        job = self.lib.ix_job_new(self.core.ffi.NULL, 1, 0)
        self._owned.append(job)
        return self.core.entry(job)

    def push(self, entry: CData | None = None) -> CData:
        """Push a task, and count out the worker that the queue may ask for."""
        entry = entry or self.task()
        if self.lib.ix_queue_push(self.queue, entry) == self.lib.IX_PUSH_NEEDS_WORKER:
            self.lib.ix_crew_leave(self.queue, self.core.ffi.NULL)
        return entry

    def worker(self, *, shares_gil: bool = False) -> CData:
        """The seat of a worker that has arrived."""
        seat = self.core.new("struct ix_seat")
        assert self.lib.ix_crew_wants_one(self.queue, 10_000)
        self.lib.ix_crew_arrive(self.queue, seat)
        seat.shares_gil = shares_gil
        self._seats.append(seat)
        return seat

    def take(self, seat: CData) -> CData | str:
        """What a worker gets: an entry, EMPTY (it is on the stack then), NAP or LEAVE."""
        entry = self.core.ffi.new("struct ix_entry **")
        result = self.lib.ix_queue_take(self.queue, seat, entry)
        if result == self.lib.IX_TAKE_ENTRY:
            return entry[0]
        names = {self.lib.IX_TAKE_EMPTY: "EMPTY", self.lib.IX_TAKE_NAP: "NAP"}
        return names.get(result, "LEAVE")

    def sleep(self, seat: CData) -> Call:
        """A worker that sleeps on its seat."""
        call = Call(self.lib.ix_seat_sleep, seat)
        until(lambda: seat.word == self.lib.IX_SEAT_SLEEPING)
        return call

    def is_woken(self, seat: CData) -> bool:
        """Whether somebody has notified the seat."""
        return bool(seat.word == self.lib.IX_SEAT_NOTIFIED)

    def wake(self, seat: CData) -> None:
        """What a notified worker does before it takes."""
        assert self.is_woken(seat)
        self.lib.ix_seat_sleep(seat)

    def counts(self, *names: str) -> tuple[int, ...]:
        """Some of the queue's counts."""
        counts = self.lib.ix_crew_count(self.queue)
        return tuple(int(getattr(counts, name)) for name in names)

    def _check_counts(self) -> None:
        """Workers may have been let go where they were, but for those that come by themselves."""
        on_stack, seat = 0, self.queue.stack
        while seat != self.core.ffi.NULL:
            on_stack, seat = on_stack + 1, seat.below
        assert on_stack == self.queue.counts.parked
        assert self.queue.doubtful <= on_stack + self.queue.waking
        assert self.queue.napping == 0

    def close(self) -> None:
        """Free all that was made."""
        self.lib.ix_queue_clear(self.queue)
        if self.queue.counts.workers == 0:  # else the test has failed, and the core would abort
            self.lib.ix_queue_fini(self.queue)
            self._check_counts()
        for owned in self._owned:
            if owned.entry.kind == self.lib.IX_ENTRY_JOB:
                self.lib.ix_job_release(owned)
            else:
                self.lib.ix_task_release(owned)


def close_and_leave(rig: Rig, seat: CData) -> None:
    """Let a worker on the stack leave, since nothing more will come."""
    rig.lib.ix_queue_close(rig.queue)
    rig.wake(seat)
    assert rig.take(seat) == "LEAVE"
    leave(rig, seat)


def leave(rig: Rig, *seats: CData) -> None:
    """Let workers leave; NULL stands for one that never arrived."""
    for seat in seats:
        rig.lib.ix_crew_leave(rig.queue, seat)
