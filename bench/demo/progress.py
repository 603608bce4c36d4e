"""Progress on stderr: a bar on a terminal (tqdm, if it is there), else a line now and then."""

import importlib
import sys
import time
from typing import Any

LINE_EVERY = 10.0
WIDEST = len("stdlib InterpreterPoolExecutor, part 12")


class Progress:
    """Shows nothing: the base of the others, and what ``--quiet`` asks for."""

    def show(self, what: str) -> None:
        """Say what is running."""

    def advance(self, files: int) -> None:
        """Count files that are done."""

    def forget(self, files: int) -> None:
        """Take off files that nobody will do, since a contender is out."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Lines(Progress):
    """A line each ten seconds, for logs and for terminals without tqdm."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._what = ""
        self._next = time.monotonic() + LINE_EVERY

    def show(self, what: str) -> None:
        self._what = what

    def advance(self, files: int) -> None:
        self._done += files
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY
            print(f"{100 * self._done // self._total:3} %  {self._what}", file=sys.stderr)

    def forget(self, files: int) -> None:
        self._total -= files


class Bar(Progress):
    """tqdm's bar."""

    def __init__(self, tqdm: Any, total: int) -> None:
        form = "{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left  {desc}"
        self._bar = tqdm.tqdm(total=total, bar_format=form, leave=False, dynamic_ncols=True)

    def show(self, what: str) -> None:
        # At one width, or the bar would change its length with each contender.
        self._bar.set_description_str(f"{what:{WIDEST}}")

    def advance(self, files: int) -> None:
        self._bar.update(files)

    def forget(self, files: int) -> None:
        self._bar.total -= files

    def close(self) -> None:
        self._bar.close()


def open_progress(total: int, *, quiet: bool) -> Progress:
    """Choose how to show that *total* files are to be measured."""
    if quiet:
        return Progress()
    if sys.stderr.isatty():
        try:
            return Bar(importlib.import_module("tqdm"), total)
        except ImportError:
            pass
    return Lines(total)
