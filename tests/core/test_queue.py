"""The queue: entries, seats, wake-ups, endings and counts."""

from collections.abc import Iterator

import pytest

from .harness import MS, Call, CData, Core, until


class Rig:
    """A queue, and what a test puts into it and takes out."""

    def __init__(self, core: Core, max_workers: int = 4) -> None:
        self.core = core
        self.lib = core.lib
        self.queue = core.new("struct ix_queue")
        assert self.lib.ix_queue_init(self.queue, max_workers) == 0
        self._owned: list[CData] = []

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
            self.lib.ix_queue_leave(self.queue, self.core.ffi.NULL)
        return entry

    def worker(self) -> CData:
        """The seat of a worker that has arrived."""
        seat = self.core.new("struct ix_seat")
        assert self.lib.ix_queue_wants_worker(self.queue, 10_000)
        self.lib.ix_queue_arrive(self.queue, seat)
        return seat

    def take(self, seat: CData) -> CData | str:
        """What a worker gets: an entry, EMPTY (it is on the stack then) or LEAVE."""
        entry = self.core.ffi.new("struct ix_entry **")
        result = self.lib.ix_queue_take(self.queue, seat, entry)
        if result == self.lib.IX_TAKE_ENTRY:
            return entry[0]
        return "EMPTY" if result == self.lib.IX_TAKE_EMPTY else "LEAVE"

    def sleep(self, seat: CData) -> Call:
        """A worker that sleeps on its seat."""
        call = Call(self.lib.ix_queue_sleep, seat)
        until(lambda: seat.word == self.lib.IX_SEAT_SLEEPING)
        return call

    def is_woken(self, seat: CData) -> bool:
        """Whether somebody has notified the seat."""
        return bool(seat.word == self.lib.IX_SEAT_NOTIFIED)

    def wake(self, seat: CData) -> None:
        """What a notified worker does before it takes."""
        assert self.is_woken(seat)
        self.lib.ix_queue_sleep(seat)

    def counts(self, *names: str) -> tuple[int, ...]:
        """Some of the queue's counts."""
        counts = self.lib.ix_queue_count(self.queue)
        return tuple(int(getattr(counts, name)) for name in names)

    def close(self) -> None:
        """Free all that was made."""
        self.lib.ix_queue_clear(self.queue)
        if self.queue.counts.workers == 0:  # else the test has failed, and the core would abort
            self.lib.ix_queue_fini(self.queue)
        for owned in self._owned:
            if owned.entry.kind == self.lib.IX_ENTRY_JOB:
                self.lib.ix_job_release(owned)
            else:
                self.lib.ix_task_release(owned)


@pytest.fixture
def rig(core: Core) -> Iterator[Rig]:
    """A queue for four workers of which at most two are woken at a time."""
    rig = Rig(core)
    rig.queue.cores = 2
    yield rig
    rig.close()


def leave(rig: Rig, *seats: CData) -> None:
    for seat in seats:
        rig.lib.ix_queue_leave(rig.queue, seat)


# ---- entries ----


def test_entries_come_out_in_the_order_in_which_they_went_in(rig: Rig) -> None:
    entries = [rig.push() for _ in range(5)]
    seat = rig.worker()
    assert [rig.take(seat) for _ in range(5)] == entries
    assert rig.take(seat) == "EMPTY"
    leave(rig, seat)


def test_an_entry_that_comes_out_is_linked_to_nothing(rig: Rig) -> None:
    rig.push(), rig.push()
    seat = rig.worker()
    entry = rig.take(seat)
    assert not isinstance(entry, str)
    assert entry.next == rig.core.ffi.NULL
    leave(rig, seat)


def test_the_queue_says_whether_it_is_empty(rig: Rig) -> None:
    seat = rig.worker()
    assert rig.lib.ix_queue_is_empty(rig.queue)
    rig.push()
    assert not rig.lib.ix_queue_is_empty(rig.queue)
    rig.take(seat)
    assert rig.lib.ix_queue_is_empty(rig.queue)
    leave(rig, seat)


