"""The fixture executor_benchmark, in a suite of its own as its users have one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import interp_executor
from interp_executor._compare.executors import contenders

pytest.importorskip("pytest_benchmark")

SOURCE = Path(interp_executor.__file__).parent.parent
SUITE = """
import multiprocessing

def square(n):
    return n * n

def in_process(n):
    return multiprocessing.parent_process() is not None

def test_squares(executor_benchmark):
    answers = executor_benchmark(square, range(20), workers=1, rounds=2)
    assert answers == [n * n for n in range(20)]

def test_odd(executor_benchmark):
    executor_benchmark(in_process, range(3), workers=1, rounds=1)
"""


def run(folder: Path, *arguments: str, benchmark: bool = True) -> subprocess.CompletedProcess[str]:
    (folder / "test_mine.py").write_text(SUITE)
    plugins = ["-p", "interp_executor.pytest_plugin"]
    plugins += ["-p", "pytest_benchmark.plugin"] if benchmark else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        cwd=folder,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        timeout=300,
        check=False,
    )


def test_a_benchmark_runs_on_every_executor_in_one_group(tmp_path: Path) -> None:
    done = run(tmp_path, "-k", "squares", "--benchmark-json=figures.json", "-rs")
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads((tmp_path / "figures.json").read_text())["benchmarks"]
    ran = {each["extra_info"]["executor"]: each for each in found}
    expected = {each.key for each in contenders()}
    if sys.version_info < (3, 14):
        expected.remove("interpreters")
        assert "it came with 3.14" in done.stdout
    assert set(ran) == expected
    assert len({each["group"] for each in found}) == 1
    assert ran["ours"]["extra_info"]["workers"] == 1
    assert ran["ours"]["stats"]["rounds"] == 2
    assert ran["processes-spawn"]["extra_info"]["note"] == "chunksize=1"


def test_other_answers_than_a_plain_loops_fail_the_test(tmp_path: Path) -> None:
    done = run(tmp_path, "-k", "odd and (processes-spawn or threads)")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "processes-spawn: item 0 gave True, and False in a plain loop" in done.stdout


def test_without_pytest_benchmark_there_is_a_hint(tmp_path: Path) -> None:
    done = run(tmp_path, "-k", "squares and serial", benchmark=False)
    assert done.returncode != 0
    assert "pip install 'interp-executor[pytest]'" in done.stdout + done.stderr


def test_the_plugin_costs_a_suite_that_does_not_use_it_next_to_nothing() -> None:
    program = """
import sys, pytest
before = set(sys.modules)
import interp_executor.pytest_plugin
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        check=True,
    )
    assert done.stdout == "['interp_executor', 'interp_executor.pytest_plugin']\n"
