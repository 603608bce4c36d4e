"""A runner: one contender in a process of its own, obeying lines of JSON on its stdin.

Started as ``python -m bench.demo.runner NAME WORKERS``. Each order is answered on stdout::

    (when it is up)                  {"event": "ready"}
    {"do": "start"}                  {"event": "started", "seconds": s, "note": text}
    {"do": "lap", "paths": [...]}    {"event": "progress", "files": n}  now and then, then
                                     {"event": "lap", "seconds": s, "measures": [[...], ...],
                                      "each": seconds per file, where it is a plain loop}
    {"do": "stop"} or end of file    (exit)

What goes wrong is answered with {"event": "missing" | "failed", "reason": text}, then exit.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.demo.contenders import MissingError, Serial, open_runner
from bench.demo.job import Measure

PROGRESS_EVERY = 0.2


def main(arguments: list[str]) -> int:
    """Run the contender that the command line names; return the exit status."""
    name, workers = arguments
    try:
        _obey(open_runner(name, int(workers)))
    except MissingError as error:
        _say("missing", reason=str(error))
        return 1
    except Exception as error:
        _say("failed", reason=f"{type(error).__name__}: {error}")
        raise
    return 0


def _obey(contender: Serial) -> None:
    _say("ready")
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "start":
            start = time.perf_counter()
            contender.start()
            _say("started", seconds=time.perf_counter() - start, note=contender.note())
        elif order["do"] == "lap":
            _say("lap", **_lap(contender, order["paths"]))
        elif order["do"] == "stop":
            contender.stop()
            return


def _lap(contender: Serial, paths: list[str]) -> dict[str, Any]:
    """Measure the files against the clock."""
    ticker = _Ticker(time.perf_counter)
    measures = [ticker.tick(measure) for measure in contender.map(paths)]
    seconds = time.perf_counter() - ticker.start
    # Elsewhere the time between two results is not the time that either took.
    each = ticker.each if type(contender) is Serial else None
    return {"seconds": seconds, "measures": measures, "each": each}


class _Ticker:
    """Takes the time of each result and reports progress now and then."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.start = self._last = self._reported = clock()
        self.each: list[float] = []

    def tick(self, measure: Measure) -> Measure:
        now = self._clock()
        self.each.append(now - self._last)
        self._last = now
        if now - self._reported > PROGRESS_EVERY:
            self._reported = now
            _say("progress", files=len(self.each))
        return measure


def _say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
