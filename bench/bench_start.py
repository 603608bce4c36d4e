"""Beginnings and ends: first results of executors, shutdown of idle workers."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("start")
def test_start(benchmark: Any, row: Row, entry: Entry) -> None:
    """Measure from the executor's making to its first result, or its shutdown."""
    run(benchmark, row, entry)
