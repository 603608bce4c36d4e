"""The compiled core, once per way of parking, and the rule that every block is freed."""

import threading
from collections.abc import Iterator

import pytest

from . import build_core
from .harness import Core
from .job_rig import Map
from .queue_rig import Rig


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread behind; here are no futures or processes to look for."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session", params=build_core.variants())
def variant(request: pytest.FixtureRequest) -> Core:
    """The core with one of the platform's ways of parking."""
    return Core(request.param, build_core.load(request.param))


@pytest.fixture
def core(variant: Core) -> Iterator[Core]:
    """The core, for a test that leaves no block of memory behind."""
    before = variant.lib.ix_test_blocks()
    yield variant
    variant.lib.ix_test_fail_allocation(0)
    assert variant.lib.ix_test_blocks() == before, "blocks of memory were left or freed twice"


@pytest.fixture(scope="session")
def stepped() -> Core:
    """The core as coroutines that a schedule moves."""
    if not build_core.has_stepped():
        pytest.skip("coroutines and sanitizers do not go together")
    return Core("stepped", build_core.load("stepped"))


@pytest.fixture
def rig(core: Core) -> Iterator[Rig]:
    """A queue for four workers on two cores."""
    rig = Rig(core)
    rig.queue.cores = 2
    yield rig
    rig.close()


@pytest.fixture
def job(core: Core) -> Iterator[Map]:
    """A job whose claims are sized by measured time."""
    job = Map(core)
    yield job
    core.lib.ix_job_release(job.job)


@pytest.fixture
def pairs(core: Core) -> Iterator[Map]:
    """A job with a chunksize of 2."""
    job = Map(core, chunksize=2)
    yield job
    core.lib.ix_job_release(job.job)
