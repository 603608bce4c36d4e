"""What a contract test holds: executors of one lane, gates and inboxes, and the final check."""

import os
import select
import time
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from . import tasks
from .lanes import Lane

PATIENCE = 30.0
"""Seconds after which something that should have happened is taken to be lost."""

SHUTDOWN_LIMIT = 10.0


class Inbox:
    """Lines that tasks send to the test."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._pending = b""

    def read(self, timeout: float = PATIENCE) -> str:
        """Return the next line, waiting for it."""
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._fd], [], [], timeout)
            if not ready:
                raise TimeoutError("no task has reported")
            self._pending += os.read(self._fd, 65536)
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def drain(self) -> list[str]:
        """Return the lines that are there, without waiting."""
        lines = []
        while True:
            try:
                lines.append(self.read(timeout=0))
            except TimeoutError:
                return lines

    def close(self) -> None:
        os.close(self._fd)


class Gate:
    """A place where tasks wait until the test lets all of them through."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._open = False

    def open(self) -> None:
        if not self._open:
            self._open = True
            os.write(self._fd, b"!")

    def close(self) -> None:
        """Open the gate for good: a gate that is not there any more holds nobody."""
        os.unlink(self.path)
        self.open()
        os.close(self._fd)


class Rig:
    """Makes executors of one lane and proves at the end that nothing of them is left."""

    def __init__(self, lane: Lane, folder: Path) -> None:
        self.lane = lane
        self._folder = folder
        self._made = 0
        self._gates: list[Gate] = []
        self._inboxes: list[Inbox] = []
        self._executors: list[Executor] = []

    def executor(self, max_workers: int | None = 1, **options: Any) -> Any:
        """Make an executor that the rig shuts down when the test is over."""
        executor = self.lane.make(max_workers=max_workers, **options)
        self._executors.append(executor)
        return executor

    def keep(self, executor: Executor) -> Any:
        """Have an executor made by the test shut down with the others."""
        self._executors.append(executor)
        return executor

    def gate(self) -> Gate:
        gate = Gate(self._path())
        self._gates.append(gate)
        return gate

    def inbox(self) -> Inbox:
        inbox = Inbox(self._path())
        self._inboxes.append(inbox)
        return inbox

    def occupy(self, executor: Executor, workers: int = 1) -> tuple[Gate, list[Future[Any]]]:
        """Have `workers` tasks running and waiting at a gate."""
        gate, inbox = self.gate(), self.inbox()
        held = [
            executor.submit(tasks.hold, inbox.path, gate.path, number) for number in range(workers)
        ]
        for _ in held:
            assert inbox.read() == "held"
        return gate, held

    def close(self) -> list[str]:
        """Let everything go; return what was still there or took too long."""
        for gate in self._gates:
            gate.open()
        left = []
        for executor in self._executors:
            started = time.monotonic()
            executor.shutdown(wait=True)
            if time.monotonic() - started > SHUTDOWN_LIMIT:
                left.append(f"shutdown took {time.monotonic() - started:.1f} s")
            left += self.lane.tasks_left(executor)
        self._executors.clear()
        for gate in self._gates:
            gate.close()
        for inbox in self._inboxes:
            inbox.close()
        return left

    def _path(self) -> Path:
        self._made += 1
        return self._folder / f"fifo-{self._made}"
