"""The queue: workers that sleep, nap and are woken, and those that may not come."""

import pytest

from .harness import Call, CData, until
from .queue_rig import Rig, close_and_leave, leave

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
    rig.lib.ix_seat_sleep(seat)  # would block for ever
    assert seat.woken
    rig.take(seat)
    leave(rig, seat)


def test_a_worker_whose_spinning_pays_never_goes_to_sleep(rig: Rig) -> None:
    seat = rig.worker()
    rig.queue.cores = 8
    assert rig.take(seat) == "EMPTY"
    rig.push()
    seat.spin.score = 4
    rig.lib.ix_seat_sleep(seat)
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


# ---- workers that share their GIL ----


def sharing(rig: Rig, number: int = 1) -> list[CData]:
    """Workers on the stack that may not come when they are woken; the first is woken first."""
    seats = [rig.worker(shares_gil=True) for _ in range(number)]
    assert [rig.take(seat) for seat in seats] == ["EMPTY"] * number
    return seats


def test_a_worker_that_passes_its_wake_up_on_is_not_counted_on(rig: Rig) -> None:
    rig.queue.cores = 1
    seats = sharing(rig, 3)
    entries = [rig.push() for _ in range(2)]
    assert [rig.is_woken(seat) for seat in seats] == [True, False, False]
    rig.wake(seats[0])
    rig.lib.ix_queue_pass_on(rig.queue, seats[0])
    assert [rig.is_woken(seat) for seat in seats] == [True, True, False]
    assert rig.queue.waking == 1
    rig.wake(seats[1])
    assert rig.take(seats[1]) == entries[0]
    assert rig.take(seats[0]) == entries[1]  # it has come after all
    rig.wake(seats[2])  # by the first that came
    assert rig.take(seats[2]) == "EMPTY"
    close_and_leave(rig, seats[2])
    leave(rig, *seats[:2])


def test_a_wake_up_for_what_is_done_is_not_passed_on(rig: Rig) -> None:
    seats = sharing(rig, 2)
    rig.push()
    rig.lib.ix_queue_clear(rig.queue)
    rig.wake(seats[0])
    rig.lib.ix_queue_pass_on(rig.queue, seats[0])
    assert not rig.is_woken(seats[1])
    assert rig.queue.waking == 0
    close_and_leave(rig, seats[1])
    leave(rig, seats[0])


def test_who_passes_on_the_end_wakes_all(rig: Rig) -> None:
    """A job in hand has kept them, is gone, and the worker that had it does not take again."""
    rig.queue.cores = 1
    runner = rig.worker()
    job = rig.push(rig.job())
    assert rig.take(runner) == job
    rig.lib.ix_queue_close(rig.queue)
    seats = sharing(rig, 2)
    assert rig.lib.ix_queue_requeue(rig.queue, job)
    rig.lib.ix_queue_clear(rig.queue)
    assert [rig.is_woken(seat) for seat in seats] == [True, False]
    rig.wake(seats[0])
    rig.lib.ix_queue_pass_on(rig.queue, seats[0])
    rig.wake(seats[1])
    assert [rig.take(seat) for seat in seats] == ["LEAVE", "LEAVE"]
    leave(rig, runner, *seats)


def test_who_shares_its_gil_is_woken_last(rig: Rig) -> None:
    (last,) = sharing(rig)
    first = rig.worker()
    assert rig.take(first) == "EMPTY"
    (very_last,) = sharing(rig)
    for seat in (first, last, very_last):
        entry = rig.push()
        rig.wake(seat)
        assert rig.take(seat) == entry
    leave(rig, first, last, very_last)


def test_a_push_asks_for_a_worker_where_those_there_are_may_not_come(rig: Rig) -> None:
    (seat,) = sharing(rig)
    for _ in range(2):
        assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    assert rig.queue.counts.workers == 4
    rig.wake(seat)
    rig.take(seat)
    leave(rig, seat, *[rig.core.ffi.NULL] * 3)


def test_a_worn_worker_has_a_successor_where_the_other_may_not_come(rig: Rig) -> None:
    worn, (seat,) = rig.worker(), sharing(rig)
    rig.push()
    assert rig.is_woken(seat)
    assert rig.lib.ix_crew_hand_over(rig.queue, worn)
    rig.wake(seat)
    rig.take(seat)
    leave(rig, seat, rig.core.ffi.NULL)


