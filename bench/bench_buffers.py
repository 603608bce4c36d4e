"""Large values and lent memory: what crosses, against plain work in one interpreter."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("buffers")
def test_buffers(benchmark: Any, row: Row, entry: Entry) -> None:
    """Send a large value or a view; memory shows as seconds in pytest-benchmark's table."""
    run(benchmark, row, entry)
