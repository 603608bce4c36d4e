"""One comparison, from what was asked for to its figures."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from interp_executor._compare import work
from interp_executor._compare.executors import SERIAL, Contender, contenders
from interp_executor._compare.figures import Comparison, python_version, summarise
from interp_executor._compare.progress import open_progress
from interp_executor._compare.race import RUNNING, Race, Record


def compare_items(
    fn: Callable[..., Any],
    items: work.Items,
    workers: int | Sequence[int] | None,
    rounds: int,
    executors: str | Sequence[str] | None,
    progress: bool,
) -> Comparison:
    """Compare for items that are tuples of arguments; see :func:`interp_executor.compare`."""
    if os.environ.get(RUNNING):
        raise RuntimeError(
            "compare() was called while a worker of a comparison imported this module: put the "
            'call under `if __name__ == "__main__":`'
        )
    if rounds < 1:
        raise ValueError(f"rounds must be >= 1, not {rounds}")
    if not items:
        raise ValueError("there is no item to call the function with")
    records = _records(check_workers(workers), choose(executors))
    shown = open_progress(len(items) * rounds * len(records), quiet=not progress)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    race = Race(work.Work(fn, items), records, shown)
    try:
        race.run(rounds)
    finally:
        shown.close()
    rows = summarise(records)
    if race.interrupted and rows[0].outcome != "ok":
        raise KeyboardInterrupt
    return Comparison(
        function=getattr(fn, "__qualname__", None) or repr(fn),
        items=len(items),
        rounds=rounds,
        python=python_version(),
        processors=os.process_cpu_count() or 1,
        load=load,
        interrupted=race.interrupted,
        rows=tuple(rows),
    )


def check_workers(workers: int | Sequence[int] | None) -> list[int]:
    """Return the numbers of workers to compare, the least first."""
    if workers is None:
        return [os.process_cpu_count() or 1]
    numbers = sorted(set([workers] if isinstance(workers, int) else workers))
    if not numbers or numbers[0] < 1:
        raise ValueError(f"workers must be >= 1, not {workers}")
    return numbers


def choose(executors: str | Sequence[str] | None) -> list[Contender]:
    """Return the contenders of these names, the plain loop first."""
    everyone = contenders()
    if executors is None:
        return everyone
    wanted = [executors] if isinstance(executors, str) else list(executors)
    for name in wanted:
        if not any(_is_called(each, name) for each in everyone):
            known = ", ".join(each.key for each in everyone)
            raise ValueError(f"no executor is called {name!r}; there are {known}")
    chosen = [SERIAL, *wanted]
    return [each for each in everyone if any(_is_called(each, name) for name in chosen)]


def _is_called(contender: Contender, name: str) -> bool:
    return name in (contender.key, contender.key.partition("-")[0])


def _records(workers: Sequence[int], chosen: Sequence[Contender]) -> list[Record]:
    records = []
    for contender in chosen:
        numbers = [1] if contender.key == SERIAL else workers
        records += [Record(contender, number) for number in numbers]
    return records
