"""The command line of the demo."""

import argparse
import os
import sys
import sysconfig
from pathlib import Path

from bench.demo import chart, report
from bench.demo.contenders import CONTENDERS, OURS
from bench.demo.corpus import CorpusError, Source, find_sources
from bench.demo.race import Race
from bench.demo.results import Row, find_out, make_rows
from interp_executor._compare.drawing import DrawingError
from interp_executor._compare.progress import open_progress

INTERRUPTED = 130


class NobodyRanError(Exception):
    """Not one contender finished; the message lists the reasons."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; return 0, or 1 for a wrong answer or when interp_executor did not run."""
    options = _parse(arguments)
    try:
        sources = find_sources(options.limit)
        options.output.mkdir(parents=True, exist_ok=True)
    except (CorpusError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    try:
        run = _run(options, sources)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except NobodyRanError as error:
        print(f"demo: nobody got through: {error}", file=sys.stderr)
        return 1
    _show(run, options)
    return _status(run.rows)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.demo",
        description="Measure every file of Python's standard library with each executor, "
        "compare time, memory and answers, and draw a chart.",
        epilog="The default run takes one to two minutes on two slow cores. For figures to "
        "quote, use --rounds 3 or more on a machine that does nothing else.",
    )
    add = parser.add_argument
    workers = os.process_cpu_count() or 1
    add("--workers", type=_positive, default=workers, metavar="N", help="default: %(default)s")
    add("--rounds", type=_positive, default=1, metavar="N", help="medians of N; default: 1")
    add("--limit", type=_positive, metavar="N", help="N files, spread over the library")
    add("--json", action="store_true", help="print JSON instead of the table")
    add("--quiet", action="store_true", help="show no progress")
    add(
        "--output",
        type=Path,
        default=Path("build", "demo"),
        metavar="FOLDER",
        help="where the chart goes (demo.svg, demo.png); default: %(default)s",
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _run(options: argparse.Namespace, sources: list[Source]) -> report.Run:
    files = options.rounds * len(CONTENDERS) * len(sources)
    progress = open_progress(files, quiet=options.quiet)
    race = Race(sources, options.workers, progress)
    try:
        answers = race.run(options.rounds)
    finally:
        progress.close()
    if not answers:
        raise NobodyRanError("; ".join(f"{r.contender.title}: {r.reason}" for r in race.records))
    return report.Run(
        workers=options.workers,
        rounds=options.rounds,
        folder=sysconfig.get_path("stdlib"),
        rows=make_rows(race.records, sources),
        findings=find_out(answers),
    )


def _show(run: report.Run, options: argparse.Namespace) -> None:
    print(report.as_json(run) if options.json else report.text(run))
    try:
        saved = chart.save(run, options.output)
    except (DrawingError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return
    if not options.json:
        print(f"\nThe chart is in {' and '.join(str(path) for path in saved)}.")


def _status(rows: list[Row]) -> int:
    failed = [row for row in rows if row.kind == "wrong" or (row.key == OURS and row.kind != "ok")]
    for row in failed:
        print(f"demo: {row.title}: {row.kind}: {row.reason}", file=sys.stderr)
    return 1 if failed else 0
