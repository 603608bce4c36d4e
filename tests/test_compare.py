"""``compare``, as a command and as a function: what it measures, and how it says what it cannot."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import interp_executor
from interp_executor import TransferError
from interp_executor._compare.executors import contenders
from interp_executor._compare.race import FunctionError

SOURCE = Path(interp_executor.__file__).parent.parent
NEWEST = sys.version_info >= (3, 14)
JOB = """
import multiprocessing
import os
import sys
import threading

class Point:
    def __init__(self, x):
        self.x = x

def squares(limit):
    print("this is no answer")
    return sum(n * n for n in range(limit))

def add(a, b):
    return a + b

def nothing():
    return float("nan")

def point(x):
    return Point(x)

def fail(n):
    if n == 2:
        raise ValueError("two is too much")

def in_process(n):
    return multiprocessing.parent_process() is not None

def die_in_threads(n):
    if threading.current_thread() is not threading.main_thread():
        print("Fatal: boom", file=sys.stderr, flush=True)
        os._exit(3)

def not_in_threads(n):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a thread")

def wait(path):
    if threading.current_thread() is not threading.main_thread() or not path.endswith("later"):
        with open(path.removesuffix("later"), "w") as fifo:
            fifo.write("reached")
        threading.Event().wait(90)

def lock(n):
    return threading.Lock()

NUMBER = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "myjob.py").write_text(JOB)
    return tmp_path


def run(
    folder: Path, *arguments: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interp_executor", "compare", *arguments],
        capture_output=True,
        cwd=folder,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        input=stdin,
        timeout=300,
        check=False,
    )


def rows(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, int], dict[str, Any]]:
    found = json.loads(done.stdout)["rows"]
    return {(row["executor"], row["workers"]): row for row in found}


# --- the command -----------------------------------------------------------------------------


def test_every_executor_does_the_job_and_has_its_figures(folder: Path) -> None:
    done = run(
        folder, "myjob:squares", "--args", "3000", "--repeat", "40", "--workers", "1,2",
        "--rounds", "2", "--json", "figures.json", "--plot", "chart.svg",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "figures.json").read_text())
    assert (figures["function"], figures["items"], figures["rounds"]) == ("myjob:squares", 40, 2)
    found = {(row["executor"], row["workers"]): row for row in figures["rows"]}
    keys = [each.key for each in contenders()]
    assert list(found) == [("serial", 1), *((key, n) for key in keys[1:] for n in (1, 2))]
    assert {"processes-spawn", "threads", "ours"} < set(keys)
    for (key, workers), row in found.items():
        if key == "interpreters" and not NEWEST:
            assert (row["outcome"], "3.14" in row["reason"]) == ("missing", True)
            continue
        assert row["outcome"] == "ok", row["reason"]
        for name in ("seconds", "speed_up", "efficiency", "overhead", "start_seconds"):
            assert row[name]["least"] <= row[name]["median"] <= row[name]["most"]
            assert row[name]["median"] > 0
        assert row["efficiency"]["most"] == pytest.approx(row["speed_up"]["most"] / workers)
        if sys.platform == "linux":
            assert row["peak_memory"]["most"] >= row["idle_memory"]["least"] >= 0
        assert row["title"] in done.stdout
    assert figures["advice"] in done.stdout
    assert "this is no answer" not in done.stdout
    assert "answers of all" in done.stdout
    drawn = ET.parse(folder / "chart.svg").getroot()
    words = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert "Speed-up over a plain loop" in words
    assert "interp_executor x2" in words


