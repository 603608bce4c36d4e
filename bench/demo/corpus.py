"""The input: every Python file of the running Python's standard library, dealt into parts."""

import os
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

NOT_THE_LIBRARY = frozenset({"__pycache__", "site-packages", "dist-packages"})
MOST_PARTS = 12
LEAST_SHARE = 2
"""A worker's share of a part is at least this many times the largest file, which would otherwise
set the time of the part by itself."""


class CorpusError(Exception):
    """There is no standard library to measure; the message says why."""


class Source(NamedTuple):
    """A file and its size in bytes, which stands for its cost before anybody has measured it."""

    path: str
    size: int


def find_sources(limit: int | None = None, root: str | None = None) -> list[Source]:
    """List the library's files, in order of path, or *limit* of them spread over the whole."""
    folder = root or sysconfig.get_path("stdlib")
    if not Path(folder).is_dir():
        raise CorpusError(f"the standard library is not a folder of files: {folder}")
    sources = sorted(_walk(folder))
    if not sources:
        raise CorpusError(f"no .py file in {folder}: is only bytecode installed?")
    if limit is None or limit >= len(sources):
        return sources
    return [sources[index * len(sources) // limit] for index in range(limit)]


def _walk(folder: str) -> Iterable[Source]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_THE_LIBRARY]
        for name in names:
            path = Path(parent, name)
            if name.endswith(".py") and path.is_file():
                yield Source(str(path), path.stat().st_size)


def read_once(sources: Iterable[Source]) -> None:
    """Bring the files into the system's cache, so that no contender pays for the disk."""
    for source in sources:
        Path(source.path).read_bytes()


def deal(sources: Iterable[Source], shares: int) -> list[list[Source]]:
    """Deal files into *shares* of even size in bytes, the largest first, each share in that order.

    Largest first, so that no worker is left alone with a large file at the end.
    """
    dealt: list[list[Source]] = [[] for _ in range(shares)]
    totals = [0] * shares
    for source in sorted(sources, key=lambda source: (-source.size, source.path)):
        smallest = totals.index(min(totals))
        dealt[smallest].append(source)
        totals[smallest] += source.size
    return dealt


def part_count(sources: Sequence[Source], workers: int) -> int:
    """Choose the number of parts: as many turns as there can be without parts too short to time."""
    total = sum(source.size for source in sources)
    largest = max(source.size for source in sources)
    return min(MOST_PARTS, max(1, total // (workers * LEAST_SHARE * max(1, largest))))
