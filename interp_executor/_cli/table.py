"""The rows of ``check`` as a table."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_TITLES = ("module", "version", "in an interpreter", "import", "memory", "")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the texts of one row."""
    loads = row["status"] == "loads"
    return (
        row["module"],
        row["version"] or "",
        row["status"],
        f"{row['seconds'] * 1000:.0f} ms" if loads else "",
        f"{row['bytes'] / 1e6:.1f} MB" if loads else "",
        _remark(row),
    )


def _remark(row: dict[str, Any]) -> str:
    if "extension" in row:
        return f"by {row['extension']}"
    if "without" in row:
        return f"without {', '.join(row['without'])}, which refused"
    return str(row.get("detail", ""))


def plain(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table in columns."""
    lines = [_TITLES, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_TITLES))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [_TITLES, ("---",) * len(_TITLES), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in lines)
