"""``map`` over many small items."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("map")
def test_map(benchmark: Any, row: Row, entry: Entry) -> None:
    """Return list(map(echo, range(n))) with every executor's defaults."""
    run(benchmark, row, entry)
