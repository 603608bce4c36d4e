"""The rule for every test: nothing is left behind."""

from collections.abc import Generator, Iterator

import pytest
from leftovers import Snapshot

FAILED = pytest.StashKey[bool]()


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
