"""How cost grows: with the depth of the queue, and with the number of workers."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("growth")
def test_growth(benchmark: Any, row: Row, entry: Entry) -> None:
    """Submit echo(i) for all items, then read every result."""
    run(benchmark, row, entry)
