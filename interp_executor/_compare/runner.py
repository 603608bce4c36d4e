"""A runner: one contender in a process of its own, obeying lines of JSON on its stdin.

Each order is answered on stdout::

    (when the function is loaded)    {"event": "ready"}
    {"do": "start"}                  {"event": "started", "seconds": s}
    {"do": "lap", "answers": path}   {"event": "progress", "done": n}  now and then, then
                                     {"event": "lap", "seconds": s, "note": text}, the answers
                                     pickled at path
    {"do": "overhead"}               {"event": "overhead", "seconds": s per task}
    {"do": "stop"} or end of file    (exit)

What goes wrong is answered with {"event": "missing" | "failed", "reason": text}, and its traceback,
then exit.
"""

import time
import traceback
from pathlib import Path

from interp_executor import TransferError
from interp_executor._compare import work
from interp_executor._compare.executors import SERIAL, Caller, MissingError
from interp_executor._compare.line import Line, Ticker

OVERHEAD_ITEMS = 1000
OVERHEAD_SECONDS = 0.05


class ItemError(Exception):
    """The user's function failed in the plain loop; the message names the item."""


def main(key: str, workers: str, path: str) -> int:
    """Run a contender; return the exit status."""
    line = Line()
    caller = Caller(key, int(workers))
    try:
        _obey(line, caller, work.load(Path(path)))
    except MissingError as error:
        line.say("missing", reason=str(error))
    except TransferError as error:  # of an answer: the traceback would be this package's own
        line.say("failed", reason=str(error), traceback="")
    except ItemError as error:
        line.say("failed", reason=str(error), traceback=_format(error.__cause__))
    except Exception as error:
        line.say("failed", reason=f"{type(error).__name__}: {error}", traceback=_format(error))
    else:
        return 0
    return 1


def _format(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error))


def _obey(line: Line, caller: Caller, job: work.Work) -> None:
    line.say("ready")
    for order in line:
        match order["do"]:
            case "start":
                start = time.perf_counter()
                caller.start(job.fn)
                seconds = time.perf_counter() - start
                line.say("started", seconds=seconds)
            case "lap":
                seconds = _lap(line, caller, job, Path(order["answers"]))
                line.say("lap", seconds=seconds, note=caller.note(len(job.items)))
            case "overhead":
                line.say("overhead", seconds=_overhead(caller, job.items))
            case "stop":
                break
    caller.stop()


def _lap(line: Line, caller: Caller, job: work.Work, path: Path) -> float:
    """Do all items against the clock; leave the answers in a file."""
    answers = []
    ticker = Ticker(line)
    try:
        for answer in caller.map(job.fn, job.items):
            answers.append(answer)
            ticker.tick()
    except Exception as error:
        if caller.key != SERIAL:
            raise
        item = f"item {len(answers)}, {_short(job.items[len(answers)])}"
        raise ItemError(f"{item}: {type(error).__name__}: {error}") from error
    seconds = ticker.seconds()
    path.write_bytes(work.dumps_answers(answers))
    return seconds


def _overhead(caller: Caller, items: work.Items) -> float:
    """Return the seconds that an empty function takes per item, called as the user's is."""
    items = items[:OVERHEAD_ITEMS]
    calls = 0
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < OVERHEAD_SECONDS:
        for _ in caller.map_empty(items):
            calls += 1
    return seconds / calls


def _short(item: tuple[object, ...]) -> str:
    text = ", ".join(map(repr, item))
    return f"({text})" if len(text) <= 60 else f"({text[:57]}...)"


PROGRAM = (
    "import sys; from interp_executor._compare.runner import main; sys.exit(main(*sys.argv[1:]))"
)
"""Started with -c, so that a pool's processes have no main module to load."""
