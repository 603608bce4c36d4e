"""Functions of the main module, in all the ways in which a program can be started."""

from pathlib import Path

import pytest

from .script import run, write

COUNTER = """\
from interp_executor import InterpreterPoolExecutor

calls = 0

def count():
    global calls
    calls += 1
    return calls

if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=1) as executor:
        print([executor.submit(count).result() for _ in range(3)], calls)
"""


@pytest.mark.parametrize("name", ["script.py", "with space.py", "é-漢字.py", "no_suffix"])
def test_globals_of_a_script_live_on_between_tasks(tmp_path: Path, name: str) -> None:
    assert run(write(tmp_path / name, COUNTER)).stdout == "[1, 2, 3] 0\n"


def test_a_script_is_found_by_its_relative_name_after_a_change_of_folder(tmp_path: Path) -> None:
    source = COUNTER.replace("    with", "    import os; os.chdir('/')\n    with", 1)
    write(tmp_path / "script.py", source)
    assert run("script.py", folder=tmp_path).stdout == "[1, 2, 3] 0\n"


def test_a_module_run_by_m_is_loaded_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "helper.py", "OFFSET = 10\n")
    source = COUNTER.replace("calls = 0", "from .helper import OFFSET\n\ncalls = OFFSET")
    write(tmp_path / "package" / "program.py", source)
    assert run("-m", "package.program", folder=tmp_path).stdout == "[11, 12, 13] 10\n"


def test_a_package_run_by_m_is_loaded_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "__main__.py", COUNTER)
    assert run("-m", "package", folder=tmp_path).stdout == "[1, 2, 3] 0\n"


def test_a_folder_with_a_main_file_is_run(tmp_path: Path) -> None:
    write(tmp_path / "folder" / "__main__.py", COUNTER)
    assert run("folder", folder=tmp_path).stdout == "[1, 2, 3] 0\n"


def test_a_script_imports_its_neighbours_in_the_worker(tmp_path: Path) -> None:
    write(tmp_path / "neighbour.py", "def double(value):\n    return 2 * value\n")
    source = """\
from interp_executor import InterpreterPoolExecutor
from neighbour import double

def twice(value):
    return double(double(value))

if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=1) as executor:
        print(executor.submit(twice, 3).result(), executor.submit(double, 3).result())
"""
    assert run(write(tmp_path / "script.py", source)).stdout == "12 6\n"


def test_classes_and_exceptions_of_a_script_keep_their_identity(tmp_path: Path) -> None:
    source = """\
import dataclasses, enum
from interp_executor import InterpreterPoolExecutor

@dataclasses.dataclass
class Point:
    x: int
    y: int
    def flipped(self):
        return Point(self.y, self.x)

class Colour(enum.Enum):
    RED = 1

class MyError(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code

def flip(point):
    assert type(point) is Point
    return point.flipped()

def fail():
    raise MyError(3, "mine")

def same(colour):
    return colour is Colour.RED, colour

if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=1) as executor:
        point = executor.submit(flip, Point(1, 2)).result()
        print(point == Point(2, 1), type(point) is Point)
        print(executor.submit(Point(5, 6).flipped).result())
        same_there, colour = executor.submit(same, Colour.RED).result()
        print(same_there, colour is Colour.RED)
        try:
            executor.submit(fail).result()
        except MyError as error:
            print(type(error) is MyError, error.code, error)
        print([type(p) is Point for p in executor.map(Point, [1], [2])])
"""
    assert run(write(tmp_path / "script.py", source)).stdout.splitlines() == [
        "True True",
        "Point(x=6, y=5)",
        "True True",
        "True 3 mine",
        "[True]",
    ]


def test_a_filter_for_a_class_of_the_script_comes_when_a_worker_needs_the_script(
    tmp_path: Path,
) -> None:
    source = """\
import warnings
from interp_executor import InterpreterPoolExecutor

class Mine(UserWarning):
    pass

def warn():
    warnings.warn("from a task", Mine)

print("loaded as", __name__)
if __name__ == "__main__":
    warnings.simplefilter("error", Mine)
    with InterpreterPoolExecutor(1) as executor:
        print(executor.submit(abs, -1).result(), flush=True)
        print(type(executor.submit(warn).exception()) is Mine)
"""
    assert run(write(tmp_path / "script.py", source)).stdout.splitlines() == [
        "loaded as __main__",
        "1",
        "loaded as __mp_main__",
        "True",
    ]


