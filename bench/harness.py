"""Calibration and alternating rounds.

Every contender of a row is up before the first round. It first finds out how many
items it does in about a second; then the contenders take turns, each round
starting with another one, so that noise and drift fall on all alike.
"""

import gc
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.entries import Entry, Measure
from bench.row import Row

MAX_REPEATS = 1000
LEAST_ROUNDS = 5  # fewer give no bounds worth the name


@dataclass(frozen=True)
class Plan:
    """How many items a contender gets, and how many times a round."""

    items: int
    repeats: int


@dataclass
class Measured:
    """The samples of one row: costs per entry, one a round."""

    row: Row
    samples: dict[str, list[float]] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)  # name -> why
    elapsed: float = 0.0


def calibrate(measure: Measure, most: int, seconds: float, fixed: int | None) -> Plan:
    """Find how many items, at most ``most``, fill that many seconds."""
    if most == 1:
        measure(1)
        return Plan(1, 1)
    items = fixed or min(most, 20)
    sample = measure(items)
    while not fixed and sample.elapsed < seconds / 3 and items < most:
        factor = seconds / 2 / max(sample.elapsed, 1e-9)
        items = min(most, int(items * min(10, max(2, factor))))
        sample = measure(items)
    per_item = sample.elapsed / items
    if not fixed:
        items = max(1, min(most, round(seconds / per_item)))
    repeats = round(seconds / (per_item * items))
    return Plan(items, max(1, min(MAX_REPEATS, repeats)))


def take(measure: Measure, plan: Plan) -> float:
    """Measure one round of one contender: the mean cost over its repeats."""
    gc.collect()
    return statistics.fmean(measure(plan.items).cost for _ in range(plan.repeats))


def turns(names: list[str], round_number: int) -> list[str]:
    """Return the order of a round: another one begins each time."""
    start = round_number % len(names) if names else 0
    return names[start:] + names[:start]


class _RowRun:
    """The contenders of a row that are up, and what they measured."""

    def __init__(self, row: Row, seconds: float) -> None:
        self.result = Measured(row)
        self._seconds = seconds * row.seconds
        self._up: dict[str, Measure] = {}

    def bring_up(self, entry: Entry, stack: ExitStack) -> None:
        """Open and calibrate one contender, or note why it is absent."""
        reason = entry.missing()
        if reason is not None:
            self.result.absent[entry.name] = reason
            return
        try:
            measure = stack.enter_context(entry.open())
            self.result.plans[entry.name] = self._plan(entry, measure)
        except Exception as error:
            self._drop(entry.name, error)
        else:
            self._up[entry.name] = measure
            self.result.samples[entry.name] = []

    def _plan(self, entry: Entry, measure: Measure) -> Plan:
        if entry.afresh:
            return Plan(1, 1)
        return calibrate(measure, self.result.row.max_items, self._seconds, entry.items)

    def play(self, round_number: int) -> None:
        """Let every contender that is up measure once."""
        for name in turns(list(self._up), round_number):
            try:
                cost = take(self._up[name], self.result.plans[name])
            except Exception as error:
                self._drop(name, error)
            else:
                self.result.samples[name].append(cost)

    def _drop(self, name: str, error: Exception) -> None:
        self.result.absent[name] = f"{type(error).__name__}: {error}"
        self.result.samples.pop(name, None)
        self._up.pop(name, None)


def run_row(row: Row, *, rounds: int, seconds: float) -> Measured:
    """Measure one row in this process."""
    started = time.perf_counter()
    run = _RowRun(row, seconds)
    with ExitStack() as stack:
        for entry in row.entries:
            run.bring_up(entry, stack)
        for round_number in range(max(LEAST_ROUNDS, round(rounds * row.rounds))):
            run.play(round_number)
    run.result.elapsed = time.perf_counter() - started
    return run.result
