"""The table, its JSON form, and the machine it was measured on."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import executors
from bench.row import Row
from bench.rows import find
from bench.stats import Bound, Cell, Kind, Verdict, compare, median

BUSY = 0.5  # of the cores, in the minute before
PACKAGES = ("interp-executor", "cloudpickle", "loky", "pytest-benchmark")
PEERS = {
    **executors.TITLES,
    "independent": "2 independent processes",
    "list": "list scheduling",
    "pingpong": "futex ping-pong",
    "noop": "a task that does nothing",
    "copy": "one plain copy",
    "pickles": "2 x pickle.dumps and loads",
}


def seconds(value: float) -> str:
    """Write a time with three digits and its unit."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if abs(value) * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def size(value: float) -> str:
    """Write a number of bytes with three digits and its unit."""
    for factor, unit in ((1, "B"), (1e3, "kB")):
        if abs(value) < 1000 * factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value / 1e6:.3g} MB"


def cost(value: float, row: Row) -> str:
    """Write what an item of the row costs."""
    return size(value) if row.unit == "B" else seconds(value)


def peer_title(name: str, row: Row) -> str:
    """Name a peer for the reader."""
    if name == executors.PROCESS and row.topic == "closure":
        return "cloudpickle over ProcessPool"
    return PEERS.get(name) or PEERS.get(name.partition("/")[0], name)


def against(bound: Bound, peer: str, row: Row) -> str:
    """Say who is compared with whom in a cell."""
    parts = [peer_title(peer, row)] if peer else []
    prefix, _, way = bound.subject.partition("-")
    if way and prefix == executors.OURS:
        parts.insert(0, way)
    elif bound.subject != executors.OURS:
        parts.insert(0, bound.subject)
    return " / ".join(parts)


def limit(bound: Bound, row: Row) -> str:
    """Write the floor as the table of figures does."""
    if bound.lenient or bound.note == "better":
        return bound.note
    sign = "<=" if bound.at_most else ">="
    if bound.kind is Kind.ABSOLUTE:
        return f"{sign} {cost(bound.limit, row)}"
    if bound.kind is Kind.EXCESS:
        return f"{sign} + {cost(bound.limit, row)}"
    return f"{sign} {bound.limit:g} x"


def figure(value: float, bound: Bound, row: Row) -> str:
    """Write a cell's figure in the units of its floor."""
    if bound.kind is Kind.ABSOLUTE:
        return cost(value, row)
    if bound.kind is Kind.EXCESS:
        return f"{'+' if value >= 0 else '-'} {cost(abs(value), row)}"
    return f"{value:.3g}"


def cells(result: dict[str, Any]) -> list[Cell]:
    """Return the cells of a row that could be compared."""
    found = (compare(b, result["samples"]) for b in find(result["name"]).bounds)
    return [cell for cell in found if cell is not None]


def _lines(cell: Cell, row: Row) -> list[str]:
    bound = cell.bound
    low, high = (figure(value, bound, row) for value in (cell.low, cell.high))
    return [
        against(bound, cell.peer, row),
        limit(bound, row),
        figure(cell.figure, bound, row),
        f"{low} .. {high}",
        cell.verdict.value,
    ]


HEADINGS = ["work", "against", "floor", "measured", "90 % bounds", ""]
WIDTHS = (50, 36, 9, 10, 22, 14)


def _columns(texts: list[str]) -> str:
    pairs = zip(texts, WIDTHS, strict=True)
    return "  ".join(text.ljust(width) for text, width in pairs).rstrip()


def heading() -> str:
    """Return the table's first line."""
    return _columns(HEADINGS)


def row_lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield the table's lines for one row: its cells, then what it cost whom."""
    row = find(result["name"])
    title = row.title
    for cell in cells(result):
        yield _columns([title, *_lines(cell, row)])
        title = ""
    if title:
        yield title
    costs = [
        f"{PEERS.get(name, name)} {cost(median(values), row)}"
        for name, values in result["samples"].items()
        if values
    ]
    if costs:
        yield f"    {row.name}: " + ", ".join(costs)
    for name, why in result["absent"].items():
        yield f"    {PEERS.get(name, name)} is not in it: {why}"
    if result.get("error"):
        yield f"    FAILED: {result['error']}"


def markdown(results: list[dict[str, Any]]) -> str:
    """Return the table for a README."""
    headings = [text or "verdict" for text in HEADINGS]
    lines = [headings, ["---"] * len(headings)]
    for result in results:
        row = find(result["name"])
        title = row.title
        for cell in cells(result):
            lines.append([title, *_lines(cell, row)])
            title = ""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def summary(results: list[dict[str, Any]]) -> str:
    """Count the cells by verdict, and the ones that could not be measured."""
    found = [cell.verdict for result in results for cell in cells(result)]
    wanted = sum(len(find(result["name"]).bounds) for result in results)
    reached, noise, missed = (
        found.count(verdict) for verdict in (Verdict.REACHED, Verdict.NOISE, Verdict.MISSED)
    )
    text = f"{reached} of {wanted} cells reached, {missed} missed"
    text += f", {noise} missed within the noise" if noise else ""
    unmeasured = wanted - len(found)
    return text + (f", {unmeasured} not measured" if unmeasured else "")


def misses(result: dict[str, Any]) -> bool:
    """Whether a cell of the row is missed, within the noise or not."""
    return any(cell.verdict in (Verdict.NOISE, Verdict.MISSED) for cell in cells(result))


def failed(results: list[dict[str, Any]]) -> bool:
    """Whether a row, or our executor in it, did not run where it should."""
    for result in results:
        row = find(result["name"])
        subjects = {bound.subject for bound in row.bounds}
        broken = result.get("error") or subjects & set(result["absent"])
        if broken and row.missing() is None:
            return True
    return False


def machine() -> dict[str, Any]:
    """Describe where the figures come from."""
    return {
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.process_cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def busy() -> str | None:
    """Say so where other work is taking the cores that the rows are to be measured on."""
    load = os.getloadavg()[0]
    cores = os.process_cpu_count() or 1
    if load < BUSY * cores:
        return None
    return f"note: the machine is busy (load {load:.1f} on {cores} cores); expect wide bounds"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def as_json(results: list[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Return everything as plain data: machine, settings, samples, cells."""
    return {
        "machine": machine(),
        "settings": settings,
        "summary": summary(results),
        "rows": [{**result, "cells": _cells_json(result)} for result in results],
    }


def _cells_json(result: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for cell in cells(result):
        data = asdict(cell)
        data["bound"]["kind"] = cell.bound.kind.value
        data["verdict"] = cell.verdict.value
        found.append(data)
    return found
