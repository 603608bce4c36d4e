"""Faults of the package's own, and of the program's tracing hooks, in the threads that serve it.

None is to be expected; but whoever waits for a worker must not wait for ever when there is one.
"""

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from types import FrameType
from typing import Any
from unittest.mock import Mock

import hive_tasks
import interrupt_tasks
import pytest

from interp_executor import InterpreterPoolExecutor, close_idle_workers, prewarm
from interp_executor._hive import Hive, hive
from interp_executor._lane import ProcessLane
from interp_executor._lease import Lease
from interp_executor._pool import Pool
from interp_executor._service import Service
from interp_executor._watchdog import Watchdog
from interp_executor._worker_thread import WorkerThread

PATIENCE = 60.0


class Fault(Exception):
    """What nobody expects."""


@pytest.fixture(autouse=True)
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException | None]]:
    """What threading reports of the threads in which something has raised."""
    # The services run already: one that begins while a hook raises is never on threading's list.
    hive().watchdog.start()
    prewarm(1, wait=True)
    close_idle_workers()
    reports: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reports.append(args.exc_value))
    yield reports
    end_workers()


def end_workers() -> None:
    """End every worker and wait for its thread, which by then has told what it has to report."""
    close_idle_workers()
    for thread in threading.enumerate():
        if isinstance(thread, WorkerThread):
            thread.join(PATIENCE)


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Fault:
    """Let a method raise the first time that one of the package's threads calls it."""
    method = getattr(owner, name)
    fault = Fault(name)
    calls: list[str] = []

    def failing(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and not calls:
            calls.append(name)
            raise fault
        return method(*args, **options)

    monkeypatch.setattr(owner, name, failing)
    return fault


BEFORE_THE_FIRST_TASK = [
    (WorkerThread, "_open"),
    (Pool, "begin_lease"),
    (WorkerThread, "_set_up"),
]


@pytest.mark.parametrize(("owner", "name"), BEFORE_THE_FIRST_TASK)
def test_a_fault_before_the_first_task_breaks_the_pool(
    owner: type,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[BaseException | None],
) -> None:
    fault = fail_once(monkeypatch, owner, name)
    with InterpreterPoolExecutor(1) as executor:
        with pytest.raises(BrokenExecutor) as caught:
            executor.submit(abs, -1).result(PATIENCE)
        assert caught.value.__cause__ is fault
        with pytest.raises(BrokenExecutor):
            executor.submit(abs, -1)
    assert executor.stats().workers == 0
    end_workers()
    assert reports == [fault]
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(abs, -1).result(PATIENCE) == 1


WHEN_A_WORN_WORKER_LEAVES = [
    (Pool, "end_lease"),
    (Pool, "end_process"),
    (WorkerThread, "_hurry_departure"),
    (Hive, "end"),
]


@pytest.mark.parametrize(("owner", "name"), WHEN_A_WORN_WORKER_LEAVES)
def test_a_fault_when_a_worn_worker_leaves_breaks_what_is_queued(
    owner: type,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[BaseException | None],
    pipe: tuple[int, int],
) -> None:
    fault = fail_once(monkeypatch, owner, name)
    read, write = pipe
    with InterpreterPoolExecutor(1, max_tasks_per_child=1) as executor:
        first = executor.submit(hive_tasks.read_byte, read)
        others = [executor.submit(abs, -number) for number in range(3)]
        os.write(write, b"x")
        assert first.result(PATIENCE) == b"x"
        for future in others:
            with pytest.raises(BrokenExecutor) as caught:
                future.result(PATIENCE)
            assert caught.value.__cause__ is fault
    assert executor.stats().workers == 0
    end_workers()
    assert reports == [fault]


WHEN_A_WORKER_IS_IDLE = [
    (WorkerThread, "_is_fit"),
    (WorkerThread, "_is_emptied"),
    (Lease, "is_over"),
    (Lease, "end"),
    (Hive, "park"),
    (Hive, "idle_timeout"),
    (Hive, "end_behind"),
]


@pytest.mark.parametrize(("owner", "name"), WHEN_A_WORKER_IS_IDLE)
@pytest.mark.parametrize("reuse", [False, True])
def test_a_fault_of_an_idle_worker_harms_nobody(
    owner: type,
    name: str,
    reuse: bool,
    monkeypatch: pytest.MonkeyPatch,
    reports: list[BaseException | None],
) -> None:
    fault = fail_once(monkeypatch, owner, name)
    with InterpreterPoolExecutor(1, reuse=reuse) as executor:
        assert executor.submit(hive_tasks.add_one, 1).result(PATIENCE) == 2
    assert executor.stats().workers == 0
    for _ in range(2):
        with InterpreterPoolExecutor(1) as executor:
            assert executor.submit(abs, -1).result(PATIENCE) == 1
        assert executor.stats().workers == 0
    end_workers()
    assert reports == [fault] * len(reports)


def test_what_an_idle_worker_has_been_assigned_goes_to_another_after_a_fault(
    monkeypatch: pytest.MonkeyPatch, reports: list[BaseException | None]
) -> None:
    fault, assigned = Fault(), threading.Event()
    idle_timeout = Hive.idle_timeout
    calls = itertools.count()

    def failing(hive: Hive) -> float:
        if next(calls) > 0:
            return idle_timeout(hive)
        assert assigned.wait(PATIENCE)
        raise fault

    monkeypatch.setattr(Hive, "idle_timeout", failing)
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(abs, -1).result(PATIENCE) == 1
    with InterpreterPoolExecutor(1) as executor:
        future = executor.submit(abs, -1)
        assigned.set()
        assert future.result(PATIENCE) == 1
    assert executor.stats().workers == 0
    end_workers()
    assert reports == [fault]


def test_a_fault_that_comes_again_and_again_still_lets_shutdown_return(
    monkeypatch: pytest.MonkeyPatch, reports: list[BaseException | None]
) -> None:
    def failing(pool: Pool, worker: WorkerThread) -> None:
        raise Fault

    monkeypatch.setattr(Pool, "end_process", failing)
    with InterpreterPoolExecutor(2) as executor:
        assert executor.submit(abs, -1).result(PATIENCE) == 1
    assert executor.stats().workers == 0
    end_workers()
    assert [type(report) for report in reports] == [Fault]


def test_a_fault_that_meets_a_running_task_fails_its_future(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process lane is where a worker runs the package's own Python in the midst of a task."""
    unraisable: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_value))
    fault = fail_once(monkeypatch, ProcessLane, "run_in_process")
    with InterpreterPoolExecutor(1) as executor:
        future = executor.with_options(lane="process").submit(abs, -1)
        with pytest.raises(Exception, match="process lane"):
            future.result(PATIENCE)
        assert executor.submit(abs, -2).result(PATIENCE) == 2
    assert unraisable == [fault]


