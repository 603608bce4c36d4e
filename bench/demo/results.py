"""Times, rates and medians, from the laps of a race.

Work is counted in the seconds that the plain loop took for the same files in the same round; a
rate is work per second, so the plain loop's is 1. A pool's time is the wall time.

Independent processes share the work evenly by size, not by time, so one of them ends first. It goes
on with files that it has done already until the others have ended too, so that all processors stay
busy as under a pool, and nobody waits. Their rate is all the work done until then by that time, and
the time in the table follows from it. That makes them the ceiling: what the processors can do for
this job without any executor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from bench.demo.contenders import INDEPENDENT, SERIAL
from bench.demo.corpus import Source
from bench.demo.job import MEASURED, Measure
from bench.demo.race import Record
from bench.demo.team import Lap


@dataclass(frozen=True)
class Row:
    """One contender's figures: medians over the rounds, and over the laps for ratios. None: not
    known."""

    key: str
    title: str
    note: str
    kind: str
    reason: str
    start_seconds: float | None = None
    seconds: float | None = None
    speed_up: float | None = None
    of_ceiling: float | None = None
    idle_memory: int | None = None
    peak_memory: int | None = None


@dataclass(frozen=True)
class Findings:
    """What the job found out about the files."""

    files: int
    unreadable: int
    lines: int
    code_lines: int
    functions: int
    classes: int
    mean_complexity: float
    hardest: str
    hardest_path: str
    hardest_complexity: int
    deepest_path: str
    nesting: int


def make_rows(records: Sequence[Record], sources: Sequence[Source]) -> list[Row]:
    """Turn the records of a race into rows."""
    by_key = {record.contender.key: record for record in records}
    works = _works(by_key.get(SERIAL), sources, max(len(record.rounds) for record in records))
    laps = {key: _lap_times(record, works) for key, record in by_key.items() if record.kind == "ok"}
    return [_row(record, laps) for record in records]


def _row(record: Record, laps: dict[str, list[list[float]]]) -> Row:
    contender = record.contender
    own = laps.get(contender.key)
    if own is None:
        return Row(contender.key, contender.title, record.note, record.kind, record.reason)
    return Row(
        contender.key,
        contender.title,
        record.note,
        record.kind,
        record.reason,
        median(record.start_seconds),
        median(sum(times) for times in own),
        _times_faster(own, laps.get(SERIAL)),
        _times_faster(own, laps.get(INDEPENDENT)),
        _median_size(record.idle_memory),
        _median_size(record.peak_memory),
    )


def _median_size(sizes: list[int]) -> int | None:
    return round(median(sizes)) if sizes else None


def _times_faster(own: list[list[float]], other: list[list[float]] | None) -> float | None:
    """Return the median over the laps of the other's time by one's own.

    Lap by lap, since what disturbs a machine for seconds spoils a few laps, but not the median.
    """
    if other is None:
        return None
    pairs = zip(chain.from_iterable(own), chain.from_iterable(other), strict=True)
    return median(theirs / ours for ours, theirs in pairs)


def _works(serial: Record | None, sources: Sequence[Source], rounds: int) -> list[dict[str, float]]:
    """Return the work of each file in each round; by size, should the plain loop have failed."""
    if serial is None or serial.kind != "ok":
        return [{source.path: source.size + 1.0 for source in sources}] * rounds
    works = []
    for laps in serial.rounds:
        work: dict[str, float] = {}
        for lap in laps:
            work |= lap.each
        works.append(work)
    return works


def _lap_times(record: Record, works: list[dict[str, float]]) -> list[list[float]]:
    rounds = zip(record.rounds, works, strict=True)
    return [[_lap_seconds(lap, work) for lap in laps] for laps, work in rounds]


def _lap_seconds(lap: Lap, work: dict[str, float]) -> float:
    end = max(share.seconds for share in lap.shares)
    total = done = 0.0
    for share in lap.shares:
        own = sum(work[path] for path in share.paths)
        total += own
        done += own
        if share.filler_paths:
            rate = sum(work[path] for path in share.filler_paths) / share.filler_seconds
            done += rate * (end - share.seconds)
    return end * total / done


def find_out(answers: dict[str, Measure]) -> Findings:
    """Add up the answers."""
    measures = list(answers.values())
    hardest = max(measures, key=lambda measure: measure.hardest_complexity)
    deepest = max(measures, key=lambda measure: measure.nesting)
    bodies = sum(measure.functions + 1 for measure in measures if measure.status == MEASURED)
    return Findings(
        files=len(measures),
        unreadable=sum(measure.status != MEASURED for measure in measures),
        lines=sum(measure.lines for measure in measures),
        code_lines=sum(measure.code_lines for measure in measures),
        functions=sum(measure.functions for measure in measures),
        classes=sum(measure.classes for measure in measures),
        mean_complexity=sum(measure.complexity for measure in measures) / max(1, bodies),
        hardest=hardest.hardest,
        hardest_path=hardest.path,
        hardest_complexity=hardest.hardest_complexity,
        deepest_path=deepest.path,
        nesting=deepest.nesting,
    )
