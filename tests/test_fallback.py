"""Extensions that refuse to load in an interpreter: what moves, what does not, and what is said."""

import multiprocessing
import os
from concurrent.futures import CancelledError, wait
from pathlib import Path
from typing import Any

import lane_tasks as tasks
import needs_refusing
import pytest
from contract.rig import Gate, Inbox
from isolated.script import run, write
from stops import Held

from interp_executor import (
    IncompatibleModuleError,
    InterpreterPoolExecutor,
    TaskInterrupted,
    TaskTimeoutError,
    _lanes,
)
from interp_executor._lane import ProcessLane

NAME = "refusing_extension"
HERE = Path(__file__).parent
PATIENCE = 60


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what other tests have found out, on both sides."""
    from interp_executor import _native

    monkeypatch.setattr(_lanes, "_refusing", set())
    monkeypatch.setattr(_lanes, "_reported", set())
    monkeypatch.setattr(_lanes, "_met_refusal", {})
    _native.forget_callables()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the package has logged."""
    return [each.getMessage() for each in caplog.records if each.name == "interp_executor"]


# ---- what moves ----


def test_a_task_whose_module_refuses_moves_to_a_process(
    executor: InterpreterPoolExecutor,
) -> None:
    process, interpreter = executor.submit(needs_refusing.where).result()
    assert process != os.getpid() and interpreter == 0
    assert executor.submit(needs_refusing.name).result() == NAME
    assert executor.stats().moved == (NAME,)


