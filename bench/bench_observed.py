"""Futures that somebody watches: ``as_completed`` and ``wait``."""

from typing import Any

import pytest

from bench.entries import Entry
from bench.row import Row
from bench.topics import contenders, reported, run


@pytest.mark.benchmark(timer=reported)
@contenders("observed")
def test_observed(benchmark: Any, row: Row, entry: Entry) -> None:
    """Submit all, then collect through the standard functions."""
    run(benchmark, row, entry)
