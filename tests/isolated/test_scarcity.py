"""Where threads cannot be had, or a worker fails within: a clear word, and shutdown returns."""

import os
from pathlib import Path

import pytest

from .script import run, write

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
import os
from interp_executor import InterpreterPoolExecutor, _worker_thread

def scarce(*_):
    raise RuntimeError("can't start new thread")

read, write = os.pipe()
with InterpreterPoolExecutor(4) as executor:
    held = executor.submit(os.read, read, 1)  # no work is done, so more workers are wanted
    _worker_thread.WorkerThread.start = scarce
    futures = [executor.submit(abs, -1) for _ in range(100)]
    results = executor.map(abs, range(10_000))
    os.write(write, b"9")
    print(held.result(), sum(future.result() for future in futures), sum(results))
"""


def test_where_no_more_threads_are_had_the_workers_there_are_do_all_and_say_so_once() -> None:
    done = run("-c", SHORT, check=False)
    assert done.stdout == "b'9' 100 49995000\n"
    assert done.stderr == (
        "a worker cannot be started, others do its work: can't start new thread\n"
    )


NONE = """
import threading
from interp_executor import InterpreterPoolExecutor, _worker_thread

both, start = threading.Barrier(2), _worker_thread.WorkerThread.start

def scarce(*_):
    both.wait()
    raise RuntimeError("can't start new thread")

def submit():
    try:
        futures.append(executor.submit(abs, -1))
    except RuntimeError as error:
        errors.append(error)

futures, errors = [], []
with InterpreterPoolExecutor(4) as executor:
    _worker_thread.WorkerThread.start = scarce
    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors += [future.exception(30) for future in futures]
    print(len(errors), {str(error).rpartition(":")[2].strip() for error in errors})
    _worker_thread.WorkerThread.start = start
    print(executor.submit(abs, -9).result(30), executor.stats().queued)
"""


def test_where_no_thread_is_had_at_all_every_task_fails_and_the_next_is_tried_again() -> None:
    done = run("-c", NONE, check=False)
    assert done.stdout == '2 {"can\'t start new thread"}\n9 0\n', done.stderr


NO_DESCRIPTORS = """
import os, resource
from interp_executor import InterpreterPoolExecutor

def give(n):
    return bytes(n)

def hold_all_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    while True:
        try:
            held.append(os.dup(0))
        except OSError:
            return os.getpid()

def let_go():
    while held:
        os.close(held.pop())

held = []
if __name__ == "__main__":
    with InterpreterPoolExecutor(1, lane="process") as executor:
        process = executor.submit(os.getpid).result()
        {hold}
        try:
            {large}
        except OSError as error:
            print(type(error).__name__, error.errno, "ulimit -n" in str(error))
        print(executor.submit(len, b"small").result())
        {let_go}
        print(executor.submit(os.getpid).result() == process, executor.submit(give, 3).result())
"""


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="nothing goes in mapped memory")
@pytest.mark.parametrize(
    "steps",
    [
        {
            "hold": "hold_all_descriptors()",
            "large": "executor.submit(give, 1_000_000).result()",
            "let_go": "let_go()",
        },
        {
            "hold": "executor.submit(hold_all_descriptors).result()",
            "large": "executor.submit(len, bytes(1_000_000)).result()",
            "let_go": "executor.submit(let_go).result()",
        },
    ],
    ids=["owner", "process"],
)
def test_without_a_descriptor_what_is_large_fails_alone(
    steps: dict[str, str], tmp_path: Path
) -> None:
    program = NO_DESCRIPTORS.replace("{hold}", steps["hold"])
    program = program.replace("{large}", steps["large"]).replace("{let_go}", steps["let_go"])
    done = run(write(tmp_path / "program.py", program))
    assert done.stdout == "LargeFailed 24 True\n5\nTrue b'\\x00\\x00\\x00'\n"


LITTLE_MEMORY = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import lane_tasks
from interp_executor import InterpreterPoolExecutor

if __name__ == "__main__":
    with InterpreterPoolExecutor(1, lane="process") as executor:
        process = executor.submit(os.getpid).result()
        executor.submit(lane_tasks.limit_memory, 100 << 20).result()
        for large in bytes(200 << 20), [0] * (100 << 20):
            error = executor.submit(len, large).exception()
            print(type(error).__name__, error.errno == 12, "ulimit -v" in str(error))
        print(executor.submit(os.getpid).result() == process)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is not limited here")
def test_what_is_too_large_for_a_process_fails_alone(tmp_path: Path) -> None:
    done = run(write(tmp_path / "program.py", LITTLE_MEMORY))
    assert done.stdout == "LargeFailed True True\nLargeFailed True True\nTrue\n"
