"""The picture: how many times better than each peer, with the floors.

One line per kind of work, one dot per peer. A dot is the measured advantage (the
peer's cost over ours, so right of 1 is better), its whiskers are the 90 % bounds,
and the bar of its colour is the floor that has to be reached.
"""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import executors
from bench.report import against, cells, machine
from bench.rows import find
from bench.stats import Cell, Kind, Verdict

COLOURS = {
    "ThreadPool": "#2a6fb0",
    "stdlib InterpreterPool": "#c8611b",
    "ProcessPool": "#3d8c40",
    "independent processes": "#6b6b6b",
    "one interpreter": "#b0860f",
    "itself": "#8a4fa3",
}
INDEPENDENT = ("independent", "list")
ALONE = ("copy", "pickles")


def missing() -> str | None:
    """Say why no picture can be drawn here, if so."""
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed (extra: plot)"
    return None


def advantage(cell: Cell) -> tuple[float, float, float, float] | None:
    """Return figure, low, high and floor as peer's cost over ours, or None."""
    if cell.bound.kind is Kind.RATE:
        return cell.figure, cell.low, cell.high, cell.bound.limit
    if cell.bound.kind is Kind.TIME:
        return 1 / cell.figure, 1 / cell.high, 1 / cell.low, 1 / cell.bound.limit
    return None


@dataclass(frozen=True)
class Dot:
    """One ratio: its line, its peer, and the advantage over it."""

    line: str
    peer: str
    values: tuple[float, float, float, float]
    reached: bool


def kind_of_peer(name: str) -> str:
    """Return the legend's name for a peer."""
    if name in INDEPENDENT:
        return "independent processes"
    if name in ALONE:
        return "one interpreter"
    family = name.partition("/")[0]
    if family in (executors.LOKY, executors.FORKSERVER):
        return "ProcessPool"
    title = executors.TITLES.get(family, "itself")
    return title if title in COLOURS else "itself"


def _dots(results: list[dict[str, Any]]) -> Iterator[Dot]:
    for result in results:
        row = find(result["name"])
        for cell in cells(result):
            values = advantage(cell)
            way = against(cell.bound, "", row)
            line = f"{row.title}: {way}" if way else row.title
            if values is not None:
                reached = cell.verdict is Verdict.REACHED
                yield Dot(line, kind_of_peer(cell.peer), values, reached)


def draw(results: list[dict[str, Any]], stem: Path) -> list[Path]:
    """Draw the picture as SVG and PNG; return the paths written."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "bench"
    from matplotlib import pyplot as plt

    dots = list(_dots(results))
    if not dots:
        return []
    lines = list(dict.fromkeys(dot.line for dot in dots))
    figure, axes = plt.subplots(figsize=(10.5, 1.7 + 0.26 * len(lines)))
    for dot in dots:
        _draw_dot(axes, dot, lines.index(dot.line))
    _decorate(axes, lines, {dot.peer for dot in dots})
    figure.tight_layout()
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png")]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=110)
    plt.close(figure)
    return paths


def _draw_dot(axes: Any, dot: Dot, place: int) -> None:
    colour = COLOURS[dot.peer]
    figure, low, high, floor = dot.values
    axes.plot([low, high], [place, place], color=colour, linewidth=2)
    axes.plot(figure, place, marker="o" if dot.reached else "X", color=colour, markersize=7)
    axes.plot(floor, place, marker="|", color=colour, markersize=12, markeredgewidth=2)


def _decorate(axes: Any, lines: list[str], peers: set[str]) -> None:
    axes.set_yticks(range(len(lines)), lines, fontsize=8)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} x")
    axes.axvline(1, color="#999999", linewidth=1)
    axes.grid(axis="both", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    for peer, colour in COLOURS.items():
        if peer in peers:
            axes.plot([], [], "o", color=colour, label=f"vs {peer}")
    axes.legend(fontsize=8, loc="best")
    here = machine()
    axes.set_title(
        f"how many times better than the peer: CPython {here['python']}, {here['cores']} cores\n"
        "dot: measured (X: floor not reached), line: 90 % bounds, bar: floor",
        fontsize=10,
    )
