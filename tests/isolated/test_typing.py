"""A typed program that uses the package passes mypy --strict, and wrong ones do not."""

import subprocess
import sys
from pathlib import Path

import pytest

from .script import SOURCE, write

pytest.importorskip("mypy", reason="mypy is not installed: types are checked on one version")

PROGRAM = """\
import asyncio
import concurrent.futures
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from interp_executor import (
    BrokenInterpreterPool,
    InterpreterPoolExecutor,
    TaskError,
    TransferError,
    close_idle_workers,
    prewarm,
    set_idle_timeout,
)


def square(value: int) -> int:
    return value * value


def join(left: str, right: str, *, separator: str = "-") -> str:
    return f"{left}{separator}{right}"


def prepare(level: int) -> None:
    pass


def use(executor: InterpreterPoolExecutor) -> None:
    future: Future[int] = executor.submit(square, 3)
    result: int = future.result(timeout=1.0)
    joined: Future[str] = executor.submit(join, "a", "b", separator="+")
    results: Iterator[int] = executor.map(square, [1, 2], timeout=1.0, chunksize=2, buffersize=4)
    executor.map(join, ["a"], ["b"])
    done, not_done = concurrent.futures.wait([future], timeout=1.0)
    view: InterpreterPoolExecutor = executor.with_options()
    statistics = executor.stats()
    counts: list[int] = [statistics.queued, statistics.running, statistics.max_workers]
    print(result, joined, list(results), done, not_done, view, counts)
    executor.shutdown(wait=False, cancel_futures=True)


async def use_asyncio(executor: InterpreterPoolExecutor) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(executor)
    return await loop.run_in_executor(executor, square, 2)


def main() -> None:
    executor = InterpreterPoolExecutor(
        4, "prefix", prepare, (1,), max_tasks_per_child=10,
        mp_context=multiprocessing.get_context("spawn"),
    )
    standard: ThreadPoolExecutor = executor
    with InterpreterPoolExecutor(max_workers=2, reuse=True) as entered:
        use(entered)
    try:
        use(executor)
    except (BrokenInterpreterPool, TransferError) as error:
        print(error)
    except TaskError as error:
        name: str = error.type_name
        text: str = error.message + error.traceback
        print(name, text)
    prewarm(2)
    close_idle_workers()
    set_idle_timeout(5.0)
    print(standard)
"""

# What the program imports is followed for its types, as from an installed package.
OPTIONS = ("--strict", "--no-error-summary", "--follow-imports=silent", "--cache-dir=cache")

WRONG = [
    ("InterpreterPoolExecutor().submit(square, 'text')", "arg-type"),
    ("InterpreterPoolExecutor().submit(square)", "call-arg"),
    ("InterpreterPoolExecutor(max_workers='two')", "arg-type"),
    ("InterpreterPoolExecutor().shutdown(True, True)", "call-arg|misc"),
    ("text: str = InterpreterPoolExecutor().submit(square, 1).result()", "assignment"),
    ("item: str = next(InterpreterPoolExecutor().map(square, [1]))", "assignment"),
    ("from interp_executor import InterpreterPoolExecuter", "attr-defined"),
]


def _check(tmp_path: Path, source: str) -> "subprocess.CompletedProcess[str]":
    write(tmp_path / "program.py", source)
    return subprocess.run(
        [sys.executable, "-m", "mypy", *OPTIONS, "program.py"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={"MYPYPATH": str(SOURCE), "PATH": "/usr/bin:/bin"},
    )


def test_a_typed_program_passes_strict_checks(tmp_path: Path) -> None:
    result = _check(tmp_path, PROGRAM)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def test_wrong_calls_are_found(tmp_path: Path) -> None:
    head = PROGRAM.split("def join", maxsplit=1)[0]
    result = _check(tmp_path, head + "\n".join(line for line, _ in WRONG) + "\n")
    found = result.stdout.splitlines()
    first = head.count("\n") + 1
    for offset, (line, codes) in enumerate(WRONG):
        errors = [error for error in found if f"program.py:{first + offset}:" in error]
        assert any(f"[{code}]" in error for error in errors for code in codes.split("|")), line