def test_the_script_runs_once_in_each_worker_under_the_name_of_multiprocessing(
    tmp_path: Path,
) -> None:
    source = """\
import sys
from interp_executor import InterpreterPoolExecutor

loads = globals().get("loads", 0) + 1

def look():
    main, mp_main = sys.modules["__main__"], sys.modules["__mp_main__"]
    return __name__, main is mp_main, vars(main) is globals(), loads

if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=1) as executor:
        print(executor.submit(look).result())
        print(executor.submit(look).result())
    print(__name__, "__mp_main__" in sys.modules)
"""
    lines = run(write(tmp_path / "script.py", source)).stdout.splitlines()
    assert lines[:2] == ["('__mp_main__', True, True, 1)"] * 2
    assert lines[2].startswith("__main__")


def test_a_global_set_by_an_initializer_of_a_script_is_seen_by_tasks(tmp_path: Path) -> None:
    source = """\
from interp_executor import InterpreterPoolExecutor

STATUS = "uninitialised"

def prepare(value):
    global STATUS
    STATUS = value

def status():
    return STATUS

if __name__ == "__main__":
    with InterpreterPoolExecutor(1, initializer=prepare, initargs=("ready",)) as executor:
        print(executor.submit(status).result(), STATUS)
"""
    assert run(write(tmp_path / "script.py", source)).stdout == "ready uninitialised\n"


def test_lambdas_closures_and_local_classes_of_a_script_cross(tmp_path: Path) -> None:
    source = """\
import functools
from interp_executor import InterpreterPoolExecutor

FACTOR = 3

def scale(value):
    return FACTOR * value

def main():
    offset = 1
    class Local:
        def get(self):
            return scale(offset)
    with InterpreterPoolExecutor(max_workers=1) as executor:
        print(executor.submit(lambda value: scale(value) + offset, 4).result())
        print(executor.submit(Local().get).result())
        print(executor.submit(functools.partial(scale, 5)).result())
        print(list(executor.map(lambda value: value + FACTOR, range(3))))

if __name__ == "__main__":
    main()
"""
    lines = run(write(tmp_path / "script.py", source)).stdout.splitlines()
    assert lines == ["13", "3", "15", "[3, 4, 5]"]


def test_a_function_that_only_the_guarded_part_defines_fails_with_its_name(tmp_path: Path) -> None:
    source = """\
from interp_executor import InterpreterPoolExecutor, TransferError

if __name__ == "__main__":
    def only_here(value):
        return value + 1

    with InterpreterPoolExecutor(max_workers=1) as executor:
        try:
            print(executor.submit(only_here, 1).result(timeout=30))
        except TransferError as error:
            print("only_here" in str(error))
"""
    assert run(write(tmp_path / "script.py", source)).stdout in ("2\n", "True\n")


def test_an_unguarded_script_gets_a_clear_error_and_ends(tmp_path: Path) -> None:
    source = """\
from interp_executor import InterpreterPoolExecutor

def work():
    return 1

print("loading", flush=True)
with InterpreterPoolExecutor(max_workers=2) as executor:
    print(executor.submit(work).result())
"""
    result = run(write(tmp_path / "script.py", source), check=False)
    assert result.returncode == 1
    assert "if __name__ == '__main__':" in result.stderr.replace('"', "'")
    assert result.stdout.count("loading") <= 3


def test_what_only_the_guarded_part_defines_may_be_cached(tmp_path: Path) -> None:
    source = """\
import functools
from interp_executor import InterpreterPoolExecutor

if __name__ == "__main__":
    @functools.cache
    def increase(value):
        return value + 1

    def increase_twice(value):
        return increase(increase(value))

    with InterpreterPoolExecutor(max_workers=1) as executor:
        print(executor.submit(increase_twice, 1).result(), executor.submit(increase, 1).result())
        view = executor.with_options(lane="process")
        print(view.submit(increase_twice, 1).result(), view.submit(increase, 1).result())
"""
    assert run(write(tmp_path / "script.py", source)).stdout == "3 2\n3 2\n"


PLAIN = """\
import functools
from interp_executor import InterpreterPoolExecutor

calls = 0

def count(step=1):
    global calls
    calls += step
    return calls

def double(value):
    return 2 * value

class Thing:
    def __init__(self, value):
        self.value = value
    @functools.cache
    def get(self):
        return self.value

@functools.cache
def triple(value):
    return 3 * value

executor = InterpreterPoolExecutor(max_workers=1)
print([executor.submit(count).result() for _ in range(2)])
print(executor.submit(lambda: Thing(5)).result().value)
print(type(executor.submit(Thing, 5).result()) is Thing)
print(list(executor.map(double, [1, 2, 3])))
print(list(executor.map(triple, [1, 2, 3])), executor.submit(Thing(6).get).result())
executor.shutdown()
"""

