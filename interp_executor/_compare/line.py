"""A runner's end of the lines of JSON: orders come on its stdin, answers go to its stdout."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

PROGRESS_EVERY = 0.2


class Line:
    """The orders and answers of this process.

    From now on the standard streams lead nowhere: what the user's function reads or prints is
    neither an order nor an answer. What goes to stderr is kept for the case of a crash.
    """

    def __init__(self) -> None:
        self._orders = os.fdopen(os.dup(0))
        self._answers = os.fdopen(os.dup(1), "w")
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self._orders)

    def say(self, event: str, **fields: Any) -> None:
        """Send an answer."""
        self._answers.write(json.dumps({"event": event, **fields}) + "\n")
        self._answers.flush()


class Ticker:
    """Takes the time of each result, and reports progress now and then."""

    def __init__(self, line: Line, clock: Callable[[], float] = time.perf_counter) -> None:
        self._line = line
        self._clock = clock
        self._start = self._last = self._reported = clock()
        self.each: list[float] = []

    def tick(self) -> None:
        """Note that a result is there."""
        now = self._clock()
        self.each.append(now - self._last)
        self._last = now
        if now - self._reported > PROGRESS_EVERY:
            self._reported = now
            self._line.say("progress", done=len(self.each))

    def seconds(self) -> float:
        """Return the time since this was made."""
        return self._clock() - self._start
