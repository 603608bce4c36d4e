"""One row in a process of its own: ``python -m bench.run_row NAME ROUNDS SECONDS``.

A row of its own process can be pinned to a core, can crash, hang or leak without
harm to the others, and leaves no worker behind. The parent reads one JSON object
from the standard output.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

from bench.harness import Measured, run_row
from bench.place import ROOT, environment, pinned
from bench.row import Row
from bench.rows import find

TIMEOUT = 240.0  # seconds for one row, far more than any needs


def as_json(measured: Measured) -> dict[str, Any]:
    """Return what was measured as plain data."""
    return {
        "name": measured.row.name,
        "samples": measured.samples,
        "plans": {name: asdict(plan) for name, plan in measured.plans.items()},
        "absent": measured.absent,
        "elapsed": measured.elapsed,
    }


def run_elsewhere(row: Row, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Measure the row in a process of its own; a failure becomes its ``error``."""
    reason = row.missing()
    if reason is not None:
        return _failed(row, reason)
    started = time.perf_counter()
    arguments = [row.name, str(rounds), str(seconds)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.run_row", *arguments],
            check=False,
            capture_output=True,
            cwd=ROOT,
            env=environment(),
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return _failed(row, f"took longer than {TIMEOUT:.0f} s", started)
    if done.returncode != 0 or not done.stdout:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        return _failed(row, f"exit code {done.returncode}: {last[0]}", started)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Return one result with the rounds of two runs of a row.

    Where the contenders differ, one has dropped out: the second run, which says why, stands alone.
    """
    if first["samples"].keys() != second["samples"].keys():
        return second
    samples = {name: values + second["samples"][name] for name, values in first["samples"].items()}
    elapsed = first["elapsed"] + second["elapsed"]
    return {**first, "samples": samples, "elapsed": elapsed, "runs": runs(first) + runs(second)}


def runs(result: dict[str, Any]) -> int:
    """Return how many times the row has been run."""
    count: int = result.get("runs", 1)
    return count


def _failed(row: Row, why: str, started: float | None = None) -> dict[str, Any]:
    elapsed = 0.0 if started is None else time.perf_counter() - started
    return {
        "name": row.name,
        "samples": {},
        "plans": {},
        "absent": {},
        "elapsed": elapsed,
        "error": why,
    }


def _main(name: str, rounds: str, seconds: str) -> None:
    row = find(name)
    with pinned(row.pinned):
        measured = run_row(row, rounds=int(rounds), seconds=float(seconds))
    print(json.dumps(as_json(measured)), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