# ---- what threading.settrace() and threading.setprofile() were given ----

Hook = Callable[[FrameType, str, Any], Any]


def raise_always(frame: FrameType, event: str, argument: object) -> Any:
    raise Fault(event)


def raise_in(name: str) -> Hook:
    """Return a hook that raises in the functions of that name, line by line."""

    def hook(frame: FrameType, event: str, argument: object) -> Any:
        if event != "call" and frame.f_code.co_name == name:
            raise Fault(name)
        return hook

    return hook


HOOKS = [raise_always, *(raise_in(name) for name in ("work", "_serve", "_set_up", "_open", "call"))]


@pytest.fixture(params=["settrace", "setprofile"])
def install(request: pytest.FixtureRequest) -> Iterator[Callable[[Hook], None]]:
    """threading.settrace or threading.setprofile, undone at the end."""
    name = request.param.removeprefix("set")
    before = getattr(threading, f"get{name}")()
    setter: Callable[[Hook], None] = getattr(threading, request.param)
    yield setter
    setter(before)


@pytest.mark.parametrize("hook", HOOKS)
def test_nobody_waits_for_a_worker_whose_hook_raises(
    hook: Hook, install: Callable[[Hook], None], reports: list[BaseException | None]
) -> None:
    install(hook)
    with InterpreterPoolExecutor(2) as executor:
        for number in range(10):
            try:
                assert executor.submit(abs, -number).result(PATIENCE) == number
            except BrokenExecutor:
                break
    assert executor.stats().workers == 0


def raise_at(name: str, nth: int) -> Hook:
    """Return a tracing function that raises at the n-th event within functions of that name."""
    events = itertools.count()

    def hook(frame: FrameType, event: str, argument: object) -> Any:
        if event != "call" and frame.f_code.co_name == name and next(events) == nth:
            raise Fault(name)
        return hook

    return hook


@pytest.mark.parametrize("name", ["_park", "_wait_for_pool", "_take_next"])
def test_an_assignment_is_not_lost_at_whichever_line_a_hook_raises(
    name: str, install: Callable[[Hook], None], reports: list[BaseException | None]
) -> None:
    """An idle worker takes what it has been assigned, or that executor learns that it cannot."""
    for nth in range(20):
        close_idle_workers()
        install(raise_at(name, nth))
        for _ in range(2):
            with InterpreterPoolExecutor(1) as executor:
                future = executor.submit(abs, -1)
                error = future.exception(PATIENCE)
            assert executor.stats().workers == 0
            if error is None:
                assert future.result() == 1
            else:
                assert isinstance(error, BrokenExecutor)
                assert isinstance(error.__cause__, Fault)
    end_workers()
    assert {type(report) for report in reports} == {Fault}


def test_a_worker_that_a_hook_keeps_from_beginning_says_so(
    install: Callable[[Hook], None], reports: list[BaseException | None]
) -> None:
    install(raise_always)
    with InterpreterPoolExecutor(1) as executor:
        with pytest.raises(BrokenExecutor) as caught:
            executor.submit(abs, -1).result(PATIENCE)
        assert "threading.settrace()" in str(caught.value.__cause__)
    end_workers()
    assert any(isinstance(report, Fault) for report in reports)


