"""Memory of an idle worker, and of a queued task."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("memory")
def test_memory(benchmark: Any, row: Row, entry: Entry) -> None:
    """Measure bytes (shown as seconds by pytest-benchmark) in a fresh process."""
    run(benchmark, row, entry)
