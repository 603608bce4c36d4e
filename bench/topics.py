"""The rows as pytest-benchmark tests, topic by topic.

The measuring functions time themselves (most report a median or a share, some a
number of bytes), so pytest-benchmark reads a clock that advances by exactly what
they report: its table shows the same figures as ``python -m bench``.
"""

from typing import Any

import pytest

from bench.entries import Entry, Measure
from bench.harness import calibrate, take
from bench.place import pinned
from bench.row import Row
from bench.rows import of_topic

ROUNDS = 5
SECONDS = 0.2


class ReportedClock:
    """A clock that stands still but for the costs that are reported to it."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return the sum of what was reported."""
        return self._now

    def advance(self, cost: float) -> None:
        """Let as much time pass as a measurement said it took."""
        self._now += cost


reported = ReportedClock()


def contenders(topic: str) -> pytest.MarkDecorator:
    """Parametrise a test over the rows of a topic and their contenders."""
    cases = [
        pytest.param(row, entry, id=f"{row.name}-{entry.name}")
        for row in of_topic(topic)
        for entry in row.entries
    ]
    return pytest.mark.parametrize(("row", "entry"), cases)


def run(benchmark: Any, row: Row, entry: Entry) -> None:
    """Benchmark one contender of one row, beside the others in its group."""
    reason = row.missing() or entry.missing()
    if reason is not None:
        pytest.skip(reason)
    with pinned(row.pinned), entry.open() as measure:
        _measure(benchmark, row, entry, measure)


def _measure(benchmark: Any, row: Row, entry: Entry, measure: Measure) -> None:
    plan = calibrate(measure, row.max_items, SECONDS * row.seconds, entry.items)
    benchmark.group = f"{row.name}: {row.title}, {row.unit} per item"
    benchmark.extra_info.update(items=plan.items, repeats=plan.repeats, unit=row.unit)
    benchmark.pedantic(lambda: reported.advance(take(measure, plan)), rounds=ROUNDS)
