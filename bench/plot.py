"""The picture: how many times better than each peer, with the floors.

One line per cell that is a ratio. A dot is the measured advantage (peer's cost
over ours, so right of 1 is better), its whiskers the 90 % bounds, and the open
mark the floor that has to be reached.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import against, cells, machine
from bench.rows import Row, find
from bench.stats import Cell, Kind, Verdict

COLOURS = {
    "thread": "#2a6fb0",
    "interp": "#c8611b",
    "process": "#3d8c40",
}
OTHER = "#6b6b6b"


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


def _ratios(
    results: list[dict[str, Any]],
) -> Iterator[tuple[Row, Cell, tuple[float, float, float, float]]]:
    for result in results:
        row = find(result["name"])
        for cell in cells(result):
            values = advantage(cell)
            if values is not None:
                yield row, cell, values


def draw(results: list[dict[str, Any]], stem: Path) -> list[Path]:
    """Draw the picture as SVG and PNG; return the paths written."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "bench"
    from matplotlib import pyplot as plt

    found = list(_ratios(results))
    if not found:
        return []
    figure, axes = plt.subplots(figsize=(11, 1.6 + 0.27 * len(found)))
    _dots(axes, found)
    _decorate(axes, found)
    figure.tight_layout()
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png")]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=110)
    plt.close(figure)
    return paths


def _dots(axes: Any, found: list[Any]) -> None:
    for place, (_, cell, (figure, low, high, floor)) in enumerate(found):
        colour = COLOURS.get(cell.peer.partition("/")[0], OTHER)
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        filled = cell.verdict is Verdict.REACHED
        axes.plot(
            figure,
            place,
            marker="o" if filled else "X",
            color=colour,
            markersize=7,
        )
        axes.plot(floor, place, marker="|", color="black", markersize=13)


def _decorate(axes: Any, found: list[Any]) -> None:
    labels = []
    previous = ""
    for row, cell, _ in found:
        peer = against(cell.bound, cell.peer, row)
        labels.append(f"{row.title if row.title != previous else ''}   {peer}")
        previous = row.title
    axes.set_yticks(range(len(found)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="#999999", linewidth=1)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    here = machine()
    axes.set_title(
        f"times better than the peer: CPython {here['python']}, {here['cores']} cores\n"
        "dot: measured (x: floor not reached), line: 90 % bounds, bar: floor",
        fontsize=10,
    )
