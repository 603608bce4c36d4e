"""Contenders of a row: how each is opened and what it then measures."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from time import perf_counter
from typing import Any

from bench import executors, fresh, measures, pingpong, tasks
from bench.gates import start_all
from bench.measures import Sample
from bench.processes import Independent

Measure = Callable[[int], Sample]
STANDARD = (executors.PROCESS, executors.THREAD, executors.INTERPRETER, executors.OURS)


@dataclass(frozen=True)
class Entry:
    """One contender of one row.

    ``open`` gives a context in which the contender is up and yields its measuring
    function; ``missing`` says why it cannot run here. ``items`` fixes the number
    of items where the work's size is the point; otherwise the harness finds the
    number that takes about a second. ``afresh`` says that every measurement begins
    from nothing, so that there is nothing to warm up.
    """

    name: str
    open: Callable[[], AbstractContextManager[Measure]]
    missing: Callable[[], str | None] = lambda: None
    items: int | None = None
    afresh: bool = False


def on(
    executor: str,
    measure: Callable[..., Sample],
    *,
    workers: int = 1,
    name: str | None = None,
    items: int | None = None,
    **options: Any,
) -> Entry:
    """Return an entry that measures on an executor with all its workers up."""

    @contextmanager
    def open_it() -> Iterator[Measure]:
        with executors.load(executor)(workers) as running:
            start_all(running, workers)
            yield partial(_apply, measure, running, options)

    missing = partial(executors.missing, executor)
    return Entry(name or executor, open_it, missing, items)


def on_views(
    executor: str, measure: Callable[..., Sample], views: dict[str, Callable[[Any], Any]]
) -> tuple[Entry, ...]:
    """Return entries that measure on views of one executor with one worker.

    Two executors differ by more than what little a view may cost: in where their workers run.
    """
    running: Any = None
    users = 0

    @contextmanager
    def open_one(view: Callable[[Any], Any]) -> Iterator[Measure]:
        nonlocal running, users
        if users == 0:
            running = executors.load(executor)(1)
            start_all(running, 1)
        users += 1
        try:
            yield partial(measure, view(running))
        finally:
            users -= 1
            if users == 0:
                running.shutdown()

    return tuple(Entry(name, partial(open_one, view)) for name, view in views.items())


def _apply(
    measure: Callable[..., Sample], running: Any, options: dict[str, Any], items: int
) -> Sample:
    """Measure; options that are callables are worked out here, in this process."""
    values = {key: v() if callable(v) else v for key, v in options.items()}
    return measure(running, items, **values)


def standard(
    measure: Callable[..., Sample],
    names: tuple[str, ...] = STANDARD,
    **options: Any,
) -> tuple[Entry, ...]:
    """Return entries for the executors, the processes first.

    That order matters on 3.13, where processes are forked: it is best done before
    there are threads and interpreters.
    """
    return tuple(on(name, measure, **options) for name in names)


@cache
def spin_iterations(seconds: float) -> int:
    """Return how many iterations of ``tasks.spin`` take that long here."""
    probe = 200_000
    best = min(_time_spin(probe) for _ in range(10))
    return max(1, round(probe * seconds / best))


def _time_spin(iterations: int) -> float:
    started = perf_counter()
    tasks.spin(iterations)
    return perf_counter() - started


def spinning(seconds: float, workers: int = 2) -> tuple[Entry, ...]:
    """Pure-Python tasks of that length: independent processes and executors."""
    iterations = partial(spin_iterations, seconds)

    @contextmanager
    def open_it() -> Iterator[Measure]:
        running = Independent(workers)
        try:
            yield lambda items: running.spins(items, iterations())
        finally:
            running.close()

    names = (executors.PROCESS, executors.INTERPRETER, executors.OURS)
    return (
        Entry("independent", open_it),
        *standard(measures.spins, names, workers=workers, iterations=iterations),
    )


def uneven(position: int, count: int = 64, unit: float = 2e-3) -> tuple[Entry, ...]:
    """A map whose item at ``position`` takes 100 times as long as the others."""

    def sizes() -> list[int]:
        iterations = spin_iterations(unit)
        return [iterations * (100 if i == position else 1) for i in range(count)]

    @contextmanager
    def open_it() -> Iterator[Measure]:
        running = Independent(2)
        try:
            yield lambda _items: running.list_schedule(sizes())
        finally:
            running.close()

    def measure(running: Any, _items: int, **options: Any) -> Sample:
        return measures.uneven_map(running, sizes(), **options)

    return (
        Entry("list", open_it),
        on(executors.OURS, measure, workers=2),
    )


def pingpong_entry() -> Entry:
    """The bare ping-pong between two C threads."""

    @contextmanager
    def open_it() -> Iterator[Measure]:
        with pingpong.compiled() as game:
            yield game.round_trips

    return Entry("pingpong", open_it, pingpong.missing, items=10_000)


def in_fresh_process(executor: str, figure: str) -> Entry:
    """A figure that a new process measures each time; see ``fresh``."""

    @contextmanager
    def open_it() -> Iterator[Measure]:
        yield lambda _items: fresh.measure_elsewhere(figure, executor)

    return Entry(executor, open_it, partial(executors.missing, executor), afresh=True)


def _ready_spare() -> None:
    """Have one spare interpreter that no executor has used, and nothing else idle."""
    import interp_executor

    interp_executor.close_idle_workers()
    interp_executor.prewarm(1, wait=True)


def _no_idle_worker() -> None:
    import interp_executor

    interp_executor.close_idle_workers()


def second_executor(
    executor: str,
    name: str | None = None,
    prepare: Callable[[], None] = lambda: None,
    **options: Any,
) -> Entry:
    """The first result of an executor in a process that has had one before."""

    @contextmanager
    def open_it() -> Iterator[Measure]:
        opener = partial(executors.load(executor), 1, **options)
        measures.first_result(opener)
        yield lambda items: measures.first_results(opener, items, prepare)

    return Entry(name or executor, open_it, partial(executors.missing, executor))


def second_executors() -> tuple[Entry, ...]:
    """The standard executors' second, and ours in each of its ways.

    Making a spare interpreter leaves the processor's caches cold, which costs any
    executor some 200 us; so there is a ThreadPool that starts from there as well.
    """
    ours = executors.OURS
    return (
        second_executor(executors.THREAD),
        second_executor(executors.THREAD, "thread/prepared", _ready_spare),
        second_executor(executors.INTERPRETER),
        second_executor(ours, "ours-fresh", _no_idle_worker),
        second_executor(ours, "ours"),
        second_executor(ours, "ours-reuse", reuse=True),
        second_executor(ours, "ours-prewarmed", _ready_spare),
    )


def idle_shutdown(
    workers: int,
    name: str,
    bring_up: Callable[[Any, int], None] = start_all,
    executors_before: int = 0,
) -> Entry:
    """Shutting our executor down that has that many idle workers.

    Those of so many executors just before it may still be ending.
    """

    def measure(_items: int) -> Sample:
        started = perf_counter()
        for _ in range(executors_before + 1):
            running = executors.load(executors.OURS)(workers)
            bring_up(running, workers)
            cost = measures.shutdown_time(running).cost
        return Sample(cost, perf_counter() - started)

    @contextmanager
    def open_it() -> Iterator[Measure]:
        yield measure

    return Entry(name, open_it, partial(executors.missing, executors.OURS), afresh=True)
