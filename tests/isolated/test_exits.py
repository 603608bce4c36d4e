"""How programs end: work that is still there, executors nobody shut down, errors, exits."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .script import SOURCE, TIMEOUT, run, write

HEAD = """\
import atexit, gc, os, sys, threading, time
from interp_executor import InterpreterPoolExecutor

def say(text):
    print(text, flush=True)

def slow_say(text):
    time.sleep(0.1)
    print(text)

def wait_for_byte(fd):
    os.read(fd, 1)

def fail():
    raise ValueError("of a task")

def leave(kind):
    raise kind(130)

if __name__ == "__main__":
"""


def _script(tmp_path: Path, body: str) -> str:
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return write(tmp_path / "script.py", HEAD + indented)


def test_pending_work_finishes_when_the_program_ends(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
for number in range(3):
    executor.submit(slow_say, number)
print("end of script", flush=True)
"""
    lines = run(_script(tmp_path, body)).stdout.splitlines()
    assert lines == ["end of script", "0", "1", "2"]


def test_a_map_nobody_reads_finishes_when_the_program_ends(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
executor.map(slow_say, range(3))
"""
    assert run(_script(tmp_path, body)).stdout.splitlines() == ["0", "1", "2"]


def test_an_idle_executor_in_a_global_does_not_keep_the_program(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=2)
print(list(executor.map(abs, range(-3, 0))))
"""
    assert run(_script(tmp_path, body)).stdout == "[3, 2, 1]\n"


def test_an_unused_executor_does_not_keep_the_program(tmp_path: Path) -> None:
    assert run(_script(tmp_path, "executor = InterpreterPoolExecutor()")).stdout == ""


def test_an_executor_in_a_reference_cycle_does_not_keep_the_program(tmp_path: Path) -> None:
    body = """
class Holder:
    pass
gc.disable()
holder = Holder()
holder.executor = InterpreterPoolExecutor(max_workers=1)
holder.executor.holder = holder
holder.future = holder.executor.submit(abs, -5)
print(holder.future.result())
del holder
"""
    assert run(_script(tmp_path, body)).stdout == "5\n"


def test_futures_left_unread_do_not_keep_the_program(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
futures = [executor.submit(abs, number) for number in range(1000)]
failing = executor.submit(fail)
"""
    run(_script(tmp_path, body))


def test_an_exception_at_the_top_level_is_shown_and_the_work_finishes(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
executor.submit(slow_say, "finished")
raise LookupError("of the script")
"""
    result = run(_script(tmp_path, body), check=False)
    assert result.returncode == 1
    assert "LookupError: of the script" in result.stderr
    assert result.stdout == "finished\n"


def test_an_exception_of_a_task_ends_the_program_with_the_workers_traceback(
    tmp_path: Path,
) -> None:
    body = """
with InterpreterPoolExecutor(max_workers=1) as executor:
    executor.submit(fail).result()
"""
    result = run(_script(tmp_path, body), check=False)
    assert result.returncode == 1
    assert "in fail" in result.stderr
    assert 'raise ValueError("of a task")' in result.stderr
    assert result.stderr.rstrip().endswith("ValueError: of a task")


@pytest.mark.parametrize("code", [0, 3])
def test_sys_exit_keeps_its_code_and_the_work_finishes(tmp_path: Path, code: int) -> None:
    body = f"""
executor = InterpreterPoolExecutor(max_workers=1)
executor.submit(slow_say, "finished")
sys.exit({code})
"""
    result = run(_script(tmp_path, body), check=False)
    assert (result.returncode, result.stdout, result.stderr) == (code, "finished\n", "")


def test_shutdown_without_waiting_lets_the_work_finish(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
executor.submit(slow_say, "finished")
executor.shutdown(wait=False)
"""
    assert run(_script(tmp_path, body)).stdout == "finished\n"


def test_cancelled_work_does_not_run_at_exit(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
read, write = os.pipe()
executor.submit(wait_for_byte, read)
executor.submit(slow_say, "must not run").cancel()
executor.submit(slow_say, "nor this")
executor.shutdown(wait=False, cancel_futures=True)
os.write(write, b"!")
"""
    assert run(_script(tmp_path, body)).stdout == ""


def test_submit_while_the_program_ends_is_refused(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
executor.submit(abs, -1).result()
@atexit.register
def late():
    try:
        executor.submit(abs, -1)
    except RuntimeError as error:
        print(error)
"""
    out = run(_script(tmp_path, body)).stdout
    assert out == "cannot schedule new futures after interpreter shutdown\n"


def test_exit_handlers_of_the_program_see_finished_work(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
future = executor.submit(abs, -9)
@atexit.register
def report():
    print(future.done(), future.result())
"""
    assert run(_script(tmp_path, body)).stdout == "True 9\n"


@pytest.mark.parametrize("lane", [None, "process"])
@pytest.mark.parametrize("pending", [False, True])
def test_a_program_may_run_its_exit_handlers_itself(
    tmp_path: Path, pending: bool, lane: str | None
) -> None:
    body = f"""
executor = InterpreterPoolExecutor(2, lane={lane!r})
executor.submit(abs, -1).result()
for _ in range(2 * {pending}):  # one needs a new process
    executor.submit(slow_say, "work")
atexit._run_exitfuncs()
print("end of script")
"""
    lines = run(_script(tmp_path, body)).stdout.splitlines()
    assert lines == [*["work"] * 2 * pending, "end of script"]


KILL_AND_SHUT_DOWN = """
executor = InterpreterPoolExecutor(1, lane="process", forward_output=True)
process = executor.submit(os.getpid).result()
its_end = select.poll()
its_end.register(os.pidfd_open(process), select.POLLIN)
os.kill(process, signal.SIGKILL)
its_end.poll()
executor.shutdown()
"""

SPEAK_TO_NOBODY = """
ours, theirs = socket.socketpair()
theirs.close()
try:
    _channel.Channel(ours).say(b"words")
except BrokenPipeError:
    pass
"""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            KILL_AND_SHUT_DOWN,
            marks=pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="to wait for its end"),
        ),
        SPEAK_TO_NOBODY,
    ],
    ids=["owner", "process"],
)
def test_a_process_that_is_gone_does_not_end_a_program_by_sigpipe(
    tmp_path: Path, body: str
) -> None:
    head = """
import select, signal, socket
from interp_executor import _channel
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as command-line tools do
"""
    body = head + body + "print('end of script')"
    assert run(_script(tmp_path, body)).stdout == "end of script\n"


