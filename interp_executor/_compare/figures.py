"""The figures of a comparison, and their spread."""

import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from statistics import median
from typing import Any

from interp_executor._compare.executors import SERIAL
from interp_executor._compare.race import Lap, Record


@dataclass(frozen=True)
class Spread:
    """One figure over the rounds: the median, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        """Return the spread of the values that are known; None if none is."""
        known = [value for value in values if value is not None]
        return cls(median(known), min(known), max(known)) if known else None


@dataclass(frozen=True)
class Figures:
    """What one executor took. What is not known is None.

    Attributes
    ----------
    executor : str
        "serial", "threads", "processes-<start method>", "interpreters" (the standard library's) or
        "ours".
    title : str
        The same for people.
    workers : int
        How many it had.
    outcome : str
        "ok"; "missing" from this Python; "failed"; "wrong" if its answers differ from the plain
        loop's; or "not run", since the comparison was interrupted before.
    reason : str
        Why the outcome is not "ok".
    note : str
        How it was called, where that is not as the plain loop.
    seconds : Spread
        The job's time with warm workers.
    speed_up : Spread
        The plain loop's time by this one's, round by round.
    efficiency : Spread
        The speed-up by the number of workers.
    overhead : Spread
        Seconds per task that an empty function takes for the same items.
    start_seconds : Spread
        From the import of the executor until all workers are there with the function loaded.
    idle_memory, peak_memory : Spread
        Bytes beyond one process without workers, in all its processes: before and during the job.
    """

    executor: str
    title: str
    workers: int
    outcome: str
    reason: str
    note: str
    seconds: Spread | None = None
    speed_up: Spread | None = None
    efficiency: Spread | None = None
    overhead: Spread | None = None
    start_seconds: Spread | None = None
    idle_memory: Spread | None = None
    peak_memory: Spread | None = None

    @property
    def label(self) -> str:
        """The title, with the number of workers where there are several."""
        return self.title if self.workers == 1 else f"{self.title} x{self.workers}"


@dataclass(frozen=True)
class Comparison:
    """A function on every executor: what :func:`interp_executor.compare` returns.

    ``print(comparison)`` shows the table and the advice.

    Attributes
    ----------
    function : str
        Its name.
    items : int
        How many calls make the job.
    rounds : int
        How many times each executor was to do it.
    python : str
        The version.
    processors : int
        How many this process may use.
    load : float or None
        The system's load average when it began: what other work it had. None where it has none.
    interrupted : bool
        Whether Ctrl-C ended it early.
    rows : tuple of Figures
        The executors, the plain loop first.
    """

    function: str
    items: int
    rounds: int
    python: str
    processors: int
    load: float | None
    interrupted: bool
    rows: tuple[Figures, ...]

    @property
    def advice(self) -> str:
        """One sentence: which to use, and why."""
        from interp_executor._compare.advice import advise

        return advise(self)

    @property
    def agreed(self) -> bool:
        """Whether all answers were the same."""
        return all(row.outcome != "wrong" for row in self.rows)

    def row(self, executor: str, workers: int | None = None) -> Figures:
        """Return the figures of an executor.

        Parameters
        ----------
        executor : str
            As in :attr:`Figures.executor`.
        workers : int, optional
            By default the first number that was compared.

        Raises
        ------
        KeyError
            If it did not take part.
        """
        for row in self.rows:
            if row.executor == executor and workers in (None, row.workers):
                return row
        raise KeyError(f"{executor} with {workers} workers" if workers else executor)

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as JSON can hold them."""
        return {**asdict(self), "advice": self.advice}

    def save_json(self, path: str | PathLike[str]) -> None:
        """Write the figures to a file as JSON."""
        Path(path).write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw the chart.

        Parameters
        ----------
        path : path-like
            The file; ``.svg`` needs nothing else, ``.png`` and what else matplotlib writes needs
            matplotlib (``pip install 'interp-executor[plot]'``).

        Raises
        ------
        DrawingError
            If nothing was measured, or matplotlib is needed and missing.
        """
        from interp_executor._compare.chart import draw

        draw(self).save(Path(path))

    def __str__(self) -> str:
        from interp_executor._compare.report import text

        return text(self)


def summarise(records: Sequence[Record]) -> list[Figures]:
    """Turn the records of a race into rows."""
    serial = next(record for record in records if record.contender.key == SERIAL)
    return [_row(record, serial) for record in records]


def python_version() -> str:
    """Return what runs, for the head of a table."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    return version if getattr(sys, "_is_gil_enabled", lambda: True)() else f"{version}, no GIL"


def _row(record: Record, serial: Record) -> Figures:
    contender = record.contender
    outcome, reason = record.kind, record.reason
    if outcome == "ok" and not record.laps:
        outcome, reason = "not run", "interrupted before its first round was over"
    common = (contender.key, contender.title, record.workers, outcome, reason, record.note)
    if outcome != "ok":
        return Figures(*common)
    laps = list(record.laps.values())
    ratios = [
        serial.laps[number].seconds / lap.seconds
        for number, lap in record.laps.items()
        if number in serial.laps
    ]

    def over(value: Callable[[Lap], float | None]) -> Spread | None:
        return Spread.of([value(lap) for lap in laps])

    return Figures(
        *common,
        seconds=over(lambda lap: lap.seconds),
        speed_up=Spread.of(ratios),
        efficiency=Spread.of([ratio / record.workers for ratio in ratios]),
        overhead=over(lambda lap: lap.overhead),
        start_seconds=over(lambda lap: lap.start_seconds),
        idle_memory=over(lambda lap: lap.idle_memory),
        peak_memory=over(lambda lap: lap.peak_memory),
    )
