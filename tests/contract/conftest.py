"""Runs every contract test once per lane."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .differences import failure_of
from .lanes import lanes_under_test
from .rig import Rig


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "rig" not in metafunc.fixturenames:
        return
    name = metafunc.function.__name__
    parameters = []
    for lane in lanes_under_test():
        failure = failure_of(name, lane.name)
        marks = (
            [pytest.mark.xfail(reason=failure.reason, run=failure.run, strict=True)]
            if failure
            else []
        )
        parameters.append(pytest.param(lane, id=lane.name, marks=marks))
    metafunc.parametrize("rig", parameters, indirect=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path, nothing_is_left: None) -> Iterator[Rig]:
    """Executors, gates and inboxes of one lane; closing it lets every task go."""
    rig = Rig(request.param, tmp_path)
    yield rig
    left = rig.close()
    assert not left, f"left behind: {left}"
