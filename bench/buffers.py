"""Large values and lent memory: what crosses, against plain work in one interpreter."""

import array
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import buffer_tasks, executors, measures
from bench.entries import Entry, Measure
from bench.gates import start_all
from bench.measures import Sample, clock

LARGE = 100_000_000  # bytes

NOOP = "noop"
COPY = "copy"
PICKLES = "pickles"
ARGUMENT = "ours-argument"
NESTED = "ours-nested"
RESULT = "ours-result"


@dataclass(frozen=True)
class Large:
    """A kind of large value: how one is made, and how the language itself copies it.

    The copy is an object of the same type in fresh memory of the same allocator, filled by one
    copy of memory.
    """

    make: Callable[[], Any]
    copy: Callable[[Any], Any]


KINDS = {
    "bytes": Large(lambda: b"x" * LARGE, lambda value: memoryview(value).tobytes()),
    "str": Large(lambda: "x" * LARGE, lambda value: value[:-1]),
    "bytearray": Large(lambda: bytearray(b"x") * LARGE, bytearray),
    "array": Large(lambda: array.array("d", [1.5]) * (LARGE // 8), lambda value: value[:]),
}


def _mean(call: Callable[[], Any], items: int) -> Sample:
    """Time the calls alone, and not how long it takes to let go of what they return."""
    begun = clock()
    total = 0.0
    for _ in range(items):
        started = clock()
        result = call()
        total += clock() - started
        del result
    return Sample(total / items, clock() - begun)


def _plain(name: str, prepare: Callable[[], Callable[[], Any]]) -> Entry:
    """An entry that calls what ``prepare`` returns, in this interpreter."""

    @contextmanager
    def open_it() -> Iterator[Measure]:
        yield partial(_mean, prepare())

    return Entry(name, open_it, items=1)


def _crossing(
    name: str, prepare: Callable[[Executor], Callable[[], Any]], items: int | None = 1
) -> Entry:
    """The same, with a worker of ours that is up."""

    @contextmanager
    def open_it() -> Iterator[Measure]:
        with executors.load(executors.OURS)(1) as running:
            start_all(running, 1)
            call = prepare(running)
            yield partial(_mean, call) if items else partial(measures.timed, call)

    return Entry(name, open_it, items=items)


def _as_argument(kind: Large, executor: Executor) -> Callable[[], Any]:
    value = kind.make()
    measures.check(executor.submit(buffer_tasks.echo, value).result() == value)
    return lambda: executor.submit(buffer_tasks.size, value).result()


def _in_a_list(kind: Large, executor: Executor) -> Callable[[], Any]:
    value = [kind.make()]
    measures.check(executor.submit(buffer_tasks.echo, value).result() == value)
    return lambda: executor.submit(buffer_tasks.size, value).result()


def _as_result(kind: Large, executor: Executor) -> Callable[[], Any]:
    value = kind.make()
    executor.submit(buffer_tasks.keep, value).result()
    measures.check(executor.submit(buffer_tasks.give).result() == value)
    return lambda: executor.submit(buffer_tasks.give).result()


def copied(name: str) -> tuple[Entry, ...]:
    """A large value of that kind as argument, within a list, and as result; and a plain copy."""
    kind = KINDS[name]

    def prepare() -> Callable[[], Any]:
        value = kind.make()
        return lambda: kind.copy(value)

    return (
        _plain(COPY, prepare),
        _crossing(ARGUMENT, partial(_as_argument, kind)),
        _crossing(NESTED, partial(_in_a_list, kind)),
        _crossing(RESULT, partial(_as_result, kind)),
    )


def lent() -> tuple[Entry, ...]:
    """A view of large memory there and back, and a task that takes and returns nothing."""

    def view(executor: Executor) -> Callable[[], Any]:
        source = memoryview(bytearray(LARGE))
        back: Any = executor.submit(buffer_tasks.echo, source).result()
        source[-1] = 7
        measures.check(len(back) == LARGE and back[-1] == 7)
        return lambda: executor.submit(buffer_tasks.echo, source).result()

    def nothing(executor: Executor) -> Callable[[], Any]:
        return lambda: executor.submit(buffer_tasks.noop).result()

    return (
        _crossing(NOOP, nothing, items=None),
        _crossing(executors.OURS, view, items=None),
    )


def pickled(make: Callable[[], Any]) -> tuple[Entry, ...]:
    """A structure of many small objects there and back, and pickled twice in one interpreter."""

    def pairs() -> Callable[[], Any]:
        value = make()

        def call() -> object:
            pickle.loads(pickle.dumps(value, 5))
            return pickle.loads(pickle.dumps(value, 5))

        return call

    def crossing(executor: Executor) -> Callable[[], Any]:
        value = make()
        measures.check(executor.submit(buffer_tasks.echo, value).result() == value)
        return lambda: executor.submit(buffer_tasks.echo, value).result()

    return (_plain(PICKLES, pairs), _crossing(executors.OURS, crossing))


def many_ints() -> list[int]:
    """Return 10**6 ints."""
    return list(range(10**6))


def many_strings() -> dict[str, str]:
    """Return 10**5 pairs of strings."""
    return {f"key {i}": f"value {i}" for i in range(10**5)}