def test_a_job_that_is_put_back_comes_behind_what_came_meanwhile(rig: Rig) -> None:
    job, task, seat = rig.push(rig.job()), rig.push(), rig.worker()
    assert rig.take(seat) == job
    assert rig.lib.ix_queue_requeue(rig.queue, job)
    assert rig.take(seat) == task
    assert rig.take(seat) == job
    rig.lib.ix_queue_put_down(rig.queue)
    leave(rig, seat)


def test_a_queue_without_a_mutex_is_an_error(core: Core) -> None:
    queue = core.new("struct ix_queue")
    core.lib.ix_test_fail_mutex(11)
    assert core.lib.ix_queue_init(queue, 1) == 11


# ---- asking for workers ----


def test_a_push_asks_for_a_worker_for_each_entry_up_to_the_most(rig: Rig) -> None:
    pushed = [rig.lib.ix_queue_push(rig.queue, rig.task()) for _ in range(6)]
    assert pushed == [rig.lib.IX_PUSH_NEEDS_WORKER] * 4 + [rig.lib.IX_PUSH_DONE] * 2
    assert rig.counts("workers", "queued") == (4, 6)
    leave(rig, *[rig.core.ffi.NULL] * 4)


def test_a_push_asks_for_no_worker_where_one_waits(rig: Rig) -> None:
    seat = rig.worker()
    assert rig.take(seat) == "EMPTY"
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_DONE
    assert rig.is_woken(seat)
    rig.wake(seat)
    rig.take(seat)
    leave(rig, seat)


def test_a_busy_worker_does_not_count_as_coming(rig: Rig) -> None:
    rig.push()
    seat = rig.worker()
    rig.take(seat)
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    leave(rig, seat, rig.core.ffi.NULL)


def test_a_worker_that_could_not_be_started_is_asked_for_again(rig: Rig) -> None:
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    assert not rig.lib.ix_queue_wants_worker(rig.queue, 0)
    leave(rig, rig.core.ffi.NULL)
    assert rig.lib.ix_queue_wants_worker(rig.queue, 0)
    leave(rig, rig.core.ffi.NULL)


@pytest.mark.parametrize(("demand", "workers"), [(1, 1), (3, 3), (4, 4), (100, 4)])
def test_workers_are_wanted_up_to_the_demand(rig: Rig, demand: int, workers: int) -> None:
    wanted = 0
    while rig.lib.ix_queue_wants_worker(rig.queue, demand):
        wanted += 1
    assert wanted == workers
    leave(rig, *[rig.core.ffi.NULL] * workers)


def test_no_worker_is_wanted_for_nothing(rig: Rig) -> None:
    assert not rig.lib.ix_queue_wants_worker(rig.queue, 0)


def test_no_worker_is_wanted_that_would_have_to_leave_at_once(rig: Rig) -> None:
    rig.lib.ix_queue_close(rig.queue)
    assert not rig.lib.ix_queue_wants_worker(rig.queue, 5)


def test_a_closed_queue_wants_workers_for_what_is_left(rig: Rig) -> None:
    rig.push()
    rig.lib.ix_queue_close(rig.queue)
    assert rig.lib.ix_queue_wants_worker(rig.queue, 0)
    leave(rig, rig.core.ffi.NULL)


def test_a_worn_worker_hands_over_to_its_successor_without_a_gap(rig: Rig) -> None:
    seat = rig.worker()
    rig.push()
    assert rig.lib.ix_queue_hand_over(rig.queue, seat)
    assert rig.queue.leased == 1
    assert rig.counts("workers") == (1,)
    rig.lib.ix_queue_arrive(rig.queue, seat)
    assert rig.take(seat) not in ("EMPTY", "LEAVE")
    leave(rig, seat)


def test_a_worn_worker_just_leaves_where_nothing_is_left(rig: Rig) -> None:
    seat = rig.worker()
    assert not rig.lib.ix_queue_hand_over(rig.queue, seat)
    assert rig.queue.leased == 0


