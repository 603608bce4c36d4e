"""The race: in each round every contender does the whole job, and the answers are compared."""

import queue
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp_executor._compare import work
from interp_executor._compare.agree import difference
from interp_executor._compare.executors import SERIAL, Contender
from interp_executor._compare.memory import tree_memory
from interp_executor._compare.process import Inbox, RunnerProcess
from interp_executor._compare.progress import Progress
from interp_executor._compare.runner import PROGRAM

RUNNING = "INTERP_EXECUTOR_COMPARE"
"""Set in the runners and all that they start, so that none of them compares in turn."""

SAMPLE_EVERY = 0.2
PATIENCE = 20.0
LEAST_PATIENCE = 120.0


class FunctionError(RuntimeError):
    """The function cannot be compared, since the plain loop fails; the message says why.

    Attributes
    ----------
    traceback : str
        The traceback in the process that ran the loop.
    """

    def __init__(self, reason: str, traceback: str = "") -> None:
        super().__init__(reason)
        self.traceback = traceback


class OutError(Exception):
    """A contender is out of the race; *kind* is "missing" or "failed"."""

    def __init__(self, kind: str, reason: str, traceback: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.traceback = traceback


@dataclass
class Lap:
    """What one contender took in one round. Memory in bytes beyond an idle process without workers,
    None where the system does not tell."""

    start_seconds: float
    seconds: float
    overhead: float
    idle_memory: int | None
    peak_memory: int | None


@dataclass
class Record:
    """What one contender did. Unless ``kind`` is "ok", it is out and ``reason`` says why."""

    contender: Contender
    workers: int
    kind: str = "ok"
    reason: str = ""
    note: str = ""
    laps: dict[int, Lap] = field(default_factory=dict)  # by round


class Race:
    """All rounds, with a new process for each contender in each.

    Parameters
    ----------
    job : Work
        What to do.
    records : sequence of Record
        The contenders; the plain loop comes first.
    progress : Progress
        Told of each item.
    """

    def __init__(self, job: work.Work, records: Sequence[Record], progress: Progress) -> None:
        self.records = records
        self.interrupted = False
        self._job = job
        self._progress = progress
        self._reference: list[Any] | None = None
        self._patience = float("inf")  # seconds that a lap may take

    def run(self, rounds: int) -> None:
        """Run the rounds; Ctrl-C ends them early, and what was measured until then stays.

        Raises
        ------
        TransferError
            If the function or an item can be pickled by nobody.
        FunctionError
            If the plain loop fails.
        """
        with tempfile.TemporaryDirectory(prefix="interp-executor-") as folder:
            path = Path(folder, "work")
            work.dump(self._job, path)
            try:
                for number in range(rounds):
                    for record in turns(self.records, number):
                        self._turn(record, number, path)
            except KeyboardInterrupt:
                self.interrupted = True

    def _turn(self, record: Record, number: int, path: Path) -> None:
        items = len(self._job.items)
        if record.kind != "ok":
            self._progress.forget(items)
            return
        workers = f" x{record.workers}" if record.workers > 1 else ""
        self._progress.show(f"round {number + 1}: {record.contender.title}{workers}")
        try:
            with _Turn(record, path, items, self._progress) as turn:
                lap = turn.play(self._patience)
                self._compare(turn.answers())
        except (OutError, OSError) as error:
            if record.contender.key == SERIAL:
                raise FunctionError(str(error), getattr(error, "traceback", "")) from None
            record.kind, record.reason = getattr(error, "kind", "failed"), str(error)
        else:
            record.laps[number] = lap
            if record.contender.key == SERIAL:
                self._patience = max(LEAST_PATIENCE, PATIENCE * lap.seconds)

    def _compare(self, answers: list[Any]) -> None:
        if self._reference is None:
            self._reference = answers
            return
        found = difference(answers, self._reference)
        if found is not None:
            raise OutError("wrong", found)


class _Turn:
    """One contender's process, from its start to its end."""

    def __init__(self, record: Record, path: Path, items: int, progress: Progress) -> None:
        self._record = record
        self._progress = progress
        self._left = items  # of which the progress knows nothing yet
        self._items = items
        self._peak: int | None = None
        self._ended = False
        self._answers = path.with_name("answers")
        self._inbox: Inbox = queue.SimpleQueue()
        key, workers = record.contender.key, str(record.workers)
        self._runner = RunnerProcess(
            [sys.executable, "-P", "-c", PROGRAM, key, workers, str(path)],
            self._inbox,
            work.search_path(),
            {RUNNING: "1"},
        )

    def __enter__(self) -> "_Turn":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.forget(self._left)
        if not self._ended:
            self._runner.kill()

    def play(self, patience: float) -> Lap:
        """Start the workers, do the job, and end; return what it took."""
        self._wait("ready")
        base = tree_memory(self._runner.pid)
        started = self._ask("start")
        idle = _beyond(base, self._runner.pid)
        self._peak = idle
        lap = self._ask("lap", patience, base, answers=str(self._answers))
        overhead = self._ask("overhead", LEAST_PATIENCE)
        self._record.note = lap["note"]
        wrong = self._runner.end()
        self._ended = True
        if wrong is not None:
            raise OutError("failed", wrong)
        return Lap(started["seconds"], lap["seconds"], overhead["seconds"], idle, self._peak)

    def answers(self) -> list[Any]:
        """Return what the function returned."""
        try:
            return work.loads_answers(self._answers.read_bytes())
        except Exception as error:
            reason = f"the answers cannot be read back: {type(error).__name__}: {error}"
            raise OutError("failed", reason) from error

    def _ask(
        self, what: str, patience: float = LEAST_PATIENCE, base: int | None = None, **fields: str
    ) -> dict[str, Any]:
        self._runner.send(do=what, **fields)
        return self._wait("started" if what == "start" else what, patience, base)

    def _wait(
        self, event: str, patience: float = LEAST_PATIENCE, base: int | None = None
    ) -> dict[str, Any]:
        """Return the runner's message of that kind; sample memory meanwhile if *base* is known."""
        deadline = time.monotonic() + patience
        while True:
            try:
                _, message = self._inbox.get(timeout=SAMPLE_EVERY)
            except queue.Empty:
                message = {"event": None}
            if base is not None:
                self._peak = max(self._peak or 0, _beyond(base, self._runner.pid) or 0)
            if message["event"] == "progress":
                self._count(message["done"])
            elif message["event"] == event:
                self._count(self._items if event == "lap" else 0)
                return message
            elif message["event"] is not None:
                self._fail(message)
            elif time.monotonic() > deadline:
                raise OutError("failed", f"not done after {patience:.0f} s")

    def _count(self, done: int) -> None:
        new = done - (self._items - self._left)
        if new > 0:
            self._left -= new
            self._progress.advance(new)

    def _fail(self, message: dict[str, Any]) -> None:
        if message["event"] == "ended":
            raise OutError("failed", self._runner.last_words())
        raise OutError(message["event"], message["reason"], message.get("traceback", ""))


def _beyond(base: int | None, pid: int) -> int | None:
    held = tree_memory(pid)
    return None if held is None or base is None else max(0, held - base)


def turns(records: Sequence[Record], number: int) -> list[Record]:
    """Let another contender begin each round, and each second time in reverse order."""
    begin = number % len(records)
    order = [*records[begin:], *records[:begin]]
    return order[::-1] if number % 2 else order
