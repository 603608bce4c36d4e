"""Shapes on a page, saved as an SVG, or through matplotlib as whatever that writes.

Lengths are in pixels, with the origin at the top left.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape

Anchor = Literal["start", "middle", "end"]
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
DPI = 160


class DrawingError(RuntimeError):
    """The picture cannot be drawn; the message says why."""


class Rectangle(NamedTuple):
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: str


class Text(NamedTuple):
    """A line of text; y is its baseline."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: Anchor = "start"
    bold: bool = False


@dataclass
class Drawing:
    """A page of shapes."""

    width: float
    height: float
    shapes: list[Rectangle | Text] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the page to a file of the kind that its suffix names.

        Raises
        ------
        DrawingError
            If that is not an SVG and matplotlib is missing, or does not know the suffix.
        """
        if path.suffix.lower() == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        else:
            self._save_with_matplotlib(path)

    def svg(self) -> str:
        """Return the page as an SVG."""
        size = f'width="{self.width:g}" height="{self.height:g}"'
        size += f' viewBox="0 0 {self.width:g} {self.height:g}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">',
            '<rect width="100%" height="100%" fill="white"/>',
            *map(_svg_of, self.shapes),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _save_with_matplotlib(self, path: Path) -> None:
        check_suffix(path)
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle as Patch

        figure = Figure((self.width / 100, self.height / 100), facecolor="white")
        for shape in self.shapes:
            if isinstance(shape, Rectangle):
                corner, size = self._place(shape)
                figure.add_artist(Patch(corner, *size, facecolor=shape.colour, linewidth=0))
            else:
                self._write(figure, shape)
        figure.savefig(path, dpi=DPI)

    def _place(self, shape: Rectangle) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return a corner and the size, as parts of the page, with the origin at the bottom."""
        corner = (shape.x / self.width, 1 - (shape.y + shape.height) / self.height)
        return corner, (shape.width / self.width, shape.height / self.height)

    def _write(self, figure: Any, shape: Text) -> None:
        alignment = {"start": "left", "middle": "center", "end": "right"}[shape.anchor]
        figure.text(
            shape.x / self.width,
            1 - shape.y / self.height,
            shape.text.replace("$", r"\$"),  # it would begin a formula
            fontsize=shape.size * 0.72,  # in points, of which a hundred pixels have 72
            color=shape.colour,
            ha=alignment,
            va="baseline",
            weight="bold" if shape.bold else "normal",
        )


def check_suffix(path: Path) -> None:
    """See that a picture can be written to a file of that suffix.

    Raises
    ------
    DrawingError
        If that takes matplotlib and it is missing, or if it does not know the suffix either.
    """
    suffix = path.suffix.lower()
    if suffix == ".svg":
        return
    if not suffix:
        raise DrawingError(f"{path} needs a suffix that says what to write: .svg or .png")
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise DrawingError(
            f"a {suffix} takes matplotlib (pip install matplotlib), and an .svg takes nothing "
            f"else: {error}"
        ) from None
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if suffix[1:] not in known:
        raise DrawingError(f"{suffix} is not among the kinds of picture: .{', .'.join(known)}")


def _svg_of(shape: Rectangle | Text) -> str:
    if isinstance(shape, Rectangle):
        x, y, width, height = (f"{number:.1f}" for number in shape[:4])
        return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{shape.colour}"/>'
    weight = ' font-weight="bold"' if shape.bold else ""
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size:g}" '
        f'fill="{shape.colour}" text-anchor="{shape.anchor}"{weight}>{escape(shape.text)}</text>'
    )
