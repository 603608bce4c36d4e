"""What tasks print is not lost, wherever it goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .script import SOURCE, TIMEOUT, run, write

SOURCE_HEAD = """\
import os, sys
from interp_executor import InterpreterPoolExecutor

def line(number):
    print("line", number)

def partial(text):
    sys.stdout.write(text)

def to_stderr(text):
    sys.stderr.write(text)

def print_and_fail():
    print("before the failure")
    raise ValueError
"""

# The workers find tests/output_tasks.py there.
_PATH = os.pathsep.join([str(SOURCE), str(SOURCE / "tests")])


def _run(tmp_path: Path, body: str) -> "subprocess.CompletedProcess[str]":
    indented = "".join(f"    {row}\n" for row in body.strip().splitlines())
    source = f'{SOURCE_HEAD}\nif __name__ == "__main__":\n{indented}'
    return run(write(tmp_path / "script.py", source), check=False, PYTHONPATH=_PATH)


def test_everything_printed_reaches_a_pipe(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
with InterpreterPoolExecutor(max_workers=2) as executor:
    list(executor.map(line, range(500)))
""",
    )
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == sorted(f"line {n}" for n in range(500))


def test_what_a_task_printed_is_out_before_its_result_is_read(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
with InterpreterPoolExecutor(max_workers=1) as executor:
    for number in range(5):
        executor.submit(line, number).result()
        print("after", number, flush=True)
""",
    )
    expected = [f"{word} {number}" for number in range(5) for word in ("line", "after")]
    assert result.stdout.splitlines() == expected


def test_partial_lines_are_not_lost(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
with InterpreterPoolExecutor(max_workers=1) as executor:
    for text in ("no ", "newline ", "here"):
        executor.submit(partial, text)
""",
    )
    assert result.stdout == "no newline here"


def test_standard_error_is_not_lost(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
with InterpreterPoolExecutor(max_workers=1) as executor:
    for text in ("no ", "newline ", "here"):
        executor.submit(to_stderr, text)
""",
    )
    assert result.stderr == "no newline here"


def test_what_was_printed_before_a_failure_is_not_lost(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
with InterpreterPoolExecutor(max_workers=1) as executor:
    executor.submit(print_and_fail).exception()
""",
    )
    assert result.stdout == "before the failure\n"


def test_output_of_work_that_finishes_at_exit_is_not_lost(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
executor = InterpreterPoolExecutor(max_workers=1)
for number in range(20):
    executor.submit(line, number)
""",
    )
    assert result.stdout.splitlines() == [f"line {number}" for number in range(20)]


def test_output_of_futures_nobody_reads_is_not_lost(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
executor = InterpreterPoolExecutor(max_workers=1)
executor.map(line, range(3))
executor.shutdown()
print("done", flush=True)
""",
    )
    assert result.stdout.splitlines() == ["line 0", "line 1", "line 2", "done"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_pipe_into_cat_loses_nothing(tmp_path: Path) -> None:
    source = f"""{SOURCE_HEAD}
if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=2) as executor:
        list(executor.map(line, range(100)))
        executor.submit(to_stderr, "an error, without an end;").result()
        executor.submit(partial, "the last, without an end").result()
"""
    script = write(tmp_path / "script.py", source)
    result = subprocess.run(
        ["sh", "-c", '"$0" -W error "$1" 2>&1 | cat', sys.executable, script],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
    assert result.stdout.count("line ") == 100
    assert result.stdout.endswith("an error, without an end;the last, without an end")
    assert result.stderr == ""


def test_long_lines_of_several_workers_stay_whole(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import output_tasks
with InterpreterPoolExecutor(max_workers=3) as executor:
    for letter in "abcdef":
        executor.submit(output_tasks.say_much, letter, 30, 20_000)
        executor.submit(output_tasks.say_much, letter.upper(), 3000, 20)
""",
    )
    lines = sorted(result.stdout.splitlines())
    expected = [letter * 20_000 for letter in "abcdef" for _ in range(30)]
    expected += [letter * 20 for letter in "ABCDEF" for _ in range(3000)]
    assert lines == sorted(expected)


def test_logging_may_be_configured_in_the_initializer(tmp_path: Path) -> None:
    result = _run(
        tmp_path,
        """
import logging
import output_tasks
with InterpreterPoolExecutor(2, initializer=output_tasks.configure_logging) as executor:
    list(executor.map(output_tasks.log, "ab", [logging.INFO] * 2))
    executor.submit(output_tasks.log, "c", logging.DEBUG).result()
""",
    )
    assert sorted(result.stderr.splitlines()) == ["tasks|said a", "tasks|said b"]


def test_warnings_of_tasks_are_shown(tmp_path: Path) -> None:
    script = write(
        tmp_path / "script.py",
        f"""{SOURCE_HEAD}
if __name__ == "__main__":
    import output_tasks
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(output_tasks.warn, "beware").result()
""",
    )
    result = run(script, warnings="default", check=False, PYTHONPATH=_PATH)
    assert "UserWarning: beware" in result.stderr
