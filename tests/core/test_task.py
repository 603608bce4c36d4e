"""Tasks: the state table, their data, callables, and waiting."""

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from .harness import MS, Call, CData, Core, until

VALUE = 1  # IX_OUTCOME_VALUE


@pytest.fixture
def task(core: Core) -> Iterator[CData]:
    """A pending task."""
    task = core.task(b"arguments")
    yield task
    core.lib.ix_task_release(task)


# ---- making and freeing ----


@pytest.mark.parametrize("size", [0, 1, 39, 40, 41, 4096, 4097, 1_000_000])
def test_a_task_takes_its_arguments_whatever_their_size(core: Core, size: int) -> None:
    data = bytes(i & 255 for i in range(size))
    task = core.task(data)
    assert core.text(task) == data
    assert (core.lib.ix_task_data(task) == task.room) == (size <= 4096)
    core.lib.ix_task_release(task)


def test_a_new_task_is_pending_without_outcome_and_has_one_reference(
    core: Core, task: CData
) -> None:
    assert core.state(task) == "PENDING"
    assert core.lib.ix_task_state(task) == core.lib.IX_PENDING
    assert task.outcome == core.lib.IX_OUTCOME_NONE
    assert task.entry.refs == 1
    assert task.entry.kind == core.lib.IX_ENTRY_TASK


def test_large_arguments_on_the_heap_are_not_copied(core: Core) -> None:
    buffer = core.new("struct ix_buffer")
    assert core.lib.ix_buffer_write(buffer, b"x" * 5000, 5000)
    data = buffer.data
    task = core.lib.ix_task_new(core.ffi.NULL, buffer)
    assert core.lib.ix_task_data(task) == data
    core.lib.ix_task_release(task)


@pytest.mark.parametrize("nth", [1, 2])
def test_without_memory_there_is_no_task_and_nothing_leaks(core: Core, nth: int) -> None:
    buffer = core.buffer(b"x" * 5000)  # too large for the task's room: a second allocation
    with core.failing_allocation(nth):
        assert core.lib.ix_task_new(core.ffi.NULL, buffer) == core.ffi.NULL
    core.lib.ix_buffer_fini(buffer)


def test_a_task_lives_until_its_last_reference(core: Core, task: CData) -> None:
    core.lib.ix_task_acquire(task)
    core.lib.ix_task_release(task)
    assert core.state(task) == "PENDING"


def test_releasing_nothing_is_fine(core: Core) -> None:
    core.lib.ix_task_release(core.ffi.NULL)
    core.lib.ix_callable_release(core.ffi.NULL)
    core.lib.ix_outbox_release(core.ffi.NULL)
    core.lib.ix_job_release(core.ffi.NULL)


def test_tasks_share_a_callable_that_lives_as_long_as_the_last(core: Core) -> None:
    callable_ = core.lib.ix_callable_new(7, 3, b"code", 4)
    assert (callable_.id, callable_.form, core.text(callable_)) == (7, 3, b"code")
    tasks = [core.task(b"", callable_) for _ in range(3)]
    assert callable_.refs == 4
    core.lib.ix_callable_release(callable_)
    for task in tasks:
        assert core.text(task.callable) == b"code"
        core.lib.ix_task_release(task)


def test_an_acquired_callable_outlives_its_maker(core: Core) -> None:
    callable_ = core.lib.ix_callable_new(0, 0, core.ffi.NULL, 0)
    core.lib.ix_callable_acquire(callable_)
    core.lib.ix_callable_release(callable_)
    assert callable_.refs == 1
    core.lib.ix_callable_release(callable_)


def test_without_memory_there_is_no_callable(core: Core) -> None:
    with core.failing_allocation():
        assert core.lib.ix_callable_new(0, 0, b"code", 4) == core.ffi.NULL


# ---- data ----


@pytest.mark.parametrize("size", [0, 40, 41, 100_000])
def test_an_outcome_replaces_the_arguments(core: Core, size: int) -> None:
    task = core.task(b"x" * 5000)
    buffer = core.buffer(b"o" * size)
    assert core.lib.ix_task_set_data(task, buffer)
    assert core.text(task) == b"o" * size
    core.lib.ix_buffer_fini(buffer)
    core.lib.ix_task_release(task)


def test_an_outcome_without_memory_leaves_no_data(core: Core, task: CData) -> None:
    buffer = core.buffer(b"o" * 5000)
    with core.failing_allocation():
        assert not core.lib.ix_task_set_data(task, buffer)
    assert core.text(task) == b""
    core.lib.ix_buffer_fini(buffer)


