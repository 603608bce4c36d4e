"""The process lane, and what choosing a lane costs."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("lanes")
def test_lanes(benchmark: Any, row: Row, entry: Entry) -> None:
    """Run tasks that need NumPy, or many that do not."""
    run(benchmark, row, entry)
