"""Everything racing with everything, from C threads, each task and item accounted for exactly once.

IX_STRESS_SECONDS sets how long it goes on, IX_STRESS_SEED where it begins. An episode that goes
wrong is named by its seed and can be run again alone.
"""

import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from .harness import CData, Core

SECONDS = float(os.environ.get("IX_STRESS_SECONDS", "3"))
SEED = int(os.environ.get("IX_STRESS_SEED", time.time_ns() // 1000 % 1_000_000_000))


def plan(core: Core, seed: int, **fixed: int) -> CData:
    """An episode made up from its seed."""
    chance = random.Random(seed)
    lib = core.lib
    made = {
        "producers": chance.randrange(4),
        "tasks": chance.choice([30, 300, 2000]),
        "workers": chance.randrange(1, 6),
        "cancellers": chance.randrange(2),
        "observers": chance.randrange(3),
        "waiters": chance.randrange(3),
        "watchers": chance.randrange(2),
        "mappers": chance.randrange(4),
        "items": chance.choice([30, 3000]),
        "max_runs": chance.choice([0, 0, 0, 3, 40]),
        "ending": chance.choice(
            [lib.STRESS_DRAIN, lib.STRESS_CLOSE, lib.STRESS_CLEAR, lib.STRESS_BREAK]
        ),
    }
    return core.new("struct stress_plan", seed=seed, **(made | fixed))


def run(core: Core, plan: CData) -> Counter[str]:
    """Run an episode and return its tally, which must be without fault."""
    tally = core.new("struct stress_tally")
    core.lib.stress_run(plan, tally)
    fields: Any = core.ffi.typeof("struct stress_tally").fields
    counts = Counter({name: int(getattr(tally, name)) for name, _ in fields if name != "fault"})
    assert counts["faults"] == 0, f"seed {plan.seed}: {core.ffi.string(tally.fault).decode()}"
    return counts


@pytest.mark.parametrize("ending", ["DRAIN", "CLOSE", "CLEAR", "BREAK"])
def test_however_it_ends_each_task_is_accounted_for_once(core: Core, ending: str) -> None:
    counts = run(
        core,
        plan(
            core,
            SEED,
            producers=3,
            tasks=1000,
            workers=3,
            cancellers=1,
            observers=2,
            waiters=2,
            watchers=1,
            mappers=2,
            items=1000,
            ending=getattr(core.lib, f"STRESS_{ending}"),
        ),
    )
    assert counts["created"] == 3000
    if ending == "DRAIN":
        assert counts["refused"] == counts["cleared"] == counts["broken"] == 0
        assert counts["ran"] + counts["cancelled"] == 3000


def run_for(core: Core, seconds: float) -> None:
    """Run one random episode after the other; pytest shows the seeds if one goes wrong."""
    deadline = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    seed = SEED
    while time.monotonic() < deadline or counts["created"] == 0:
        counts += run(core, plan(core, seed))
        counts["episodes"] += 1
        seed += 1
    print(f"seeds {SEED} to {seed - 1}:", dict(counts))
    assert counts["ran"] + counts["cancelled"] + counts["broken"] >= counts["created"]


def test_random_episodes_lose_nothing(core: Core) -> None:
    run_for(core, SECONDS)


@pytest.mark.slow
def test_random_episodes_lose_nothing_in_a_minute(core: Core) -> None:
    run_for(core, max(SECONDS, 60))


def test_a_queue_may_be_freed_as_soon_as_it_is_joined(core: Core) -> None:
    core.lib.stress_join(500)
