"""The outbox: tasks come out in the order they went in, and no sleep of the notifier loses one."""

from collections.abc import Iterator

import pytest

from .harness import Call, CData, Core, until


@pytest.fixture
def outbox(core: Core) -> Iterator[CData]:
    """An empty outbox."""
    outbox = core.lib.ix_outbox_new()
    yield outbox
    core.lib.ix_outbox_release(outbox)


def done_task(core: Core) -> CData:
    task = core.running_task()
    core.lib.ix_task_finish(task, core.lib.IX_OUTCOME_VALUE)
    return task


def take(core: Core, outbox: CData) -> list[CData]:
    """Take everything and release it."""
    tasks = core.chain(core.lib.ix_outbox_take(outbox))
    for task in tasks:
        core.lib.ix_task_release(task)
    return tasks


def asleep(core: Core, outbox: CData) -> None:
    until(lambda: outbox.word == core.lib.IX_OUTBOX_ASLEEP)


def test_an_empty_outbox_has_nothing_to_take(core: Core, outbox: CData) -> None:
    assert core.lib.ix_outbox_take(outbox) == core.ffi.NULL


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_tasks_come_out_oldest_first(core: Core, outbox: CData, count: int) -> None:
    tasks = [done_task(core) for _ in range(count)]
    for task in tasks:
        core.lib.ix_outbox_push(outbox, task)
    assert take(core, outbox) == tasks
    assert take(core, outbox) == []


def test_what_comes_after_a_take_is_for_the_next(core: Core, outbox: CData) -> None:
    first, second = done_task(core), done_task(core)
    core.lib.ix_outbox_push(outbox, first)
    assert take(core, outbox) == [first]
    core.lib.ix_outbox_push(outbox, second)
    assert take(core, outbox) == [second]


def test_an_outbox_lives_until_its_last_reference(core: Core) -> None:
    outbox = core.lib.ix_outbox_new()
    core.lib.ix_outbox_acquire(outbox)
    core.lib.ix_outbox_release(outbox)
    assert core.lib.ix_outbox_take(outbox) == core.ffi.NULL
    core.lib.ix_outbox_release(outbox)


def test_without_memory_there_is_no_outbox(core: Core) -> None:
    with core.failing_allocation():
        assert core.lib.ix_outbox_new() == core.ffi.NULL


def test_a_wait_is_over_at_once_where_there_is_something(core: Core, outbox: CData) -> None:
    core.lib.ix_outbox_push(outbox, done_task(core))
    assert core.lib.ix_outbox_wait(outbox)
    assert outbox.word == core.lib.IX_OUTBOX_AWAKE
    take(core, outbox)


def test_a_ring_wakes_the_notifier(core: Core, outbox: CData) -> None:
    call = Call(core.lib.ix_outbox_wait, outbox)
    asleep(core, outbox)
    core.lib.ix_outbox_push(outbox, done_task(core))
    core.lib.ix_outbox_ring(outbox)
    assert call.result()
    take(core, outbox)


def test_a_ring_for_nothing_lets_the_notifier_sleep_on(core: Core, outbox: CData) -> None:
    call = Call(core.lib.ix_outbox_wait, outbox)
    for _ in range(3):
        asleep(core, outbox)
        core.lib.ix_outbox_ring(outbox)
    asleep(core, outbox)
    assert not call.is_over()
    core.lib.ix_outbox_close(outbox)
    assert not call.result()


def test_a_ring_does_nothing_while_the_notifier_is_awake(core: Core, outbox: CData) -> None:
    core.lib.ix_outbox_ring(outbox)
    assert outbox.word == core.lib.IX_OUTBOX_AWAKE


def test_closing_wakes_the_notifier_for_good(core: Core, outbox: CData) -> None:
    call = Call(core.lib.ix_outbox_wait, outbox)
    asleep(core, outbox)
    core.lib.ix_outbox_close(outbox)
    assert not call.result()
    assert not core.lib.ix_outbox_wait(outbox)


def test_a_closed_outbox_gives_what_it_still_holds(core: Core, outbox: CData) -> None:
    task = done_task(core)
    core.lib.ix_outbox_push(outbox, task)
    core.lib.ix_outbox_close(outbox)
    assert core.lib.ix_outbox_wait(outbox)
    assert take(core, outbox) == [task]
    assert not core.lib.ix_outbox_wait(outbox)


def test_a_ring_does_not_reopen_a_closed_outbox(core: Core, outbox: CData) -> None:
    core.lib.ix_outbox_close(outbox)
    core.lib.ix_outbox_close(outbox)
    core.lib.ix_outbox_ring(outbox)
    assert outbox.word == core.lib.IX_OUTBOX_CLOSED


def test_many_threads_leave_their_tasks_and_none_is_lost(core: Core, outbox: CData) -> None:
    tasks = [[done_task(core) for _ in range(300)] for _ in range(4)]

    def leave(mine: list[CData]) -> bool:
        for task in mine:
            core.lib.ix_outbox_push(outbox, task)
            core.lib.ix_outbox_ring(outbox)
        return True

    def notify() -> list[CData]:
        published = []
        while core.lib.ix_outbox_wait(outbox):
            published += core.chain(core.lib.ix_outbox_take(outbox))
        return published

    notifier = Call(notify)
    for call in [Call(leave, mine) for mine in tasks]:
        assert call.result()
    core.lib.ix_outbox_close(outbox)
    published = notifier.result()
    numbers = {task: i for i, task in enumerate(published)}
    assert len(numbers) == len(published) == 1200
    for mine in tasks:  # of one thread's tasks, the order stays
        order = [numbers[task] for task in mine]
        assert order == sorted(order)
    for task in published:
        core.lib.ix_task_release(task)
