"""``map`` over uneven items, beside list scheduling by two processes."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("schedule")
def test_schedule(benchmark: Any, row: Row, entry: Entry) -> None:
    """Map over items one of which takes a hundred times as long."""
    run(benchmark, row, entry)
