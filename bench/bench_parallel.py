"""CPU-bound pure Python on two workers, beside independent processes."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("parallel")
def test_parallel(benchmark: Any, row: Row, entry: Entry) -> None:
    """Run pure-Python tasks of one size; seconds per task of two workers."""
    run(benchmark, row, entry)
