"""Functions that cross by value."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("closure")
def test_closure(benchmark: Any, row: Row, entry: Entry) -> None:
    """Submit a closure and read its result, over and over: the median."""
    run(benchmark, row, entry)
