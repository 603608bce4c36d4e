"""A chart of bars: a row for each thing that is compared, a panel for each figure."""

from collections.abc import Sequence
from typing import NamedTuple

from interp_executor._compare.drawing import Drawing, Rectangle, Text

INK = "#333333"
FAINT = "#777777"
AXIS = "#bbbbbb"
WHISKER = "#00000066"
OURS = "#1f6f4a"
REFERENCE = "#d0d0d0"
OTHERS = "#8aa4bf"

MARGIN = 16.0
BAR = 20.0
STEP = 32.0
PANEL = 190.0
GAP = 24.0
EM = 0.62  # the width of a letter, in parts of its size, on the large side


class Bar(NamedTuple):
    """One figure: its value, what is written beside it, and the ends of its whisker."""

    value: float
    text: str
    least: float | None = None
    most: float | None = None


class Row(NamedTuple):
    """One thing that is compared, with a bar for each panel; None where it has no figure."""

    label: str
    colour: str
    bars: Sequence[Bar | None]


def draw(title: str, panels: Sequence[str], rows: Sequence[Row], foot: str = "") -> Drawing:
    """Lay the chart out.

    Parameters
    ----------
    title, foot : str
        Written above and below.
    panels : sequence of str
        The panels' titles.
    rows : sequence of Row
        From the top.
    """
    left = MARGIN + max(_width(row.label, 13) for row in rows) + 10
    top = MARGIN + 56
    width = left + len(panels) * (PANEL + GAP)
    width = max(width, 2 * MARGIN + _width(title, 16), 2 * MARGIN + _width(foot, 11))
    height = top + len(rows) * STEP + (28 if foot else 0) + MARGIN / 2
    page = Drawing(width, height, [Text(MARGIN, MARGIN + 14, title, 16, INK, bold=True)])
    for number, row in enumerate(rows):
        page.shapes.append(Text(left - 10, top + number * STEP + 15, row.label, 13, INK, "end"))
    for number, panel in enumerate(panels):
        x = left + number * (PANEL + GAP)
        page.shapes.append(Text(x, top - 12, panel, 13, INK))
        _draw_panel(page, x, top, [(row.bars[number], row.colour) for row in rows])
    if foot:
        page.shapes.append(Text(MARGIN, height - MARGIN, foot, 11, FAINT))
    return page


def _draw_panel(
    page: Drawing, x: float, top: float, bars: Sequence[tuple[Bar | None, str]]
) -> None:
    known = [bar for bar, _ in bars if bar is not None]
    most = max([1e-12, *(bar.most or bar.value for bar in known)])
    # Beside the longest bar there is room for the longest text, which makes a scale needless.
    room = max([0.0, *(_width(bar.text, 12) for bar in known)]) + 8
    scale = (PANEL - room) / most
    for number, (bar, colour) in enumerate(bars):
        y = top + number * STEP
        if bar is not None:
            _draw_bar(page, x, y, bar, colour, scale)
    page.shapes.append(Rectangle(x - 1, top - 4, 1, len(bars) * STEP - STEP + BAR + 8, AXIS))


def _draw_bar(page: Drawing, x: float, y: float, bar: Bar, colour: str, scale: float) -> None:
    page.shapes.append(Rectangle(x, y, bar.value * scale, BAR, colour))
    end = bar.value
    if bar.least is not None and bar.most is not None and bar.most > bar.least:
        length = (bar.most - bar.least) * scale
        page.shapes.append(Rectangle(x + bar.least * scale, y + BAR / 2 - 1, length, 2, WHISKER))
        end = max(end, bar.most)
    page.shapes.append(Text(x + end * scale + 6, y + 15, bar.text, 12, INK))


def _width(text: str, size: float) -> float:
    return EM * size * len(text)
