"""joblib's own tests of a backend, run with ours where they apply."""

from collections.abc import Iterator
from concurrent.futures import wait

import pytest

pytest.importorskip("joblib.test.test_parallel")

from joblib_adapter import load, our_tests
from leftovers import Snapshot

from interp_executor.contrib.joblib import register

register()

# The suite provokes warnings and does not look at them.
pytestmark = pytest.mark.filterwarnings("default")

_MANAGER = "shares a multiprocessing manager's queue or list with the tasks"
_NESTED = "runs Parallel in a task: joblib does not load in an interpreter with its own GIL"
_MEMMAP = "wants large arrays as maps of temporary files, which joblib makes for its own processes"
_SKIPPED = {
    "test_auto_memmap_on_arrays_from_generator": _MEMMAP,
    "test_memmapping_leaks": _MEMMAP,
    "test_nested_exception_dispatch": _NESTED,
    "test_dispatch_multiprocessing": _MANAGER,
    "test_initializer_context": _MANAGER,
    "test_initializer_parallel": _MANAGER,
    "test_nested_loop": _NESTED,
    "test_nested_backend_context_manager": _NESTED,
    "test_backend_nesting_level": _NESTED,
    "test_nested_parallelism_limit": _NESTED,
    "test_thread_bomb_mitigation": _NESTED,
}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Wait for the calls that a test aborts while they sleep; then nothing may be left."""
    before = Snapshot()
    yield
    wait(before.new_futures(), timeout=30)
    assert not (left := before.left(failed=False)), f"left behind: {left}"


_module = load(__name__)
globals().update(our_tests(_module, _SKIPPED))