def test_dropped_data_is_freed_at_once(core: Core) -> None:
    task = core.task(b"x" * 5000)
    blocks = core.lib.ix_test_blocks()
    core.lib.ix_task_drop_data(task)
    assert core.lib.ix_test_blocks() == blocks - 1
    assert core.text(task) == b""
    core.lib.ix_task_drop_data(task)
    core.lib.ix_task_release(task)


# ---- the state table: every transition from every state ----


def pending(core: Core) -> CData:
    return core.task()


def running(core: Core) -> CData:
    return core.running_task()


def done(core: Core) -> CData:
    task = core.running_task()
    core.lib.ix_task_finish(task, VALUE)
    return task


def cancelled(core: Core) -> CData:
    task = core.task()
    assert core.lib.ix_task_cancel(task)
    return task


STATES = {"PENDING": pending, "RUNNING": running, "DONE": done, "CANCELLED": cancelled}


@pytest.mark.parametrize(
    ("before", "step", "succeeds", "after"),
    [
        ("PENDING", "start", True, "RUNNING"),
        ("RUNNING", "start", False, "RUNNING"),
        ("DONE", "start", False, "DONE"),
        ("CANCELLED", "start", False, "CANCELLED"),
        ("PENDING", "cancel", True, "CANCELLED"),
        ("RUNNING", "cancel", False, "RUNNING"),
        ("DONE", "cancel", False, "DONE"),
        ("CANCELLED", "cancel", False, "CANCELLED"),
        ("PENDING", "flag", True, "PENDING OBSERVED"),
        ("RUNNING", "flag", True, "RUNNING OBSERVED"),
        ("DONE", "flag", False, "DONE"),
        ("CANCELLED", "flag", False, "CANCELLED"),
    ],
)
def test_the_state_table_holds(
    core: Core, before: str, step: str, succeeds: bool, after: str
) -> None:
    steps: dict[str, Callable[[CData], bool]] = {
        "start": core.lib.ix_task_start,
        "cancel": core.lib.ix_task_cancel,
        "flag": lambda task: core.lib.ix_task_flag(task, core.lib.IX_OBSERVED),
    }
    task = STATES[before](core)
    assert steps[step](task) == succeeds
    assert core.state(task) == after
    core.lib.ix_task_release(task)


def test_only_done_and_cancelled_are_terminal(core: Core) -> None:
    for state, make in STATES.items():
        task = make(core)
        assert core.lib.ix_task_is_terminal(task) == (state in {"DONE", "CANCELLED"})
        core.lib.ix_task_release(task)


@pytest.mark.parametrize(
    "outcome", ["IX_OUTCOME_VALUE", "IX_OUTCOME_RAISED", "IX_OUTCOME_BROKEN", "IX_OUTCOME_FAILED"]
)
def test_finishing_records_the_outcome(core: Core, outcome: str) -> None:
    task = core.running_task()
    assert core.lib.ix_task_finish(task, getattr(core.lib, outcome)) == 0
    assert core.state(task) == "DONE"
    assert task.outcome == getattr(core.lib, outcome)
    core.lib.ix_task_release(task)


def test_whoever_breaks_the_pool_starts_and_finishes(core: Core, task: CData) -> None:
    assert core.lib.ix_task_start(task)
    core.lib.ix_task_finish(task, core.lib.IX_OUTCOME_BROKEN)
    assert core.state(task) == "DONE"


def test_flags_live_through_the_start_and_are_returned_by_the_finish(
    core: Core, task: CData
) -> None:
    lib = core.lib
    assert lib.ix_task_flag(task, lib.IX_OBSERVED)
    assert lib.ix_task_start(task)
    assert core.state(task) == "RUNNING OBSERVED"
    assert lib.ix_task_flag(task, lib.IX_LOUD)
    assert lib.ix_task_finish(task, VALUE) == lib.IX_OBSERVED | lib.IX_LOUD
    assert core.state(task) == "DONE"


def test_flags_live_through_a_cancel(core: Core, task: CData) -> None:
    lib = core.lib
    assert lib.ix_task_flag(task, lib.IX_OBSERVED | lib.IX_LOUD)
    assert lib.ix_task_cancel(task)
    assert core.state(task) == "CANCELLED OBSERVED LOUD"


def test_setting_a_flag_twice_is_fine(core: Core, task: CData) -> None:
    assert core.lib.ix_task_flag(task, core.lib.IX_OBSERVED)
    assert core.lib.ix_task_flag(task, core.lib.IX_OBSERVED)
    assert core.state(task) == "PENDING OBSERVED"