@pytest.mark.parametrize("end", ["del executor", "executor.shutdown()", "pass"])
@pytest.mark.parametrize("options", ["", ", reuse=True", ", initializer=abs, initargs=(-1,)"])
def test_a_program_that_drops_the_packages_modules_ends_as_any_other(
    tmp_path: Path, options: str, end: str
) -> None:
    body = f"""
executor = InterpreterPoolExecutor(1{options})
executor.submit(abs, -1).result()
for name in list(sys.modules):
    if name.startswith("interp_executor"):
        del sys.modules[name]
executor.submit(abs, -1).result()
{end}  # its worker is asked only now, if at all, whether it is clean
print("end of script")
"""
    assert run(_script(tmp_path, body)).stdout == "end of script\n"


def test_callbacks_run_before_the_program_ends(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
executor.submit(slow_say, "task").add_done_callback(lambda _: say("callback"))
"""
    assert run(_script(tmp_path, body)).stdout.splitlines() == ["task", "callback"]


def test_a_daemon_thread_in_result_does_not_keep_the_program(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
read, write = os.pipe()
future = executor.submit(wait_for_byte, read)
waiting = threading.Event()
def wait():
    waiting.set()
    future.result()
threading.Thread(target=wait, daemon=True).start()
waiting.wait()
os.write(write, b"!")
"""
    run(_script(tmp_path, body))


def test_executors_made_by_threads_end_with_the_program(tmp_path: Path) -> None:
    body = """
results = []
def work():
    executor = InterpreterPoolExecutor(max_workers=1)
    results.append(executor.submit(abs, -2).result())
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
say(results)  # threads that print at once mix their lines
"""
    assert run(_script(tmp_path, body)).stdout == "[2, 2, 2]\n"


def test_a_nested_executor_left_open_does_not_keep_the_program(tmp_path: Path) -> None:
    source = """\
from interp_executor import InterpreterPoolExecutor

kept = []

def nested():
    kept.append(InterpreterPoolExecutor(max_workers=1))
    return kept[0].submit(abs, -4).result()

if __name__ == "__main__":
    executor = InterpreterPoolExecutor(max_workers=1)
    print(executor.submit(nested).result())
"""
    assert run(write(tmp_path / "script.py", source)).stdout == "4\n"


def test_a_system_exit_in_a_task_does_not_end_the_program(tmp_path: Path) -> None:
    body = """
with InterpreterPoolExecutor(max_workers=1) as executor:
    for kind in (SystemExit, KeyboardInterrupt):
        error = executor.submit(leave, kind).exception()
        print(type(error) is kind, error)
"""
    assert run(_script(tmp_path, body)).stdout == "True 130\nTrue 130\n"


def test_os_exit_in_a_task_ends_the_program(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(max_workers=1)
executor.submit(os._exit, 7).result()
print("not reached")
"""
    result = run(_script(tmp_path, body), check=False)
    assert (result.returncode, result.stdout) == (7, "")


def test_many_executors_come_and_go(tmp_path: Path) -> None:
    body = """
for number in range(30):
    with InterpreterPoolExecutor(max_workers=2) as executor:
        assert list(executor.map(abs, range(5))) == list(range(5))
print(len(threading.enumerate()) <= 6)
"""
    assert run(_script(tmp_path, body)).stdout == "True\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_gets_out_of_result(tmp_path: Path) -> None:
    body = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs behind
executor = InterpreterPoolExecutor(max_workers=1)
read, write = os.pipe()
future = executor.submit(wait_for_byte, read)
try:
    print("waiting", flush=True)
    future.result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
os.write(write, b"!")
"""
    command = [sys.executable, "-W", "error", _script(tmp_path, body)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert process.wait() == 0
        finally:
            watchdog.cancel()
            watchdog.join()
