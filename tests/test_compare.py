"""``compare``: the figures, what it advises and draws, and what it says of what cannot be done."""

import json
import os
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import interp_executor
from interp_executor import TransferError
from interp_executor._cli import compare as command
from interp_executor._compare import work
from interp_executor._compare.agree import difference, same
from interp_executor._compare.drawing import DrawingError
from interp_executor._compare.executors import contenders
from interp_executor._compare.figures import Comparison, Figures, Spread
from interp_executor._compare.progress import Bar, Lines
from interp_executor._compare.race import FunctionError, Record, turns
from interp_executor._compare.report import seconds_text, text

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
        threading.Event().wait()

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
        ("die_in_threads", "failed: status 3: Fatal: boom"),
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
    assert any(line.startswith("processes (spawn)") and " ms" in line for line in lines)


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
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with open(folder / "fifo") as fifo:  # until the function is there
        assert fifo.read(7) == "reached"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
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
    assert "the answer to item 0 cannot cross" in done.stderr


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


# --- what is made of the figures -------------------------------------------------------------


def figures(key: str, seconds: float, **more: Any) -> Figures:
    title = next((each.title for each in contenders() if each.key == key), key)
    given = {name: Spread(value, value, value) for name, value in more.items()}
    workers = 1 if key == "serial" else 4
    return Figures(
        key, title, workers, "ok", "", "",
        seconds=Spread(seconds, 0.9 * seconds, 1.1 * seconds),
        speed_up=Spread(1 / seconds, 0.9 / seconds, 1.1 / seconds),
        **given,
    )  # fmt: skip


def comparison(*found: Figures) -> Comparison:
    return Comparison("f", 10, 3, "CPython 3.14.8", 4, 0.1, False, (figures("serial", 1.0), *found))


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        ([], "nothing to advise"),
        ([figures("ours", 0.95)], "Use a plain loop: the fastest pool, interp_executor"),
        ([figures("ours", 2.0, overhead=1.0)], "a call takes 100 ms and its way there and back 1"),
        ([figures("ours", 0.25)], "Use interp_executor x4: 4.0 times as fast as a plain loop."),
        ([figures("ours", 0.25), figures("threads", 1.0)], "4.00 times as fast as the next, thr"),
        ([figures("ours", 0.25), figures("threads", 0.26)], "without leaving the interpreter"),
        (
            [
                figures("processes-spawn", 0.25, peak_memory=4e7, start_seconds=0.2),
                figures("ours", 0.26, peak_memory=1e7, start_seconds=0.1),
            ],
            "(spawn) x4, with 10.0 MB of memory instead of 40.0 MB, ready after 100 ms in",
        ),
        (
            [figures("processes-spawn", 0.25), figures("ours", 0.5)],
            "Use processes (spawn) x4: 4.0 times as fast as a plain loop, and 2.00 times",
        ),
        ([figures("ours", 0.25, start_seconds=2.0)], "for a single run of this size a plain loop"),
    ],
)
def test_the_advice_is_one_sentence_with_its_reason(found: list[Figures], advice: str) -> None:
    sentence = comparison(*found).advice
    assert advice in sentence
    assert sentence.endswith(".")


def test_the_table_shows_the_median_and_the_spread() -> None:
    shown = text(comparison(figures("ours", 0.5, overhead=2e-6)))
    line = next(line for line in shown.splitlines() if line.startswith("interp_executor"))
    assert line.split() == ["interp_executor", "x4", "500", "ms", "±10%", "2.00", "±10%", "2.00",
                            "us"]  # fmt: skip


def test_a_busy_machine_is_told() -> None:
    assert "busy" not in text(comparison())
    assert "load 3.0 on 4 processors" in text(replace(comparison(), load=3.0))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.00 us"), (2.5e-6, "2.50 us"), (0.0123, "12.3 ms"), (0.5, "500 ms"), (123.4, "123 s")],
)
def test_durations_have_the_digits_that_carry_information(seconds: float, shown: str) -> None:
    assert seconds_text(seconds) == shown


