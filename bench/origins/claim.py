"""What an experiment is: cases, each with what was published and how to run it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import executors


def always() -> str | None:
    """Say that a case runs everywhere."""
    return None


def needs(executor: str) -> Callable[[], str | None]:
    """Return a check that says why that executor is not here, if so."""
    return lambda: executors.missing(executor)


@dataclass(frozen=True)
class Case:
    """One way to do the experiment's work.

    ``run`` takes the scale and returns seconds for that many operations (or jobs);
    ``published`` is the published time for ``Claim.published_scale`` of them.
    """

    name: str
    title: str
    run: Callable[[int], float]
    published: float | None = None
    missing: Callable[[], str | None] = always


@dataclass(frozen=True)
class Claim:
    """One published experiment, and the scale it is repeated at here."""

    name: str
    title: str
    unit: str  # what the table's times are of
    published_scale: int
    scale: int
    cases: tuple[Case, ...]  # the first is what the others are compared with


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def repeated(work: Callable[[], object], times: int) -> float:
    """Return how many seconds it takes to do the work that many times."""
    started = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - started
