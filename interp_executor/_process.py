"""The process of a worker, seen from its owner.

A worker whose task needs a process makes one on first need and keeps it until its lease ends. One
task is in flight at a time, so what kills the process fails one future; the next gets a new one.

The worker's thread waits for the answer at the pipe itself. A ``ProcessPoolExecutor`` of one
process in its place would pass each task through two more threads, on the way there and back.
"""

from __future__ import annotations

import contextlib
import multiprocessing.process
import multiprocessing.util
import os
import select
import socket
import sys
import threading
import weakref

from interp_executor import _child, _forward, _hive, _native, _outcome, _serialize, _world
from interp_executor._channel import Channel, LargeFailed, WordsLost
from interp_executor._errors import ProcessCrashError
from interp_executor._lane import VALUE, Call, InitializerFailed, ProcessUnavailable
from interp_executor._process_end import ProcessEnd
from interp_executor._process_start import (
    default_context,
    fork_server,
    hint,
    server_has_ended,
    why_not_started,
    why_unavailable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from interp_executor._channel import Buffer, Large
    from interp_executor._pool import Pool


_channels: weakref.WeakSet[Channel] = weakref.WeakSet()

# Held to start a process and to keep it from multiprocessing, which looks for the exit statuses of
# all others as it starts one; and while the main module lacks its file.
_starting = threading.RLock()


def _begin_child() -> None:
    """Let go, in a forked child, of processes that only its parent can wait for and talk to."""
    global _starting
    _starting = threading.RLock()  # its holder may not have come along
    for channel in list(_channels):
        channel.close()  # or they would not learn of the parent's end


os.register_at_fork(after_in_child=_begin_child)
if _native.is_main_interpreter():  # in a worker, a scrub runs exit callbacks, too
    # Before multiprocessing's exit callback, which begins with these, takes the way to its fork
    # server away: what is pending may need another process.
    multiprocessing.util.Finalize(None, _hive.close_late, exitpriority=100)


class WorkerProcess:
    """The process of one worker, while it serves one pool."""

    def __init__(self, pool: Pool, name: str, importing: list[str] | None = None) -> None:
        self._pool = pool
        self._name = name
        self._importing = importing  # modules, the thread that has asked for the worker
        self._context = pool.mp_context or default_context()
        self._process: Any = None  # of the context, which gives it its type
        self._channel: Channel | None = None
        self._events: Any = None  # what poll() looks for: words of the process, and its end
        self._words = -1  # the descriptor that brings words of the process
        self._pidfd: int | None = None  # one that tells of its end
        self._lock = threading.RLock()
        # Protected by the lock:
        self._busy = False
        self._given_up = False  # together with its worker
        self._hurried = False  # what tasks leave behind in it is not waited for
        self._end: ProcessEnd | None = None  # which is waited for
        self._last_end: ProcessEnd | None = None  # of the last process
        self._stopped: tuple[bool, float] | None = None  # the present run: late, its time limit
        self._has_callable = False  # of a claim, since a process was made
        self._stopped_run: int | None = None  # the number of the last
        self._last_run: int | None = None  # that of the last that began here
        self._world = b""

    def make_ready(self) -> None:
        """Have a process that has been initialised: what follows is the task's own time."""
        self._let_go_of_the_dead()
        if self._channel is None:
            self._start()

    def run(self, call: Call) -> tuple[int, bytes, list[Any], Large]:
        """Run a call; return the kind of its outcome, the outcome and what that refers to."""
        (kind, outcome, attached, _), large = self._ask(_child.run, call)
        return kind, outcome, attached, large

    def run_items(self, call: Call) -> tuple[int, int, list[Any], Large]:
        """Run a callable on items of a map; return verdict, nanoseconds and the outcomes."""
        if call.data is None and not self._has_callable:
            return 0, 0, [], []
        (verdict, elapsed, outcomes, _), large = self._ask(_child.run_items, call)
        self._has_callable = True
        return verdict, elapsed, outcomes, large

    def _let_go_of_the_dead(self) -> None:
        """Close a process that was killed while it had nothing to do: no task goes with it."""
        if self._channel is not None and not self._is_unwanted() and self._has_ended():
            self.close()

    def _ask(self, question: Callable[..., Any], call: Call) -> tuple[Any, Large]:
        """Ask the child; once more if the owner can help with what could not be loaded.

        The child then has kept what came with the call: so None goes in its place.
        """
        of_callable = call.number, call.form, call.data
        answer = self._send(question, *of_callable, *call.rest, call.attached, large=call.large)
        unloaded = answer[0][-1]
        if unloaded is not None and self._refresh_world():
            answer = self._send(question, *of_callable, *call.rest, None)
            unloaded = answer[0][-1]
        if unloaded == "callable" and call.data is not None and call.form <= _serialize.IN_MAIN:
            try:
                by_value = self._pool.by_value(call.form, call.data)
            except Exception:
                return answer  # the first failure says more
            second = self._send(question, 0, _serialize.BY_VALUE, by_value, *call.rest, None)
            answer = answer if second[0][-1] == "callable" else second
        return answer

    def _refresh_world(self) -> bool:
        """Send the owner's world if it has changed; return whether modules are found elsewhere."""
        world = _world.encode()
        if world == self._world:
            return False
        has_changed, _ = self._send(_child.refresh_world, world)
        self._world = world
        return bool(has_changed)

    def _send(
        self, question: Callable[..., Any], *request: Any, large: Sequence[Buffer] = ()
    ) -> tuple[Any, Large]:
        """Have the process call the function; ProcessCrashError if it ends meanwhile."""
        assert self._channel is not None, "the process has not been made ready"
        try:
            self._channel.send((question.__name__, request), large)
            ok, answer, answered = self._receive(self._channel)
        except (EOFError, ConnectionError) as error:
            raise ProcessCrashError(_epitaph(self.close())) from error
        except LargeFailed:
            raise  # nothing but what was large is missing
        except BaseException:  # no memory, say: who knows what is in the pipe now
            self.kill()
            self.close()
            raise
        if not ok:
            try:
                raise answer
            finally:
                del answer  # its traceback leads to this frame, and so to the request's memory
        return answer, answered

    def _receive(self, channel: Channel) -> tuple[bool, Any, Large]:
        """Return the process's answer, and deliver what it has to say before."""
        while True:
            try:
                (ok, answer), large = channel.receive()
            except WordsLost as error:
                _native.report_unraisable(error, self._pool)
                continue
            if ok is not None:
                return ok, answer, large
            self._deliver(answer)

    def _deliver(self, output: bytearray) -> None:
        """Write and log what tasks have; a stream that fails does not fail the task."""
        end = self._end
        try:
            if end is not None:
                end.waits_for_us = True
            self._pool.deliver_output(output)
        except Exception as error:
            _native.report_unraisable(error, self._pool)
        finally:
            if end is not None:
                end.waits_for_us = False

    def _has_ended(self) -> bool:
        """Whether the process, or the fork server that would tell of its end, has ended.

        The server tells of it a moment later than the process's own end does, which is closed.
        """
        return any(
            file != self._words or event & select.POLLHUP for file, event in self._events.poll(0)
        )

    def _wait(self, for_room: bool) -> None:
        """Wait for words of the process, or room for ours. Its children may keep its end open."""
        if for_room:
            self._events.modify(self._words, select.POLLOUT)
        events = self._events.poll()
        if for_room:
            self._events.modify(self._words, select.POLLIN)
        if all(file != self._words for file, _ in events):
            raise EOFError

    # ---- stopping ----

    def stop(self, run: _native.Run, late: bool) -> bool:
        """Stop a run by ending the process; False if that has nothing to do with it.

        One that the process has done with needs no more than the moment until its outcome is
        handed on; what follows in it learns of the stop as it begins.
        """
        with self._lock:
            # A worker's runs follow one another: if this one is not over, it is what goes on here.
            if run.is_over():
                return False
            if not self._busy:
                return run.number == self._last_run
            self._stopped = self._stopped or (late, run.limits()[0] or 0.0)
            self._stopped_run = run.number
            self.kill()
            return True

    def _is_unwanted(self) -> bool:
        """Whether the present run is stopped, or the worker given up: what runs is killed."""
        with self._lock:
            return self._stopped is not None or self._given_up

    def kill(self) -> None:
        """End the process, whatever it does, also where it is on the way to its end."""
        with self._lock:
            if self._end is not None:
                self._end.kill()
            elif self._process is not None:
                self._process.kill()

    def give_up(self) -> None:
        """End the process, now or as soon as it has been made: nobody is left to do so."""
        with self._lock:
            self._given_up = True
            self.kill()

    def hurry(self) -> None:
        """Wait no longer, now or later, for what tasks have left behind in it."""
        with self._lock:
            self._hurried = True
            if self._end is not None or not self._busy:
                self.kill()

    def was_killed_for(self, run: _native.Run) -> bool:
        """Whether it was this run that the process was ended to stop, if it was any."""
        with self._lock:
            return self._stopped_run == run.number

    def begin(self, run: _native.Run | None) -> None:
        """Note that a run begins here, which may be stopped from now on."""
        with self._lock:
            self._busy, self._stopped = True, None
            self._last_run = None if run is None else run.number

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
        initializer = self._initializer()
        for is_second in (False, True):
            server = fork_server() if self._is_served() else None
            try:
                self._make()
                break
            except (EOFError, ConnectionError) as error:
                end = self.close()
                if is_second or not self._went_with(server, end):
                    raise self._not_started(end) from error
            except Exception as error:
                self.close()
                raise ProcessUnavailable(
                    f"a process could not be started ({type(error).__name__}: {error})"
                    + hint(error)
                ) from error
        if initializer is not None:
            self._initialize(initializer)

    def _not_started(self, end: ProcessEnd | None) -> Exception:
        """Return what a task raises whose process ended before it was ready.

        One that a signal has ended may do better the next time, as one that is killed later.
        """
        epitaph = _epitaph(end)
        if end is None or not end.killed:
            return ProcessUnavailable(why_not_started(epitaph, end is not None))
        main = _serialize.find_main()
        loading = "" if main is None else f", when a new process loads the main module {main[1]!r}"
        return ProcessCrashError(f"{epitaph}; that was before the task{loading}")

    def _went_with(self, server: int | None, end: ProcessEnd | None) -> bool:
        """Whether it is the end of the fork server that was there which left no process behind.

        Then the next server may do better; but not if the process is not wanted any more.
        """
        if self._is_unwanted():
            return False
        if end is not None:
            return end.orphaned
        return server is not None and server_has_ended(server)

    def _make(self) -> None:
        """Make the process, and hear from it that it is ready."""
        self._world, self._has_callable = _world.encode(self._importing), False
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours, self._wait)
        _channels.add(self._channel)
        with theirs:
            levels = _forward.levels() if self._pool.forward_output else None
            process = self._context.Process(
                target=_child.serve, args=(theirs, self._name, self._world, levels), name=self._name
            )
            with _starting, _without_a_false_main():
                process.start()
                _keep_from_multiprocessing(process)
        with self._lock:
            self._process = process
            if self._is_unwanted():
                process.kill()
        self._watch(ours)
        self._receive(self._channel)

    def _watch(self, ours: socket.socket) -> None:
        """Have poll() look for words of the process and for its end.

        Under spawn the sentinel is a pipe that children of the process inherit and keep open.
        """
        self._words = ours.fileno()
        files = [self._words, self._process.sentinel]
        if not self._is_served():
            with contextlib.suppress(AttributeError, OSError):  # a system without
                self._pidfd = os.pidfd_open(self._process.pid)
                files.append(self._pidfd)
        self._events = select.poll()
        for file in files:
            self._events.register(file, select.POLLIN)

    def _is_served(self) -> bool:
        """Whether processes are children of a fork server, not of this one."""
        served: bool = self._context.get_start_method() == "forkserver"
        return served

    def _initializer(self) -> Call | None:
        """Return the call of the executor's initializer, which runs in every new process."""
        pool = self._pool
        if pool.initializer is None:
            return None
        try:
            return _call_of(pool.initializer, pool.initargs)
        except Exception as error:
            if pool.only_processes:
                raise InitializerFailed(error, False) from None
            reason = f"the executor's initializer cannot be sent to it ({error})"
            raise ProcessUnavailable(reason) from error

    def _initialize(self, call: Call) -> None:
        """Run the executor's initializer; no task comes to a process where that went wrong."""
        try:
            (kind, outcome, _, _), _ = self._ask(_child.run, call)  # of this process, and no other
            if kind != VALUE:
                raise InitializerFailed(_outcome.unframed(outcome), False)
        except ProcessCrashError as error:
            assert self._last_end is not None
            if self._is_unwanted() or self._last_end.orphaned:
                raise
            raise InitializerFailed(error, self._last_end.killed) from None
        except BaseException:
            self.kill()
            self.close()
            raise
        self._pool.note_set_up()

    def end(self) -> None:
        """End the process, once it has said all that it has to say.

        Whether it can is up to what tasks have left behind, their streams among it.
        """
        end = self._begin_end()
        try:
            if end is not None and self._pool.forward_output:
                self._pool.hive.watchdog.expect(end)
                self._send(_child.flush)
        except ProcessCrashError:
            pass  # it has said what it could
        except BaseException as error:
            _native.report_unraisable(error, self._pool)
        finally:
            self.close()

    def close(self) -> ProcessEnd | None:
        """End the process, if there is one, wait for it, and return how it ended."""
        end = self._begin_end()
        if self._channel is not None:
            self._channel.hang_up()  # a process that has been forked here may keep it open
            self._channel = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        if end is not None:
            if not end.has_come():
                self._pool.hive.watchdog.expect(end)
            end.wait()
        with self._lock:
            self._end, self._last_end = None, end
        return end

    def _begin_end(self) -> ProcessEnd | None:
        """Have others hasten the end of the process from now on, if there is one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                patience = self._pool.patience()
                self._end = ProcessEnd(process, self._is_served(), self._name, patience)
                if self._hurried:
                    self._end.kill()
            return self._end

    def is_alive(self) -> bool:
        """Whether there is a process now."""
        return self._process is not None


def _call_of(initializer: Callable[..., object], initargs: tuple[object, ...]) -> Call:
    _, form, data, _ = _serialize.encode_callable(initializer, _serialize.pack_nothing)
    arguments, attached, large = _native.encode_call(*initargs)
    call = Call(0, form, data, arguments, None if attached is None else ([], attached), large)
    call.check()
    return call


def _epitaph(end: ProcessEnd | None) -> str:
    if end is None:
        return "the fork server, which starts processes, ended"
    return end.epitaph()


def _keep_from_multiprocessing(process: multiprocessing.process.BaseProcess) -> None:
    """Have nobody but its worker take the exit status of a process, or wait for its end.

    multiprocessing takes the status of all children that it knows whenever it starts one, makes up
    one where their fork server has ended, and joins them at the exit, idle ones too.
    """
    children: set[Any] = getattr(multiprocessing.process, "_children", set())
    children.discard(process)


@contextlib.contextmanager
def _without_a_false_main() -> Iterator[None]:
    """Keep multiprocessing from loading a main module that came from stdin, as if from a file.

    What such a module defines goes by value.
    """
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if main is None or file is None or _serialize.find_main() is not None:
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file
