"""Every operation of the core meets every other at the same moment, each pair many times.

Under the thread sanitizer (make core-sanitizers) each meeting is judged by it.
"""

import os

import pytest

from .harness import Core

SECONDS = float(os.environ.get("IX_STRESS_SECONDS", "3"))
TIMES = 4 if SECONDS < 10 else 500
"""How often each pair meets; under a sanitizer, where this matters most, more often."""

if "IX_SANITIZE" in os.environ:
    TIMES *= 10


def names(core: Core) -> list[str]:
    return [core.ffi.string(core.lib.pairs_name(n)).decode() for n in range(core.lib.pairs_count())]


def test_every_pair_of_operations_may_meet(core: Core) -> None:
    operations = names(core)
    met = 0
    for first, name in enumerate(operations):
        for second in range(first, len(operations)):
            if not core.lib.pairs_may_meet(first, second):
                continue
            fault = core.lib.pairs_meet(first, second, TIMES)
            if fault:
                text = core.ffi.string(fault).decode()
                pytest.fail(f"{name} and {operations[second]}: {text}")
            met += 1
    assert met > len(operations) ** 2 / 2
    print(f"{met} pairs of {len(operations)} operations, {TIMES} times each")
