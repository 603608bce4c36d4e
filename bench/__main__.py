"""Run the table of figures: ``python -m bench``."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import plot, report
from bench.row import Row
from bench.rows import ROWS, find
from bench.run_row import joined, run_elsewhere, runs

RESULTS = Path(__file__).with_name("results")
ROUNDS, SECONDS = 5, 0.6
QUICK_ROUNDS, QUICK_SECONDS = 5, 0.1
MORE_RUNS = 2  # at most, of a row that misses
LIMIT = 590.0  # seconds: a row is run once more only if it can be done by then


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure our executor beside the standard library's, in "
        "alternating rounds, and print each floor with the measured ratio, its "
        "90 % bounds, and whether it is reached. A row that misses is run again, up to "
        f"{MORE_RUNS} times and within ten minutes in all; every round of it counts.",
    )
    made.add_argument("--list", action="store_true", help="name the rows and stop")
    made.add_argument(
        "--only",
        action="append",
        metavar="ROW",
        help="run this row, or the rows whose names begin so (may be repeated)",
    )
    made.add_argument("--quick", action="store_true", help="short rounds, rough bounds")
    made.add_argument("--rounds", type=int, help=f"rounds per row (default {ROUNDS})")
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    made.add_argument(
        "--plot",
        type=Path,
        metavar="STEM",
        help="draw STEM.svg and STEM.png (a full run draws bench/results/ itself)",
    )
    return made


def chosen(names: list[str] | None) -> list[Row]:
    """Return the rows asked for; LookupError where there is none such."""
    if not names:
        return list(ROWS)
    rows = []
    for name in names:
        matching = [row for row in ROWS if row.name == name]
        matching = matching or [row for row in ROWS if row.name.startswith(name)]
        rows += matching or [find(name)]
    return rows


Measure = Callable[[Row], dict[str, Any]]


def run(rows: list[Row], measure: Measure, more_runs: int) -> list[dict[str, Any]]:
    """Run the rows one after the other, then those that miss again; print each as it is done."""
    end = time.perf_counter() + LIMIT
    print(report.heading(), flush=True)
    results = {}
    for row in rows:
        results[row.name] = measure(row)
        _show(results[row.name])
    for _ in range(more_runs):
        for row in rows:
            result = results[row.name]
            ready = time.perf_counter() + result["elapsed"] / runs(result)
            if report.misses(result) and ready <= end:
                print(f"\n{row.name} once more, every round counts:")
                results[row.name] = joined(result, measure(row))
                _show(results[row.name])
    return list(results.values())


def _show(result: dict[str, Any]) -> None:
    for line in report.row_lines(result):
        print(line)
    sys.stdout.flush()


def save(
    options: argparse.Namespace, results: list[dict[str, Any]], settings: dict[str, Any]
) -> None:
    """Write the JSON and the picture where asked; a full run keeps them, and the table."""
    full = not options.only and not options.quick
    stem = RESULTS / "bench-{}.{}".format(*sys.version_info)
    data = options.json or (stem.with_name(f"{stem.name}.json") if full else None)
    picture = options.plot or (stem if full else None)
    if data is not None:
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_text(json.dumps(report.as_json(results, settings), indent=1) + "\n")
        print(f"figures: {data}")
    if full:
        table = stem.with_name(f"{stem.name}.md")
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(report.markdown(results))
        print(f"table: {table}")
    if picture is not None:
        _draw(results, picture)


def _draw(results: list[dict[str, Any]], stem: Path) -> None:
    reason = plot.missing()
    if reason is not None:
        print(f"no picture: {reason}")
        return
    stem.parent.mkdir(parents=True, exist_ok=True)
    for path in plot.draw(results, stem):
        print(f"picture: {path}")


def main() -> int:
    """Do what the command line says; 1 where a row could not run."""
    command = parser()
    options = command.parse_args()
    try:
        rows = chosen(options.only)
    except LookupError as error:
        command.error(str(error.args[0]))
    if options.list:
        for row in rows:
            print(f"{row.name:24} {row.title}")
        return 0
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = QUICK_SECONDS if options.quick else SECONDS
    note = report.busy()
    if note is not None:
        print(note, file=sys.stderr)
    load = os.getloadavg()[0]
    started = time.perf_counter()
    measure = partial(run_elsewhere, rounds=rounds, seconds=seconds)
    results = run(rows, measure, 0 if options.quick else MORE_RUNS)
    took = time.perf_counter() - started
    print(f"\n{report.summary(results)}; {took:.0f} s")
    settings = {"rounds": rounds, "seconds": seconds, "took": took, "load before": load}
    save(options, results, settings)
    return 1 if report.failed(results) else 0


if __name__ == "__main__":
    sys.exit(main())
