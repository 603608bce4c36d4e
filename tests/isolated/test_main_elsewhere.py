"""The main module where it is not a program's first one: replaced, in processes, in workers."""

import py_compile
from pathlib import Path

import pytest

from .script import run, write

TWO_WAYS = """\
import sys
from interp_executor import InterpreterPoolExecutor

class C:
    version = 1

def make():
    return C()

def check(c):
    return isinstance(c, C) and C.version

def try_both(executor):
    made = executor.submit(make).result()
    print(executor.submit(check, C()).result(), isinstance(made, C), made.version)
"""
"""Functions that find out whether a class is the same one here and in a worker."""

WITH_POOL = """
if __name__ == "__main__":
    with InterpreterPoolExecutor(1, reuse=True) as executor:
        try_both(executor)
    if "shared" in globals():
        try_both(shared)
"""


def test_a_script_that_is_run_twice_in_one_process_is_loaded_anew(tmp_path: Path) -> None:
    script = write(tmp_path / "script.py", TWO_WAYS + WITH_POOL)
    source = f"""\
import pathlib, runpy
from interp_executor import InterpreterPoolExecutor

with InterpreterPoolExecutor(1, reuse=True) as executor:
    print(executor.submit(abs, -1).result())
runpy.run_path({script!r}, run_name="__main__")
path = pathlib.Path({script!r})
path.write_text(path.read_text().replace("version = 1", "version = 2"))
runpy.run_path({script!r}, run_name="__main__")
"""
    assert run("-c", source).stdout.splitlines() == ["1", "1 True 1", "2 True 2"]


SESSION = """
import pathlib, types

def run_script(main, names):
    # As IPython's %run does.
    notebook = sys.modules["__main__"]
    sys.modules["__main__"] = main
    try:
        vars(main).clear()
        vars(main).update(names, __name__="__main__", __file__=script)
        exec(compile(pathlib.Path(script).read_text(), script, "exec"), vars(main))
    finally:
        sys.modules["__main__"] = sys.modules["__mp_main__"] = notebook

executor = InterpreterPoolExecutor(1)
try_both(executor)
main = types.ModuleType("__main__")
for names in ({}, {}, {"shared": executor}):
    run_script(main, names)
    try_both(executor)
__file__ = script  # which %run -i leaves there
run_script(main, {})
with InterpreterPoolExecutor(1) as another:
    try_both(executor)
    try_both(another)
executor.shutdown()
"""


def test_a_notebook_runs_a_script_between_its_cells(tmp_path: Path) -> None:
    script = write(
        tmp_path / "script.py", TWO_WAYS.replace("version = 1", "version = 2") + WITH_POOL
    )
    result = run("-c", f"script = {script!r}\n" + TWO_WAYS + SESSION)
    cells, scripts = "1 True 1", "2 True 2"
    assert result.stdout.splitlines() == [
        cells,
        *(scripts, cells) * 2,
        *(scripts, scripts, cells),
        scripts,
        *(cells, cells),
    ]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_of_multiprocessing_sends_objects_of_the_script(
    tmp_path: Path, method: str
) -> None:
    source = (
        TWO_WAYS
        + f"""
def child():
    with InterpreterPoolExecutor(1) as executor:
        print(executor.submit(repr, C()).result().partition(" ")[0])
        try_both(executor)

if __name__ == "__main__":
    import multiprocessing
    process = multiprocessing.get_context({method!r}).Process(target=child)
    process.start()
    process.join()
"""
    )
    lines = run(write(tmp_path / "script.py", source)).stdout.splitlines()
    assert lines == ["<__mp_main__.C", "1 True 1"]


def test_a_task_sends_objects_of_the_script_to_workers_of_its_own(tmp_path: Path) -> None:
    source = (
        TWO_WAYS
        + """
def outer():
    with InterpreterPoolExecutor(1) as executor:
        first = executor.submit(repr, C()).result().partition(" ")[0]
        return first, executor.submit(check, C()).result()

if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        print(*executor.submit(outer).result())
"""
    )
    assert run(write(tmp_path / "script.py", source)).stdout == "<__mp_main__.C 1\n"


def test_a_worker_that_has_executors_of_its_own_loads_the_script_later(tmp_path: Path) -> None:
    write(
        tmp_path / "library.py",
        """\
def outer():
    from interp_executor import InterpreterPoolExecutor
    with InterpreterPoolExecutor(1) as executor:
        return executor.submit(abs, -3).result()
""",
    )
    source = (
        TWO_WAYS
        + """
import library
if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        print(executor.submit(library.outer).result())
        try_both(executor)
"""
    )
    assert run(write(tmp_path / "script.py", source)).stdout.splitlines() == ["3", "1 True 1"]


