"""Many small tasks at once: how fast they are submitted, run and read."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("throughput")
def test_throughput(benchmark: Any, row: Row, entry: Entry) -> None:
    """Submit echo(i) for all items, then read every result."""
    run(benchmark, row, entry)
