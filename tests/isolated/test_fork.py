"""Forks of a process with live workers: the parent goes on, the child begins anew."""

import os
from pathlib import Path

import pytest

from .script import leaves_interpreters, run, write

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

# A worker that allocates holds a lock of that allocator's, which no thread of the child releases.
# One that starts does, too: after map() a second worker may.
while_workers_allocate = pytest.mark.skipif(
    "IX_SANITIZE" in os.environ,
    reason="AddressSanitizer's allocator does not see to its locks at a fork",
)

HEAD = """\
import os, signal, sys, threading, warnings
from concurrent.futures import as_completed, wait
warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # is multi-threaded
from interp_executor import InterpreterPoolExecutor, close_idle_workers, prewarm

def square(number):
    return number * number

def count(number):
    return sum(range(number % 500))

def begin_to_read(begin, read):
    os.write(begin, b"!")
    return os.read(read, 1)

def in_child(body, code=7):
    # Forks; returns the child's exit code.
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # a child that hangs ends all the same
        body()
        sys.exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def refusal(function, *args):
    try:
        result = function(*args)
    except RuntimeError as error:
        assert "inherited through a fork" in str(error), error
        return True
    raise AssertionError(f"{function} returned {result!r}")

def work_in_child():
    with InterpreterPoolExecutor(2) as executor:
        assert list(executor.map(square, range(50))) == [n * n for n in range(50)]
        future = executor.submit(square, 3)
        future.add_done_callback(lambda _: None)
        assert wait([future]).done == {future}

if __name__ == "__main__":
"""


def _run(tmp_path: Path, body: str) -> str:
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return run(write(tmp_path / "script.py", HEAD + indented)).stdout


@leaves_interpreters
def test_a_child_makes_an_executor_of_its_own_and_exits_cleanly(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(2)
executor.submit(square, 1).result()
for code in (0, 7):
    print(in_child(work_in_child, code))
print(executor.submit(square, 5).result())
"""
    assert _run(tmp_path, body).split() == ["0", "7", "25"]


@leaves_interpreters
def test_a_child_may_fork_again(tmp_path: Path) -> None:
    body = """
def child():
    work_in_child()
    kept.append(InterpreterPoolExecutor(1))
    kept[0].submit(square, 2).result()
    close_idle_workers()  # those of work_in_child() have ended then
    print(in_child(work_in_child, 3))
kept = []
with InterpreterPoolExecutor(1) as executor:
    executor.submit(square, 1).result()
    print(in_child(child))
"""
    assert _run(tmp_path, body).split() == ["3", "7"]


@leaves_interpreters
def test_an_inherited_executor_refuses_to_work(tmp_path: Path) -> None:
    body = """
read, write = os.pipe()
begun, begin = os.pipe()
executor = InterpreterPoolExecutor(1)
never_used = InterpreterPoolExecutor(1)
done = executor.submit(square, 3)
done.result()
observed = executor.submit(square, 4)
observed.add_done_callback(print)
observed.result()
running = executor.submit(begin_to_read, begin, read)
os.read(begun, 1)
queued = executor.submit(square, 2)
queued.add_done_callback(lambda _: None)
to_cancel = executor.submit(square, 2)
results = executor.map(square, range(3))
def child():
    for each in (executor, never_used, executor.with_options(chunksize=2)):
        refusal(each.submit, square, 1)
        refusal(each.map, square, [1])
        refusal(each.stats)
    for future in (running, queued):
        refusal(future.result)
        refusal(future.exception, 10)
        refusal(future.add_done_callback, print)
        refusal(wait, [future])
        refusal(list, as_completed([future]))
        assert not future.done()
    refusal(next, results)
    refusal(running.interrupt)
    refusal(executor.with_options(timeout=1).submit, square, 1)
    assert to_cancel.cancel() and to_cancel.cancelled()
    assert not running.cancel()
    for future, value in ((done, 9), (observed, 16)):
        assert future.done() and future.result() == value
        assert wait([future]).done == {future}
        assert list(as_completed([future])) == [future]
    with executor:
        pass
    executor.shutdown(cancel_futures=True)
    never_used.shutdown()
    executor.terminate_workers()
    executor.kill_workers()
    work_in_child()
print(in_child(child))
os.write(write, b"!")
print(running.result(), queued.result(), to_cancel.result(), list(results))
"""
    lines = _run(tmp_path, body).splitlines()
    assert lines[0].startswith("<Future")
    assert lines[1:] == ["7", "b'!' 4 4 [0, 1, 4]"]


@leaves_interpreters
@while_workers_allocate
def test_a_child_that_leaves_the_with_block_of_its_parent_exits(tmp_path: Path) -> None:
    body = """
with InterpreterPoolExecutor(1) as executor:
    executor.submit(square, 2).result()
    future = executor.submit(square, 3)
    pid = os.fork()
    if pid != 0:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), future.result())
