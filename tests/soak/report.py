"""How a soak tells of its progress and of its end."""

import sys
import time


class Progress:
    """Prints how far a part has come, at most once a second, and knows when its time is over."""

    def __init__(self, what: str, total: int, seconds: float | None) -> None:
        self.what = what
        self._total = total
        self._began = time.monotonic()
        self._seconds = seconds
        self._shown = self._began

    @property
    def elapsed(self) -> float:
        """Seconds since the part began."""
        return time.monotonic() - self._began

    def is_over(self) -> bool:
        """Whether the part has had its time."""
        return self._seconds is not None and self.elapsed > self._seconds

    def show(self, done: int, note: str = "") -> None:
        """Say how far the part has come."""
        now = time.monotonic()
        if now - self._shown < (1 if sys.stderr.isatty() else 10):
            return
        self._shown = now
        end = "\r" if sys.stderr.isatty() else "\n"
        text = f"{self.what}: {done:,} of {self._total:,} after {self.elapsed:.0f} s{note}"
        print(f"{text:<78}", end=end, file=sys.stderr, flush=True)

    def close(self, done: int, lost: int, note: str) -> int:
        """Print the closing line; return how much was lost."""
        print(f"{self.what}: {done:,} in {self.elapsed:.0f} s, {note}; lost: {lost}", flush=True)
        return lost


def slowness() -> float:
    """Return how many times longer than its processor time a computation takes now: 1 at rest."""
    wall, own = time.monotonic(), time.thread_time()
    while time.thread_time() - own < 0.03:
        pass
    return max(1.0, (time.monotonic() - wall) / (time.thread_time() - own))


def complain(text: str) -> None:
    """Say what was lost, and how."""
    print(f"LOST: {text}", file=sys.stderr, flush=True)