def test_a_worn_worker_just_leaves_where_enough_are_coming(rig: Rig) -> None:
    seat, other = rig.worker(), rig.worker()
    assert rig.take(other) == "EMPTY"
    rig.push()
    assert not rig.lib.ix_queue_hand_over(rig.queue, seat)
    rig.wake(other)
    rig.take(other)
    leave(rig, other)


def test_each_worn_worker_is_replaced_while_a_job_waits(rig: Rig) -> None:
    rig.push(rig.job())
    seats = [rig.worker() for _ in range(3)]
    assert all(rig.lib.ix_queue_hand_over(rig.queue, seat) for seat in seats)
    assert rig.counts("workers") == (3,)
    leave(rig, *[rig.core.ffi.NULL] * 3)


def test_a_worn_worker_of_a_broken_queue_just_leaves(rig: Rig) -> None:
    seat = rig.worker()
    rig.push()
    rig.lib.ix_queue_break(rig.queue)
    assert not rig.lib.ix_queue_hand_over(rig.queue, seat)


# ---- sleeping and waking ----


def test_a_push_wakes_the_worker_that_parked_last(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(3)]
    assert [rig.take(seat) for seat in seats] == ["EMPTY"] * 3
    rig.push()
    assert [rig.is_woken(seat) for seat in seats] == [False, False, True]
    assert rig.counts("parked") == (2,)
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, *seats)


def test_a_sleeping_worker_is_woken_by_a_push(rig: Rig) -> None:
    seat = rig.worker()
    assert rig.take(seat) == "EMPTY"
    call = rig.sleep(seat)
    entry = rig.push()
    call.result()
    assert seat.woken
    assert rig.take(seat) == entry
    leave(rig, seat)


def test_a_worker_that_is_notified_before_it_sleeps_does_not(rig: Rig) -> None:
    seat = rig.worker()
    assert rig.take(seat) == "EMPTY"
    rig.push()
    rig.lib.ix_queue_sleep(seat)  # would block for ever
    assert seat.woken
    rig.take(seat)
    leave(rig, seat)


def test_a_worker_whose_spinning_pays_never_goes_to_sleep(rig: Rig) -> None:
    seat = rig.worker()
    rig.queue.cores = 8
    assert rig.take(seat) == "EMPTY"
    rig.push()
    seat.spin.score = 4
    rig.lib.ix_queue_sleep(seat)
    assert seat.spin.score == 6
    rig.take(seat)
    leave(rig, seat)


def test_no_more_are_woken_at_once_than_may_be_and_no_entry_is_forgotten(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(4)]
    assert [rig.take(seat) for seat in seats] == ["EMPTY"] * 4
    entries = [rig.push() for _ in range(4)]
    assert [rig.is_woken(seat) for seat in seats] == [False, False, True, True]
    taken = []
    for seat in reversed(seats):  # each that arrives wakes the next
        rig.wake(seat)
        taken.append(rig.take(seat))
    assert taken == entries
    assert rig.queue.waking == 0
    leave(rig, *seats)


def test_a_woken_worker_that_finds_nothing_parks_again(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(2)]
    assert rig.take(seats[0]) == "EMPTY"
    entry = rig.push()
    assert rig.take(seats[1]) == entry
    rig.wake(seats[0])
    assert rig.take(seats[0]) == "EMPTY"
    assert rig.queue.waking == 0
    assert rig.counts("parked") == (1,)
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, *seats)


# ---- endings ----


def test_a_closed_queue_refuses_pushes_and_gives_what_it_has(rig: Rig) -> None:
    entry, seat = rig.push(), rig.worker()
    rig.lib.ix_queue_close(rig.queue)
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_CLOSED
    assert rig.lib.ix_queue_refuses(rig.queue) == rig.lib.IX_PUSH_CLOSED
    assert rig.take(seat) == entry
    assert rig.take(seat) == "LEAVE"
    leave(rig, seat)