def test_the_chart_is_an_svg_without_matplotlib(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    odd = replace(comparison(figures("ours", 0.25, peak_memory=1e7)), function="<lambda> & $x$")
    odd.plot(tmp_path / "chart.svg")
    words = [element.text or "" for element in ET.parse(tmp_path / "chart.svg").iter()]
    assert any(word.startswith("<lambda> & $x$: 10 calls") for word in words)
    assert "4.00\N{MULTIPLICATION SIGN}" in words
    with pytest.raises(DrawingError, match="pip install matplotlib"):
        odd.plot(tmp_path / "chart.png")


def test_the_chart_is_a_png_with_matplotlib(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    comparison(figures("ours", 0.25, peak_memory=1e7)).plot(tmp_path / "chart.png")
    png = (tmp_path / "chart.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(png[16:20]) > 800
    with pytest.raises(DrawingError, match=r"\.gif2 is not among"):
        comparison().plot(tmp_path / "chart.gif2")


def test_nothing_measured_is_no_chart(tmp_path: Path) -> None:
    nothing = replace(comparison(), rows=(replace(figures("serial", 1), outcome="failed"),))
    with pytest.raises(DrawingError, match="nothing was measured"):
        nothing.plot(tmp_path / "chart.svg")


# --- its parts -------------------------------------------------------------------------------


class Plain:
    def __init__(self, x: object) -> None:
        self.x = x


class Odd:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        ([1, {"a": (NAN,)}], [1, {"a": (NAN,)}], True),
        ([1, 2], [1, 3], False),
        ([1], [1, 2], False),
        ({"a": NAN}, {"b": NAN}, False),
        (Plain([NAN]), Plain([NAN]), True),
        (Plain(1), Plain(2), False),
        (Odd(), Odd(), False),
        (len, len, True),
    ],
)
def test_answers_are_the_same_by_value(one: object, other: object, expected: bool) -> None:
    assert same(one, other) is expected


def test_a_difference_names_the_item() -> None:
    assert difference([1, 2], [1, 2]) is None
    assert difference([1, 5], [1, 2]) == "item 1 gave 5, and 2 in a plain loop"
    assert difference([1], [1, 2]) == "1 answers to 2 items"


def test_another_contender_begins_each_round() -> None:
    records = [Record(each, 1) for each in contenders()[:3]]
    first = [turns(records, number)[0] for number in range(6)]
    assert {id(record) for record in first} == {id(record) for record in records}
    assert all(sorted(map(id, turns(records, n))) == sorted(map(id, records)) for n in range(6))


def test_work_travels_by_name_or_by_value(tmp_path: Path) -> None:
    for fn in (divide, len, str.upper, lambda n: n + 1):
        work.dump(work.Work(fn, [(1,)]), tmp_path / "work")
        loaded = work.load(tmp_path / "work")
        assert loaded.items == [(1,)]
        assert loaded.fn is fn or loaded.fn(1) == 2


def test_the_bar_shows_what_runs_and_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(10)
    bar.show("round 1: threads")
    bar.forget(2)
    for _ in range(4):
        bar.advance(1)
    bar.show("round 1: ours")
    bar.close()
    drawn = capsys.readouterr().err.split("\r")
    assert " 50 % |############            |" in drawn[-2]
    assert "round 1: ours" in drawn[-2]
    assert drawn[-1] == "\x1b[K"


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    lines = Lines(10)
    lines.show("round 1: threads")
    lines.advance(1)
    assert capsys.readouterr().err == ""
    now = 11.0
    lines.advance(4)
    assert capsys.readouterr().err == " 50 %  round 1: threads\n"


def test_calls_are_repeated_for_about_a_second_and_for_all_workers() -> None:
    assert command._repeats("t", lambda: threading.Event().wait(0.3), (), 2) == 8
    assert 20 <= command._repeats("t", lambda: threading.Event().wait(0.02), (), 2) <= 50
