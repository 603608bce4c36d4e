"""The parts of ``compare``: figures, advice, chart, agreement of answers, progress."""

import sys
import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interp_executor import TransferError
from interp_executor._cli import compare as command
from interp_executor._compare import work
from interp_executor._compare.agree import difference, same
from interp_executor._compare.drawing import DrawingError
from interp_executor._compare.executors import contenders
from interp_executor._compare.figures import Comparison, Figures, Spread
from interp_executor._compare.progress import Bar, Lines
from interp_executor._compare.race import Record, turns
from interp_executor._compare.report import seconds_text, text


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


def increment(n: int) -> int:
    return n + 1


def test_a_function_that_cannot_be_pickled_is_named(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(TransferError, match="the function's variable 'lock' .*_thread.lock"):
        work.dump(work.Work(lambda: lock, [()]), tmp_path / "work")


def test_work_travels_by_name_or_by_value(tmp_path: Path) -> None:
    for fn in (increment, len, str.upper, lambda n: n + 1):
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


@pytest.mark.parametrize(("seconds", "times"), [(0.3, 8), (0.02, 50)])
def test_calls_are_repeated_for_about_a_second_and_for_all_workers(
    seconds: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def compute() -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("time.perf_counter", lambda: now)
    assert command._repeats("t", compute, (), 2) == times
