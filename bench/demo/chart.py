"""The chart: speed, start-up and memory of each contender, as an SVG and a PNG."""

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.demo.contenders import INDEPENDENT, OURS, SERIAL
from bench.demo.report import Run, memory_text, seconds_text, times_text
from bench.demo.results import Row
from interp_executor._compare import bars
from interp_executor._compare.drawing import Drawing, DrawingError

COLOUR = {OURS: bars.OURS, SERIAL: bars.REFERENCE, INDEPENDENT: bars.REFERENCE}


class Panel(NamedTuple):
    """One panel: a title, the figure that it shows of a row, and how to write the figure."""

    title: str
    value: Callable[[Row], float | None]
    text: Callable[[Row], str]


PANELS = (
    Panel(
        "Speed-up over a plain loop",
        lambda row: row.speed_up,
        lambda row: times_text(row.speed_up) + "\N{MULTIPLICATION SIGN}",
    ),
    Panel(
        "Start-up of all workers",
        lambda row: row.start_seconds,
        lambda row: seconds_text(row.start_seconds),
    ),
    Panel(
        "Extra memory, peak",
        lambda row: row.peak_memory,
        lambda row: memory_text(row.peak_memory),
    ),
)


def save(run: Run, folder: Path) -> list[Path]:
    """Draw the chart into *folder*; return the files.

    Raises
    ------
    DrawingError
        If there are no figures, or matplotlib, which the PNG takes, is missing.
    """
    rows = [row for row in run.rows if row.seconds is not None]
    if not rows:
        raise DrawingError("no contender has figures")
    drawing = draw(run, rows)
    saved = [folder / "demo.svg", folder / "demo.png"]
    for path in saved:
        drawing.save(path)
    return saved


def draw(run: Run, rows: Sequence[Row]) -> Drawing:
    """Lay out the chart of these rows."""
    shown = [panel for panel in PANELS if any(panel.value(row) is not None for row in rows)]
    return bars.draw(
        _title(run),
        [panel.title for panel in shown],
        [bars.Row(row.title, COLOUR.get(row.key, bars.OTHERS), _bars(row, shown)) for row in rows],
    )


def _title(run: Run) -> str:
    files = f"{run.findings.files:,} files of Python's standard library measured"
    workers = "1 worker" if run.workers == 1 else f"{run.workers} workers"
    return f"{files}: {workers}, Python {platform.python_version()}"


def _bars(row: Row, panels: Sequence[Panel]) -> list[bars.Bar | None]:
    found = [(panel.value(row), panel.text(row)) for panel in panels]
    return [None if value is None else bars.Bar(value, text) for value, text in found]
