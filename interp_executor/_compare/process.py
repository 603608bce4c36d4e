"""The owner's end of a runner: a process, and what it says as it comes."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

END_TIMEOUT = 30.0

Inbox = queue.SimpleQueue["tuple[RunnerProcess, dict[str, Any]]"]
"""Where a thread per runner puts what its process says; ``{"event": "ended"}`` comes last.

A simple queue, written in C: Ctrl-C between the lines of ``queue.Queue`` may leave its lock held,
and the thread would wait for that for ever.
"""


class RunnerProcess:
    """A process that obeys lines of JSON, in a group of its own so that it can be ended together
    with the processes that it has made, and so that Ctrl-C on the terminal reaches the owner alone.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    inbox : Inbox
        Where its messages go.
    path : sequence of str
        Folders from which it, its processes and its interpreters import, before those that
        PYTHONPATH names.
    variables : mapping
        More of its environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        inbox: Inbox,
        path: Sequence[str] = (),
        variables: Mapping[str, str] = {},  # never changed
    ) -> None:
        self._inbox = inbox
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by end
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **variables, "PYTHONPATH": _python_path(path)},
            # Not a session: Linux shares the processors evenly between sessions, so independent
            # processes, of a session each, would get more of a busy machine than a pool does.
            process_group=0,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name="runner")
        self._reader.start()

    def send(self, **order: Any) -> None:
        """Give an order; a process that is gone says so through the inbox."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass

    def last_words(self) -> str:
        """Say how the process ended, for a process that ended without saying why."""
        status = self._process.wait(END_TIMEOUT)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        manner = (
            f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        )
        return f"{manner}: {said[-1]}" if said else manner

    def end(self) -> str | None:
        """Ask the process to end and wait for it; return what went wrong, if anything did."""
        self.send(do="stop")
        try:
            status = self._process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"did not end within {END_TIMEOUT:.0f} s"
        wrong = f"ended badly, {self.last_words()}" if status else None
        self._close()
        return wrong

    def kill(self) -> None:
        """End the process and all those that it has made, at once."""
        if hasattr(os, "killpg"):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        else:
            self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._reader.join(END_TIMEOUT)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._inbox.put((self, json.loads(line)))
        self._inbox.put((self, {"event": "ended"}))


def _python_path(folders: Sequence[str]) -> str:
    return os.pathsep.join(filter(None, [*folders, os.environ.get("PYTHONPATH")]))
