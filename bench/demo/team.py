"""A contender at work: its runner process, or processes, and what they take."""

import queue
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.demo.contenders import Contender
from bench.demo.corpus import Source, deal
from bench.demo.job import Measure
from interp_executor._compare.memory import tree_memory
from interp_executor._compare.process import Inbox, RunnerProcess

ROOT = Path(__file__).resolve().parents[2]
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


@dataclass
class Share:
    """What one process did in a lap: its files and, from its last one until the other processes
    were done too, the same few again and again."""

    paths: list[str]
    seconds: float = 0.0
    filler_paths: list[str] = field(default_factory=list)
    filler_seconds: float = 0.0

    def filler(self) -> list[str]:
        """Return files of middling size, for about a tenth of a second."""
        return self.paths[len(self.paths) // 4 :][:8]


class Lap(NamedTuple):
    """One part of the job done: per process its share, the answers, and the seconds of each file
    where a plain loop took them."""

    shares: list[Share]
    measures: dict[str, Measure]
    each: dict[str, float]


def _run(name: str, workers: int, inbox: Inbox) -> RunnerProcess:
    # The files have odd escapes by the hundred; each would be reported on stderr.
    command = [sys.executable, "-W", "ignore", "-m", "bench.demo.runner", name, str(workers)]
    return RunnerProcess(command, inbox, [str(ROOT)])


class Team:
    """The processes of one contender: a single one, but for the independent processes."""

    def __init__(self, contender: Contender, workers: int, on_files: Callable[[int], None]) -> None:
        self.contender = contender
        self.note = ""
        self.start_seconds = 0.0
        self._workers = workers
        self._on_files = on_files
        self._inbox: Inbox = queue.SimpleQueue()
        self._runners: list[RunnerProcess] = []
        self.extra_memory: Memory | None = None
        self._base_memory: int | None = None
        self._shares: dict[RunnerProcess, Share] = {}
        self._sampled = 0.0
        self._heard = time.monotonic()

    def start(self) -> None:
        """Start the processes and the workers in them; measure how long it takes.

        For a pool that is the time from its import until all workers are there, for independent
        processes until all have imported the job. None of it counts as time of the job.
        """
        began = time.perf_counter()
        count = self._workers if self.contender.independent else 1
        for _ in range(count):
            runner = _run(self.contender.runner, self._workers, self._inbox)
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
        dealt = deal(sources, len(self._runners))
        shares = [Share([source.path for source in share]) for share in dealt]
        self._heard = time.monotonic()
        for runner, share in zip(self._runners, shares, strict=True):
            self._shares[runner] = share
            runner.send(do="lap", paths=share.paths)
        measures: dict[str, Measure] = {}
        each: dict[str, float] = {}
        for share, answer in zip(shares, self._gather("lap"), strict=True):
            share.seconds = answer["seconds"]
            found = [Measure(*fields) for fields in answer["measures"]]
            measures |= {measure.path: measure for measure in found}
            each |= zip(share.paths, answer["each"] or [], strict=False)
        return Lap(shares, measures, each)

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
        filling: set[RunnerProcess] = set()
        while len(answers) < len(self._runners) or filling:
            heard = self._hear()
            if event == "lap":
                self._sample_memory()
            if heard is None:
                continue
            runner, message = heard
            if message["event"] == "progress":
                if runner not in answers:
                    self._on_files(message["done"] - reported.get(runner, 0))
                    reported[runner] = message["done"]
                continue
            if message["event"] != event:
                self._fail(runner, message)
            if runner in answers:
                filling.discard(runner)
                self._count_filler(runner, message)
            else:
                answers[runner] = message
            if event == "lap" and len(answers) < len(self._runners):
                runner.send(do="lap", paths=self._shares[runner].filler())
                filling.add(runner)
        self._finish_count(answers, reported)
        return [answers[runner] for runner in self._runners]

    def _count_filler(self, runner: RunnerProcess, message: dict[str, Any]) -> None:
        share = self._shares[runner]
        share.filler_paths += share.filler()
        share.filler_seconds += message["seconds"]

    def _hear(self) -> tuple[RunnerProcess, dict[str, Any]] | None:
        """Return the next message, or None after a while, to let the caller look around."""
        try:
            heard = self._inbox.get(timeout=SAMPLE_EVERY)
        except queue.Empty:
            if time.monotonic() - self._heard > SILENCE_TIMEOUT:
                raise OutError("failed", f"silent for {SILENCE_TIMEOUT:.0f} s") from None
            return None
        self._heard = time.monotonic()
        return heard

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
