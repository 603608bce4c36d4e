"""The chart: speed, start-up and memory of each contender, as an SVG and a PNG."""

import importlib
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.demo.contenders import INDEPENDENT, OURS
from bench.demo.report import Run, memory_text, seconds_text, times_text
from bench.demo.results import Row

COLOUR = {OURS: "#1f6f4a", INDEPENDENT: "#d0d0d0"}
OTHERS = "#8aa4bf"
INK = "#333333"


class ChartError(Exception):
    """The chart cannot be drawn; the message says why."""


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
    """Draw the chart into *folder*; return the files."""
    rows = [row for row in run.rows if row.seconds is not None]
    if not rows:
        raise ChartError("no contender has figures")
    try:
        matplotlib = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ChartError(f"it takes matplotlib (pip install matplotlib): {error}") from None
    figure = _draw(pyplot, run, rows[::-1])
    saved = [folder / "demo.svg", folder / "demo.png"]
    for path in saved:
        figure.savefig(path, dpi=160, bbox_inches="tight", facecolor="white")
    pyplot.close(figure)
    return saved


def _draw(pyplot: Any, run: Run, rows: Sequence[Row]) -> Any:
    shown = [panel for panel in PANELS if any(panel.value(row) is not None for row in rows)]
    figure, axes = pyplot.subplots(
        1,
        len(shown),
        figsize=(3.6 * len(shown) + 1.5, 0.5 * len(rows) + 1.4),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    figure.suptitle(_title(run), x=0.0, ha="left", fontsize=12, color=INK)
    for panel, axis in zip(shown, axes[0], strict=True):
        _draw_panel(axis, panel, rows)
    return figure


def _title(run: Run) -> str:
    files = f"{run.findings.files:,} files of Python's standard library measured"
    workers = "1 worker" if run.workers == 1 else f"{run.workers} workers"
    return f"{files}: {workers}, Python {platform.python_version()}"


def _draw_panel(axis: Any, panel: Panel, rows: Sequence[Row]) -> None:
    values = [panel.value(row) or 0.0 for row in rows]
    colours = [COLOUR.get(row.key, OTHERS) for row in rows]
    bars = axis.barh([row.title for row in rows], values, color=colours, height=0.66)
    axis.bar_label(bars, [panel.text(row) for row in rows], padding=4, fontsize=9, color=INK)
    axis.set_title(panel.title, fontsize=10, loc="left", color=INK)
    # Room for the figures at the ends of the bars, which make a scale needless.
    axis.set_xlim(0, 1.3 * max([*values, 1e-9]))
    axis.xaxis.set_visible(False)
    axis.tick_params(axis="y", length=0, labelsize=10, labelcolor=INK)
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)
    axis.spines["left"].set_color("#bbbbbb")