"""
    assert _run(tmp_path, body) == "0 9\n"


@leaves_interpreters
@while_workers_allocate
def test_what_a_child_inherited_can_be_collected(tmp_path: Path) -> None:
    body = """
import gc
kept = {"executor": InterpreterPoolExecutor(1)}
kept["futures"] = [kept["executor"].submit(square, n) for n in range(100)]
for future in kept["futures"][::2]:
    future.add_done_callback(lambda _: None)
kept["map"] = kept["executor"].map(count, range(1000))
next(kept["map"])
def child():
    kept.clear()
    gc.collect()
    work_in_child()
print(in_child(child))
"""
    assert _run(tmp_path, body) == "7\n"


@leaves_interpreters
def test_idle_and_spare_workers_do_not_hurt_a_child(tmp_path: Path) -> None:
    body = """
prewarm(2, wait=True)
def child():
    close_idle_workers()
    work_in_child()
print(in_child(child))
close_idle_workers()
print(in_child(work_in_child))
"""
    assert _run(tmp_path, body).split() == ["7", "7"]


@while_workers_allocate
def test_multiprocessing_forks(tmp_path: Path) -> None:
    body = """
import multiprocessing
context = multiprocessing.get_context("fork")
with InterpreterPoolExecutor(2) as executor:
    print(list(executor.map(square, range(3))))
    process = context.Process(target=work_in_child)
    process.start()
    process.join()
    print(process.exitcode)
    with context.Pool(2) as pool:
        print(pool.map(square, range(4)))
    print(executor.submit(square, 4).result())
"""
    assert _run(tmp_path, body).splitlines() == ["[0, 1, 4]", "0", "[0, 1, 4, 9]", "16"]


def _has_terminals() -> bool:
    try:
        terminal = os.openpty()
    except OSError:
        return False
    for end in terminal:
        os.close(end)
    return True


@leaves_interpreters
@pytest.mark.skipif(not _has_terminals(), reason="this system gives no pseudo-terminals")
@pytest.mark.parametrize("fork", ["os.forkpty", "pty.fork"])
def test_forks_with_a_terminal(tmp_path: Path, fork: str) -> None:
    body = f"""
import pty
executor = InterpreterPoolExecutor(2)
executor.submit(square, 1).result()
pid, terminal = {fork}()
if pid == 0:
    work_in_child()
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), executor.submit(square, 2).result())
"""
    assert _run(tmp_path, body) == "7 4\n"


def test_processes_of_the_standard_library_can_be_forked_beside_workers(tmp_path: Path) -> None:
    body = """
import multiprocessing, subprocess
from concurrent.futures import ProcessPoolExecutor
with InterpreterPoolExecutor(2) as executor:
    executor.submit(square, 1).result()
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as processes:
        print(list(processes.map(square, range(3))))
    command = [sys.executable, "-c", "print(5)"]
    print(subprocess.run(command, capture_output=True, preexec_fn=os.getpid).stdout)
"""
    assert _run(tmp_path, body).splitlines() == ["[0, 1, 4]", "b'5\\n'"]


@leaves_interpreters
def test_a_child_has_processes_where_its_parent_had_a_fork_server(tmp_path: Path) -> None:
    """Of the program's own: nothing here has been told of it."""
    body = """
import multiprocessing
process = multiprocessing.get_context("forkserver").Process(target=square, args=(1,))
process.start()
process.join()
def child():
    with InterpreterPoolExecutor(1, lane="process") as executor:
        print(executor.submit(square, 4).result())
print(in_child(child))
"""
    assert _run(tmp_path, body).split() == ["16", "7"]


def test_a_task_cannot_fork(tmp_path: Path) -> None:
    body = """
with InterpreterPoolExecutor(1) as executor:
    print(executor.submit(os.fork).exception())
"""
    assert "fork not supported" in _run(tmp_path, body)