def test_prewarming_waits_for_no_worker_that_a_hook_keeps_from_beginning(
    install: Callable[[Hook], None],
) -> None:
    install(raise_always)
    prewarm(1, wait=True)


def test_a_service_runs_whatever_hooks_and_it_itself_raise(
    install: Callable[[Hook], None], reports: list[BaseException | None]
) -> None:
    install(raise_always)
    fault = Fault("the function")
    calls: list[bool] = []

    def function() -> None:
        calls.append(service.is_current())
        if len(calls) == 1:
            raise fault

    service = Service("a service", function)
    service.start()
    service.start()
    service.join(PATIENCE)
    assert calls == [True, True]
    assert isinstance(reports[0], Fault)
    assert reports[-1] is fault


def test_an_interrupted_start_makes_no_second_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come while start() waits for the thread, before that has said who it is."""
    calls: list[str] = []
    late: list[threading.Thread] = []
    gate = threading.Lock()
    begin = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]

    def begin_late(thread: threading.Thread) -> None:
        late.append(thread)
        with gate:
            begin(thread)

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        raise KeyboardInterrupt

    service = Service("a service", lambda: calls.append("called"))
    monkeypatch.setattr(threading.Thread, "_bootstrap_inner", begin_late)
    with gate:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(threading.Event, "wait", interrupted)
            service.start()
        assert not service.is_started()
        while not late:
            os.sched_yield()
    service.start()
    service.join(PATIENCE)
    late[0]._started.wait(PATIENCE)  # type: ignore[attr-defined]  # who joins it before, fails
    late[0].join(PATIENCE)
    assert len(late) == 2
    assert calls == ["called"]


class Clock:
    """An alarm by whose clock time passes with every look at it."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        self._now += 1
        return self._now


@pytest.mark.parametrize("now", range(96, 102))
def test_a_deadline_that_passes_while_the_watchdog_looks_is_not_lost(now: int) -> None:
    stopped: list[object] = []
    run, thread, hive = Mock(number=1), Mock(), Mock()
    thread.deadline.return_value = (1, 100)
    thread.present.return_value = run
    hive.threads.return_value = [thread]
    watchdog = Watchdog(hive)
    watchdog.alarm = Clock(now)  # type: ignore[assignment]
    watchdog.stop = lambda *stop, late: stopped.append(stop[1])  # type: ignore[method-assign]
    to_come = watchdog._stop_late_runs()
    assert (to_come, stopped) in (([100], []), ([], [run]))


class Ending:
    """Something that is expected to end and computes in between."""

    patience = 4.0

    def __init__(self, *shares: float) -> None:
        self.shares = shares  # of the time between two looks, one after the other
        self.given_up = False
        self._computed = itertools.accumulate(itertools.chain([0.0], shares, itertools.repeat(0.0)))

    def computed(self) -> float:
        return next(self._computed)

    def is_over(self) -> bool:
        return self.given_up

    def give_up(self) -> None:
        self.given_up = True


@pytest.mark.parametrize(
    ("shares", "looks"),
    [
        ([], 4),
        ([0.5], 5),
        ([-0.5], 5),  # a thread has ended, and its time is gone with it
        ([0.0, 0.0, 0.0, 0.03], 8),
        ([0.0, 0.0, 0.0, 0.01], 4),
        ([1.0] * 1000, 40),
    ],
)
@pytest.mark.parametrize("late", [0.0, 3600.0])
def test_what_does_not_end_is_given_up_when_it_was_idle_for_its_patience(
    shares: list[float], looks: int, late: float
) -> None:
    """Counted in looks: a machine that stood still for an hour has had one of them."""
    watchdog, alarm, ending = Watchdog(Mock()), Mock(), Ending(*shares)
    watchdog.start = Mock()  # type: ignore[method-assign]
    watchdog.alarm = alarm
    alarm.now.return_value = 0
    watchdog.expect(ending)  # type: ignore[arg-type]
    moments = watchdog._see_off()
    for look in range(1, looks + 1):
        assert not ending.given_up
        (due,) = moments
        assert due == alarm.now.return_value + 1e9
        alarm.now.return_value = due + int(late * 1e9) * (look == 1)
        moments = watchdog._see_off()
    assert ending.given_up
    assert moments == []


def test_the_watchdog_goes_on_after_a_fault(
    monkeypatch: pytest.MonkeyPatch,
    reports: list[BaseException | None],
    pipe: tuple[int, int],
) -> None:
    with InterpreterPoolExecutor(1) as executor:
        patient = executor.with_options(timeout=PATIENCE)
        patient.submit(abs, -1).result(PATIENCE)
        fault = fail_once(monkeypatch, Watchdog, "_look_after_cases")
        future = executor.with_options(timeout=0.05).submit(interrupt_tasks.loop, pipe[1])
        with pytest.raises(TimeoutError):
            future.result(PATIENCE)
    assert reports == [fault]
