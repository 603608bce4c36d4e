"""The queue: entries, and asking for workers."""

import pytest

from .harness import Core
from .queue_rig import Rig, leave

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


def test_what_comes_during_a_claim_goes_before_the_workers_next_one(rig: Rig) -> None:
    job, seat = rig.push(rig.job()), rig.worker()
    for _ in range(2):  # alone, it goes on
        assert rig.take(seat) == job
        assert rig.lib.ix_queue_requeue(rig.queue, job)
    tasks = [rig.push(), rig.push()]
    assert [rig.take(seat), rig.take(seat)] == tasks
    assert rig.take(seat) == job
    assert rig.take(seat) == "EMPTY"
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
    assert not rig.lib.ix_crew_wants_one(rig.queue, 0)
    leave(rig, rig.core.ffi.NULL)
    assert rig.lib.ix_crew_wants_one(rig.queue, 0)
    leave(rig, rig.core.ffi.NULL)


@pytest.mark.parametrize(("demand", "workers"), [(1, 1), (3, 3), (4, 4), (100, 4)])
def test_workers_are_wanted_up_to_the_demand(rig: Rig, demand: int, workers: int) -> None:
    wanted = 0
    while rig.lib.ix_crew_wants_one(rig.queue, demand):
        wanted += 1
    assert wanted == workers
    leave(rig, *[rig.core.ffi.NULL] * workers)


def test_a_worker_that_comes_although_it_was_given_up_keeps_its_count(rig: Rig) -> None:
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    rig.lib.ix_crew_count_in(rig.queue)
    rig.lib.ix_crew_leave(rig.queue, rig.core.ffi.NULL)  # the one that was given up
    assert rig.counts("workers") == (1,)
    seat = rig.core.new("struct ix_seat")
    rig.lib.ix_crew_arrive(rig.queue, seat)
    assert rig.take(seat) != "EMPTY"
    leave(rig, seat)
    assert rig.queue.leased == 0


def test_where_the_last_worker_cannot_come_what_is_queued_comes_out(rig: Rig) -> None:
    entries = [rig.task(), rig.job(), rig.task()]
    for entry in entries:
        assert rig.lib.ix_queue_push(rig.queue, entry) == rig.lib.IX_PUSH_NEEDS_WORKER
    assert [rig.lib.ix_crew_miss(rig.queue) for _ in range(2)] == [rig.core.ffi.NULL] * 2
    first = rig.lib.ix_crew_miss(rig.queue)
    assert [first, first.next, first.next.next] == entries
    assert first.next.next.next == rig.core.ffi.NULL
    assert rig.counts("workers", "queued", "cancelled") == (0, 0, 2)
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    leave(rig, rig.core.ffi.NULL)


def test_no_worker_is_wanted_for_nothing(rig: Rig) -> None:
    assert not rig.lib.ix_crew_wants_one(rig.queue, 0)


def test_no_worker_is_wanted_that_would_have_to_leave_at_once(rig: Rig) -> None:
    rig.lib.ix_queue_close(rig.queue)
    assert not rig.lib.ix_crew_wants_one(rig.queue, 5)


def test_a_closed_queue_wants_workers_for_what_is_left(rig: Rig) -> None:
    rig.push()
    rig.lib.ix_queue_close(rig.queue)
    assert rig.lib.ix_crew_wants_one(rig.queue, 0)
    leave(rig, rig.core.ffi.NULL)


def test_a_worn_worker_hands_over_to_its_successor_without_a_gap(rig: Rig) -> None:
    seat = rig.worker()
    rig.push()
    assert rig.lib.ix_crew_hand_over(rig.queue, seat)
    assert rig.queue.leased == 1
    assert rig.counts("workers") == (1,)
    rig.lib.ix_crew_arrive(rig.queue, seat)
    assert rig.take(seat) not in ("EMPTY", "LEAVE")
    leave(rig, seat)


def test_a_worn_worker_just_leaves_where_nothing_is_left(rig: Rig) -> None:
    seat = rig.worker()
    assert not rig.lib.ix_crew_hand_over(rig.queue, seat)
    assert rig.queue.leased == 0


def test_a_worn_worker_just_leaves_where_enough_are_coming(rig: Rig) -> None:
    seat, other = rig.worker(), rig.worker()
    assert rig.take(other) == "EMPTY"
    rig.push()
    assert not rig.lib.ix_crew_hand_over(rig.queue, seat)
    rig.wake(other)
    rig.take(other)
    leave(rig, other)


def test_each_worn_worker_is_replaced_while_a_job_waits(rig: Rig) -> None:
    rig.push(rig.job())
    seats = [rig.worker() for _ in range(3)]
    assert all(rig.lib.ix_crew_hand_over(rig.queue, seat) for seat in seats)
    assert rig.counts("workers") == (3,)
    leave(rig, *[rig.core.ffi.NULL] * 3)


def test_a_worn_worker_of_a_broken_queue_just_leaves(rig: Rig) -> None:
    seat = rig.worker()
    rig.push()
    rig.lib.ix_queue_break(rig.queue)
    assert not rig.lib.ix_crew_hand_over(rig.queue, seat)
