"""Which modules a requirements file stands for."""

from __future__ import annotations

import importlib.metadata
import os.path
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_EGG = re.compile(r"#egg=([A-Za-z0-9._-]+)")
_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]\s*(.+)")


def modules(path: str) -> list[str]:
    """Return the importable modules of the distributions that a requirements file names.

    Parameters
    ----------
    path : str
        The file, in pip's format; files that it includes with -r are read too.

    Returns
    -------
    list of str
        Top-level modules, without private ones; a distribution that is not installed stands as its
        name, so that it shows up as missing.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read; if a line names no distribution.
    """
    found: dict[str, None] = {}
    for name in distributions(path):
        found.update(dict.fromkeys(_modules_of(name)))
    return list(found)


def distributions(path: str) -> Iterator[str]:
    """Iterate over the distributions that the file, and those it includes, ask for."""
    with open(path, encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        egg = _EGG.search(line)
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        included = _INCLUDE.fullmatch(line)
        if included is not None:
            yield from distributions(os.path.join(os.path.dirname(path), included.group(1)))
        elif egg is not None:
            yield egg.group(1)
        elif line and not line.startswith("-") and _applies(line):
            name = _NAME.match(line)
            if name is None or "://" in line.partition("@")[0]:
                raise ValueError(f"{path}, line {number}: no distribution is named by {line!r}")
            yield name.group()


def _applies(line: str) -> bool:
    """Whether the environment marker of a line holds here; it does where nobody can tell."""
    marker = line.partition(";")[2].strip()
    if not marker:
        return True
    try:
        from packaging.markers import Marker
    except ImportError:
        return True
    return bool(Marker(marker.partition(" --")[0]).evaluate())


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _modules_of(distribution: str) -> list[str]:
    wanted = _normal(distribution)
    owned = [
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if wanted in map(_normal, owners) and module.isidentifier() and not module.startswith("_")
    ]
    return owned or [distribution]
