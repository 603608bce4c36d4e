"""The chart of a comparison."""

from interp_executor._compare import bars
from interp_executor._compare.drawing import Drawing, DrawingError
from interp_executor._compare.executors import OURS, SERIAL
from interp_executor._compare.figures import Comparison, Figures
from interp_executor._compare.report import COLUMNS, head

PANELS = (
    ("Speed-up over a plain loop", "speed_up", "\N{MULTIPLICATION SIGN}"),
    ("Overhead per task", "overhead", ""),
    ("Start-up of all workers", "start_seconds", ""),
    ("Extra memory, peak", "peak_memory", ""),
)
WRITE = {name: write for _, name, write in COLUMNS}
COLOUR = {OURS: bars.OURS, SERIAL: bars.REFERENCE}


def draw(comparison: Comparison) -> Drawing:
    """Lay out the chart of what was measured."""
    rows = [row for row in comparison.rows if row.outcome == "ok"]
    if not rows:
        raise DrawingError("nothing was measured")
    panels = [each for each in PANELS if any(getattr(row, each[1]) is not None for row in rows)]
    return bars.draw(
        head(comparison),
        [title for title, _, _ in panels],
        [_row(row, [(name, unit) for _, name, unit in panels]) for row in rows],
        comparison.advice,
    )


def _row(row: Figures, panels: list[tuple[str, str]]) -> bars.Row:
    found = [_bar(row, name, unit) for name, unit in panels]
    return bars.Row(row.label, COLOUR.get(row.executor, bars.OTHERS), found)


def _bar(row: Figures, name: str, unit: str) -> bars.Bar | None:
    value = getattr(row, name)
    if value is None or (row.executor == SERIAL and name == "start_seconds"):
        return None
    return bars.Bar(value.median, WRITE[name](value.median) + unit, value.least, value.most)
