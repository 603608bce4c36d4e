"""Where threads cannot be had, or a worker fails within: a clear word, and shutdown returns."""

from .script import run

PROGRAM = """
import threading
from interp_executor import InterpreterPoolExecutor, _watchdog, _worker_thread

def scarce(*_):
    raise RuntimeError("can't start new thread")

with InterpreterPoolExecutor(1) as executor:
    print(executor.submit(lambda: 9).result())  # by value: the worker is scrubbed afterwards
    {scarcity}
print("over")
"""


def test_without_a_thread_for_the_watchdog_shutdown_returns() -> None:
    program = PROGRAM.format(scarcity="_watchdog.Watchdog.start = scarce")
    done = run("-c", program, check=False)
    assert (done.returncode, done.stdout) == (0, "9\nover\n")
    assert "workers do not get stuck: can't start new thread" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_fails_within_is_counted_out() -> None:
    program = PROGRAM.format(scarcity="_worker_thread.WorkerThread._is_fit = scarce")
    done = run("-c", program, check=False)
    assert (done.returncode, done.stdout) == (0, "9\nover\n")


SHORT = """
from interp_executor import InterpreterPoolExecutor, _worker_thread

def scarce(*_):
    raise RuntimeError("can't start new thread")

with InterpreterPoolExecutor(4) as executor:
    print(executor.submit(abs, -9).result())
    _worker_thread.WorkerThread.start = scarce
    print(sum(executor.map(abs, range(10_000))))
    print(sum(future.result() for future in [executor.submit(abs, -1) for _ in range(100)]))
"""


def test_where_no_more_threads_are_had_the_workers_there_are_do_all_and_say_so_once() -> None:
    done = run("-c", SHORT, check=False)
    assert done.stdout == "9\n49995000\n100\n"
    assert done.stderr == ("no more than 1 of 4 workers can be started: can't start new thread\n")
