"""The process of a worker, seen from its owner.

A worker whose task needs a process makes one on first need and keeps it until its lease ends. One
task is in flight at a time, so what kills the process fails one future; the next gets a new one.

The worker's thread waits for the answer at the pipe itself. A ``ProcessPoolExecutor`` of one
process in its place would pass each task through two more threads, on the way there and back.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import multiprocessing.spawn
import os
import signal
import sys
import threading

from interp_executor import _child, _forward, _native, _outcome, _serialize, _world
from interp_executor._errors import ProcessCrashError
from interp_executor._lane import VALUE, InitializerFailed, ProcessUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from interp_executor._pool import Pool


def default_context() -> Any:
    """Return the multiprocessing context of executors that were given none."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def why_unavailable(context: Any) -> str | None:
    """Return why no process can be made here, and what to do about it, or None if one can."""
    if multiprocessing.process.current_process().daemon:
        return (
            "this is a daemonic process, which may not have children: start it with "
            "daemon=False, or use concurrent.futures.ProcessPoolExecutor instead of "
            "multiprocessing.Pool around it"
        )
    if context.get_start_method() == "fork":
        return (
            "the executor's mp_context forks, and a fork of a process with interpreters at work "
            "kills the child: give it multiprocessing.get_context('forkserver') or 'spawn'"
        )
    executable = multiprocessing.spawn.get_executable()
    if not executable or not os.path.exists(os.fsdecode(executable)):
        return (
            "the program has no Python executable to start a process with (it is frozen or "
            "embedded): name one with multiprocessing.set_executable()"
        )
    return None


