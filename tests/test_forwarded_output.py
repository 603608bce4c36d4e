"""forward_output=True: what workers print and log reaches the owner's streams and loggers."""

import _thread
import contextlib
import io
import logging
import multiprocessing
import os
import queue
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import output_tasks
import pytest

from interp_executor import InterpreterPoolExecutor, ProcessCrashError, _channel


@pytest.fixture(params=["interpreter", "process"])
def lane(request: pytest.FixtureRequest) -> str:
    """Where the tasks run."""
    return str(request.param)


@pytest.fixture
def forwarding(lane: str) -> Iterator[InterpreterPoolExecutor]:
    with InterpreterPoolExecutor(1, forward_output=True) as executor:
        yield executor.with_options(lane=lane)


def test_what_a_task_prints_is_there_before_its_result(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(20):
        forwarding.submit(output_tasks.say_to_both, str(number)).result()
        captured = capsys.readouterr()
        assert captured.out == f"out {number}\nagain {number}\n"
        assert captured.err == f"err {number}\n"


def test_what_the_items_of_a_map_print_is_there(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    list(forwarding.map(output_tasks.say, map(str, range(100))))
    assert capsys.readouterr().out.splitlines() == [str(number) for number in range(100)]


def test_what_was_printed_before_a_failure_is_there(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(
        forwarding.submit(output_tasks.say_and_fail, "so far").exception(), ValueError
    )
    assert capsys.readouterr().out == "so far\n"


def test_callbacks_see_the_output_too(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    future = forwarding.submit(output_tasks.say, "hello")
    future.add_done_callback(lambda _: seen.append(capsys.readouterr().out))
    future.result()
    forwarding.shutdown()
    assert seen == ["hello\n"]


def test_records_reach_the_owners_loggers(
    forwarding: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    forwarding.submit(output_tasks.log, "this").result()
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("tasks", "WARNING", "said this")
    assert record.funcName == "log"
    assert "InterpreterPoolExecutor" in str(record.threadName)


def test_an_exceptions_traceback_is_logged_and_what_cannot_cross_becomes_text(
    forwarding: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    forwarding.submit(output_tasks.log_an_error, "bad").result()
    assert "ValueError: bad" in caplog.text
    assert "in log_an_error" in caplog.text
    assert "lock" in vars(caplog.records[0])["lock"]


def test_warnings_are_shown(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        forwarding.submit(output_tasks.warn, "beware").result()
    assert "UserWarning: beware" in capsys.readouterr().err


def test_loggers_have_the_owners_levels(lane: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO),
        caplog.at_level(logging.DEBUG, logger="tasks.fine"),
        InterpreterPoolExecutor(1, forward_output=True) as pool,
    ):
        executor = pool.with_options(lane=lane)
        executor.submit(output_tasks.log, "no", logging.DEBUG).result()
        executor.submit(output_tasks.log, "info", logging.INFO).result()
        executor.submit(output_tasks.log, "fine", logging.DEBUG, "tasks.fine").result()
    assert [record.args or record.getMessage() for record in caplog.records] == [
        "said info",
        "said fine",
    ]


def test_handlers_of_a_task_get_its_records_as_well(
    forwarding: InterpreterPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    assert forwarding.submit(output_tasks.capture_what_is_logged, "it").result() == "said it\n"
    assert [record.getMessage() for record in caplog.records] == ["said it"]


def test_records_that_do_not_propagate_stay_with_the_workers_handlers(
    forwarding: InterpreterPoolExecutor,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forwarding.submit(output_tasks.log_without_propagation, "it").result()
    assert capsys.readouterr().out == "said it\n"
    assert caplog.records == []


def test_a_basic_configuration_in_a_worker_shows_no_record_twice(
    lane: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    configure = output_tasks.configure_logging
    with InterpreterPoolExecutor(1, initializer=configure, forward_output=True) as executor:
        executor.with_options(lane=lane).submit(output_tasks.log, "it").result()
    assert [record.getMessage() for record in caplog.records] == ["said it"]
    assert capsys.readouterr() == ("", "")


def test_output_and_records_keep_their_order(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print(record.getMessage())

    handler = Printing()
    logger = logging.getLogger("tasks")
    logger.addHandler(handler)
    try:
        forwarding.submit(output_tasks.alternate, 50).result()
    finally:
        logger.removeHandler(handler)
    expected = [f"{word} {n}" for n in range(50) for word in ("printed", "logged")]
    assert capsys.readouterr().out.splitlines() == expected


class Listener(io.TextIOBase):
    """A stream whose reader waits for what others write: capsys loses what comes as it is read."""

    def __init__(self) -> None:
        self.heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def write(self, text: str) -> int:
        self.heard.put(text)
        return len(text)


def test_what_is_flushed_or_logged_arrives_while_the_task_runs(
    forwarding: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listener = Listener()
    monkeypatch.setattr(sys, "stdout", listener)
    monkeypatch.setattr(logging.getLogger("tasks"), "handlers", [logging.StreamHandler(listener)])
    go_on = tmp_path / "go on"
    os.mkfifo(go_on)
    for task in (output_tasks.say_and_wait, output_tasks.log_and_wait):
        future = forwarding.submit(task, "now", go_on)
        assert "now" in listener.heard.get(timeout=60)
        assert not future.done()
        go_on.write_bytes(b"x")
        assert future.result() == b"x"


def test_threads_of_a_task_are_heard(
    forwarding: InterpreterPoolExecutor, capsys: pytest.CaptureFixture[str]
) -> None:
    forwarding.submit(output_tasks.say_from_a_thread, "from a thread").result()
    assert capsys.readouterr().out == "from a thread\n"


def test_a_thread_that_prints_when_its_task_is_over_is_heard_at_the_end(
    lane: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    over, said = tmp_path / "over", tmp_path / "said"
    os.mkfifo(over)
    os.mkfifo(said)
    with InterpreterPoolExecutor(1, forward_output=True) as executor:
        view = executor.with_options(lane=lane)
        view.submit(output_tasks.say_later, "late", str(over), str(said)).result()
        with over.open("wb"), said.open("rb") as file:
            file.read()
    assert capsys.readouterr().out == "late\n"


def test_the_initializer_is_heard(lane: str, capsys: pytest.CaptureFixture[str]) -> None:
    with InterpreterPoolExecutor(
        1, initializer=output_tasks.say, initargs=("ready",), forward_output=True
    ) as executor:
        executor.with_options(lane=lane).submit(abs, 1).result()
        # A worker has run it in its interpreter, and then in the process that it starts.
        assert capsys.readouterr().out == "ready\n" * (1 if lane == "interpreter" else 2)


def test_lines_of_several_workers_stay_whole(lane: str, capsys: pytest.CaptureFixture[str]) -> None:
    with InterpreterPoolExecutor(2, forward_output=True) as executor:
        for letter in "abcd":
            executor.with_options(lane=lane).submit(output_tasks.say_much, letter, 200, 300)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == [letter * 300 for letter in "abcd" for _ in range(200)]


def test_a_stream_that_fails_does_not_fail_the_task(
    forwarding: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def write(self, text: str) -> int:
            raise OSError("no space")

        def flush(self) -> None:
            pass

    failures: list[object] = []
    monkeypatch.setattr("sys.stdout", Broken())
    monkeypatch.setattr("sys.unraisablehook", lambda failure: failures.append(failure.exc_value))
    assert forwarding.submit(output_tasks.say, "lost").result() is None
    assert [str(failure) for failure in failures] == ["no space"]


def test_output_there_is_no_memory_for_is_reported_and_costs_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Scarce(bytearray):
        def __init__(self, length: int) -> None:
            if length > 1 << 20:
                raise MemoryError
            super().__init__(length)

    failures: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda failure: failures.append(failure.exc_value))
    monkeypatch.setattr(_channel, "bytearray", Scarce, raising=False)
    with InterpreterPoolExecutor(1, lane="process", forward_output=True) as executor:
        lost = executor.submit(output_tasks.write_and_count, "x" * (2 << 20))
        assert lost.result() == 2 << 20
        assert executor.submit(abs, -1).result() == 1
        assert list(executor.map(abs, range(-3, 0))) == [3, 2, 1]
    (failure,) = failures
    assert "printed or logged, which is lost" in str(failure)


def test_a_handler_of_signals_that_raises_leaves_no_output_half_sent() -> None:
    def raise_(*_: object) -> NoReturn:
        raise TimeoutError

    def read_when_it_has_begun() -> None:
        begun = select.poll()
        begun.register(theirs, select.POLLIN)
        begun.poll()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        received.extend(near.receive()[0] for _ in range(2))

    ours, theirs = socket.socketpair()
    received: list[object] = []
    previous = signal.signal(signal.SIGALRM, raise_)
    with (
        contextlib.closing(_channel.Channel(theirs)) as near,
        contextlib.closing(_channel.Channel(ours)) as far,
    ):
        reader = threading.Thread(target=read_when_it_has_begun, daemon=True)
        reader.start()
        try:
            with pytest.raises(TimeoutError):
                far.say(b"x" * (4 << 20))
        finally:
            signal.signal(signal.SIGALRM, previous)
        far.send("answer")
        reader.join(60)
    assert received == [(None, b"x" * (4 << 20)), "answer"]


def test_what_a_process_wrote_before_it_died_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with InterpreterPoolExecutor(1, forward_output=True) as executor:
        lane = executor.with_options(lane="process")
        with pytest.raises(ProcessCrashError):
            lane.submit(output_tasks.say_and_die, "last words").result()
        assert capsys.readouterr().out == "last words\n"
        lane.submit(output_tasks.say, "the next process").result()
        assert capsys.readouterr().out == "the next process\n"


def test_what_exit_callbacks_print_is_not_lost(
    lane: str, capfd: pytest.CaptureFixture[str]
) -> None:
    # A fork server has the descriptors with which it began.
    context = multiprocessing.get_context("spawn")
    with InterpreterPoolExecutor(1, forward_output=True, mp_context=context) as executor:
        executor.with_options(lane=lane).submit(output_tasks.say_at_exit).result()
    assert capfd.readouterr().out == "at exit\n"


def test_the_next_executor_of_a_worker_does_not_forward(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with InterpreterPoolExecutor(1, forward_output=True, reuse=True) as executor:
        worker = executor.submit(_thread.get_ident).result()
        executor.submit(output_tasks.log, "first").result()
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        assert executor.submit(_thread.get_ident).result() == worker
        executor.submit(output_tasks.log, "second").result()
    assert [record.getMessage() for record in caplog.records] == ["said first"]
    assert capfd.readouterr().err == "said second\n"


def test_a_worker_that_only_printed_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    with InterpreterPoolExecutor(1, forward_output=True) as executor:
        executor.submit(print, "x").result()
        worker = executor.submit(_thread.get_ident).result()
    with InterpreterPoolExecutor(1, forward_output=True) as executor:
        assert executor.submit(_thread.get_ident).result() == worker
        executor.submit(print, "y").result()
    assert capsys.readouterr().out == "x\ny\n"
