"""The compiled core, once per way of parking, and the rule that every block is freed."""

from collections.abc import Iterator

import pytest

from . import build_core
from .harness import Core


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
