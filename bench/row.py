"""What a row of the table of figures is."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.entries import Entry
from bench.stats import Bound


@dataclass(frozen=True)
class Row:
    """One kind of work, its contenders and the floors to reach."""

    name: str
    topic: str
    title: str
    entries: tuple[Entry, ...]
    bounds: tuple[Bound, ...]
    max_items: int = 100_000
    unit: str = "s"  # of a cost: seconds, or bytes ("B")
    seconds: float = 1.0  # how long each contender works in a round
    rounds: float = 1.0  # how many times the usual number of rounds
    pinned: bool = False  # the process keeps to one core
    missing: Callable[[], str | None] = lambda: None