def test_a_broken_queue_refuses_pushes_and_gives_nothing(rig: Rig) -> None:
    rig.push()
    seat = rig.worker()
    rig.lib.ix_queue_break(rig.queue)
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_BROKEN
    assert rig.lib.ix_queue_refuses(rig.queue) == rig.lib.IX_PUSH_BROKEN
    assert rig.take(seat) == "LEAVE"
    assert not rig.lib.ix_queue_wants_worker(rig.queue, 5)
    leave(rig, seat)


def test_an_open_queue_refuses_nothing(rig: Rig) -> None:
    assert rig.lib.ix_queue_refuses(rig.queue) == rig.lib.IX_PUSH_DONE


@pytest.mark.parametrize("end", ["ix_queue_close", "ix_queue_break"])
def test_the_end_wakes_every_worker(rig: Rig, end: str) -> None:
    seats = [rig.worker() for _ in range(4)]
    assert [rig.take(seat) for seat in seats] == ["EMPTY"] * 4
    calls = [rig.sleep(seat) for seat in seats]
    getattr(rig.lib, end)(rig.queue)
    for call in calls:
        call.result()
    assert [rig.take(seat) for seat in seats] == ["LEAVE"] * 4
    assert rig.queue.waking == 0
    leave(rig, *seats)


def test_ending_twice_is_fine(rig: Rig) -> None:
    for end in ("close", "close", "break", "break", "close"):
        getattr(rig.lib, f"ix_queue_{end}")(rig.queue)
    assert rig.lib.ix_queue_refuses(rig.queue) == rig.lib.IX_PUSH_BROKEN


def test_clearing_gives_everything_oldest_first(rig: Rig) -> None:
    entries = [rig.push(), rig.push(rig.job()), rig.push()]
    assert rig.core.entries(rig.lib.ix_queue_clear(rig.queue)) == entries
    assert rig.counts("queued", "cancelled", "submitted") == (0, 2, 2)
    assert rig.lib.ix_queue_clear(rig.queue) == rig.core.ffi.NULL


def test_a_cleared_queue_takes_pushes_but_no_job_back(rig: Rig) -> None:
    job, seat = rig.push(rig.job()), rig.worker()
    assert rig.take(seat) == job
    rig.lib.ix_queue_clear(rig.queue)
    assert not rig.lib.ix_queue_requeue(rig.queue, job)
    rig.lib.ix_queue_put_down(rig.queue)
    entry = rig.push()
    assert rig.take(seat) == entry
    leave(rig, seat)


def test_a_broken_queue_takes_no_job_back(rig: Rig) -> None:
    job, seat = rig.push(rig.job()), rig.worker()
    assert rig.take(seat) == job
    rig.lib.ix_queue_break(rig.queue)
    assert not rig.lib.ix_queue_requeue(rig.queue, job)
    leave(rig, seat)


def test_workers_stay_at_a_closed_queue_while_a_job_is_in_hand(rig: Rig) -> None:
    job, seat, other = rig.push(rig.job()), rig.worker(), rig.worker()
    assert rig.take(seat) == job
    rig.lib.ix_queue_close(rig.queue)
    assert rig.take(other) == "EMPTY"
    assert rig.lib.ix_queue_requeue(rig.queue, job)
    rig.wake(other)
    assert rig.take(other) == job
    assert rig.take(seat) == "EMPTY"
    rig.lib.ix_queue_put_down(rig.queue)
    rig.wake(seat)
    assert [rig.take(seat), rig.take(other)] == ["LEAVE"] * 2
    leave(rig, seat, other)


def test_nobody_is_left_asleep_when_a_job_is_cleared_out_of_a_closed_queue(rig: Rig) -> None:
    first, second = rig.push(rig.job()), rig.push(rig.job())
    a, b, c, d = (rig.worker() for _ in range(4))
    assert [rig.take(a), rig.take(b)] == [first, second]
    rig.lib.ix_queue_close(rig.queue)
    assert [rig.take(c), rig.take(d)] == ["EMPTY"] * 2
    assert rig.lib.ix_queue_requeue(rig.queue, second)  # wakes d
    rig.lib.ix_queue_put_down(rig.queue)
    rig.lib.ix_queue_clear(rig.queue)
    rig.wake(d)
    assert rig.take(d) == "LEAVE"
    assert rig.is_woken(c)
    leave(rig, a, b, c, d)


