"""A runner: one contender in a process of its own, obeying lines of JSON on its stdin.

Started as ``python -m bench.demo.runner NAME WORKERS``. Each order is answered on stdout::

    (when it is up)                  {"event": "ready"}
    {"do": "start"}                  {"event": "started", "seconds": s, "note": text}
    {"do": "lap", "paths": [...]}    {"event": "progress", "done": n}  now and then, then
                                     {"event": "lap", "seconds": s, "measures": [[...], ...],
                                      "each": seconds per file, where it is a plain loop}
    {"do": "stop"} or end of file    (exit)

What goes wrong is answered with {"event": "missing" | "failed", "reason": text}, then exit.
"""

import sys
import time
from typing import Any

from bench.demo.contenders import Serial, open_runner
from interp_executor._compare.executors import MissingError
from interp_executor._compare.line import Line, Ticker


def main(arguments: list[str]) -> int:
    """Run the contender that the command line names; return the exit status."""
    name, workers = arguments
    line = Line()
    try:
        _obey(line, open_runner(name, int(workers)))
    except MissingError as error:
        line.say("missing", reason=str(error))
        return 1
    except Exception as error:
        line.say("failed", reason=f"{type(error).__name__}: {error}")
        raise
    return 0


def _obey(line: Line, contender: Serial) -> None:
    line.say("ready")
    for order in line:
        if order["do"] == "start":
            start = time.perf_counter()
            contender.start()
            line.say("started", seconds=time.perf_counter() - start, note=contender.note())
        elif order["do"] == "lap":
            line.say("lap", **_lap(line, contender, order["paths"]))
        elif order["do"] == "stop":
            contender.stop()
            return


def _lap(line: Line, contender: Serial, paths: list[str]) -> dict[str, Any]:
    """Measure the files against the clock."""
    measures = []
    ticker = Ticker(line)
    for measure in contender.map(paths):
        measures.append(measure)
        ticker.tick()
    seconds = ticker.seconds()
    # Elsewhere the time between two results is not the time that either took.
    each = ticker.each if type(contender) is Serial else None
    return {"seconds": seconds, "measures": measures, "each": each}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
