"""Maps in the process lane: a claim goes to the process in several questions."""

import time
from pathlib import Path

import lane_tasks as tasks
import pytest
from contract.rig import Gate, Inbox
from contract.tasks import NeverLoads, hold, perform

from interp_executor import InterpreterPoolExecutor, ProcessCrashError

PATIENCE = 20


def test_closing_the_iterator_stops_a_claim_under_way(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate], tmp_path: Path
) -> None:
    inbox, gate = meeting
    items: list[tuple[object, ...]] = [(tasks.double, 1), (hold, inbox.path, gate.path)]
    items += [(tasks.note_item, number, tmp_path / "notes") for number in range(100)]
    results = lane.map(perform, items, chunksize=len(items), timeout=PATIENCE)
    assert next(results) == 2
    assert inbox.read() == "held"
    results.close()  # type: ignore[attr-defined]
    gate.open()
    assert lane.submit(tasks.double, 2).result(PATIENCE) == 4
    assert (tmp_path / "notes").read_text().count("int") < 100


def test_what_comes_before_a_long_item_is_there_while_that_runs(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate]
) -> None:
    inbox, gate = meeting
    items = [(tasks.double, 1), (time.sleep, 0.05), (hold, inbox.path, gate.path, "last")]
    results = lane.map(perform, items, chunksize=3, timeout=PATIENCE)
    assert [next(results), next(results)] == [2, None]
    gate.open()
    assert list(results) == ["last"]


def test_a_crash_costs_what_its_question_has_done_at_most(lane: InterpreterPoolExecutor) -> None:
    items = [(tasks.double, 1), (time.sleep, 0.05), (tasks.abort,), (tasks.double, 2)]
    results = lane.map(perform, items, chunksize=4)
    assert [next(results), next(results)] == [2, None]
    with pytest.raises(ProcessCrashError, match="SIGABRT"):
        next(results)
    assert list(lane.map(tasks.double, range(5), chunksize=5)) == [0, 2, 4, 6, 8]


def test_a_claim_counts_once_however_many_questions_it_takes(
    lane: InterpreterPoolExecutor,
) -> None:
    assert list(lane.map(tasks.double, range(100), chunksize=100)) == list(range(0, 200, 2))
    timed = lane.with_options(timeout=PATIENCE)
    assert list(timed.map(tasks.double, range(3), chunksize=3)) == [0, 2, 4]
    assert lane.stats().sent_to_processes == 2