def test_a_task_whose_arguments_refuse_moves_to_a_process(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(str, tasks.Arriving()).result() == NAME


def test_a_closure_over_a_module_that_refuses_moves(executor: InterpreterPoolExecutor) -> None:
    module = needs_refusing.refusing_extension

    assert executor.submit(lambda: (module.__name__, os.getpid())).result() != (NAME, os.getpid())


def test_a_map_moves_and_keeps_its_order(executor: InterpreterPoolExecutor) -> None:
    assert list(executor.map(needs_refusing.double, range(500))) == list(range(0, 1000, 2))
    results = executor.map(needs_refusing.fail, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)


def test_a_map_moves_at_the_item_that_refuses(executor: InterpreterPoolExecutor) -> None:
    items = [1, 2, tasks.Arriving(), 4]
    assert list(executor.map(str, items, chunksize=4)) == ["1", "2", NAME, "4"]


def test_a_task_that_moves_has_its_time_limit_in_the_process(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with InterpreterPoolExecutor(1) as executor:
        view = executor.with_options(timeout=2.0)
        for _ in range(2):  # the first moves, the second goes there at once
            with pytest.raises(TaskTimeoutError, match="2 s"):
                view.submit(needs_refusing.wait_at, str(gate)).result(60)
        assert executor.submit(needs_refusing.name).result(60) == NAME  # the process is up again
        results = view.map(needs_refusing.wait_unless_small, [1, 2, str(gate), 4], chunksize=4)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(TaskTimeoutError):
            next(results)
        assert executor.submit(needs_refusing.name).result(60) == NAME
        assert executor.stats().timed_out == 3


def test_the_time_limit_of_what_moves_begins_when_the_process_is_ready(
    meeting: tuple[Inbox, Gate],
) -> None:
    inbox, gate = meeting
    with InterpreterPoolExecutor(
        1, initializer=tasks.hold_elsewhere, initargs=(os.getpid(), inbox.path, gate.path)
    ) as executor:
        future = executor.with_options(timeout=1.0).submit(str, tasks.Arriving())
        assert inbox.read() == "held"
        assert wait([future], 1.2).not_done
        gate.open()
        assert future.result(PATIENCE) == NAME


def test_a_task_that_moves_can_be_interrupted(
    executor: InterpreterPoolExecutor, tmp_path: Path
) -> None:
    gate, inbox = tmp_path / "gate", tmp_path / "inbox"
    os.mkfifo(gate)
    os.mkfifo(inbox)
    future = executor.submit(needs_refusing.wait_at, str(gate), str(inbox))
    assert inbox.read_text() == "there"
    assert future.interrupt()  # type: ignore[attr-defined]
    with pytest.raises(TaskInterrupted):
        future.result(60)
    assert executor.submit(needs_refusing.name).result(60) == NAME


def test_what_does_not_need_the_module_stays(executor: InterpreterPoolExecutor) -> None:
    executor.submit(needs_refusing.where).result()
    assert executor.submit(tasks.process).result() == os.getpid()


def test_later_tasks_of_the_callable_and_of_its_module_go_straight_to_a_process(
    executor: InterpreterPoolExecutor,
) -> None:
    executor.submit(needs_refusing.name).result()
    kept = _lanes.lane_of(needs_refusing.name, 0, b"needs_refusing\0name")
    sibling = _lanes.lane_of(needs_refusing.double, 0, b"needs_refusing\0double")
    assert kept == sibling == _lanes.PROCESS
    assert executor.submit(needs_refusing.where).result()[0] != os.getpid()


def test_an_import_inside_a_function_is_foreseen_once_the_module_is_known(
    executor: InterpreterPoolExecutor,
) -> None:
    executor.submit(needs_refusing.name).result()
    assert executor.submit(tasks.import_refusing).result() == NAME

    def imports_inside() -> str:
        from refusing_extension import __name__ as name  # type: ignore[import-not-found]

        return str(name)

    assert executor.submit(imports_inside).result() == NAME


def test_an_import_of_a_part_of_a_package_is_found_in_the_code() -> None:
    def imports() -> None:
        import one.two  # type: ignore[import-not-found]  # noqa: F401
        from three import four  # type: ignore[import-not-found]  # noqa: F401

        def inner() -> None:
            import five  # type: ignore[import-not-found]  # noqa: F401

    found = _lanes.imports_of(imports.__code__)
    assert {"one.two", "three", "three.four", "five"} <= found


def test_an_initializer_that_refuses_moves_the_whole_executor() -> None:
    with InterpreterPoolExecutor(
        2, initializer=tasks.initialise_with_refusing, initargs=(5,)
    ) as executor:
        assert executor.submit(tasks.initial).result() == (5,)
        processes = {executor.submit(tasks.process).result() for _ in range(6)}
        assert os.getpid() not in processes
        assert list(executor.map(tasks.double, range(5))) == [0, 2, 4, 6, 8]
        assert executor.stats().moved == (NAME,)
        by_hand = executor.with_options(lane="interpreter").submit(tasks.process)
        with pytest.raises(IncompatibleModuleError, match="no interpreter can be set up"):
            by_hand.result()


# ---- what does not move ----


def test_a_refusal_inside_the_function_raises_and_is_remembered(
    executor: InterpreterPoolExecutor,
) -> None:
    error = executor.submit(tasks.import_by_name, NAME).exception()
    assert isinstance(error, IncompatibleModuleError)
    assert error.name == NAME
    assert "had begun to run" in str(error) and "lane='process'" in str(error)
    assert isinstance(error.__cause__, ImportError)
    assert "import_by_name" in str(error.__cause__.__cause__)
    assert executor.submit(tasks.import_by_name, NAME).result() == NAME


def test_a_refusal_that_the_function_handles_is_its_own_business(
    executor: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    def with_a_fallback() -> str:
        try:
            import refusing_extension
        except ImportError:
            return "without"
        return str(refusing_extension.__name__)

    assert executor.submit(with_a_fallback).result() == "without"
    assert said(caplog) == []


def test_another_import_error_stays_what_it_is(executor: InterpreterPoolExecutor) -> None:
    error = executor.submit(tasks.import_by_name, "no_such_module_anywhere").exception()
    assert type(error) is ModuleNotFoundError


def test_without_a_fallback_a_refusal_raises() -> None:
    with InterpreterPoolExecutor(1, fallback=None) as executor:
        for _ in range(2):
            error = executor.submit(needs_refusing.where).exception()
            assert isinstance(error, IncompatibleModuleError)
            assert error.name == NAME and "fallback=None" in str(error)
        with pytest.raises(IncompatibleModuleError):
            list(executor.map(needs_refusing.double, range(3)))
        by_hand = executor.with_options(lane="process")
        assert by_hand.submit(needs_refusing.name).result() == NAME


def test_without_a_fallback_an_initializer_that_refuses_breaks_the_pool() -> None:
    from interp_executor import BrokenInterpreterPool

    with InterpreterPoolExecutor(
        1, fallback=None, initializer=tasks.initialise_with_refusing, initargs=(1,)
    ) as executor:
        with pytest.raises(BrokenInterpreterPool) as caught:
            executor.submit(tasks.process).result()
        assert isinstance(caught.value.__cause__, ImportError)


def test_a_call_that_is_kept_to_interpreters_raises(executor: InterpreterPoolExecutor) -> None:
    view = executor.with_options(lane="interpreter")
    with pytest.raises(IncompatibleModuleError, match="lane='interpreter' was chosen"):
        view.submit(needs_refusing.where).result()


def test_nothing_moves_to_a_context_that_forks() -> None:
    with InterpreterPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        with pytest.raises(IncompatibleModuleError, match="mp_context forks"):
            executor.submit(needs_refusing.where).result()
        assert executor.submit(tasks.process).result() == os.getpid()


@pytest.mark.parametrize("end", ["interrupt", "terminate_workers", "kill_workers"])
def test_what_is_stopped_while_it_moves_does_not_begin_in_a_process(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    decision = Held(monkeypatch, ProcessLane, "refused")
    with InterpreterPoolExecutor(1) as executor:
        future: Any = executor.submit(tasks.die_with, tasks.Arriving())
        decision.await_call()
        if end == "interrupt":
            assert future.interrupt()
        else:
            getattr(executor, end)()
        decision.release()
        with pytest.raises(TaskInterrupted):
            future.result(PATIENCE)


def test_a_map_that_is_stopped_while_it_moves_does_not_begin_in_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decision = Held(monkeypatch, ProcessLane, "refused")
    with InterpreterPoolExecutor(1) as executor:
        results = executor.map(tasks.die_with, [tasks.Arriving()] * 3)
        decision.await_call()
        executor.terminate_workers()
        decision.release()
        with pytest.raises((TaskInterrupted, CancelledError)):
            list(results)


# ---- programs in which no process can be made ----

PROGRAM = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import lane_tasks
from interp_executor import IncompatibleModuleError, InterpreterPoolExecutor

def main():
    with InterpreterPoolExecutor(1) as executor:
        error = executor.submit(str, lane_tasks.Arriving()).exception()
        print(type(error).__name__, error)
        print(executor.submit(lane_tasks.double, 4).result())
"""


def test_an_unguarded_main_module_is_said_to_be_the_reason(tmp_path: Path) -> None:
    script = write(tmp_path / "unguarded.py", PROGRAM + "\nmain()\n")
    done = run(script, check=False)
    assert done.stdout.startswith("IncompatibleModuleError")
    assert "is not guarded" in done.stdout and "__main__" in done.stdout
    assert done.stdout.endswith("\n8\n")


def test_a_main_module_that_cannot_be_loaded_again_is_said_to_be_the_reason(
    tmp_path: Path,
) -> None:
    body = "\nif __name__ == '__main__':\n    main()\nelse:\n    raise OSError('not twice')\n"
    done = run(write(tmp_path / "once.py", PROGRAM + body), check=False)
    assert done.stdout.startswith("IncompatibleModuleError")
    assert "cannot be loaded in a new process" in done.stdout
    assert done.stdout.endswith("\n8\n")


def test_a_main_module_that_is_gone_is_said_to_be_the_reason(tmp_path: Path) -> None:
    body = """
if __name__ == "__main__":
    import multiprocessing, os
    spawning = multiprocessing.get_context("spawn")
    with InterpreterPoolExecutor(1, lane="process", mp_context=spawning) as executor:
        executor.submit(lane_tasks.process).result()
        os.unlink(__file__)
        executor.submit(lane_tasks.abort).exception()
        error = executor.submit(lane_tasks.process).exception()
        print(type(error).__name__, error)
"""
    done = run(write(tmp_path / "gone.py", PROGRAM + body), check=False)
    assert done.stdout.startswith("IncompatibleModuleError")
    assert "cannot be loaded in a new process" in done.stdout


def test_a_main_module_that_crashes_where_it_is_loaded_again_is_named(tmp_path: Path) -> None:
    # A fork server may load it too, and then there is no process to crash.
    spawning = "(1, mp_context=multiprocessing.get_context('spawn'))"
    program = "import multiprocessing\n" + PROGRAM.replace("(1)", spawning)
    body = "\nif __name__ == '__main__':\n    main()\nelse:\n    lane_tasks.abort()\n"
    done = run(write(tmp_path / "crashing.py", program + body), check=False)
    assert done.stdout.startswith("ProcessCrashError")
    assert "SIGABRT" in done.stdout and "the main module '" in done.stdout
    assert "crashing.py" in done.stdout
    assert done.stdout.endswith("\n8\n")


def test_a_daemonic_process_is_said_to_be_the_reason(tmp_path: Path) -> None:
    body = """
if __name__ == "__main__":
    import multiprocessing
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=main, daemon=True)
    process.start()
    process.join()
"""
    done = run(write(tmp_path / "daemonic.py", PROGRAM + body), check=False)
    assert "IncompatibleModuleError" in done.stdout and "daemonic" in done.stdout
    assert done.stdout.endswith("\n8\n")


def test_a_program_without_an_executable_is_said_to_be_the_reason(tmp_path: Path) -> None:
    body = """
if __name__ == "__main__":
    import multiprocessing.spawn
    multiprocessing.spawn.set_executable(None)
    main()
"""
    done = run(write(tmp_path / "frozen.py", PROGRAM + body), check=False)
    assert "IncompatibleModuleError" in done.stdout and "executable" in done.stdout
    assert done.stdout.endswith("\n8\n")


def test_a_system_without_room_for_a_process_is_said_to_be_the_reason(tmp_path: Path) -> None:
    body = """
def scarce(process):
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

if __name__ == "__main__":
    import errno
    import multiprocessing.process
    multiprocessing.process.BaseProcess.start = scarce
    main()
"""
    done = run(write(tmp_path / "crowded.py", PROGRAM + body), check=False)
    assert "IncompatibleModuleError" in done.stdout and "see the limits on processes" in done.stdout
    assert "Ways out" not in done.stdout, "no process is one"
    assert done.stdout.endswith("\n8\n")


def test_a_guarded_program_moves_and_ends(tmp_path: Path) -> None:
    body = "\nif __name__ == '__main__':\n    main()\n"
    program = PROGRAM.replace(".exception()", ".result()")
    done = run(write(tmp_path / "guarded.py", program + body), check=False)
    assert done.returncode == 0
    assert done.stdout == f"str {NAME}\n8\n"
    assert done.stderr.count("does not load") == 1


def test_work_that_is_pending_at_the_exit_is_done_in_processes_too(tmp_path: Path) -> None:
    body = """
def late(path):
    import refusing_extension
    with open(path, "a") as file:
        file.write("done ")

if __name__ == "__main__":
    executor = InterpreterPoolExecutor(1)
    executor.submit(str, lane_tasks.Arriving()).result()
    for _ in range(3):
        executor.submit(late, sys.argv[1])
"""
    out = tmp_path / "out"
    done = run(write(tmp_path / "pending.py", PROGRAM + body), str(out), check=False)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == "done done done "


def test_a_program_from_stdin_moves_too() -> None:
    program = PROGRAM.replace(".exception()", ".result()")
    inside = """
    with InterpreterPoolExecutor(1) as executor:
        print(executor.with_options(lane="process").submit(lambda: answer()).result())

def answer():
    return 42

main()
"""
    done = run("-", stdin=program + inside, check=False)
    assert done.stdout == f"str {NAME}\n8\n42\n", done.stderr


# ---- what is said ----


def test_it_is_reported_once_per_module(
    executor: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    for task in (needs_refusing.name, needs_refusing.where, tasks.import_refusing):
        executor.submit(task).result()
    (message,) = said(caplog)
    assert message.startswith(f"module {NAME} does not load")


def test_warnings_as_errors_change_no_outcome(tmp_path: Path) -> None:
    body = "\nif __name__ == '__main__':\n    main()\n"
    program = PROGRAM.replace(".exception()", ".result()")
    done = run(write(tmp_path / "strict.py", program + body), warnings="error", check=False)
    assert done.stdout == f"str {NAME}\n8\n"
