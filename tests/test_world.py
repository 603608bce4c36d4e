"""The world that a task finds itself in: paths, names, warnings, and a standard library that works.

Output, exits and main modules need processes of their own: see `isolated`.
"""

import asyncio
import contextvars
import importlib
import os
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import needs_refusing
import pytest
import world_tasks as tasks

from interp_executor import InterpreterPoolExecutor
from interp_executor._errors import NotLoadedError


def test_a_task_runs_in_another_interpreter_of_this_process(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(tasks.interpreter_id).result() != tasks.interpreter_id()
    assert executor.submit(os.getpid).result() == os.getpid()


def test_what_the_path_holds_beside_plain_strings_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "not what the import system reads"

    monkeypatch.setattr(sys, "path", [*sys.path, Text("/of/a/subclass"), Path("/of/pathlib")])
    with InterpreterPoolExecutor(max_workers=1) as executor:
        path = executor.submit(tasks.path).result()
    assert path == [*sys.path[:-2], "/of/a/subclass"]


@pytest.mark.parametrize("lane", [None, "process"])
def test_a_path_of_many_entries_reaches_the_worker(
    lane: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, *(f"/of/many/{n}" for n in range(300))])
    with InterpreterPoolExecutor(max_workers=1) as executor:
        assert executor.with_options(lane=lane).submit(tasks.path).result() == sys.path


def test_each_worker_has_an_interpreter_of_its_own(pipe: tuple[int, int]) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(max_workers=2) as executor:
        held = executor.submit(tasks.read_byte, read)
        other = executor.submit(tasks.interpreter_id).result()
        os.write(write, b"!")
        held.result()
        seen = {executor.submit(tasks.interpreter_id).result() for _ in range(5)} | {other}
    assert len(seen) <= 2
    assert tasks.interpreter_id() not in seen


def test_the_path_of_the_caller_is_the_path_of_the_worker(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(tasks.path).result() == sys.path


def test_a_new_executor_sees_the_path_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with InterpreterPoolExecutor(max_workers=1) as executor:
        executor.submit(tasks.path).result()
    monkeypatch.syspath_prepend("/added/in/between")
    with InterpreterPoolExecutor(max_workers=1) as executor:
        assert executor.submit(tasks.path).result()[0] == "/added/in/between"


def test_the_arguments_of_the_program_are_there(
    executor: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "--option", "é"])
    assert executor.submit(tasks.argv).result() == ["program", "--option", "é"]