def test_who_shares_its_gil_does_not_nap(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    seat.shares_gil = True
    assert rig.take(seat) == "EMPTY"
    close_and_leave(rig, seat)


@pytest.mark.parametrize("shares_gil", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_worker_steps_off_the_stack(rig: Rig, place: int, shares_gil: bool) -> None:
    seats = [rig.worker(shares_gil=shares_gil) for _ in range(3)]
    assert [rig.take(seat) for seat in seats] == ["EMPTY"] * 3
    assert rig.lib.ix_queue_unpark(rig.queue, seats[place])
    assert rig.counts("parked") == (2,)
    assert not rig.lib.ix_queue_unpark(rig.queue, seats[place])
    others = [seat for seat in seats if seat != seats[place]]
    for seat in others if shares_gil else reversed(others):
        entry = rig.push()
        rig.wake(seat)
        assert rig.take(seat) == entry
    assert rig.take(seats[place]) == "EMPTY"
    close_and_leave(rig, seats[place])
    leave(rig, *others)


def test_a_push_asks_for_a_worker_where_one_lets_go_of_things(rig: Rig) -> None:
    """Which may take long, where finalizers run."""
    seat = rig.worker()
    assert rig.take(seat) == "EMPTY"
    assert rig.lib.ix_queue_unpark(rig.queue, seat)
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    rig.take(seat)
    leave(rig, seat, rig.core.ffi.NULL)


def test_a_worker_that_was_popped_cannot_step_off(rig: Rig) -> None:
    seat = rig.worker()
    assert rig.take(seat) == "EMPTY"
    entry = rig.push()
    assert not rig.lib.ix_queue_unpark(rig.queue, seat)
    rig.wake(seat)
    assert rig.take(seat) == entry
    leave(rig, seat)


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


# ---- napping ----


def keep_pace(rig: Rig, seat: CData, tasks: int = 64) -> None:
    """A worker that takes a stream of tasks, which nobody waits for, as they come."""
    for _ in range(tasks):
        entry = rig.push()
        assert rig.take(seat) == entry


def nap(rig: Rig, seat: CData) -> Call:
    """A worker to which a take has returned NAP, asleep until it is roused."""
    rig.queue.nap_ns = 60 * 10**9
    call = Call(rig.lib.ix_queue_nap, rig.queue, seat)
    until(lambda: not seat.awake_since)
    return call


def test_a_worker_that_keeps_pace_naps_once_and_then_parks(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    assert rig.take(seat) == "NAP"
    assert rig.queue.stack == rig.core.ffi.NULL
    rig.lib.ix_queue_nap(rig.queue, seat)  # for a moment
    assert rig.take(seat) == "EMPTY"
    entry = rig.push()
    rig.wake(seat)
    assert rig.take(seat) == entry
    leave(rig, seat)


def test_a_worker_that_finds_more_after_a_nap_naps_again(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    for _ in range(3):
        assert rig.take(seat) == "NAP"
        entries = [rig.push() for _ in range(8)]
        assert [rig.take(seat) for _ in entries] == entries
    assert rig.take(seat) == "NAP"
    assert rig.take(seat) == "EMPTY"
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, seat)


@pytest.mark.parametrize("tasks", [1, 7, 63])
def test_after_a_short_stream_nobody_naps(rig: Rig, tasks: int) -> None:
    seat = rig.worker()
    keep_pace(rig, seat, tasks)
    assert rig.take(seat) == "EMPTY"
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, seat)


def test_nobody_naps_where_somebody_waits(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    rig.lib.ix_queue_await(rig.queue)
    assert rig.take(seat) == "EMPTY"
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, seat)


def test_nobody_naps_while_a_map_is_in_hand(rig: Rig) -> None:
    seats = [rig.worker() for _ in range(2)]
    job = rig.push(rig.job())
    assert rig.take(seats[0]) == job
    keep_pace(rig, seats[1])
    assert rig.take(seats[1]) == "EMPTY"
    rig.lib.ix_queue_put_down(rig.queue)
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, *seats)


def test_who_waits_rouses_a_worker_that_naps(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    assert rig.take(seat) == "NAP"
    call = nap(rig, seat)
    rig.lib.ix_queue_await(rig.queue)  # for nothing: nothing is queued
    assert rig.queue.roused == 0
    entry = rig.push()
    rig.lib.ix_queue_await(rig.queue)
    call.result()
    assert rig.take(seat) == entry
    assert rig.queue.napping == 0
    leave(rig, seat)


def test_a_push_wakes_nobody_while_another_naps(rig: Rig) -> None:
    parked, seat = rig.worker(), rig.worker()
    keep_pace(rig, seat)
    assert rig.take(parked) == "EMPTY"
    assert rig.take(seat) == "NAP"
    entries = [rig.push() for _ in range(3)]
    assert not rig.is_woken(parked)
    assert rig.take(seat) == entries[0]  # back from its nap, it wakes the next
    rig.wake(parked)
    assert rig.take(parked) == entries[1]
    rig.take(seat)
    leave(rig, parked, seat)


def test_who_waits_for_one_of_a_crowd_may_nap(rig: Rig) -> None:
    rig.queue.cores = 1
    seat = rig.worker()
    rig.push()
    assert rig.take(seat) not in ("EMPTY", "LEAVE")
    for _ in range(1 + 64):
        rig.push()
    assert rig.lib.ix_queue_await(rig.queue) == rig.lib.IX_AWAIT_SLEEP
    rig.push()
    assert rig.lib.ix_queue_await(rig.queue) == rig.lib.IX_AWAIT_NAP
    leave(rig, seat)


def test_a_worker_may_come_back_from_a_nap_at_once(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    assert rig.take(seat) == "NAP"
    assert rig.take(seat) == "EMPTY"
    assert rig.queue.napping == 0
    rig.lib.ix_queue_close(rig.queue)
    leave(rig, seat)


def test_who_is_roused_before_the_nap_does_not_sleep(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    assert rig.take(seat) == "NAP"
    rig.queue.nap_ns = 60 * 10**9
    rig.push()
    rig.lib.ix_queue_await(rig.queue)
    rig.lib.ix_queue_nap(rig.queue, seat)  # would block for a minute
    rig.take(seat)
    leave(rig, seat)


def test_a_push_asks_for_no_worker_where_one_naps(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    assert rig.take(seat) == "NAP"
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_DONE
    assert rig.lib.ix_queue_push(rig.queue, rig.task()) == rig.lib.IX_PUSH_NEEDS_WORKER
    leave(rig, rig.core.ffi.NULL)
    rig.take(seat)
    leave(rig, seat)


def test_a_worker_that_comes_back_to_a_closed_queue_leaves(rig: Rig) -> None:
    seat = rig.worker()
    keep_pace(rig, seat)
    assert rig.take(seat) == "NAP"
    rig.lib.ix_queue_close(rig.queue)
    assert rig.take(seat) == "LEAVE"
    leave(rig, seat)
