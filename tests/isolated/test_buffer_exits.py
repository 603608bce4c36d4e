"""A program ends, and what it still views stays readable to the last."""

from pathlib import Path

import pytest

from .script import run, write

HEAD = """\
import atexit
from interp_executor import InterpreterPoolExecutor, SharedBuffer

kept = []

def make(n):
    return memoryview(bytearray([7]) * n)

def keep(view):
    kept.append(view)
    return len(kept)

class Late:
    def __init__(self, view):
        self.view = view
    def __del__(self):
        print(bytes(self.view[:3]))

if __name__ == "__main__":
"""


def _program(tmp_path: Path, body: str) -> str:
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return run(write(tmp_path / "script.py", HEAD + indented)).stdout


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_results_are_readable_at_exit(tmp_path: Path, size: int) -> None:
    body = f"""
executor = InterpreterPoolExecutor(1)
late = Late(executor.submit(make, {size}).result())
atexit.register(lambda: print(late.view[{size} - 1]))
"""
    assert _program(tmp_path, body) == "7\nb'\\x07\\x07\\x07'\n"


def test_a_view_kept_by_a_worker_ends_with_the_program(tmp_path: Path) -> None:
    body = """
source = bytearray(1_000_000)
executor = InterpreterPoolExecutor(1)
print(executor.submit(keep, memoryview(source)).result())
print(executor.submit(keep, SharedBuffer(10)).result())
"""
    assert _program(tmp_path, body) == "1\n2\n"


def test_results_nobody_has_read_do_not_hold_the_exit(tmp_path: Path) -> None:
    body = """
executor = InterpreterPoolExecutor(1, max_tasks_per_child=1)
futures = [executor.submit(make, 1000) for _ in range(3)]
"""
    assert _program(tmp_path, body) == ""
