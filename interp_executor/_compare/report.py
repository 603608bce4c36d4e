"""What a comparison prints: the table, a legend, and the advice."""

from interp_executor._compare.executors import SERIAL
from interp_executor._compare.figures import Comparison, Figures, Spread

LEGEND = """\
time: the job with warm workers. speed-up: against the plain loop, round by round. efficiency: the
speed-up per worker. overhead: what an empty function takes per task, with the same arguments.
start-up: until all workers are there, the function loaded. memory: the most held during the job
beyond one process without workers, all processes together."""


def seconds_text(seconds: float) -> str:
    """Write a duration with the digits that carry information."""
    unit, size = next(
        ((unit, size) for unit, size in (("s", 1.0), ("ms", 1e-3)) if seconds >= size), ("us", 1e-6)
    )
    number = seconds / size
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"


def times_text(factor: float) -> str:
    """Write a factor."""
    return f"{factor:.2f}"


def memory_text(size: float) -> str:
    """Write an amount of memory."""
    return f"{size / 1e6:.1f} MB"


def spread_text(spread: Spread) -> str:
    """Write how far the rounds were apart, as a part of the median."""
    if spread.least == spread.most or not spread.median:
        return ""
    return f"\N{PLUS-MINUS SIGN}{50 * (spread.most - spread.least) / spread.median:.0f}%"


COLUMNS = (
    ("time", "seconds", seconds_text),
    ("speed-up", "speed_up", times_text),
    ("efficiency", "efficiency", times_text),
    ("overhead", "overhead", seconds_text),
    ("start-up", "start_seconds", seconds_text),
    ("memory", "peak_memory", memory_text),
)


def cell(row: Figures, attribute: str) -> str:
    """Write one figure of a row, and its spread; nothing if it is not known."""
    value = getattr(row, attribute)
    if value is None or (row.executor == SERIAL and attribute in _NOT_OF_A_LOOP):
        return ""
    write = next(write for _, name, write in COLUMNS if name == attribute)
    return f"{write(value.median)} {spread_text(value)}".rstrip()


_NOT_OF_A_LOOP = ("speed_up", "efficiency", "start_seconds")


def table(comparison: Comparison) -> str:
    """Lay out the rows; an executor without figures says why instead."""
    rows = comparison.rows
    width = max(len(row.label) for row in rows)
    cells = {row: [cell(row, name) for _, name, _ in COLUMNS] for row in rows}
    heads = [head for head, _, _ in COLUMNS]
    widths = [max(map(len, column)) for column in zip(heads, *cells.values(), strict=True)]
    lines = [_line(" " * width, heads, widths)]
    for row in rows:
        label = row.label.ljust(width)
        if row.outcome == "ok":
            note = f"  ({row.note})" if row.note else ""
            lines.append(_line(label, cells[row], widths) + note)
        else:
            lines.append(f"{label}  {row.outcome}: {row.reason}")
    return "\n".join(lines)


def _line(label: str, texts: list[str], widths: list[int]) -> str:
    padded = [text.rjust(width) for text, width in zip(texts, widths, strict=True)]
    return "  ".join([label, *padded]).rstrip()


def head(comparison: Comparison) -> str:
    """Say what was compared, and where."""
    interrupted = ", interrupted" if comparison.interrupted else ""
    return (
        f"{comparison.function}: {count(comparison.items, 'call')}, "
        f"{count(comparison.rounds, 'round')}{interrupted}; {comparison.python}, "
        f"{count(comparison.processors, 'processor')}"
    )


def count(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def disturbance(comparison: Comparison) -> str:
    """Say so if other work kept the machine busy."""
    load = comparison.load
    if load is None or load <= comparison.processors / 2:
        return ""
    where = count(comparison.processors, "processor")
    return (
        f"Other work kept the machine busy (load {load:.1f} on {where}): for figures to go by, "
        "compare again when it is idle."
    )


def agreement(comparison: Comparison) -> str:
    """Say whether the answers agree."""
    wrong = [row for row in comparison.rows if row.outcome == "wrong"]
    if wrong:
        return "\n".join(f"WRONG ANSWERS by {row.label}: {row.reason}." for row in wrong)
    agreed = sum(row.outcome == "ok" for row in comparison.rows)
    return f"The answers of all {agreed} that ran agree." if agreed > 1 else ""


def text(comparison: Comparison) -> str:
    """Return all that a comparison prints."""
    parts = [
        head(comparison),
        table(comparison),
        LEGEND,
        agreement(comparison),
        disturbance(comparison),
        comparison.advice,
    ]
    return "\n\n".join(filter(None, parts))
