"""Programs whose tasks leave something behind that does not end: they end all the same."""

import re
from pathlib import Path

import pytest

from .script import leaves_interpreters, run, write

SOURCE = """\
import asyncio, atexit, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from interp_executor import InterpreterPoolExecutor

kept = []

def loop():
    while True:
        pass

def leave(kind):
    if kind == "thread":
        threading.Thread(target=time.sleep, args=(1000,)).start()
    elif kind == "loop":
        threading.Thread(target=loop).start()
    elif kind == "callback":
        atexit.register(time.sleep, 1000)
    elif kind == "executor":
        kept.append(ThreadPoolExecutor(1))
        kept[0].submit(time.sleep, 1000)
    elif kind == "nested":
        kept.append(InterpreterPoolExecutor(1))
        kept[0].submit(time.sleep, 1000)
    elif kind == "event loop":
        kept.append(asyncio.new_event_loop())
        kept[0].run_until_complete(asyncio.sleep(0))
    elif kind == "subprocess":
        command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        kept.append(subprocess.Popen(command, stdin=subprocess.PIPE))
    return kind

if __name__ == "__main__":
    executor = InterpreterPoolExecutor(1)
    print(executor.submit(leave, sys.argv[1]).result())
    sys.exit(3)
"""

STUCK = "threads or exit callbacks that its tasks left behind do not end"


@leaves_interpreters
@pytest.mark.parametrize("kind", ["thread", "loop", "callback", "executor", "nested"])
def test_what_does_not_end_keeps_no_program(tmp_path: Path, kind: str) -> None:
    result = run(write(tmp_path / "script.py", SOURCE), kind, check=False)
    assert (result.returncode, result.stdout) == (3, f"{kind}\n")
    assert re.fullmatch(rf".* has been abandoned: {STUCK}\n", result.stderr)


@pytest.mark.parametrize("kind", ["event loop", "subprocess"])
def test_what_needs_no_end_is_no_reason_to_wait(tmp_path: Path, kind: str) -> None:
    script = write(tmp_path / "script.py", SOURCE)
    result = run(script, kind, check=False, warnings="ignore")
    assert (result.returncode, result.stdout, result.stderr) == (3, f"{kind}\n", "")


COMPUTING = """\
import sys, threading, time
from interp_executor import InterpreterPoolExecutor, _watchdog

_watchdog._MOST_PATIENCE = 10**6  # where others want the processor, too, it takes long
kept = []

def compute():
    end = time.thread_time() + 3
    while time.thread_time() < end:
        pass
    print("computed", flush=True)

def leave(kind):
    if kind == "thread":
        threading.Thread(target=compute).start()
    elif kind == "nested":
        kept.append(InterpreterPoolExecutor(1))
        kept[0].submit(compute)
    elif kind == "thread of a nested one":
        kept.append(InterpreterPoolExecutor(1))
        kept[0].submit(leave, "thread").result()

if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(leave, sys.argv[1]).result()
    print("over")
"""


@pytest.mark.parametrize("kind", ["thread", "nested", "thread of a nested one"])
def test_what_computes_for_longer_than_the_grace_is_waited_for(tmp_path: Path, kind: str) -> None:
    result = run(write(tmp_path / "script.py", COMPUTING), kind)
    assert result.stdout == "computed\nover\n"


HOOKS = """\
import threading
from interp_executor import InterpreterPoolExecutor

def fail():
    raise ValueError("from a hook")

def leave():
    threading._register_atexit(fail)
    threading._register_atexit(print, "hook", flush=True)
    may_end = threading.Event()
    threading.Thread(target=lambda: (may_end.wait(), print("thread", flush=True))).start()
    threading._register_atexit(may_end.set)

if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(leave).result()
    print("over")
"""


def test_hooks_of_threading_run_once_and_what_they_raise_is_told_once(tmp_path: Path) -> None:
    result = run(write(tmp_path / "script.py", HOOKS), check=False)
    assert result.returncode == 0
    assert sorted(result.stdout.split()) == ["hook", "over", "thread"]
    assert result.stdout.endswith("over\n")
    assert result.stderr.count("ValueError: from a hook") == 1


ABANDONED = """\
import logging, os, threading, time
from interp_executor import InterpreterPoolExecutor
from interp_executor._hive import Hive

def stay(ready):
    while True:
        try:
            os.write(ready, b"x")
            time.sleep(1000)
        except BaseException:
            pass

waited_for = threading.Event()
threads = Hive.threads

def tell(hive):
    found = threads(hive)
    if threading.current_thread() is threading.main_thread():
        waited_for.set()
    return found

class Slow(logging.Handler):
    def emit(self, record):
        waited_for.wait()
        print(record.getMessage(), flush=True)

if __name__ == "__main__":
    Hive.threads = tell
    logging.getLogger().addHandler(Slow())
    ready = os.pipe()
    future = InterpreterPoolExecutor(1).with_options(grace=0.1).submit(stay, ready[1])
    os.read(ready[0], 1)
    future.interrupt()
"""


@leaves_interpreters
def test_a_worker_that_the_exit_waits_for_already_may_be_abandoned(tmp_path: Path) -> None:
    result = run(write(tmp_path / "script.py", ABANDONED))
    assert result.stdout.endswith(" has been abandoned: its task could not be stopped\n")


VIEWED = """\
import os, sys, threading
from interp_executor import InterpreterPoolExecutor

def hold_gil(go, held):
    import ctypes
    c = ctypes.PyDLL(None)
    os.read(go, 1)
    c.write(held, b"!", 1)
    c.pause()

def leave(wait, *args):
    threading.Thread(target=wait, args=args).start()
    return memoryview(b"x" * 1_000_000)

if __name__ == "__main__":
    go, held = os.pipe(), os.pipe()
    call = (hold_gil, go[0], held[1]) if sys.argv[1] == "gil" else (os.read, go[0], 1)
    with InterpreterPoolExecutor(1) as executor:
        view = executor.submit(leave, *call).result()
        (worker,) = executor._threads
    if sys.argv[1] == "dropped":
        del view
        while not worker.ending:
            os.sched_yield()
    elif sys.argv[1] == "gil":
        os.write(go[1], b"!")
        os.read(held[0], 1)
    print("over")
"""


@leaves_interpreters
@pytest.mark.parametrize("view", ["kept", "dropped", "gil"])
def test_what_does_not_end_keeps_no_program_that_has_viewed_its_memory(
    tmp_path: Path, view: str
) -> None:
    result = run(write(tmp_path / "script.py", VIEWED), view, check=False)
    assert (result.returncode, result.stdout) == (0, "over\n")
    assert re.fullmatch(rf".* has been abandoned: {STUCK}\n", result.stderr)