IN_PROCESSES = """\
import multiprocessing
from interp_executor import InterpreterPoolExecutor
from {place}helper import OFFSET

def inner(queue):
    queue.put(OFFSET + 1)

def spawn():
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=inner, args=(queue,))
    process.start()
    answer = queue.get()
    process.join()
    queue.close()
    return answer

def double(value):
    return OFFSET + 2 * value

def nest():
    with InterpreterPoolExecutor(1, lane="process") as executor:
        return executor.submit(double, 4).result()

if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        print(executor.submit(spawn).result(), executor.submit(nest).result())
"""


def test_a_task_of_a_script_starts_processes(tmp_path: Path) -> None:
    write(tmp_path / "helper.py", "OFFSET = 10\n")
    script = write(tmp_path / "script.py", IN_PROCESSES.format(place=""))
    assert run(script).stdout == "11 18\n"


def test_daemon_threads_are_refused_in_a_task() -> None:
    """CPython's doing: what needs them, as multiprocessing's Queue, does not work there."""
    source = """\
from interp_executor import InterpreterPoolExecutor

def put():
    import multiprocessing
    multiprocessing.get_context("spawn").Queue().put(1)

with InterpreterPoolExecutor(1) as executor:
    print(executor.submit(put).exception())
"""
    assert "daemon threads are disabled" in run("-c", source).stdout


def test_a_task_of_a_module_run_by_m_starts_processes(tmp_path: Path) -> None:
    write(tmp_path / "package" / "__init__.py", "")
    write(tmp_path / "package" / "helper.py", "OFFSET = 10\n")
    write(tmp_path / "package" / "program.py", IN_PROCESSES.format(place="."))
    assert run("-m", "package.program", folder=tmp_path).stdout == "11 18\n"


def test_a_script_has_no_spec_in_a_worker_either(tmp_path: Path) -> None:
    source = """\
import pickle, sys
from interp_executor import InterpreterPoolExecutor

def look():
    main = sys.modules["__main__"]
    return main.__spec__, "__spec__" in globals(), pickle.loads(pickle.dumps(main)) is main

if __name__ == "__main__":
    with InterpreterPoolExecutor(1) as executor:
        print(executor.submit(look).result())
"""
    assert run(write(tmp_path / "script.py", source)).stdout == "(None, False, True)\n"


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_a_compiled_script_is_run(tmp_path: Path, lane: str) -> None:
    source = TWO_WAYS + WITH_POOL.replace("reuse=True", f"lane={lane!r}")
    compiled = tmp_path / "compiled.pyc"
    py_compile.compile(write(tmp_path / "script.py", source), str(compiled), doraise=True)
    assert run(str(compiled)).stdout == "1 True 1\n"


def test_a_compiled_script_that_ends_its_processes_is_named(tmp_path: Path) -> None:
    source = """\
import os
from interp_executor import InterpreterPoolExecutor

if __name__ == "__main__":
    with InterpreterPoolExecutor(1, lane="process") as executor:
        print(executor.submit(abs, -1).exception())
else:
    os._exit(3)
"""
    compiled = tmp_path / "compiled.pyc"
    py_compile.compile(write(tmp_path / "script.py", source), str(compiled), doraise=True)
    result = run(str(compiled), check=False)  # the fork server may complain, too
    assert f"the main module {str(compiled)!r} cannot be loaded" in result.stdout


def test_what_only_the_guarded_part_defines_is_said_to_belong_outside(tmp_path: Path) -> None:
    source = """\
import enum, functools
from interp_executor import InterpreterPoolExecutor

if __name__ == "__main__":
    def identity(value):
        return value

    class Guarded:
        def method(self):
            return 1

    class Colour(enum.Enum):
        RED = 1

    with InterpreterPoolExecutor(1) as executor:
        for call in (
            (functools.partial(identity, 1),),
            (Guarded().method,),
            (repr, Colour.RED),
            (repr, Guarded()),
            (list, [identity]),
        ):
            error = executor.submit(*call).exception()
            text = str(error)
            print(type(error).__name__, "under if __name__ == '__main__'" in text)
        print(executor.submit(Colour, 1).result() is Colour.RED)  # by value, as functions go
        missing = executor.submit(functools.partial(getattr, 1), "missing").exception()
        print(type(missing).__name__, "__main__" in str(missing))
"""
    lines = run(write(tmp_path / "script.py", source)).stdout.splitlines()
    assert lines == ["NotLoadedError True"] * 5 + ["True", "AttributeError False"]