class WorkerProcess:
    """The process of one worker, while it serves one pool."""

    def __init__(self, pool: Pool, name: str) -> None:
        self._pool = pool
        self._name = name
        self._context = pool.mp_context or default_context()
        self._process: Any = None  # of the context, which gives it its type
        self._connection: Any = None
        self._lock = threading.RLock()
        # Protected by the lock:
        self._busy = False
        self._stopped: tuple[bool, float] | None = None  # the present run: late, its time limit
        self._world = b""

    def run(
        self, number: int, form: int, data: bytes, arguments: bytes, attached: list[Any]
    ) -> tuple[int, bytes]:
        """Run a call; return the kind of its outcome and the outcome."""
        kind, outcome, _ = self._ask(_child.run, number, form, data, arguments, attached)
        return kind, outcome

    def run_items(
        self,
        number: int,
        form: int,
        data: bytes,
        arity: int,
        items: bytes,
        offsets: bytes,
        attached: list[Any],
    ) -> tuple[int, int, list[bytes]]:
        """Run a callable on items of a map; return the verdict, nanoseconds and the outcomes."""
        verdict, elapsed, outcomes, _ = self._ask(
            _child.run_items, number, form, data, arity, items, offsets, attached
        )
        return verdict, elapsed, outcomes

    def _ask(self, question: Callable[..., Any], number: int, form: int, *rest: Any) -> Any:
        """Ask the child; once more if the owner can help with what could not be loaded."""
        answer = self._send(question, number, form, *rest)
        unloaded = answer[-1]
        if unloaded is not None and self._update_world():
            answer = self._send(question, number, form, *rest)
            unloaded = answer[-1]
        if unloaded == "callable" and number != 0:
            try:
                by_value = self._pool.by_value(form, rest[0])
            except Exception:
                return answer  # the first failure says more
            second = self._send(question, 0, _serialize.BY_VALUE, by_value, *rest[1:])
            answer = answer if second[-1] == "callable" else second
        return answer

    def _update_world(self) -> bool:
        """Send the owner's world if it has changed; return whether it had."""
        world = _world.encode()
        if world == self._world:
            return False
        self._send(_child.update_world, world)
        self._world = world
        return True

    def _send(self, question: Callable[..., Any], *request: Any) -> Any:
        """Have the process call the function; ProcessCrashError if it ends meanwhile."""
        if self._process is None:
            self._start()
        try:
            self._connection.send((question.__name__, request))
            ok, answer = self._receive()
        except (EOFError, OSError) as error:  # the latter if it ends amidst a message, too
            raise ProcessCrashError(self._epitaph()) from error
        if not ok:
            raise answer
        return answer

    def _receive(self) -> Any:
        """Return the process's answer, and deliver what it has to say before."""
        while True:
            # The pipe alone will not do: children of its own may keep that open.
            ready = multiprocessing.connection.wait([self._connection, self._process.sentinel])
            if self._connection not in ready:
                raise EOFError
            ok, answer = self._connection.recv()
            if ok is not None:
                return ok, answer
            self._deliver(answer)

    def _deliver(self, output: bytes) -> None:
        """Write and log what tasks have; a stream that fails does not fail the task."""
        try:
            self._pool.deliver_output(output)
        except Exception as error:
            _native.report_unraisable(error, self._pool)

    # ---- stopping ----

    def stop(self, run: _native.Run, late: bool) -> bool:
        """Stop a run by ending the process; False if the process is not at work on it."""
        with self._lock:
            # A worker's runs follow one another: if this one is not over, it is what goes on here.
            if not self._busy or run.is_over():
                return False
            self._stopped = late, run.limits()[0] or 0.0
            self.kill()
            return True

    def kill(self) -> None:
        """End the process, whatever it does."""
        process = self._process
        if process is not None:
            process.kill()

    def begin(self) -> None:
        """Note that a run begins here, which may be stopped from now on."""
        with self._lock:
            self._busy, self._stopped = True, None

    def finish(self) -> tuple[bool, float] | None:
        """Note that it is over; return whether it was stopped: late or not, and its time limit."""
        with self._lock:
            self._busy, stopped = False, self._stopped
        if stopped is not None:
            self.close()  # it has been killed, even if an answer came first
        return stopped

    # ---- from start to end ----

    def _start(self) -> None:
        reason = why_unavailable(self._context)
        if reason is not None:
            raise ProcessUnavailable(reason)
        self._world = _world.encode()
        self._connection, theirs = self._context.Pipe()
        try:
            levels = _forward.levels() if self._pool.forward_output else None
            process = self._context.Process(
                target=_child.serve, args=(theirs, self._name, self._world, levels), name=self._name
            )
            with _without_a_false_main():
                process.start()
            with self._lock:
                self._process = process
                if self._stopped is not None:
                    process.kill()
            theirs.close()
            self._receive()
        except (EOFError, ConnectionError) as error:
            raise ProcessUnavailable(_why_not_started(self._epitaph())) from error
        except Exception as error:
            self.close()
            raise ProcessUnavailable(
                f"a process could not be started ({type(error).__name__}: {error})"
            ) from error
        finally:
            theirs.close()
        self._initialize()

    def _initialize(self) -> None:
        """Run the executor's initializer, as in every new worker."""
        pool = self._pool
        if pool.initializer is None:
            return
        _, form, data, _ = _serialize.encode_callable(pool.initializer, _serialize.pack_nothing)
        arguments = _serialize.encode_arguments(pool.initargs)
        kind, outcome, _ = self._ask(_child.run, 0, form, data, arguments, [])
        if kind != VALUE:
            raise InitializerFailed(_outcome.unframed(outcome))

    def _epitaph(self) -> str:
        """Wait for the end of a process that is ending, let go of it, and say how it ended."""
        process = self._process
        if process is None:
            self.close()
            return "the fork server ended"
        self.close()
        code = process.exitcode
        if code is None:
            return "the process that ran the task ended unexpectedly"
        if code >= 0:
            return f"the process that ran the task ended with exit status {code}"
        name = _signal_name(-code)
        hint = ": it may have run out of memory" if name == "SIGKILL" else ""
        return f"the process that ran the task was killed by {name}{hint}"

    def end(self) -> None:
        """End the process, once it has said all that it has to say."""
        if self._pool.forward_output and self.is_alive():
            with contextlib.suppress(ProcessCrashError):
                self._send(_child.flush)
        self.close()

    def close(self) -> None:
        """End the process, if there is one, and wait for it."""
        process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if process is not None:
            process.join()

    def is_alive(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None


_starting = threading.Lock()


@contextlib.contextmanager
def _without_a_false_main() -> Iterator[None]:
    """Keep multiprocessing from loading a main module that came from stdin, as if from a file.

    What such a module defines goes by value.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    with _starting:
        if main is None or file is None or _serialize.find_main() is not None:
            yield
            return
        del main.__file__
        try:
            yield
        finally:
            main.__file__ = file


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _why_not_started(epitaph: str) -> str:
    """Explain why a process ended before its first task: all it does is to load the main module."""
    main = _serialize.find_main()
    if main is None:
        return f"a process could not be set up ({epitaph}; its words are on stderr)"
    where = repr(main[1])
    if main[0] == "path" and not _is_guarded(main[1]):
        return (
            f"the main module {where} is not guarded: a new process loads it to find what it "
            "defines, so what is to run only once belongs under if __name__ == '__main__':"
        )
    return (
        f"the main module {where} cannot be loaded in a new process ({epitaph}; its words are on "
        "stderr): what it does outside of if __name__ == '__main__': must work there too"
    )


def _is_guarded(path: str) -> bool:
    """Whether a script has an ``if __name__ == "__main__":`` at its top level."""
    import ast

    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    return any(
        isinstance(node, ast.Name) and node.id == "__name__"
        for statement in tree.body
        if isinstance(statement, ast.If)
        for node in ast.walk(statement.test)
    )