# ---- joining ----


def test_a_join_without_workers_is_over_at_once(rig: Rig) -> None:
    assert rig.lib.ix_queue_join(rig.queue, -1) == rig.lib.IX_PARK_WOKEN


def test_a_join_ends_when_the_last_worker_leaves(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(3)]

    def join() -> int:
        while (result := rig.lib.ix_queue_join(rig.queue, -1)) == rig.lib.IX_PARK_INTERRUPTED:
            pass
        return int(result)

    calls = [Call(join) for _ in range(2)]
    for seat in seats:
        assert not any(call.is_over() for call in calls)
        leave(rig, seat)
    assert [call.result() for call in calls] == [rig.lib.IX_PARK_WOKEN] * 2


def test_a_join_counts_workers_that_have_not_arrived_yet(rig: Rig) -> None:
    assert rig.lib.ix_queue_wants_worker(rig.queue, 1)
    assert rig.lib.ix_queue_join(rig.queue, MS) == rig.lib.IX_PARK_TIMEOUT
    leave(rig, rig.core.ffi.NULL)
    assert rig.lib.ix_queue_join(rig.queue, MS) == rig.lib.IX_PARK_WOKEN


@pytest.mark.parametrize("timeout_ns", [0, 2 * MS])
def test_a_join_ends_with_its_time(rig: Rig, timeout_ns: int) -> None:
    seat = rig.worker()
    assert rig.lib.ix_queue_join(rig.queue, timeout_ns) == rig.lib.IX_PARK_TIMEOUT
    leave(rig, seat)


# ---- counts ----


@pytest.mark.parametrize(
    ("fate", "counted"),
    [
        ("IX_FATE_VALUE", (1, 0, 0)),
        ("IX_FATE_FAILED", (1, 1, 0)),
        ("IX_FATE_CANCELLED", (0, 0, 1)),
        ("IX_FATE_JOB", (0, 0, 0)),
    ],
)
def test_each_fate_is_counted_once_and_stays_so_when_the_worker_has_left(
    rig: Rig, fate: str, counted: tuple[int, ...]
) -> None:
    rig.push()
    seat = rig.worker()
    rig.take(seat)
    assert rig.counts("running", "submitted") == (1, 1)
    rig.lib.ix_seat_settle(seat, getattr(rig.lib, fate))
    assert rig.counts("finished", "failed", "cancelled", "running") == (*counted, 0)
    leave(rig, seat)
    assert rig.counts("finished", "failed", "cancelled", "running") == (*counted, 0)


def test_counts_add_up_over_all_workers_in_whatever_order_they_leave(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(4)]
    for seat in seats:
        rig.push()
        rig.take(seat)
        rig.lib.ix_seat_settle(seat, rig.lib.IX_FATE_VALUE)
    for gone, i in enumerate([1, 3, 0, 2]):
        assert rig.counts("finished", "workers") == (4, 4 - gone)
        leave(rig, seats[i])
    assert rig.queue.members == rig.core.ffi.NULL


def test_jobs_are_not_counted_as_submitted(rig: Rig) -> None:
    rig.push(rig.job())
    assert rig.counts("submitted", "queued") == (0, 1)


def test_nobody_spins_where_the_workers_need_every_core(rig: Rig) -> None:
    first, second = rig.worker(), rig.worker()
    assert not rig.lib.ix_queue_has_idle_core(rig.queue, 0)
    assert rig.take(first) == "EMPTY"
    assert not first.may_spin
    assert rig.lib.ix_queue_has_idle_core(rig.queue, 0)
    assert not rig.lib.ix_queue_has_idle_core(rig.queue, 1)
    assert rig.take(second) == "EMPTY"
    assert second.may_spin
    rig.lib.ix_queue_close(rig.queue)
    for seat in (first, second):
        rig.wake(seat)
        assert rig.take(seat) == "LEAVE"
    leave(rig, first, second)
