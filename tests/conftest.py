"""The rule for every test: nothing is left behind."""

import gc
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from contract.rig import Gate, Inbox
from leftovers import Snapshot

if TYPE_CHECKING:
    from interp_executor import InterpreterPoolExecutor

FAILED = pytest.StashKey[bool]()


def pytest_configure() -> None:
    """Hide from the programs of the tests that pytest shares the tests out: some run pytest."""
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
        del os.environ[name]


def pytest_collection_finish() -> None:
    """Leave out of every later collection what lives as long as pytest does.

    That is half a million objects, and each test looks through all that there are, and collects,
    to see what it leaves behind.
    """
    _set_up_hypothesis()
    gc.collect()
    gc.freeze()


def _set_up_hypothesis() -> None:
    """Have Hypothesis make its generator while the collector can still tell who refers to it."""
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is None:  # no test that was collected needs it
        return

    @hypothesis.settings(max_examples=1, database=None)
    @hypothesis.given(hypothesis.strategies.none())
    def pass_once(nothing: None) -> None:
        assert nothing is None

    pass_once()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[FAILED] = call.excinfo is not None
    return report


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, a process or a future behind."""
    before = Snapshot()
    yield
    left = before.left(failed=request.node.stash.get(FAILED, True))
    assert not left, f"left behind: {left}"


@pytest.fixture
def executor(nothing_is_left: None) -> Iterator["InterpreterPoolExecutor"]:
    """Our executor with one worker, shut down quickly at the end."""
    from interp_executor import InterpreterPoolExecutor

    executor = InterpreterPoolExecutor(max_workers=1)
    yield executor
    started = time.monotonic()
    executor.shutdown(wait=True)
    assert time.monotonic() - started < 10
    stats = executor.stats()
    assert (stats.queued, stats.running) == (0, 0)


@pytest.fixture
def lane(nothing_is_left: None) -> Iterator["InterpreterPoolExecutor"]:
    """A view of an executor with one worker, all of whose calls run in its process."""
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as executor:
        yield executor.with_options(lane="process")


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[tuple[Inbox, Gate]]:
    """Where tasks report that they run, and a gate at which they then wait."""
    inbox, gate = Inbox(tmp_path / "inbox"), Gate(tmp_path / "gate")
    yield inbox, gate
    gate.close()
    inbox.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: where to read and where to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def empty_hive(nothing_is_left: None) -> Iterator[None]:
    """Begin and end without idle workers."""
    from interp_executor import close_idle_workers, set_idle_timeout

    close_idle_workers()
    yield
    set_idle_timeout(60)
    close_idle_workers()


@pytest.fixture
def lasting_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for what computes as long as it does so, which is long on a busy machine."""
    from interp_executor import _watchdog

    monkeypatch.setattr(_watchdog, "_MOST_PATIENCE", 10**6)


@pytest.fixture
def begin(pipe: tuple[int, int]) -> Callable[..., Any]:
    """Submit a task that tells when it has begun, and wait for that."""
    read, write = pipe

    def submit(executor: "InterpreterPoolExecutor", fn: Callable[..., Any], *args: object) -> Any:
        future = executor.submit(fn, write, *args)
        assert os.read(read, 1) == b"!"
        return future

    return submit


@pytest.fixture
def gate() -> Iterator[int]:
    """Where tasks hang that nothing can interrupt, until the test is over."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read
    os.close(write)
    os.close(read)
