"""Progress on stderr: a bar on a terminal, else a line now and then."""

import shutil
import sys
import time

LINE_EVERY = 10.0
DRAW_EVERY = 0.1
BAR = 24


class Progress:
    """Shows nothing: the base of the others, and what a quiet run asks for."""

    def show(self, what: str) -> None:
        """Say what is running."""

    def advance(self, done: int) -> None:
        """Count what is done."""

    def forget(self, undone: int) -> None:
        """Take off what nobody will do, since a contender is out."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Lines(Progress):
    """A line each ten seconds, for logs."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._what = ""
        self._next = time.monotonic() + LINE_EVERY

    def show(self, what: str) -> None:
        self._what = what

    def advance(self, done: int) -> None:
        self._done += done
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY
            print(f"{self._percent():3} %  {self._what}", file=sys.stderr)

    def forget(self, undone: int) -> None:
        self._total -= undone

    def _percent(self) -> int:
        return 100 * self._done // max(1, self._total)


class Bar(Lines):
    """One line that is drawn again and again."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._started = time.monotonic()
        self._drawn = 0.0
        self._draw()

    def show(self, what: str) -> None:
        super().show(what)
        self._draw()

    def advance(self, done: int) -> None:
        self._done += done
        if time.monotonic() - self._drawn > DRAW_EVERY:
            self._draw()

    def close(self) -> None:
        self._put("")

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        elapsed = self._drawn - self._started
        full = BAR * self._done // max(1, self._total)
        left = elapsed * (self._total - self._done) / self._done if self._done else None
        times = _clock(elapsed) if left is None else f"{_clock(elapsed)}, {_clock(left)} left"
        self._put(f"{self._percent():3} % |{'#' * full:{BAR}}| {times}  {self._what}")

    def _put(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        # Back to the start, the text, and away with what stood behind it.
        print(f"\r{text[:width]}\x1b[K", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def open_progress(total: int, *, quiet: bool) -> Progress:
    """Choose how to show that *total* things are to be done."""
    if quiet:
        return Progress()
    return Bar(total) if sys.stderr.isatty() else Lines(total)
