"""One task at a time: what a round trip to a worker costs."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("round_trip")
def test_round_trip(benchmark: Any, row: Row, entry: Entry) -> None:
    """Submit one no-op and read its result, over and over: the median."""
    run(benchmark, row, entry)