# ---- waiting ----


def ended_by_finish(core: Core, task: CData) -> None:
    assert core.lib.ix_task_start(task)
    core.lib.ix_task_finish(task, VALUE)


def ended_by_cancel(core: Core, task: CData) -> None:
    assert core.lib.ix_task_cancel(task)


def wait(core: Core, task: CData) -> int:
    """Wait without limit, as the owner does: again after each signal or slice."""
    while True:
        result = int(core.lib.ix_task_wait(task, -1))
        if result != core.lib.IX_PARK_INTERRUPTED:
            return result


@pytest.mark.parametrize("end", [ended_by_finish, ended_by_cancel])
def test_the_end_wakes_every_waiter(
    core: Core, task: CData, end: Callable[[Core, CData], None]
) -> None:
    calls = [Call(wait, core, task) for _ in range(4)]
    until(lambda: "WAITED" in core.state(task))
    assert not any(call.is_over() for call in calls)
    end(core, task)
    assert [call.result() for call in calls] == [core.lib.IX_PARK_WOKEN] * 4


@pytest.mark.parametrize("end", [ended_by_finish, ended_by_cancel])
@pytest.mark.parametrize("timeout_ns", [-1, 0, MS])
def test_a_wait_for_what_has_ended_is_over_at_once(
    core: Core, task: CData, end: Callable[[Core, CData], None], timeout_ns: int
) -> None:
    end(core, task)
    state = core.state(task)
    assert core.lib.ix_task_wait(task, timeout_ns) == core.lib.IX_PARK_WOKEN
    assert core.state(task) == state


def test_a_start_does_not_end_a_wait(core: Core, task: CData) -> None:
    call = Call(wait, core, task)
    until(lambda: "WAITED" in core.state(task))
    assert core.lib.ix_task_start(task)
    assert core.lib.ix_task_flag(task, core.lib.IX_OBSERVED)
    assert not call.is_over()
    flags = core.lib.ix_task_finish(task, VALUE)
    assert flags == core.lib.IX_WAITED | core.lib.IX_OBSERVED
    assert call.result() == core.lib.IX_PARK_WOKEN


@pytest.mark.parametrize("timeout_ns", [0, 5 * MS])
def test_a_wait_ends_with_its_time(core: Core, task: CData, timeout_ns: int) -> None:
    start = time.monotonic()
    assert core.lib.ix_task_wait(task, timeout_ns) == core.lib.IX_PARK_TIMEOUT
    assert time.monotonic() - start >= timeout_ns / 1e9
    assert core.state(task) == "PENDING WAITED"


def test_a_nap_ends_with_its_time_and_asks_nobody_for_a_wake_up(core: Core, task: CData) -> None:
    start = time.monotonic()
    assert core.lib.ix_task_nap(task, 5 * MS) == core.lib.IX_PARK_TIMEOUT
    assert time.monotonic() - start >= 5 * MS / 1e9
    assert core.state(task) == "PENDING"


@pytest.mark.parametrize("end", [ended_by_finish, ended_by_cancel])
def test_nobody_naps_for_what_has_ended(
    core: Core, task: CData, end: Callable[[Core, CData], None]
) -> None:
    end(core, task)
    assert core.lib.ix_task_nap(task, -1) == core.lib.IX_PARK_WOKEN


def test_the_task_goes_on_after_a_wait_that_was_given_up(core: Core, task: CData) -> None:
    assert core.lib.ix_task_wait(task, 0) == core.lib.IX_PARK_TIMEOUT
    assert core.lib.ix_task_start(task)
    assert core.lib.ix_task_finish(task, VALUE) == core.lib.IX_WAITED
    assert core.lib.ix_task_wait(task, 0) == core.lib.IX_PARK_WOKEN


def test_a_signal_interrupts_a_wait(core: Core, task: CData) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        call = Call(core.lib.ix_task_wait, task, -1)
        while not call.is_over():
            signal.pthread_kill(call.ident, signal.SIGUSR1)
            time.sleep(0.001)
        assert call.result() == core.lib.IX_PARK_INTERRUPTED
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_very_long_timeout_is_as_good_as_none(core: Core, task: CData) -> None:
    def wait_long() -> int:
        while True:
            result = int(core.lib.ix_task_wait(task, 9 * 10**18))
            if result != core.lib.IX_PARK_INTERRUPTED:
                return result

    call = Call(wait_long)
    until(lambda: "WAITED" in core.state(task))
    ended_by_finish(core, task)
    assert call.result() == core.lib.IX_PARK_WOKEN
