"""The tables that the documentation refers to can be made."""

import shutil
import sys
from pathlib import Path

import pytest

from .script import run

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_interrupts_has_a_line_for_each_row_and_load() -> None:
    result = run("-m", "bench.interrupts", "--count", "2", folder=ROOT, check=False)
    assert result.stderr == ""
    rows = result.stdout.splitlines()[2:]
    assert len(rows) == 2 * (4 if sys.version_info >= (3, 15) else 3)
    assert all(float(row.split()[-3]) >= float(row.split()[-5]) for row in rows)  # p99, p50


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the size from /proc")
def test_the_table_of_recycling_counts_what_has_ended() -> None:
    result = run("-m", "bench.recycling", "--count", "3", folder=ROOT)
    assert result.stdout.count("(3 ended)") == 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="needs valgrind")
def test_deciding_takes_less_than_a_hundredth_of_a_tasks_instructions() -> None:
    result = run("-m", "bench.deciding", "--many", "11000", folder=ROOT)
    assert float(result.stdout.split()[-1].rstrip("%")) < 1.0


def test_deciding_says_what_it_needs() -> None:
    result = run("-m", "bench.deciding", folder=ROOT, check=False, PATH="/nowhere")
    assert (result.returncode, result.stdout) == (1, "")
    assert "needs valgrind" in result.stderr
