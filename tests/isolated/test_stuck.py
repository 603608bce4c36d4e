"""How programs end whose tasks do not: after Ctrl-C they are gone within two seconds."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crowding import crowding

from .script import SOURCE, TIMEOUT, leaves_interpreters, write

LIMIT = 2.0  # seconds from Ctrl-C to the end of the process

HEAD = """\
import atexit, os, re, signal, sys, threading, time
from interp_executor import InterpreterPoolExecutor

def loop(ready):
    os.write(ready, b"x")
    while True:
        pass

def allocate(ready):
    os.write(ready, b"x")
    while True:
        class Local:
            pass
        {str(number): [Local() for _ in range(9)] for number in range(99)}

def spin_in_c(ready):
    os.write(ready, b"x")
    re.match("(a+)+$", "a" * 60 + "b")

def wait_for_lock(ready):
    lock = threading.Lock()
    lock.acquire()
    os.write(ready, b"x")
    lock.acquire()

def sleep(ready):
    os.write(ready, b"x")
    time.sleep(1000)

def read(ready):
    ends = os.pipe()
    os.write(ready, b"x")
    os.read(ends[0], 1)

def leave():
    threading.Thread(target=time.sleep, args=(1000,)).start()

def leave_nested():
    kept.append(InterpreterPoolExecutor(1))
    kept[0].submit(time.sleep, 1000)

kept = []
STUCK = [loop, allocate, spin_in_c, wait_for_lock, sleep, read]

def get_stuck(executor, tasks=STUCK):
    ready = os.pipe()
    futures = [executor.submit(task, ready[1]) for task in tasks]
    for _ in tasks:
        os.read(ready[0], 1)
    return futures

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs behind
    executor = InterpreterPoolExecutor(len(STUCK))
"""


class Program:
    """A program that says "ready" on a line of its own, and what became of it."""

    def __init__(self, path: Path, body: str) -> None:
        indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", write(path / "script.py", HEAD + indented)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # An empty PYTHONUNBUFFERED is as good as none: what is printed waits to be flushed.
            env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": ""},
            text=True,
        )
        assert self.line() == "ready\n"

    def line(self) -> str:
        """Wait for the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> tuple[float, int, str, str]:
        """Return after how long it ended, its exit code, and what it printed from then on.

        But for the reports of what was abandoned.
        """
        started = time.monotonic()
        out, err = self._process.communicate(timeout=TIMEOUT)
        reports = re.compile(r".* has been abandoned: its \w+ could not be stopped\n")
        return time.monotonic() - started, self._process.returncode, out, reports.sub("", err)

    def close(self) -> None:
        """Leave nothing behind, whatever a test found."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        program.close()


def _interrupt(
    programs: list[Program], path: Path, body: str, number: int = signal.SIGINT, times: int = 1
) -> tuple[int, str, str]:
    """Send a signal once the program is ready; return its exit code and what it printed.

    It must be gone in time: in as much longer as the machine has more to do than it has processors.
    """
    program = Program(path, body)
    programs.append(program)
    limit = LIMIT * crowding()
    for _ in range(times):
        program.send(number)
    took, code, out, err = program.end()
    assert took < limit, f"gone after {took:.1f} s"
    return code, out, err


@leaves_interpreters
def test_ctrl_c_in_the_main_program_ends_it(tmp_path: Path, programs: list[Program]) -> None:
    body = """
futures = get_stuck(executor)
pending = executor.submit(print, "must not run")
atexit.register(lambda: print("cancelled:", pending.cancelled()))
print("ready", flush=True)
futures[0].result()
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out) == (-signal.SIGINT, "cancelled: True\n")
    assert err.count("Traceback") == 1
    assert err.endswith("KeyboardInterrupt\n")


def test_ctrl_c_ends_a_process_that_its_threads_keep(
    tmp_path: Path, programs: list[Program]
) -> None:
    body = """
with InterpreterPoolExecutor(1, lane="process") as executor:
    executor.submit(leave).result()
    executor.shutdown(wait=False)
    print("ready", flush=True)
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out) == (-signal.SIGINT, "")
    assert err.endswith("KeyboardInterrupt\n")


@leaves_interpreters
@pytest.mark.parametrize("task", ["leave", "leave_nested"])
def test_ctrl_c_ends_a_program_whose_worker_has_been_given_up_at_its_end(
    tmp_path: Path, programs: list[Program], task: str
) -> None:
    body = f"""
with InterpreterPoolExecutor(1) as another:
    another.submit({task}).result()
print("ready", flush=True)
time.sleep(1000)
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out) == (-signal.SIGINT, "")
    assert err.endswith("KeyboardInterrupt\n")


@leaves_interpreters
def test_ctrl_c_in_a_with_block_ends_the_program(tmp_path: Path, programs: list[Program]) -> None:
    body = """
with executor:
    futures = get_stuck(executor)
    atexit.register(lambda: print("cancelled:", pending.cancelled()))
    pending = executor.submit(print, "must not run")
    print("ready", flush=True)
    futures[0].result()
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out) == (-signal.SIGINT, "cancelled: True\n")
    assert err.count("Traceback") == 1


@leaves_interpreters
def test_a_program_goes_on_after_ctrl_c_in_a_with_block(
    tmp_path: Path, programs: list[Program]
) -> None:
    body = """
