"""What the demo prints: the table, what was found, or all of it as JSON."""

import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.demo.contenders import OURS
from bench.demo.results import Findings, Row


@dataclass(frozen=True)
class Run:
    """A finished run."""

    workers: int
    rounds: int
    folder: str
    rows: list[Row]
    findings: Findings

    def row(self, key: str) -> Row | None:
        """Return a contender's row, if the contender has figures."""
        for row in self.rows:
            if row.key == key and row.seconds is not None:
                return row
        return None


def seconds_text(seconds: float | None) -> str:
    """Write a duration with the digits that carry information."""
    if seconds is None:
        return ""
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def times_text(factor: float | None) -> str:
    """Write a factor."""
    return "" if factor is None else f"{factor:.2f}"


def memory_text(size: int | None) -> str:
    """Write an amount of memory."""
    return "" if size is None else f"{size / 1e6:.0f} MB"


def _total(row: Row) -> str:
    if row.seconds is None or row.start_seconds is None:
        return ""
    return seconds_text(row.seconds + row.start_seconds)


COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("start-up", lambda row: seconds_text(row.start_seconds)),
    ("job", lambda row: seconds_text(row.seconds)),
    ("total", _total),
    ("speed-up", lambda row: times_text(row.speed_up)),
    ("of ceiling", lambda row: times_text(row.of_ceiling)),
    ("idle mem", lambda row: memory_text(row.idle_memory)),
    ("peak mem", lambda row: memory_text(row.peak_memory)),
)

LEGEND = """\
start-up: from the import of the executor until all workers are there with the job imported.
job: warm, without start-up. speed-up, of ceiling: the job's work rate against a plain loop's and
against as many independent processes', the median of the job's parts, done in turns.
idle, peak mem: extra memory, beyond one Python without workers, all processes together."""


def table(run: Run) -> str:
    """Lay out the rows; a contender without figures says why instead."""
    width = max(len(row.title) for row in run.rows)
    heads = "  ".join(head.rjust(max(len(head), 8)) for head, _ in COLUMNS)
    lines = [f"{'':{width}}  {heads}"]
    for row in run.rows:
        if row.seconds is None:
            lines.append(f"{row.title:{width}}  {row.kind}: {row.reason}")
            continue
        cells = [cell(row).rjust(max(len(head), 8)) for head, cell in COLUMNS]
        lines.append(f"{row.title:{width}}  {'  '.join(cells)}  ({row.note})")
    return "\n".join(lines)


def job_sentence(run: Run) -> str:
    """Say what the job found in the files."""
    found = run.findings
    hardest = Path(found.hardest_path)
    name = hardest.relative_to(run.folder) if hardest.is_relative_to(run.folder) else hardest
    broken = ""
    if found.unreadable:
        broken = f" Test data, no valid Python and counted as such: {found.unreadable}."
    return (
        f"{found.files:,} files of Python's standard library hold {found.lines:,} lines "
        f"({found.code_lines:,} of code), {found.functions:,} functions and {found.classes:,} "
        f"classes; cyclomatic complexity is {found.mean_complexity:.1f} on average, and highest in "
        f"{found.hardest} of {name} ({found.hardest_complexity}).{broken}"
    )


def race_sentence(run: Run) -> str:
    """Say in a sentence what the race found, as far as its contenders got."""
    ours = run.row(OURS)
    if ours is None:
        return "interp_executor has no figures, so there is nothing to compare."
    parts = [f"{run.workers} interpreters did the job in {seconds_text(ours.seconds)}"]
    if ours.speed_up is not None:
        parts.append(f"{ours.speed_up:.2f} times as fast as a plain loop")
    if ours.of_ceiling is not None:
        parts.append(f"at {ours.of_ceiling:.2f} of the work rate of {run.workers} Python processes")
    pool = run.row("processes")
    if ours.peak_memory is not None and pool is not None and pool.peak_memory is not None:
        memory = f"with {memory_text(ours.peak_memory)} of extra memory"
        parts.append(f"{memory} where ProcessPoolExecutor took {memory_text(pool.peak_memory)}")
    return ", ".join(parts) + "."


def verdict(rows: Sequence[Row]) -> str:
    """Say whether the answers agree."""
    wrong = [row.title for row in rows if row.kind == "wrong"]
    if wrong:
        return f"WRONG ANSWERS: {', '.join(wrong)}."
    agreed = sum(row.kind == "ok" for row in rows)
    return f"All {agreed} that ran gave the identical answer for each file."


def text(run: Run) -> str:
    """Return all that the demo prints."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    title = f"{python}, {_count(run.workers, 'worker')}, {_count(run.rounds, 'round')}"
    return "\n\n".join(
        [title, table(run), LEGEND, job_sentence(run), verdict(run.rows), race_sentence(run)]
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def as_json(run: Run) -> str:
    """Return the run as JSON."""
    return json.dumps({"python": sys.version, **asdict(run)}, indent=2)
