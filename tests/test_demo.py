"""The demo: the job is right, the race is fair, and what fails is said."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.demo import chart, cli, corpus, report, results
from bench.demo.contenders import CONTENDERS, Contender
from bench.demo.corpus import Source
from bench.demo.job import BAD_ENCODING, BAD_SYNTAX, MEASURED, Measure, measure_file, measure_source
from bench.demo.race import Race, Record, difference
from bench.demo.team import Lap, Share
from interp_executor._compare.drawing import DrawingError
from interp_executor._compare.progress import Progress

ROOT = Path(__file__).parents[1]


def measure(source: str) -> Measure:
    return measure_source(dedent(source).encode())


# --- the job ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "complexity", "nesting"),
    [
        ("pass", 1, 1),
        ("if a: pass", 2, 2),
        ("if a: pass\nelse: pass", 2, 2),
        ("if a: pass\nelif b: pass\nelif c: pass\nelse: pass", 4, 2),
        ("if a: pass\nelse:\n    if b: pass", 3, 3),
        ("for a in b:\n    while c:\n        pass", 3, 3),
        ("try: pass\nexcept A: pass\nexcept B: pass\nfinally: pass", 3, 2),
        ("with a:\n    with b: pass", 1, 3),
        ("return a and b and c or d", 4, 1),
        ("return a if b else c", 2, 1),
        ("return [x for x in y if x if z]", 4, 1),
        ("return lambda: a or b", 2, 1),
        ("match a:\n    case 1: pass\n    case 2: pass\n    case _: pass", 3, 2),
        ("match a:\n    case _ if b: pass", 2, 2),
        ("async for a in b: pass", 2, 2),
    ],
)
def test_complexity_and_nesting_of_a_function(body: str, complexity: int, nesting: int) -> None:
    found = measure("async def f():\n" + indent(body, "    "))
    assert (found.hardest, found.hardest_complexity, found.nesting) == ("f", complexity, nesting)
    assert found.complexity == complexity + 1  # and the module's own


def test_an_inner_functions_decisions_are_its_own() -> None:
    found = measure("""
        if debug: pass
        class A:
            class B:
                def outer(self):
                    def inner():
                        if a and b: pass
                    while c: pass
        """)
    assert (found.functions, found.classes, found.nesting) == (2, 2, 5)
    assert (found.hardest, found.hardest_complexity) == ("A.B.outer.inner", 3)
    assert found.complexity == 2 + 2 + 3


def test_code_lines_leave_out_blank_lines_and_comments() -> None:
    source = '''\
        # a comment

        text = """three

        lines"""  # and a comment
        call(
            # inside
            1,

        )
        a = 1; b = 2
        '''
    found = measure(source)
    assert (found.lines, found.code_lines) == (11, 7)


def test_an_empty_file_measures_nothing() -> None:
    assert measure_source(b"") == Measure("", MEASURED, 0, complexity=1)


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (b"# coding: no-such\nx = 1\n", BAD_ENCODING),
        (b"# coding: hex\nx = 1\n", BAD_ENCODING),
        (b"x = '\xff'\n", BAD_ENCODING),
        (b"x = (\n", BAD_SYNTAX),
        (b"x = '\n", BAD_SYNTAX),
        (b"if a:\nb\n", BAD_SYNTAX),
        (b"x = 1\n\x00\n", BAD_SYNTAX),
        (b"print 'two'\n", BAD_SYNTAX),
        (b"(" * 500 + b"\n", BAD_SYNTAX),
    ],
)
def test_a_file_that_python_refuses_is_counted_as_such(source: bytes, status: str) -> None:
    assert measure_source(source, "p") == Measure("p", status, source.count(b"\n"))


def test_a_declared_encoding_is_obeyed() -> None:
    found = measure_source(b"# coding: latin-1\nx = '\xff'\n")
    assert (found.status, found.code_lines) == (MEASURED, 1)


def test_a_missing_file_is_an_error_and_not_a_count() -> None:
    with pytest.raises(FileNotFoundError):
        measure_file("/no/such.py")


Block = tuple[list[str], int, int]
"""Lines of source, the decisions in them, and how deep they nest."""

LEAVES: list[Block] = [
    (["pass"], 0, 0),
    (["x = a and b or c"], 2, 0),
    (["x = [i for i in y if i]"], 2, 0),
    (["x = (1 if a else 2)", "# a comment"], 1, 0),
]

HEADS = [("if a:", 1), ("for i in y:", 1), ("while a or b:", 2), ("with a:", 0)]


def _around(head: str, decisions: int, inner: Block) -> Block:
    lines, inside, depth = inner
    return [head, *(f"    {line}" for line in lines)], decisions + inside, depth + 1


def _after(first: Block, second: Block) -> Block:
    return first[0] + second[0], first[1] + second[1], max(first[2], second[2])


def _grow(blocks: st.SearchStrategy[Block]) -> st.SearchStrategy[Block]:
    heads = st.sampled_from(
        [("if a:", 1), ("for i in y:", 1), ("while a or b:", 2), ("with a:", 0)]
    )
    nested = st.builds(lambda head, inner: _around(*head, inner), heads, blocks)
    return nested | st.builds(_after, blocks, blocks)


@given(st.recursive(st.sampled_from(LEAVES), _grow, max_leaves=12))
def test_a_function_measures_what_it_was_made_of(block: Block) -> None:
    lines, decisions, depth = block
    found = measure("def f():\n" + indent("\n".join(lines), "    "))
    assert (found.hardest_complexity, found.nesting) == (1 + decisions, 1 + depth)
    assert found.code_lines == 1 + sum(not line.strip().startswith("#") for line in lines)


# --- the files -------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10_000)), st.integers(1, 9))
def test_a_deal_gives_each_file_once_and_even_shares(sizes: list[int], shares: int) -> None:
    sources = [Source(str(index), size) for index, size in enumerate(sizes)]
    dealt = corpus.deal(sources, shares)
    assert sorted(source for share in dealt for source in share) == sorted(sources)
    totals = [sum(source.size for source in share) for share in dealt]
    assert max(totals) - min(totals) <= max(sizes, default=0)


def test_a_limit_spreads_over_the_library() -> None:
    everything = corpus.find_sources()
    some = corpus.find_sources(20)
    assert len(some) == 20
    assert set(some) <= set(everything)
    assert some[-1] in everything[-len(everything) // 20 - 1 :]
    assert corpus.find_sources(10**9) == everything


def test_installed_packages_are_not_the_library(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", "site-packages/c.py", "d/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = corpus.find_sources(root=str(tmp_path))
    assert found == [Source(str(tmp_path / "a.py"), 1), Source(str(tmp_path / "d/e.py"), 1)]


def test_no_library_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(corpus.CorpusError, match="no .py file"):
        corpus.find_sources(root=str(tmp_path))
    with pytest.raises(corpus.CorpusError, match="not a folder"):
        corpus.find_sources(root=str(tmp_path / "no"))


# --- the figures -----------------------------------------------------------------------------


def _record(key: str, *laps: Lap, start: float = 0.5) -> Record:
    contender = next(each for each in CONTENDERS if each.key == key)
    return Record(contender, start_seconds=[start], rounds=[list(laps)])


def _rows(*records: Record) -> dict[str, results.Row]:
    sources = [Source("a", 10), Source("b", 10)]
    return {row.key: row for row in results.make_rows(records, sources)}


def test_the_ceiling_is_all_the_work_that_independent_processes_did_in_the_time() -> None:
    serial = Lap([Share(["a", "b"], 4.0)], {}, {"a": 3.0, "b": 1.0})
    pool = Lap([Share(["a", "b"], 2.5)], {}, {})
    # One process does 3 of work in 3 seconds; the other 1 in 1, then 1 each 2 seconds: 2 in all.
    independent = Lap([Share(["a"], 3.0), Share(["b"], 1.0, ["b", "b"], 4.0)], {}, {})
    rows = _rows(
        _record("serial", serial), _record("ours", pool), _record("independent", independent)
    )
    assert rows["independent"].seconds == pytest.approx(4.0 / (5.0 / 3.0))
    assert rows["ours"].speed_up == pytest.approx(4.0 / 2.5)
    assert rows["ours"].of_ceiling == pytest.approx(4.0 / (5.0 / 3.0) / 2.5)
    assert rows["ours"].start_seconds == 0.5


def test_without_the_plain_loop_there_is_a_ceiling_but_no_speed_up() -> None:
    independent = Lap([Share(["a"], 1.0), Share(["b"], 1.0)], {}, {})
    serial = _record("serial")
    serial.drop("failed", "broken")
    pool = _record("ours", Lap([Share(["a", "b"], 2.0)], {}, {}))
    rows = _rows(serial, pool, _record("independent", independent))
    assert rows["serial"].reason == "broken"
    assert rows["ours"].speed_up is None
    assert rows["ours"].of_ceiling == pytest.approx(0.5)


def test_a_difference_is_named() -> None:
    right = {"a": Measure("a", MEASURED, 3), "b": Measure("b", MEASURED, 3, 2)}
    wrong = right | {"b": Measure("b", MEASURED, 3, 1)}
    assert difference(wrong, right) == "b: code_lines is 1, not 2"
    assert difference({"a": right["a"]}, right) == "no answer for b"


# --- the race --------------------------------------------------------------------------------


def _run_demo(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.demo", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Run the demo once, on twenty files."""
    folder = tmp_path_factory.mktemp("demo")
    done = _run_demo("--limit=20", "--workers=2", "--json", f"--output={folder}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), folder


def test_all_executors_give_the_identical_answers(finished: tuple[dict[str, Any], Path]) -> None:
    rows = {row["key"]: row for row in finished[0]["rows"]}
    assert set(rows) == {contender.key for contender in CONTENDERS}
    newest = sys.version_info >= (3, 14)
    for key, row in rows.items():
        expected = "missing" if key == "interpreters" and not newest else "ok"
        assert row["kind"] == expected, f"{key}: {row['reason']}"
    assert finished[0]["findings"]["files"] == 20


def test_every_contender_that_ran_has_its_figures(finished: tuple[dict[str, Any], Path]) -> None:
    for row in finished[0]["rows"]:
        if row["kind"] == "ok":
            assert row["seconds"] > 0
            assert row["speed_up"] > 0
            assert row["of_ceiling"] > 0
            if sys.platform == "linux":
                assert row["peak_memory"] >= row["idle_memory"] >= 0


def test_the_chart_is_a_picture(finished: tuple[dict[str, Any], Path]) -> None:
    pytest.importorskip("matplotlib")
    png = (finished[1] / "demo.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert width > 800
    assert height > 300
    svg = ET.parse(finished[1] / "demo.svg").getroot()
    assert svg.tag.endswith("svg")
    shown = [text.strip() for text in svg.itertext()]
    ran = [row for row in finished[0]["rows"] if row["kind"] == "ok"]
    assert {row["title"] for row in ran} <= set(shown)
    bars = [shape for shape in svg.iter() if shape.tag.endswith("rect")]
    assert len(bars) > len(ran)


def _race(*contenders: Contender) -> Race:
    race = Race(corpus.find_sources(4), 1, Progress(), contenders)
    race.run(1)
    return race


def test_a_contender_that_fails_says_why_and_the_others_go_on() -> None:
    broken = Contender("broken", "broken", "no-such-runner")
    failed, serial = _race(broken, CONTENDERS[0]).records
    assert (failed.kind, serial.kind) == ("failed", "ok")
    assert "no-such-runner" in failed.reason
    assert len(serial.rounds[0]) > 0


def test_a_runner_that_dies_is_reported_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'threads' in sys.orig_argv:\n"
        "    print('Fatal: boom', file=sys.stderr, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    threads, serial = _race(CONTENDERS[1], CONTENDERS[0]).records
    assert (threads.kind, serial.kind) == ("failed", "ok")
    assert threads.reason == "killed by SIGKILL: Fatal: boom"


def test_a_wrong_answer_puts_a_contender_out() -> None:
    race = _race(CONTENDERS[0])
    record = race.records[0]
    lap = record.rounds[-1][0]
    path, measure = next(iter(lap.measures.items()))
    lap.measures[path] = measure._replace(lines=measure.lines + 1)
    race._compare(record)
    assert record.kind == "wrong"
    assert record.reason == f"{path}: lines is {measure.lines + 1}, not {measure.lines}"


# --- the command -----------------------------------------------------------------------------


def _made_up_run(kind: str) -> report.Run:
    rows = [
        results.Row("serial", "serial", "a plain loop", "ok", "", 0.0, 4.0, 1.0, 0.5, 0, 5_000_000),
        results.Row("ours", "interp_executor", "", kind, "lines is 1, not 2"),
    ]
    return report.Run(2, 1, "/lib", rows, results.find_out({"a": Measure("a", MEASURED, 3)}))


def test_a_wrong_answer_is_said_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    run = _made_up_run("wrong")
    assert cli._status(run.rows) == 1
    assert "lines is 1, not 2" in capsys.readouterr().err
    text = report.text(run)
    assert "wrong: lines is 1, not 2" in text
    assert "WRONG ANSWERS: interp_executor" in text


def test_the_table_shows_what_was_measured() -> None:
    line = next(
        line for line in report.text(_made_up_run("failed")).splitlines() if "loop)" in line
    )
    assert line.split()[:6] == ["serial", "0", "ms", "4.00", "s", "4.00"]
    assert line.endswith("5 MB  (a plain loop)")


def test_without_matplotlib_there_is_an_svg_and_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    with pytest.raises(DrawingError, match="pip install matplotlib"):
        chart.save(_made_up_run("ok"), tmp_path)
    assert ET.parse(tmp_path / "demo.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers=0"], "'0' is not a whole number above 0"),
        (["--rounds=many"], "'many' is not a whole number above 0"),
        (["--limit=-1"], "'-1' is not a whole number above 0"),
        (["--output=setup.py/x"], "setup.py"),
    ],
)
def test_a_senseless_option_is_refused(arguments: list[str], message: str) -> None:
    done = _run_demo(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_option() -> None:
    text = _run_demo("--help").stdout
    for option in ("--workers", "--rounds", "--limit", "--json", "--output"):
        assert option in text