@pytest.mark.parametrize("lane", [None, "process"])
def test_the_environment_is_that_of_the_main_program_when_a_lease_begins(
    lane: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IX_TEST_STAYS", "before")
    monkeypatch.setenv("IX_TEST_GOES", "before")
    with InterpreterPoolExecutor(max_workers=1) as executor:
        view = executor.with_options(lane=lane)
        assert view.submit(os.getenv, "IX_TEST_GOES").result() == "before"
    monkeypatch.setenv("IX_TEST_STAYS", "after")
    monkeypatch.setenv("IX_TEST_COMES", "new")
    monkeypatch.delenv("IX_TEST_GOES")
    with InterpreterPoolExecutor(max_workers=1) as executor:
        view = executor.with_options(lane=lane)
        assert view.submit(dict, os.environ.items()).result() == dict(os.environ)
        assert view.submit(tasks.environment).result() == dict(os.environ)
        shown = view.submit(tasks.run_command, "env", "-0").result()
    assert "IX_TEST_STAYS=after" in shown.split("\0")
    assert "IX_TEST_GOES" not in shown


def test_what_stands_in_for_the_environment_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/of/a/dict"})
    with InterpreterPoolExecutor(max_workers=1) as executor:
        assert "PATH" in executor.submit(tasks.environment).result()


RECURSIVE = """
from functools import partial
from interp_executor import InterpreterPoolExecutor
def double(number):
    return 2 * number
class Number:
    value = 1
    def double(self):
        return 2 * self.value
with InterpreterPoolExecutor(2) as executor:
    RESULTS = {results}
"""


@pytest.mark.parametrize(
    "results",
    [
        "list(executor.map(double, range(3)))",
        "executor.submit(partial(double, 1)).result()",
        "executor.submit(Number().double).result()",
    ],
)
def test_a_module_that_has_itself_imported_by_its_workers_is_refused(
    results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recursive_module.py").write_text(RECURSIVE.format(results=results))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotLoadedError, match="module 'recursive_module' uses an Interp"):
        importlib.import_module("recursive_module")


QUICK = """
from interp_executor import InterpreterPoolExecutor
with open({imports!r}, "a") as file:
    file.write(".")
def double(number):
    return 2 * number
EXECUTOR = InterpreterPoolExecutor(1)
FUTURE = EXECUTOR.submit(double, 1)
"""


def test_a_module_that_waits_for_nothing_has_itself_imported_so_often_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports = tmp_path / "imports"
    (tmp_path / "recursive_and_quick.py").write_text(QUICK.format(imports=str(imports)))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("recursive_and_quick")
    with module.EXECUTOR:
        error = module.FUTURE.exception()
    assert error is None or isinstance(error, NotLoadedError)
    assert len(imports.read_text()) in (2, 3)


TABLE = """
import math
from interp_executor import InterpreterPoolExecutor
with InterpreterPoolExecutor(2) as executor:
    TABLE = list(executor.map(math.factorial, range(5)))
def look_up(number):
    return TABLE[number]
def look_up_there(number):
    with InterpreterPoolExecutor(1) as executor:
        return executor.submit(look_up, number).result()
"""


def test_a_module_may_use_an_executor_for_others_while_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "makes_a_table.py").write_text(TABLE)
    (tmp_path / "uses_the_table.py").write_text("from makes_a_table import look_up_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    look_up_there = importlib.import_module("uses_the_table").look_up_there
    with InterpreterPoolExecutor(max_workers=1) as executor:
        assert executor.submit(look_up_there, 3).result() == 6
        assert executor.submit(look_up_there, 4).result() == 24


MISSING = """
def fail():
    raise ModuleNotFoundError("on the way")
class Unloadable:
    def __reduce__(self):
        return fail, ()
"""


@pytest.mark.parametrize("lane", ["interpreter", "process"])
def test_what_an_initializer_has_set_outlasts_a_failure_to_load_something(
    lane: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cannot_be_loaded.py").write_text(MISSING)
    monkeypatch.syspath_prepend(tmp_path)
    unloadable = importlib.import_module("cannot_be_loaded").Unloadable()
    with InterpreterPoolExecutor(1, initializer=tasks.set_up_path, lane=lane) as executor:
        before = executor.submit(tasks.path).result()
        assert (before[0], before[-1]) == ("/put/in/front", "/put/at/the/end")
        monkeypatch.setenv("IX_TEST_UNRELATED", "1")
        monkeypatch.setattr(sys, "path", ["/of/the/owner", *sys.path, "/of/the/owner/too"])
        with pytest.raises(NotLoadedError, match="on the way"):
            executor.submit(repr, unloadable).result()
        expected = ["/of/the/owner", *before, "/of/the/owner/too"]
        assert executor.submit(tasks.path).result() == expected
        assert executor.submit(os.getenv, "IX_TEST_INITIALIZED").result() == "yes"
    with InterpreterPoolExecutor(1, lane=lane) as executor:
        assert executor.submit(tasks.path).result() == sys.path


def test_the_thread_of_a_worker_has_its_name_inside_and_outside() -> None:
    with InterpreterPoolExecutor(max_workers=1, thread_name_prefix="pool") as executor:
        name, names = executor.submit(tasks.thread_names).result()
        assert name == "pool_0"
        assert names == ["pool_0"]
        assert "pool_0" in [thread.name for thread in threading.enumerate()]


def test_workers_are_numbered(pipe: tuple[int, int]) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(max_workers=2, thread_name_prefix="pool") as executor:
        held = executor.submit(tasks.read_byte, read)
        names = {executor.submit(tasks.thread_names).result()[0]}
        os.write(write, b"!")
        held.result()
        assert names <= {"pool_0", "pool_1"}


def test_the_thread_of_a_worker_is_known_by_its_real_identity(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(tasks.thread_identity).result() == (True, True, 1)


def test_the_default_name_counts_executors() -> None:
    with InterpreterPoolExecutor(1) as first, InterpreterPoolExecutor(1) as second:
        names = [pool.submit(tasks.thread_names).result()[0] for pool in (first, second)]
    assert names[0] != names[1]
    assert all(name.startswith("InterpreterPoolExecutor-") for name in names)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (tasks.run_loop, [True, 0, 2, 4, 6, 8]),
        (tasks.run_thread_pool, [5, 4, 3, 2, 1]),
        (tasks.query_database, [(1, "one"), (2, "two")]),
        (tasks.divide_decimals, "0.142857142857142857142857142857"),
        (tasks.parse_dates, ("2024-02-29T13:14:00+00:00", 1709298840.0)),
        (tasks.call_c, (3, 1)),
    ],
)
def test_the_standard_library_works_inside_tasks(
    executor: InterpreterPoolExecutor, task: Callable[[], Any], expected: Any
) -> None:
    for _ in range(2):
        assert executor.submit(task).result() == expected


def test_a_task_runs_a_command(executor: InterpreterPoolExecutor) -> None:
    command = (sys.executable, "-c", "print('from a child')")
    assert executor.submit(tasks.run_command, *command).result() == "from a child\n"


def test_a_task_runs_a_command_through_asyncio(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.run_loop_with_process).result() == b"from a child\n"


def test_a_task_runs_threads(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.run_threads, 5).result() == [0, 1, 2, 3, 4]


def test_a_thread_left_by_a_task_may_finish_before_the_worker_ends(
    pipe: tuple[int, int],
) -> None:
    read, write = pipe
    answer, ask = os.pipe()
    executor = InterpreterPoolExecutor(max_workers=1)
    executor.submit(tasks.leave_a_thread_running, read, ask).result()
    os.write(write, b"?")
    assert os.read(answer, 1) == b"?"
    executor.shutdown()
    os.close(answer)
    os.close(ask)


MODULES = """
    argparse array ast asyncio base64 bisect bz2 calendar cmath collections colorsys configparser
    contextlib copy csv ctypes dataclasses datetime decimal difflib dis email enum fractions
    functools getpass glob gzip hashlib heapq hmac html http.client inspect io ipaddress itertools
    json linecache locale logging lzma math mimetypes mmap multiprocessing numbers operator pathlib
    pickle platform pprint queue random re sched secrets select selectors shelve shlex shutil
    signal socket sqlite3 ssl statistics string struct subprocess tempfile textwrap threading
    time timeit tokenize traceback types typing unicodedata unittest urllib.request uuid weakref
    xml.etree.ElementTree zipfile zlib zoneinfo
""".split()


def test_the_modules_of_the_standard_library_import(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.import_modules, MODULES).result() == []


def test_exit_handlers_of_a_worker_run_when_it_ends(pipe: tuple[int, int]) -> None:
    read, write = pipe
    with InterpreterPoolExecutor(max_workers=1) as executor:
        executor.submit(tasks.register_exit, write, b"bye").result()
    assert os.read(read, 3) == b"bye"


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_executors_nest(executor: InterpreterPoolExecutor, depth: int) -> None:
    assert executor.submit(tasks.nested_sum, [1, -2, 3], depth).result(timeout=60) == 6


def test_a_nested_executor_has_interpreters_of_its_own(
    executor: InterpreterPoolExecutor,
) -> None:
    outer, inner = executor.submit(tasks.interpreters_within).result()
    assert len({tasks.interpreter_id(), outer, inner}) == 3


def test_an_exception_passes_through_two_executors(executor: InterpreterPoolExecutor) -> None:
    with pytest.raises(ValueError, match="invalid literal for int"):
        executor.submit(tasks.nested_failure).result()


def test_a_nested_executor_that_nobody_shuts_down_is_ended(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(tasks.nested_and_left).result() == 7


def test_a_context_variable_travels_through_to_thread(executor: InterpreterPoolExecutor) -> None:
    async def main() -> Any:
        asyncio.get_running_loop().set_default_executor(executor)
        tasks.picklable.set({"request": 17})
        tasks.unpicklable.set(threading.Lock())
        return await asyncio.to_thread(tasks.context_values)

    assert asyncio.run(main()) == ({"request": 17}, "unset")


def test_a_context_variable_that_a_worker_cannot_have_is_dropped(
    executor: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a module that is here alone, one of a module that refuses, one with such a value."""
    module: Any = types.ModuleType("only_in_this_process")
    module.variable = contextvars.ContextVar("of a module that is here alone")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    refusing = contextvars.ContextVar[int]("of a module that refuses")
    monkeypatch.setattr(needs_refusing, "variable", refusing, raising=False)

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(executor)
        module.variable.set(1)
        refusing.set(2)
        tasks.picklable.set(needs_refusing.name)
        first = await asyncio.to_thread(os.getpid)
        tasks.picklable.set("travels")
        return [first, await asyncio.to_thread(tasks.context_values)]

    assert asyncio.run(main()) == [os.getpid(), ("travels", "unset")]
    assert executor.stats().moved == ()


def test_a_context_variable_arrives_once_its_module_is_found(
    executor: InterpreterPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import contextvars\nvariable = contextvars.ContextVar('late', default='unset')\n"
    (tmp_path / "late_variable.py").write_text(source + "def get():\n    return variable.get()\n")

    async def main() -> tuple[int, str]:
        asyncio.get_running_loop().set_default_executor(executor)
        late.variable.set("travels")
        return await asyncio.to_thread(abs, -1), await asyncio.to_thread(late.get)

    executor.submit(abs, -1).result()  # the worker has the old path
    monkeypatch.syspath_prepend(tmp_path)
    late = __import__("late_variable")
    try:
        assert asyncio.run(main()) == (1, "travels")
    finally:
        del sys.modules["late_variable"]


def test_a_context_variable_set_by_a_task_stays_in_its_own_context(
    executor: InterpreterPoolExecutor,
) -> None:
    async def main() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(executor)
        tasks.picklable.set("from the caller")
        return [await asyncio.to_thread(tasks.set_context_value, number) for number in range(2)]

    assert asyncio.run(main()) == ["from the caller"] * 2


def test_run_in_executor_does_not_carry_context_variables() -> None:
    with InterpreterPoolExecutor(max_workers=1) as executor:

        async def main() -> Any:
            tasks.picklable.set("of the caller")
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(executor, tasks.context_values)

        assert asyncio.run(main()) == ("unset", "unset")
