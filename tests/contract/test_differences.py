"""The tables of differences name only what exists."""

import importlib
import pkgutil

import contract

from .differences import FAILURES, TRAITS
from .lanes import OURS, OURS_ALONE, OURS_IN_PROCESSES, PROCESSES, SPAWNED, STDLIB, THREADS

LANES = {THREADS, PROCESSES, SPAWNED, STDLIB, OURS, OURS_IN_PROCESSES, OURS_ALONE}


def _names_of_tests() -> set[str]:
    names: set[str] = set()
    for module in pkgutil.iter_modules(contract.__path__):
        if module.name.startswith("test_"):
            names |= set(vars(importlib.import_module(f"contract.{module.name}")))
    return names


def test_every_expected_failure_is_of_a_test_that_exists() -> None:
    assert set(FAILURES) <= _names_of_tests()


def test_every_difference_has_a_known_lane_and_a_reason() -> None:
    for exceptions in TRAITS.values():
        assert set(exceptions) <= LANES
        assert all(exceptions.values())
    for failures in FAILURES.values():
        for failure in failures:
            assert set(failure.lanes) <= LANES
            assert failure.reason


def test_our_executor_differs_in_nothing() -> None:
    for lane in (OURS, OURS_ALONE):
        assert not [trait for trait, exceptions in TRAITS.items() if lane in exceptions]
        assert not [
            test for test, failures in FAILURES.items() if any(lane in f.lanes for f in failures)
        ]