def test_items_come_from_a_file_and_may_be_spread_over_the_parameters(folder: Path) -> None:
    (folder / "items.jsonl").write_text("[1, 2]\n\n[3, 4]\n[5, 6]\n")
    options = ("--star", "--executors", "ours", "--workers", "1", "--rounds", "1", "--json", "-")
    done = run(folder, "myjob:add", "--items", "items.jsonl", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 3
    assert [key for key, _ in rows(done)] == ["serial", "ours"]


def test_items_come_from_standard_input(folder: Path) -> None:
    done = run(
        folder, "math:factorial", "--stdin", "--executors", "threads", "--rounds", "1",
        "--json", "-", stdin="10\n20\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"] == 2


def test_a_call_without_arguments_is_repeated_often_enough(folder: Path) -> None:
    done = run(
        folder, "myjob:nothing", "--args", "--executors", "threads,ours", "--workers", "2",
        "--rounds", "1", "--repeat", "5", "--json", "-",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # not a number, by each executor: they agree
    assert {row["outcome"] for row in rows(done).values()} == {"ok"}


def test_a_failing_function_is_an_error_that_names_the_item(folder: Path) -> None:
    done = run(folder, "myjob:fail", "--stdin", stdin="1\n2\n3\n")
    assert done.returncode == 2
    assert "myjob:fail fails in a plain loop: item 1, (2): ValueError: two is too much" in (
        done.stderr
    )
    assert 'myjob.py", line' in done.stderr  # the traceback
    assert "runner.py" in done.stderr


def test_disagreeing_answers_are_told_and_exit_1(folder: Path) -> None:
    done = run(
        folder, "myjob:in_process", "--stdin", "--executors", "processes-spawn,threads",
        "--workers", "1", "--rounds", "1", stdin="1\n2\n",
    )  # fmt: skip
    assert done.returncode == 1
    assert "WRONG ANSWERS by processes (spawn): item 0 gave True, and False in a plain loop" in (
        done.stdout
    )


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("not_in_threads", "failed: RuntimeError: a thread"),
        ("die_in_threads", "failed: exit status 3: Fatal: boom"),
    ],
)
def test_an_executor_that_fails_says_why_and_the_others_go_on(
    folder: Path, function: str, reason: str
) -> None:
    done = run(
        folder, f"myjob:{function}", "--stdin", "--executors", "threads,processes-spawn",
        "--workers", "1", "--rounds", "1", stdin="1\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("threads") and line.endswith(reason) for line in lines)
    assert any(re.search(r"^processes \(spawn\).*\d m?s\b", line) for line in lines)


def test_when_ours_fails_the_status_is_1(folder: Path) -> None:
    (folder / "picky.py").write_text(
        dedent("""
            import threading
            def f(n):
                if threading.current_thread().name.startswith("InterpreterPoolExecutor"):
                    raise ImportError("does not support loading in subinterpreters")
        """)
    )
    options = ("--executors", "ours", "--workers", "1", "--rounds", "1")
    done = run(folder, "picky:f", "--stdin", *options, stdin="1\n")
    assert done.returncode == 1
    assert "failed: ImportError: does not support loading in subinterpreters" in done.stdout


def test_ours_says_when_the_function_ran_in_processes(folder: Path) -> None:
    pytest.importorskip("_cffi_backend")
    (folder / "needy.py").write_text("import _cffi_backend\ndef f(n): return n + 1")
    options = ("--executors", "ours", "--workers", "2", "--rounds", "1")
    done = run(folder, "needy:f", "--stdin", *options, stdin="1\n2\n")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("interp_executor"))
    assert line.endswith("(in processes, where _cffi_backend loads)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["myjob", "--args"], "'myjob' is not of the form MODULE:FUNCTION"),
        (["nosuch:f", "--args"], "no module is called 'nosuch'"),
        (["myjob.py:squares", "--args"], "without folders and .py"),
        (["broken:f", "--args"], "the import of 'broken' fails: ZeroDivisionError"),
        (["needy:f", "--args"], "the import of 'needy' fails: No module named 'absent'"),
        (["myjob:squarse", "--args"], "'myjob' has no 'squarse'; did you mean 'squares'?"),
        (["myjob:NUMBER", "--args"], "'myjob:NUMBER' is a int, which cannot be called"),
        (["myjob:squares", "--args", "x"], "myjob:squares fails: TypeError"),
        (["myjob:squares", "--items", "absent.jsonl"], "No such file"),
        (["myjob:squares", "--items", "bad.jsonl"], "bad.jsonl, line 2 is no JSON"),
        (["myjob:squares", "--items", "empty.jsonl"], "empty.jsonl holds no item"),
        (["myjob:add", "--star", "--items", "odd.jsonl"], "odd.jsonl, line 2 has 1 arguments"),
        (["myjob:add", "--star", "--items", "one.jsonl"], "one.jsonl, line 1 is no list"),
        (["myjob:add", "--args", "--workers", "0"], "'0' is not a whole number above 0"),
        (["myjob:add", "--args", "--rounds", "x"], "'x' is not a whole number above 0"),
        (["myjob:add", "--args", "1", "--executors", "turtles"], "is called 'turtles'"),
        (["myjob:add", "--args", "1", "--json", "no/x.json"], "there is no folder no"),
        (["myjob:add", "--args", "1", "--plot", "chart"], "needs a suffix"),
        (["myjob:add"], "one of the arguments --args --items --stdin is required"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    folder: Path, arguments: list[str], message: str
) -> None:
    (folder / "broken.py").write_text("1 / 0")
    (folder / "needy.py").write_text("import absent")
    (folder / "bad.jsonl").write_text("1\n{\n")
    (folder / "empty.jsonl").write_text("\n")
    (folder / "odd.jsonl").write_text("[1, 2]\n[1]\n")
    (folder / "one.jsonl").write_text("1\n")
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "plain loop" not in done.stdout


def test_help_tells_every_option_and_gives_examples(folder: Path) -> None:
    told = run(folder, "--help").stdout
    options = "--args --items --stdin --star --repeat --workers --rounds --executors --json --plot"
    for option in [*options.split(), "examples:", "Ctrl-C"]:
        assert option in told


# SIGINT is ignored in what a shell runs behind, and a program inherits that.
HEEDING_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.parametrize(
    ("which", "status", "told"),
    [
        ("later", "threads", "not run: interrupted before its first round was over"),
        ("", "", "interrupted before anything was measured"),
    ],
)
def test_ctrl_c_gives_what_there_is(folder: Path, which: str, status: str, told: str) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "items").write_text(json.dumps(f"fifo{which}"))
    process = subprocess.Popen(
        [sys.executable, "-c", HEEDING_CTRL_C, "-m", "interp_executor", "compare", "myjob:wait",
         "--items", "items", "--executors", "threads", "--workers", "1"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with open(folder / "fifo") as fifo:  # until the function is there
        assert fifo.read(7) == "reached"
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # tells in stderr where it hangs
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert told in out + err
    assert status in out
    if which:
        assert "interrupted;" in out
        assert "plain loop" in out
    assert "Traceback" not in err


# --- the function ----------------------------------------------------------------------------


def _program(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(dedent(source))
    return subprocess.run(
        [sys.executable, folder / "program.py"],
        capture_output=True,
        cwd=folder.parent,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        timeout=300,
        check=False,
    )


def test_a_script_compares_a_function_and_a_class_of_its_own(folder: Path) -> None:
    done = _program(
        folder,
        """
        from interp_executor import compare

        class Box:
            def __init__(self, x):
                self.x = x

        def double(box):
            return Box(2 * box.x)

        if __name__ == "__main__":
            boxes = [Box(n) for n in range(4)]
            found = compare(double, boxes, workers=1, rounds=1, progress=False)
            for row in found.rows:
                print(row.executor, row.outcome, row.reason)
        """,
    )
    assert done.returncode == 0, done.stderr
    outcomes = dict(line.split()[:2] for line in done.stdout.splitlines())
    expected = {each.key: "ok" for each in contenders()}
    if not NEWEST:
        expected["interpreters"] = "missing"
    assert outcomes == expected


def test_a_script_without_the_guard_is_told(folder: Path) -> None:
    done = _program(
        folder,
        """
        from interp_executor import compare
        def f(n): return n
        print(compare(f, [1, 2], workers=1, rounds=1, progress=False))
        """,
    )
    assert done.returncode == 1
    assert 'put the call under `if __name__ == "__main__":`' in done.stderr


def test_a_closure_goes_by_value_and_processes_say_that_they_cannot() -> None:
    k = 3
    found = interp_executor.compare(
        lambda n: n * k,
        [1, 2],
        workers=1,
        rounds=1,
        executors=["processes-spawn", "ours"],
        progress=False,
    )
    assert found.row("ours").outcome == "ok"
    assert found.row("processes-spawn").outcome == "failed"
    assert "<lambda>" in found.row("processes-spawn").reason
    with pytest.raises(KeyError, match="threads"):
        found.row("threads")


def test_an_item_that_cannot_be_pickled_is_named_before_anything_runs() -> None:
    with pytest.raises(TransferError, match=r"item 1\[0\]\['key'\] .*_thread.lock"):
        interp_executor.compare(str, [1, {"key": threading.Lock()}], progress=False)


def test_an_answer_that_cannot_be_pickled_is_named(folder: Path) -> None:
    done = run(folder, "myjob:lock", "--stdin", "--quiet", stdin="1\n")
    assert done.returncode == 2
    assert "myjob:lock fails in a plain loop: the answer to item 0 cannot cross" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be >= 1, not 0"),
        ({"workers": []}, "workers must be >= 1"),
        ({"rounds": 0}, "rounds must be >= 1, not 0"),
        ({"executors": ["turtles"]}, "no executor is called 'turtles'"),
    ],
)
def test_senseless_options_are_value_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interp_executor.compare(str, [1], progress=False, **options)
    with pytest.raises(ValueError, match="there is no item"):
        interp_executor.compare(str, [], progress=False)


def test_a_function_that_fails_raises_with_its_traceback() -> None:
    with pytest.raises(FunctionError, match=r"item 1, \(0\): ZeroDivisionError") as caught:
        interp_executor.compare(divide, [1, 0], progress=False)
    assert "in divide" in caught.value.traceback


def divide(n: int) -> float:
    return 1 / n