FRESH = ["[1, 1]", "5", "True", "[2, 4, 6]", "[3, 6, 9] 6"]
"""By value, each task sees a fresh copy of the globals that its function uses."""


def test_functions_of_a_command_line_go_by_value() -> None:
    assert run("-c", PLAIN).stdout.splitlines() == FRESH


def test_objects_of_a_command_line_go_by_value_through_to_thread() -> None:
    source = """
import asyncio, contextvars, decimal
from interp_executor import InterpreterPoolExecutor

class Box:
    def __init__(self, value):
        self.value = value

decimal.variable = contextvars.ContextVar("variable")  # a task can find it, but not its value

def open_box(box):
    return box.value

async def main(executor):
    asyncio.get_running_loop().set_default_executor(executor)
    decimal.variable.set(Box(1))
    print(await asyncio.to_thread(open_box, Box(17)))

with InterpreterPoolExecutor(max_workers=1) as executor:
    asyncio.run(main(executor))
"""
    assert run("-c", source).stdout == "17\n"


def test_large_values_in_objects_of_a_command_line_go_by_value() -> None:
    source = """
from interp_executor import InterpreterPoolExecutor

class Box:
    def __init__(self, value):
        self.value = value

with InterpreterPoolExecutor(max_workers=1) as executor:
    print(executor.submit(lambda box: len(box.value), Box(bytes(300_000))).result())
"""
    assert run("-c", source).stdout == "300000\n"


def test_functions_of_a_program_from_standard_input_go_by_value() -> None:
    assert run("-", stdin=PLAIN).stdout.splitlines() == FRESH


def test_functions_typed_into_the_interactive_interpreter_go_by_value() -> None:
    lines = PLAIN.replace("\n\nexecutor", "\n\n\nexecutor")
    result = run("-i", "-q", stdin=lines, check=False)
    assert result.returncode == 0
    assert "Error" not in result.stderr
    assert result.stdout.splitlines() == FRESH


def test_a_main_module_without_a_file_is_a_notebook(tmp_path: Path) -> None:
    """Notebooks run cells in a `__main__` module that has no file."""
    cells = "cells = [" + ",".join(repr(part) for part in PLAIN.split("\n\n")) + "]"
    source = f"""\
import sys, types
{cells}
notebook = types.ModuleType("__main__")
sys.modules["__main__"] = notebook
for cell in cells:
    exec(compile(cell, "<cell>", "exec"), vars(notebook))
"""
    assert run(write(tmp_path / "kernel.py", source)).stdout.splitlines() == FRESH


def test_a_program_from_a_zip_file_is_run(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", COUNTER)
    assert run(str(tmp_path / "program.zip")).stdout == "[1, 2, 3] 0\n"


def test_a_function_of_main_that_starts_its_own_executor(tmp_path: Path) -> None:
    source = """\
from interp_executor import InterpreterPoolExecutor

def square(value):
    return value * value

def total(values):
    with InterpreterPoolExecutor(max_workers=1) as executor:
        return sum(executor.map(square, values))

if __name__ == "__main__":
    with InterpreterPoolExecutor(max_workers=1) as executor:
        print(executor.submit(total, [1, 2, 3]).result())
"""
    assert run(write(tmp_path / "script.py", source)).stdout == "14\n"


def test_the_same_script_runs_under_processes_and_under_ours(tmp_path: Path) -> None:
    """The one changed import."""
    source = """\
from concurrent.futures import ProcessPoolExecutor

def square(value):
    return value * value

if __name__ == "__main__":
    with ProcessPoolExecutor(max_workers=2) as executor:
        print(sum(executor.map(square, range(50), chunksize=10)))
        future = executor.submit(square, 7)
        print(future.result(timeout=30))
"""
    ours = source.replace(
        "from concurrent.futures import ProcessPoolExecutor",
        "from interp_executor import InterpreterPoolExecutor as ProcessPoolExecutor",
    )
    # fork() with threads warns, and processes are not what is tested here
    expected = run(write(tmp_path / "processes.py", source), warnings="ignore").stdout
    assert run(write(tmp_path / "ours.py", ours)).stdout == expected == "40425\n49\n"