@leaves_interpreters
def test_where_the_runtime_is_not_known_a_fork_says_what_to_close(tmp_path: Path) -> None:
    body = """
from interp_executor import _hive
_hive._knows_runtime = False  # the child lives all the same: only the warning is tried here
print(in_child(work_in_child))
prewarm(1, wait=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", RuntimeWarning)
    print(in_child(work_in_child))
print([each.message for each in caught])
"""
    lines = _run(tmp_path, body).splitlines()
    assert lines[:2] == ["7", "7"]
    assert "close_idle_workers()" in lines[2]


LOAD = """
import multiprocessing, time
def in_terminal(body):
    pid, terminal = os.forkpty()
    if pid == 0:
        signal.alarm(30)
        body()
        sys.exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return code
def in_process(body):
    def run():
        signal.alarm(30)
        body()
        sys.exit(7)
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode
def feed():
    while not stop.is_set():
        futures = [executor.submit(count, n) for n in range(100)]
        for future in futures[::2]:
            future.add_done_callback(lambda _: None)
        assert sum(1 for _ in executor.map(count, range(200))) == 200
        wait(futures)
def come_and_go():
    while not stop.wait(0.02):  # each one costs 3.13 memory
        with InterpreterPoolExecutor(1) as other:
            other.submit(count, 3).result()
def child():
    refusal(executor.submit, square, 1)
    refusal(pending.result)
    refusal(next, results)
    assert not held_up.result() if held_up.done() else refusal(held_up.result)
    work_in_child()
stop = threading.Event()
codes = []
with InterpreterPoolExecutor(3) as executor:
    threads = [threading.Thread(target=each) for each in (feed, come_and_go)]
    for thread in threads:
        thread.start()
    try:
        for number in range({rounds}):
            read, write = os.pipe()
            held_up = executor.submit(count, 0)
            pending = executor.submit(os.read, read, 1)
            results = executor.map(count, range(1000))
            codes.append({way}(child))
            os.write(write, b"!")
            assert pending.result() == b"!" and sum(1 for _ in results) == 1000
            os.close(read)
            os.close(write)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
print(codes == [7] * {rounds}, codes if set(codes) != {{7}} else "")
"""


@leaves_interpreters
@while_workers_allocate
def test_forks_under_load(tmp_path: Path) -> None:
    assert _run(tmp_path, LOAD.format(rounds=8, way="in_child")).split() == ["True"]


LENDING = """
def child():
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(square, 3).result() == 9
large = bytes(300_000)
codes = []
with InterpreterPoolExecutor(2) as executor:
    executor.submit(square, 1).add_done_callback(lambda _: None)
    for number in range(40):
        futures = [executor.submit(len, [large]) for _ in range(20)]
        codes.append(in_child(child))
        wait(futures)
print(codes == [7] * 40, codes if set(codes) != {7} else "")
"""


@leaves_interpreters
@while_workers_allocate
def test_a_child_may_be_forked_while_workers_give_back_what_was_lent(tmp_path: Path) -> None:
    """The one who gives it back rings for the notifier, and holds a lock meanwhile."""
    assert _run(tmp_path, LENDING).split() == ["True"]


@leaves_interpreters
def test_workers_of_a_child_print_although_one_of_the_parents_was_writing(tmp_path: Path) -> None:
    body = """
import select
read, write = os.pipe()
screen = os.dup(1)
def child():
    os.dup2(screen, 1)
    with InterpreterPoolExecutor(1) as other:
        other.submit(print, "in the child").result()
executor = InterpreterPoolExecutor(1)
executor.submit(square, 1).result()
os.dup2(write, 1)
writing = executor.submit(print, "x" * 300_000, end="")
while select.select([], [write], [], 0)[1]:
    os.sched_yield()
code = in_child(child)
with open(read, "rb") as reader:
    written = len(reader.read(300_000))
writing.result()
os.dup2(screen, 1)
print(code, written)
"""
    assert _run(tmp_path, body).split() == ["in", "the", "child", "7", "300000"]


WAYS = ["in_child", "in_process", *(["in_terminal"] if _has_terminals() else [])]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", range(10))
def test_two_hundred_forks_under_load(tmp_path: Path, part: int, way: str) -> None:
    assert _run(tmp_path, LOAD.format(rounds=20, way=way)).split() == ["True"]
