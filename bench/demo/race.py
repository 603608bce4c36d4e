"""The race: every contender does every part of the job, in turns, and the answers are compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.demo.contenders import CONTENDERS, Contender
from bench.demo.corpus import Source, deal, part_count, read_once
from bench.demo.job import Measure
from bench.demo.team import Lap, OutError, Team
from interp_executor._compare.progress import Progress


@dataclass
class Record:
    """What one contender did. Unless ``kind`` is "ok", it is out and ``reason`` says why."""

    contender: Contender
    note: str = ""
    kind: str = "ok"
    reason: str = ""
    start_seconds: list[float] = field(default_factory=list)
    idle_memory: list[int] = field(default_factory=list)
    peak_memory: list[int] = field(default_factory=list)
    rounds: list[list[Lap]] = field(default_factory=list)

    def drop(self, kind: str, reason: str) -> None:
        """Put the contender out of the race."""
        self.kind, self.reason = kind, reason


class Race:
    """All rounds: in each, new processes for every contender and the whole job for each."""

    def __init__(
        self,
        sources: Sequence[Source],
        workers: int,
        progress: Progress,
        contenders: Sequence[Contender] = CONTENDERS,
    ) -> None:
        self.sources = sources
        self.workers = workers
        self.records = [Record(contender) for contender in contenders]
        self._progress = progress
        self._parts = deal(sources, part_count(sources, workers))
        self._reference: dict[str, Measure] = {}

    def run(self, rounds: int) -> dict[str, Measure]:
        """Run the rounds; return the answers of the first contender that has any."""
        read_once(self.sources)
        for index in range(rounds):
            self._run_round(index)
        return self._reference

    def _run_round(self, index: int) -> None:
        teams: list[tuple[Record, Team]] = []
        running = [record for record in self.records if record.kind == "ok"]
        self._progress.forget(len(self.sources) * (len(self.records) - len(running)))
        try:
            for record in running:
                team = Team(record.contender, self.workers, self._progress.advance)
                teams.append((record, team))
                self._progress.show(f"start of {record.contender.title}")
                _guard(record, team, team.start)
                record.rounds.append([])
            for number, part in enumerate(self._parts):
                for record, team in _turns(teams, index + number):
                    self._run_lap(record, team, number, part)
            for record, team in teams:
                if record.kind == "ok":
                    self._close(record, team)
        finally:
            for _, team in teams:
                team.kill()

    def _run_lap(self, record: Record, team: Team, number: int, part: list[Source]) -> None:
        def lap() -> None:
            record.rounds[-1].append(team.lap(part))

        if record.kind == "ok":
            self._progress.show(f"{record.contender.title}, part {number + 1}")
            _guard(record, team, lap)
        else:
            self._progress.forget(len(part))

    def _close(self, record: Record, team: Team) -> None:
        record.note = team.note
        record.start_seconds.append(team.start_seconds)
        if team.extra_memory is not None:
            record.idle_memory.append(team.extra_memory.idle)
            record.peak_memory.append(team.extra_memory.peak)
        self._compare(record)
        _guard(record, team, team.end)

    def _compare(self, record: Record) -> None:
        """Hold the answers of the last round against those that came first."""
        answers: dict[str, Measure] = {}
        for lap in record.rounds[-1]:
            answers |= lap.measures
        if not self._reference:
            self._reference = answers
        elif answers != self._reference:
            record.drop("wrong", difference(answers, self._reference))


def _turns(teams: list[tuple[Record, Team]], turn: int) -> list[tuple[Record, Team]]:
    """Let a different contender begin each time, and each second time in reverse order."""
    begin = turn % len(teams)
    order = teams[begin:] + teams[:begin]
    return order[::-1] if turn % 2 else order


def _guard(record: Record, team: Team, step: Callable[[], None]) -> None:
    """Take a step; if it fails, the contender is out and the others go on."""
    try:
        step()
    except OutError as error:
        record.drop(error.kind, str(error))
    except OSError as error:
        record.drop("failed", f"cannot start a process: {error}")
    if record.kind in {"missing", "failed"}:
        team.kill()


def difference(answers: dict[str, Measure], right: dict[str, Measure]) -> str:
    """Name the first difference between two sets of answers."""
    for path in sorted(right.keys() | answers.keys()):
        if path not in answers:
            return f"no answer for {path}"
        if path not in right:
            return f"an answer for {path}, which nobody asked for"
        for name in Measure._fields:
            found, expected = getattr(answers[path], name), getattr(right[path], name)
            if found != expected:
                return f"{path}: {name} is {found!r}, not {expected!r}"
    return "no difference"
