"""A program that is killed leaves no process behind, and nothing in memory or temporary folders."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolated.script import SOURCE, named_memory, run, write

PATIENCE = 60.0

PROGRAM = """
import multiprocessing, os, sys, time
from interp_executor import InterpreterPoolExecutor

def hold(data):
    print(os.getpid(), flush=True)
    if len(data):
        time.sleep(10 if sys.argv[2] == "busy" else 0)
    return data

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    executor = InterpreterPoolExecutor(2, lane="process", mp_context=context)
    data = memoryview(bytes(4 << 20))
    futures = [executor.submit(hold, data) for _ in range(2)]
    if sys.argv[2] == "idle":
        results = [future.result() for future in futures]
    print("ready", flush=True)
    time.sleep(600)
"""


def descendants(root: int) -> set[int]:
    """The processes that a process has started, and those that these have."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text()
            except OSError:
                continue  # it has ended
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found - {root}
        found |= more


def is_running(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder with a short name: the path of the fork server's socket may have 107 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("state", ["idle", "busy"])
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_nothing_is_left_of_a_program_that_is_killed(
    method: str, state: str, tmp_path: Path, temporary: Path
) -> None:
    script = write(tmp_path / "program" / "killed.py", PROGRAM)
    shared = named_memory()
    program = subprocess.Popen(
        [sys.executable, script, method, state],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(temporary)},
    )
    assert program.stdout is not None and program.stderr is not None
    lines = [program.stdout.readline().strip() for _ in range(3)]
    assert "ready" in lines and all(lines), program.stderr.read()
    family = descendants(program.pid)
    assert {int(line) for line in lines if line != "ready"} <= family
    program.kill()
    program.wait()
    deadline = time.monotonic() + PATIENCE
    while left := {pid for pid in family if is_running(pid)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    complaints = program.stderr.read()
    program.stdout.close()
    program.stderr.close()
    assert named_memory() <= shared
    assert complaints == ""
    # The fork server's socket is multiprocessing's, which removes it in a normal exit alone.
    sockets = [name for name in os.listdir(temporary) if name.startswith("pymp-")]
    assert os.listdir(temporary) == sockets
    assert len(sockets) == (method == "forkserver")


UNHEARD = """
import multiprocessing, socket
from interp_executor import _child, _world

if __name__ == "__main__":
    ours, theirs = socket.socketpair()
    ours.close()
    serve = (theirs, "worker", _world.encode(), None)
    child = multiprocessing.get_context("spawn").Process(target=_child.serve, args=serve)
    child.start()
    theirs.close()
    child.join()
    print(child.exitcode)
"""


def test_a_child_whose_parent_is_gone_before_it_can_say_so_ends_without_a_word(
    tmp_path: Path,
) -> None:
    assert run(write(tmp_path / "unheard.py", UNHEARD)).stdout == "0\n"
