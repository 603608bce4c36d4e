"""The queue: how it ends, who is joined, and what is counted."""

import pytest

from .harness import MS, Call
from .queue_rig import Rig, leave

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
    assert not rig.lib.ix_crew_wants_one(rig.queue, 5)
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
    assert rig.lib.ix_crew_join(rig.queue, -1) == rig.lib.IX_PARK_WOKEN


def test_a_join_ends_when_the_last_worker_leaves(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(3)]

    def join() -> int:
        while (result := rig.lib.ix_crew_join(rig.queue, -1)) == rig.lib.IX_PARK_INTERRUPTED:
            pass
        return int(result)

    calls = [Call(join) for _ in range(2)]
    for seat in seats:
        assert not any(call.is_over() for call in calls)
        leave(rig, seat)
    assert [call.result() for call in calls] == [rig.lib.IX_PARK_WOKEN] * 2


def test_a_join_counts_workers_that_have_not_arrived_yet(rig: Rig) -> None:
    assert rig.lib.ix_crew_wants_one(rig.queue, 1)
    assert rig.lib.ix_crew_join(rig.queue, MS) == rig.lib.IX_PARK_TIMEOUT
    leave(rig, rig.core.ffi.NULL)
    assert rig.lib.ix_crew_join(rig.queue, MS) == rig.lib.IX_PARK_WOKEN


@pytest.mark.parametrize("timeout_ns", [0, 2 * MS])
def test_a_join_ends_with_its_time(rig: Rig, timeout_ns: int) -> None:
    seat = rig.worker()
    assert rig.lib.ix_crew_join(rig.queue, timeout_ns) == rig.lib.IX_PARK_TIMEOUT
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
    rig.queue.cores = 2
    assert rig.lib.ix_queue_await(rig.queue) == rig.lib.IX_AWAIT_SLEEP
    assert rig.take(first) == "EMPTY"
    assert not first.may_spin
    assert rig.lib.ix_queue_await(rig.queue) == rig.lib.IX_AWAIT_SPIN
    assert rig.take(second) == "EMPTY"
    assert second.may_spin
    rig.lib.ix_queue_close(rig.queue)
    for seat in (first, second):
        rig.wake(seat)
        assert rig.take(seat) == "LEAVE"
    leave(rig, first, second)
