"""Memory does not grow with the number of tasks: if it did, each program would hold 80 MB more."""

import os
import sys
from pathlib import Path

import pytest

from .script import run, write

pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self/statm").exists(), reason="reads the size of the process from /proc"
    ),
    pytest.mark.skipif(
        "IX_SANITIZE" in os.environ, reason="sanitizers keep what is freed: their quarantine grows"
    ),
]

LIMIT = 30  # MB

HEAD = """\
import gc, os
from interp_executor import InterpreterPoolExecutor, close_idle_workers

SIZE = 2000
BLOCK = b"x" * SIZE

def echo(value):
    return value

def make(size):
    return bytes(size)

def fail(value):
    raise ValueError(value)

def megabytes():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def grown(rounds, work):
    # The first rounds fill caches and the allocators' pools.
    for _ in range(rounds // 4):
        work()
    before = megabytes()
    for _ in range(rounds):
        work()
    print(megabytes() - before)

if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=1) as executor:
        submit = executor.submit
"""


def _growth(tmp_path: Path, body: str) -> float:
    indented = "".join(f"        {line}\n" for line in body.strip().splitlines())
    return float(run(write(tmp_path / "script.py", HEAD + indented)).stdout)


def test_arguments_and_results_that_were_read(tmp_path: Path) -> None:
    body = """
def work():
    futures = [submit(echo, BLOCK) for _ in range(1000)]
    for future in futures:
        future.result()
grown(40, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_results_that_nobody_reads(tmp_path: Path) -> None:
    body = """
def work():
    for _ in range(1000):
        submit(make, SIZE)
    submit(echo, 1).result()
grown(40, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_results_that_are_observed(tmp_path: Path) -> None:
    body = """
from concurrent.futures import as_completed, wait
def work():
    futures = [submit(echo, BLOCK) for _ in range(500)]
    futures[0].add_done_callback(lambda _: None)
    wait(futures)
    assert len([future.result() for future in as_completed(futures)]) == 500
grown(80, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_tasks_that_are_cancelled(tmp_path: Path) -> None:
    body = """
def work():
    for future in [submit(echo, BLOCK) for _ in range(1000)]:
        future.cancel()
    submit(echo, 1).result()
grown(40, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_exceptions(tmp_path: Path) -> None:
    body = """
def work():
    for future in [submit(fail, BLOCK * 20) for _ in range(50)]:
        assert future.exception().args[0] == BLOCK * 20
grown(40, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_maps_that_are_read_and_maps_that_are_left(tmp_path: Path) -> None:
    body = """
blocks = [BLOCK] * 1000
def work():
    assert sum(map(len, executor.map(echo, blocks))) == 1000 * SIZE
    next(executor.map(echo, blocks))
grown(40, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_closures_that_are_all_different(tmp_path: Path) -> None:
    body = """
def closure(number):
    block = bytes([number % 256]) * 50_000 + str(number).encode()
    return lambda: len(block)
numbers = iter(range(10**9))
def work():
    for _ in range(20):
        assert submit(closure(next(numbers))).result() > 50_000
grown(100, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_callables_that_are_all_different(tmp_path: Path) -> None:
    body = """
import functools
numbers = iter(range(10**9))
def work():
    for _ in range(100):
        assert submit(functools.partial(echo, (BLOCK, next(numbers)))).result()
grown(200, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_arguments_and_results_that_cannot_cross(tmp_path: Path) -> None:
    body = """
import threading
lock = threading.Lock()
def work():
    for _ in range(50):
        submit(echo, (BLOCK * 10, lock)).exception()
grown(80, work)
"""
    assert _growth(tmp_path, body) < LIMIT


def test_executors_whose_workers_are_kept(tmp_path: Path) -> None:
    body = """
def work():
    with InterpreterPoolExecutor(max_workers=1) as inner:
        assert inner.submit(abs, -1).result() == 1
grown(200, work)
"""
    assert _growth(tmp_path, body) < LIMIT


@pytest.mark.skipif(sys.version_info < (3, 14), reason="3.13 itself loses megabytes each time")
@pytest.mark.parametrize("imported", ["nothing", "threading"])
def test_executors_whose_workers_end(tmp_path: Path, imported: str) -> None:
    (tmp_path / "nothing.py").touch()
    write(tmp_path / "job.py", f"import {imported}\ndef run(value):\n    return value\n")
    body = """
import job
def work():
    with InterpreterPoolExecutor(max_workers=1) as inner:
        assert inner.submit(job.run, 1).result() == 1
    close_idle_workers()
grown(20, work)
"""
    assert _growth(tmp_path, body) < LIMIT