try:
    with executor:
        futures = get_stuck(executor)
        print("ready", flush=True)
        futures[0].result()
except KeyboardInterrupt:
    with InterpreterPoolExecutor(1) as another:
        print(another.submit(abs, -1).result(), flush=True)
sys.exit(3)
"""
    programs.append(Program(tmp_path, body))
    programs[-1].send(signal.SIGINT)
    _, code, out, err = programs[-1].end()
    assert (code, out, err) == (3, "1\n", "")


@leaves_interpreters
@pytest.mark.parametrize(
    ("step", "then"), [("close", "time.sleep(1000)"), ("join", "return real(pool, *args)")]
)
def test_ctrl_c_at_the_end_of_the_program_stops_the_work_it_waits_for(
    tmp_path: Path, programs: list[Program], step: str, then: str
) -> None:
    body = f"""
from interp_executor._pool import Pool
real = Pool.{step}
def tell(pool, *args):
    Pool.{step} = real
    print("ready", flush=True)
    {then}
Pool.{step} = tell
get_stuck(executor)
pending = executor.submit(print, "must not run")
atexit.register(lambda: print("cancelled:", pending.cancelled()))
sys.exit(3)
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out, err) == (-signal.SIGINT, "cancelled: True\n", "")


@leaves_interpreters
@pytest.mark.parametrize(
    ("end", "expected"), [("", 0), ("raise KeyboardInterrupt", -signal.SIGINT)]
)
def test_ctrl_c_in_the_exit_hook_of_a_library_ends_the_program(
    tmp_path: Path, programs: list[Program], end: str, expected: int
) -> None:
    body = f"""
get_stuck(executor)
pending = executor.submit(print, "must not run")
atexit.register(lambda: print("pending:", not pending.done()))
def wait():
    print("ready", flush=True)
    time.sleep(1000)
threading._register_atexit(wait)  # runs before the executor's
{end}
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out) == (expected, "pending: True\n")
    assert err.count("Traceback") == 1 + bool(end)
    assert err.strip(" :\n").endswith("KeyboardInterrupt")


@leaves_interpreters
def test_impatience_changes_nothing(tmp_path: Path, programs: list[Program]) -> None:
    body = """
futures = get_stuck(executor)
print("ready", flush=True)
futures[0].result()
"""
    code, _, _ = _interrupt(programs, tmp_path, body, times=3)  # some while the first is reported
    assert code == -signal.SIGINT


@leaves_interpreters
def test_impatience_is_ignored_once_the_end_has_begun(
    tmp_path: Path, programs: list[Program]
) -> None:
    body = """
from interp_executor import _exit
end = _exit.end_by_ctrl_c
def end_and_tell():
    end()
    print("ending", flush=True)
_exit.end_by_ctrl_c = end_and_tell
futures = get_stuck(executor)
print("ready", flush=True)
futures[0].result()
"""
    program = Program(tmp_path, body)
    programs.append(program)
    program.send(signal.SIGINT)
    assert program.line() == "ending\n"
    for _ in range(3):
        program.send(signal.SIGINT)
    _, code, out, err = program.end()
    assert (code, out) == (-signal.SIGINT, "")
    assert "Exception ignored" not in err


@leaves_interpreters
def test_ctrl_c_ends_a_program_whose_initializers_do_not_end(
    tmp_path: Path, programs: list[Program]
) -> None:
    body = """
ready = os.pipe()
starting = [
    InterpreterPoolExecutor(1, initializer=stuck, initargs=(ready[1],)) for stuck in STUCK
]
futures = [each.submit(abs, -1) for each in starting]
for _ in futures:
    os.read(ready[0], 1)
atexit.register(lambda: print("cancelled:", all(each.cancelled() for each in futures)))
print("ready", flush=True)
futures[0].result()
"""
    code, out, err = _interrupt(programs, tmp_path, body)
    assert (code, out) == (-signal.SIGINT, "cancelled: True\n")
    assert err.count("Traceback") == 1


def test_sigterm_ends_the_program_at_once(tmp_path: Path, programs: list[Program]) -> None:
    body = 'get_stuck(executor)\nprint("ready", flush=True)\nloop(1)'
    code, _, err = _interrupt(programs, tmp_path, body, signal.SIGTERM)
    assert (code, err) == (-signal.SIGTERM, "")


def test_where_the_runtime_is_not_known_a_stuck_program_ends_all_the_same(
    tmp_path: Path, programs: list[Program]
) -> None:
    body = """
from interp_executor import _native
_native.hide_interpreters = lambda: False
get_stuck(executor, [spin_in_c])
atexit.register(print, "flushed", end="")
print("ready", flush=True)
while True:
    time.sleep(1)
"""
    code, out, _ = _interrupt(programs, tmp_path, body)
    assert out == "flushed"
    # By whichever comes first: the watchdog, or CPython's end, which may crash there.
    assert code != 0
