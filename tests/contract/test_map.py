"""`Executor.map`: order, failures, timeouts, early ends, and how much of the input it takes."""

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count
from typing import Any, NoReturn

import pytest
from garbage import collect

from . import tasks
from .differences import differs
from .rig import PATIENCE, Rig


def test_map_yields_results_in_the_order_of_the_input(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    assert list(executor.map(tasks.echo, range(100))) == list(range(100))


def test_map_takes_several_iterables_and_stops_with_the_shortest(rig: Rig) -> None:
    executor = rig.executor()
    assert list(executor.map(tasks.add, [1, 2, 3], (10, 20))) == [11, 22]
    assert list(executor.map(tasks.add, [1, 2], count(10))) == [11, 13]
    assert list(executor.map(pow, range(5), [2, 2, 2])) == [0, 1, 4]


@pytest.mark.parametrize("chunksize", [1, 2, 3, 7, 50, 1000])
def test_map_gives_the_same_with_every_chunksize(rig: Rig, chunksize: int) -> None:
    results = rig.executor(max_workers=2).map(tasks.add, range(60), range(60), chunksize=chunksize)
    assert list(results) == [2 * number for number in range(60)]


def test_map_of_nothing_is_empty(rig: Rig) -> None:
    executor = rig.executor()
    assert list(executor.map(tasks.echo, [])) == []
    assert list(executor.map(tasks.echo)) == []
    assert list(executor.map(tasks.add, [1], [])) == []


def test_map_returns_an_iterator(rig: Rig) -> None:
    results = rig.executor().map(tasks.echo, [1])
    assert iter(results) is results
    assert next(results) == 1
    assert next(results, "over") == "over"


def test_map_takes_all_of_the_input_before_it_returns(rig: Rig) -> None:
    numbers = iter(range(10))
    results = rig.executor().map(tasks.echo, numbers)
    assert next(numbers, None) is None
    assert list(results) == list(range(10))


def test_map_runs_without_anyone_reading(rig: Rig) -> None:
    executor = rig.executor()
    inbox = rig.inbox()
    results = executor.map(tasks.say_and_echo, [inbox.path] * 5, range(5))
    executor.shutdown()
    assert inbox.drain() == ["0", "1", "2", "3", "4"]
    assert list(results) == list(range(5))


def test_map_yields_in_order_when_later_items_finish_first(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, inbox = rig.gate(), rig.inbox()
    steps = [
        (tasks.hold, inbox.path, gate.path, "first"),
        (tasks.open_gate, gate.path),
        (tasks.echo, "third"),
    ]
    results = executor.map(tasks.perform, steps, chunksize=1, timeout=PATIENCE)
    assert list(results) == ["first", None, "third"]


def test_map_yields_the_results_before_a_failing_item_then_raises_and_ends(rig: Rig) -> None:
    results = rig.executor(max_workers=2).map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    assert [next(results), next(results)] == [(0, 1), (0, 1)]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert next(results, "over") == "over"


def test_an_item_that_raises_stop_iteration_does_not_end_the_loop_as_if_all_were_well(
    rig: Rig,
) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(rig.executor().map(tasks.fail, [StopIteration, StopIteration]))


def test_every_result_before_the_failure_is_yielded_whatever_the_chunk(rig: Rig) -> None:
    executor = rig.executor()
    for chunksize in (1, 2, 5, 100):
        results = executor.map(tasks.fail_unless_even, [0, 2, 4, 6, 7, 8], chunksize=chunksize)
        seen = []
        with pytest.raises(ValueError):
            for result in results:
                seen.append(result)  # noqa: PERF402 - what was seen before the failure counts
        assert seen == [0, 2, 4, 6], chunksize


def test_a_failing_item_cancels_those_that_nobody_has_taken(rig: Rig) -> None:
    executor = rig.executor()
    gate, inbox, later = rig.gate(), rig.inbox(), rig.inbox()
    steps: list[tuple[Any, ...]] = [
        (tasks.fail, ValueError, "stop here"),
        (tasks.hold, inbox.path, gate.path),
        *((tasks.say, later.path, str(number)) for number in range(6)),
    ]
    results = executor.map(tasks.perform, steps, chunksize=1)
    with pytest.raises(ValueError, match="stop here"):
        next(results)
    gate.open()
    executor.shutdown()
    assert len(later.drain()) <= _prefetched(rig)


def _prefetched(rig: Rig) -> int:
    """How many waiting tasks one worker's executor puts beyond the reach of `cancel`."""
    return 2 if differs(rig.lane.name, "a waiting task can always be cancelled") else 0


def _start_and_leave(rig: Rig, leave: Callable[[Iterator[Any]], None]) -> list[str]:
    """Read one result of a map, leave it, and return which of the waiting items still ran."""
    executor = rig.executor()
    gate, inbox, later = rig.gate(), rig.inbox(), rig.inbox()
    steps: list[tuple[Any, ...]] = [
        (tasks.echo, "first"),
        (tasks.hold, inbox.path, gate.path),
        *((tasks.say, later.path, str(number)) for number in range(6)),
    ]
    results = executor.map(tasks.perform, steps, chunksize=1)
    assert next(results) == "first"
    assert inbox.read() == "held"
    leave(results)
    del results
    collect()
    gate.open()
    executor.shutdown()
    return later.drain()


def test_closing_the_iterator_cancels_what_waits(rig: Rig) -> None:
    ran = _start_and_leave(rig, lambda results: results.close())  # type: ignore[attr-defined]
    assert len(ran) <= _prefetched(rig)


def test_dropping_the_iterator_cancels_what_waits(rig: Rig) -> None:
    ran = _start_and_leave(rig, lambda _: None)
    assert len(ran) <= _prefetched(rig)


def test_a_timeout_is_raised_ends_the_iteration_and_cancels_what_waits(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    later = rig.inbox()
    results = executor.map(tasks.say, [later.path] * 6, "abcdef", timeout=0.05, chunksize=1)
    with pytest.raises(TimeoutError):
        next(results)
    assert next(results, "over") == "over"
    gate.open()
    executor.shutdown()
    assert len(later.drain()) <= _prefetched(rig)


def test_a_generous_timeout_changes_nothing(rig: Rig) -> None:
    results = rig.executor().map(tasks.echo, range(10), timeout=PATIENCE)
    assert list(results) == list(range(10))


def _two_and_an_error() -> Iterator[int]:
    yield 1
    yield 2
    raise LookupError("the input is broken")


def test_an_error_of_the_input_is_raised_by_map_itself(rig: Rig) -> None:
    executor = rig.executor()
    with pytest.raises(LookupError, match="the input is broken"):
        executor.map(tasks.echo, _two_and_an_error())
    assert executor.submit(tasks.echo, "still works").result() == "still works"


def test_an_error_of_the_input_is_raised_by_next_where_a_buffer_delays_it(rig: Rig) -> None:
    executor = rig.executor()
    results = executor.map(tasks.echo, _two_and_an_error(), buffersize=1)
    with pytest.raises(LookupError, match="the input is broken"):
        list(results)
    assert executor.submit(tasks.echo, "still works").result() == "still works"


def test_what_is_not_iterable_is_refused(rig: Rig) -> None:
    with pytest.raises(TypeError):
        rig.executor().map(tasks.echo, 5)


def test_a_chunksize_below_one_is_refused(rig: Rig) -> None:
    executor = rig.executor()
    if differs(rig.lane.name, "chunksize counts"):
        assert list(executor.map(tasks.echo, [1], chunksize=0)) == [1]
    else:
        with pytest.raises(ValueError, match=r"^chunksize must be >= 1\.$"):
            executor.map(tasks.echo, [1], chunksize=0)


@pytest.mark.parametrize("buffersize", ["foo", 2.0])
def test_a_buffersize_that_is_no_integer_is_refused(rig: Rig, buffersize: Any) -> None:
    with pytest.raises(TypeError, match="^buffersize must be an integer or None$"):
        rig.executor().map(tasks.echo, [1], buffersize=buffersize)


@pytest.mark.parametrize("buffersize", [0, -1])
def test_a_buffersize_below_one_is_refused(rig: Rig, buffersize: int) -> None:
    with pytest.raises(ValueError, match="^buffersize must be None or > 0$"):
        rig.executor().map(tasks.echo, [1], buffersize=buffersize)


@pytest.mark.parametrize("buffersize", [1, 2, 4, 8])
def test_map_gives_the_same_with_every_buffersize(rig: Rig, buffersize: int) -> None:
    executor = rig.executor(max_workers=2)
    results = executor.map(tasks.add, range(4), range(4), buffersize=buffersize)
    assert list(results) == [0, 2, 4, 6]
    assert list(executor.map(tasks.echo, [], buffersize=buffersize)) == []
    assert list(executor.map(tasks.echo, buffersize=buffersize)) == []


def test_a_buffer_makes_infinite_inputs_possible(rig: Rig) -> None:
    results = rig.executor().map(tasks.add, count(), count(), buffersize=2)
    assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
    results.close()


def test_a_full_buffer_stops_the_input(rig: Rig) -> None:
    executor = rig.executor()
    numbers = iter(range(8))
    results = executor.map(tasks.echo, numbers, buffersize=2)
    executor.shutdown(wait=True)
    assert next(numbers) == 2
    del results


def test_a_buffer_is_refilled_as_results_are_read(rig: Rig) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(8):
            taken.append(number)
            yield number

    results = rig.executor().map(tasks.echo, numbers(), buffersize=3)
    assert taken == [0, 1, 2]
    assert next(results) == 0
    assert taken == [0, 1, 2, 3]
    assert list(results) == list(range(1, 8))


def test_a_failure_ends_a_buffered_map(rig: Rig) -> None:
    results = rig.executor().map(tasks.fail_unless_even, count(0), buffersize=2)
    assert next(results) == 0
    with pytest.raises(ValueError):
        next(results)
    assert next(results, "over") == "over"


def test_map_keeps_no_reference_to_results_it_has_yielded(rig: Rig) -> None:
    for thing in rig.executor().map(tasks.make_thing, range(5)):
        gone = threading.Event()
        reference = weakref.ref(thing, lambda _, gone=gone: gone.set())  # type: ignore[misc]
        del thing
        assert gone.wait(PATIENCE)
        assert reference() is None


def test_map_goes_on_when_the_executor_is_dropped(rig: Rig) -> None:
    results = rig.lane.make(max_workers=2).map(tasks.echo, range(50))
    collect()
    assert list(results) == list(range(50))


def test_map_is_read_after_shutdown(rig: Rig) -> None:
    executor = rig.executor()
    results = executor.map(tasks.echo, range(20))
    executor.shutdown(wait=False)
    assert list(results) == list(range(20))


def test_two_maps_at_once_do_not_mix(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    first, second = executor.map(tasks.echo, range(40)), executor.map(tasks.echo, "abcdefgh")
    assert list(second) == list("abcdefgh")
    assert list(first) == list(range(40))


def test_submit_gets_its_turn_during_a_map(rig: Rig) -> None:
    executor = rig.executor()
    results = executor.map(tasks.echo, range(100))
    between = executor.submit(tasks.echo, "between")
    assert between.result(timeout=PATIENCE) == "between"
    assert list(results) == list(range(100))


def test_a_subclass_that_overrides_submit_sees_every_item(rig: Rig) -> None:
    submitted: list[Any] = []

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        submitted.append(args)
        return super(special.kind, self).submit(fn, *args, **kwargs)

    special = rig.lane.subclass(submit=submit)
    executor = rig.keep(special.make(max_workers=1))
    assert list(executor.map(tasks.echo, range(5))) == list(range(5))
    assert len(submitted) == 5


def test_an_overridden_submit_may_refuse_an_item(rig: Rig) -> None:
    def submit(self: Any, fn: Any, /, *args: Any) -> NoReturn:
        raise PermissionError("not this one")

    executor = rig.keep(rig.lane.subclass(submit=submit).make(max_workers=1))
    with pytest.raises(PermissionError):
        executor.map(tasks.echo, range(5))


def test_a_timeout_cancels_what_an_overridden_submit_has_returned(rig: Rig) -> None:
    """The one that was waited for, too."""
    futures: list[Future[Any]] = []

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        futures.append(Future())
        return futures[-1]

    executor = rig.keep(rig.lane.subclass(submit=submit).make(max_workers=1))
    results = executor.map(tasks.echo, range(3), timeout=0)
    with pytest.raises(TimeoutError):
        next(results)
    assert [future.cancelled() for future in futures] == [True] * 3


def test_a_map_that_is_never_read_leaves_nothing(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    executor.map(tasks.echo, range(50))
    executor.shutdown()


def test_a_large_map_is_complete_and_in_order(rig: Rig) -> None:
    numbers = range(5000)
    assert list(rig.executor(max_workers=2).map(tasks.echo, numbers)) == list(numbers)
