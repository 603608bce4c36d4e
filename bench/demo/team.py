"""A contender at work: its runner process, or processes, and what they take."""

import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.demo.contenders import Contender
from bench.demo.corpus import Source, deal
from bench.demo.job import Measure
from bench.demo.memory import tree_memory
from bench.demo.process import Inbox, RunnerProcess

SILENCE_TIMEOUT = 120.0
SAMPLE_EVERY = 0.2


class OutError(Exception):
    """The contender is out of the race; *kind* is "missing" or "failed"."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass
class Memory:
    """Bytes held beyond what one process holds before it starts any worker."""

    idle: int
    peak: int


class Lap(NamedTuple):
    """One part of the job done: per process its files and seconds, the answers, and the seconds
    of each file where a plain loop took them."""

    shares: list[tuple[list[str], float]]
    measures: dict[str, Measure]
    each: dict[str, float]


class Team:
    """The processes of one contender: a single one, but for the independent processes."""

    def __init__(self, contender: Contender, workers: int, on_files: Callable[[int], None]) -> None:
        self.contender = contender
        self.note = ""
        self.start_seconds = 0.0
        self._workers = workers
        self._on_files = on_files
        self._inbox: Inbox = queue.Queue()
        self._runners: list[RunnerProcess] = []
        self.extra_memory: Memory | None = None
        self._base_memory: int | None = None
        self._sampled = 0.0

    def start(self) -> None:
        """Start the processes and the workers in them; measure how long it takes.

        For a pool that is the time from its import until all workers are there, for independent
        processes until all have imported the job. None of it counts as time of the job.
        """
        began = time.perf_counter()
        count = self._workers if self.contender.independent else 1
        for _ in range(count):
            runner = RunnerProcess(self.contender.runner, self._workers, self._inbox)
            self._runners.append(runner)
        self._gather("ready")
        ready_seconds = time.perf_counter() - began
        # What one process needs anyway; all that comes on top is extra.
        self._base_memory = tree_memory(self._runners[0].pid)
        for runner in self._runners:
            runner.send(do="start")
        answers = self._gather("started")
        held = self._held()
        self.extra_memory = None if held is None else Memory(held, held)
        self.note = answers[0]["note"]
        own = max(answer["seconds"] for answer in answers)
        self.start_seconds = ready_seconds if self.contender.independent else own
        if self.contender.independent:
            self.note = "even split by size, no pool"

    def lap(self, sources: list[Source]) -> Lap:
        """Measure the files; the clock is in the runners."""
        shares = [[source.path for source in share] for share in deal(sources, len(self._runners))]
        for runner, paths in zip(self._runners, shares, strict=True):
            runner.send(do="lap", paths=paths)
        answers = self._gather("lap")
        measures: dict[str, Measure] = {}
        each: dict[str, float] = {}
        for paths, answer in zip(shares, answers, strict=True):
            found = [Measure(*fields) for fields in answer["measures"]]
            measures |= {measure.path: measure for measure in found}
            each |= zip(paths, answer["each"] or [], strict=False)
        seconds = [answer["seconds"] for answer in answers]
        return Lap(list(zip(shares, seconds, strict=True)), measures, each)

    def end(self) -> None:
        """End the processes in good order; one that does not end well is out."""
        wrong = [runner.end() for runner in self._runners]
        self._runners.clear()
        for reason in filter(None, wrong):
            raise OutError("failed", reason)

    def kill(self) -> None:
        """End the processes at once."""
        for runner in self._runners:
            runner.kill()
        self._runners.clear()

    def _gather(self, event: str) -> list[dict[str, Any]]:
        """Wait until each process has said *event*; return their messages in order."""
        answers: dict[RunnerProcess, dict[str, Any]] = {}
        reported: dict[RunnerProcess, int] = {}
        heard = time.monotonic()
        while len(answers) < len(self._runners):
            try:
                runner, message = self._inbox.get(timeout=SAMPLE_EVERY)
            except queue.Empty:
                if time.monotonic() - heard > SILENCE_TIMEOUT:
                    raise OutError("failed", f"silent for {SILENCE_TIMEOUT:.0f} s") from None
            else:
                heard = time.monotonic()
                if message["event"] == event:
                    answers[runner] = message
                elif message["event"] == "progress":
                    self._on_files(message["files"] - reported.get(runner, 0))
                    reported[runner] = message["files"]
                else:
                    self._fail(runner, message)
            if event == "lap":
                self._sample_memory()
        self._finish_count(answers, reported)
        return [answers[runner] for runner in self._runners]

    def _finish_count(
        self,
        answers: dict[RunnerProcess, dict[str, Any]],
        reported: dict[RunnerProcess, int],
    ) -> None:
        """Report the files done since the last progress message."""
        for runner, answer in answers.items():
            done = len(answer.get("measures", ()))
            self._on_files(done - reported.get(runner, 0))

    def _fail(self, runner: RunnerProcess, message: dict[str, Any]) -> None:
        if message["event"] == "ended":
            raise OutError("failed", runner.last_words())
        raise OutError(message["event"], message["reason"])

    def _sample_memory(self) -> None:
        now = time.monotonic()
        if self.extra_memory is not None and now - self._sampled > SAMPLE_EVERY:
            self._sampled = now
            self.extra_memory.peak = max(self.extra_memory.peak, self._held() or 0)

    def _held(self) -> int | None:
        """Return what all processes hold now, less what one held at first."""
        held = [tree_memory(runner.pid) for runner in self._runners]
        known = [number for number in held if number is not None]
        if self._base_memory is None or len(known) < len(held):
            return None
        return max(0, sum(known) - self._base_memory)
