"""The driver's end of a runner: a process, and what it says as it comes."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
END_TIMEOUT = 30.0

Inbox = queue.Queue["tuple[RunnerProcess, dict[str, Any]]"]
"""Where a thread per runner puts what its process says; ``{"event": "ended"}`` comes last."""


class RunnerProcess:
    """A process that runs ``bench.demo.runner``, in a group of its own so that it can be ended
    together with the processes that it has made."""

    def __init__(self, name: str, workers: int, inbox: Inbox) -> None:
        self._inbox = inbox
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by end
        # The files have odd escapes by the hundred; each would be reported on stderr.
        command = [sys.executable, "-W", "ignore", "-m", "bench.demo.runner", name, str(workers)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"PYTHONPATH": _python_path()},
            # Not a session: Linux shares the processors evenly between sessions, so independent
            # processes, of a session each, would get more of a busy machine than a pool does.
            process_group=0,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name=f"runner {name}")
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
        manner = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
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


def _python_path() -> str:
    """Return a PYTHONPATH by which the runner, its processes and its interpreters find us."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
