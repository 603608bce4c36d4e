"""Maps in the process lane: a claim goes to the process in several questions."""

import time
from pathlib import Path
from typing import Any

import lane_tasks as tasks
import pytest
from contract.rig import Gate, Inbox
from contract.tasks import NeverLoads, hold, perform

from interp_executor import InterpreterPoolExecutor, ProcessCrashError
from interp_executor._errors import NotLoadedError
from interp_executor._lane import Call
from interp_executor._process import WorkerProcess

PATIENCE = 20
IX_LOST = 2  # of worker.h


def test_closing_the_iterator_stops_a_claim_under_way(
    lane: InterpreterPoolExecutor, meeting: tuple[Inbox, Gate], tmp_path: Path
) -> None:
    inbox, gate = meeting
    notes = tmp_path / "notes"
    notes.touch()
    items: list[tuple[object, ...]] = [(tasks.double, 1), (hold, inbox.path, gate.path)]
    items += [(tasks.note_item, number, notes) for number in range(100)]
    results = lane.map(perform, items, chunksize=len(items), timeout=PATIENCE)
    assert next(results) == 2
    assert inbox.read() == "held"
    results.close()  # type: ignore[attr-defined]
    gate.open()
    assert lane.submit(tasks.double, 2).result(PATIENCE) == 4
    assert notes.read_text().count("int") < 100


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


def test_no_item_runs_twice_where_a_later_one_needs_a_new_path(
    lane: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.submit(tasks.process).result()
    (tmp_path / "late_item.py").write_text("class Late:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import late_item  # type: ignore[import-not-found]

    notes = tmp_path / "notes"
    items = [0, 1, 2, late_item.Late(), 4]
    assert len(list(lane.map(tasks.note_item, items, [notes] * 5, chunksize=5))) == 5
    assert notes.read_text().split() == ["int", "int", "int", "Late", "int"]


def test_no_item_runs_twice_where_a_later_one_cannot_be_loaded_at_all(
    lane: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.submit(tasks.process).result()
    monkeypatch.syspath_prepend(tmp_path)
    notes = tmp_path / "notes"
    results = lane.map(tasks.note_item, [0, 1, 2, NeverLoads()], [notes] * 4, chunksize=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(NotLoadedError, match="arrives broken"):
        next(results)
    assert notes.read_text().split() == ["int"] * 3


class Loaded:
    """A callable by value: it notes when it is loaded."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.seen = 0

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        with self.notes.open("a") as file:
            print("loaded", file=file)

    def __call__(self, seconds: float) -> int:
        time.sleep(seconds)
        self.seen += 1
        return self.seen


def test_a_callable_by_value_is_loaded_once_for_a_claim(
    lane: InterpreterPoolExecutor, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    seen = lane.map(Loaded(notes), [0.015] * 6 + [0.0] * 6, chunksize=6)
    assert list(seen) == [1, 2, 3, 4, 5, 6] * 2
    assert notes.read_text().split() == ["loaded"] * 2


def test_a_process_that_is_new_to_a_claim_gets_its_callable(
    lane: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_items = WorkerProcess.run_items
    asked = []

    def replace_before(worker: WorkerProcess, call: Call) -> object:
        if len(asked) == 1:
            worker.kill()
            worker.close()
            worker.make_ready()
        asked.append(call.data is not None)
        return run_items(worker, call)

    monkeypatch.setattr(WorkerProcess, "run_items", replace_before)
    notes = tmp_path / "notes"
    seen = list(lane.map(Loaded(notes), [0.03] * 3, chunksize=3))
    assert (seen, asked) == ([1, 1, 2], [True, False, True, False])
    assert notes.read_text().split() == ["loaded"] * 2


def test_no_item_runs_twice_where_there_is_no_memory_to_tell_of_it(
    lane: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_items = WorkerProcess.run_items

    def lose_second(self: WorkerProcess, call: Call) -> tuple[int, int, list[Any], Any]:
        answer = run_items(self, call)
        return answer if call.data is not None else (IX_LOST, 0, [], [])

    monkeypatch.setattr(WorkerProcess, "run_items", lose_second)
    notes = tmp_path / "notes"
    items = [(time.sleep, 0.05), (tasks.note_item, 1, notes)]
    results = lane.map(perform, items, chunksize=2)
    assert next(results) is None
    with pytest.raises(MemoryError):
        next(results)
    assert notes.read_text().split() == ["int"]


def test_the_callable_of_a_map_goes_with_its_claim(lane: InterpreterPoolExecutor) -> None:
    assert list(lane.map(tasks.Marked(), [1, 1, 1], chunksize=3)) == [1, 1, 1]
    assert lane.submit(tasks.count_markers).result() == 0
    with pytest.raises(ZeroDivisionError):
        list(lane.map(tasks.Marked(), [1, 0, 1], chunksize=3))
    assert lane.submit(tasks.count_markers).result() == 0
    stopped = lane.map(tasks.Marked(0.03), [1] * 9, chunksize=9)
    assert next(stopped) == 1
    stopped.close()  # type: ignore[attr-defined]
    assert lane.submit(tasks.count_markers).result() == 0
