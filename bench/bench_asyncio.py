"""Executors under asyncio: one await at a time, and ten thousand gathered."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("asyncio")
def test_asyncio(benchmark: Any, row: Row, entry: Entry) -> None:
    """Await loop.run_in_executor."""
    run(benchmark, row, entry)
