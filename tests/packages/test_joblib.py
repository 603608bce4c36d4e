"""joblib's Parallel over our backend: what its own tests of backends do not ask."""

import multiprocessing
import os
import sys
import textwrap
from pathlib import Path

import pytest

joblib = pytest.importorskip("joblib")

from isolated.script import run, write

from interp_executor import TransferError
from interp_executor.contrib import joblib as ours

delayed, Parallel = joblib.delayed, joblib.Parallel


@pytest.fixture(autouse=True)
def registered() -> None:
    """Make the backend known."""
    ours.register()


def test_parallel_backend_and_parallel_config_know_the_name() -> None:
    for choose in (joblib.parallel_backend, joblib.parallel_config):
        with choose("interpreters", n_jobs=2):
            assert Parallel()(delayed(pow)(i, 2) for i in range(5)) == [0, 1, 4, 9, 16]
    assert Parallel(n_jobs=2, backend="interpreters")([delayed(pow)(3, 2)]) == [9]


def test_the_calls_run_in_this_process_and_not_in_its_interpreter() -> None:
    code = "__import__('os').getpid(), 'joblib' in __import__('sys').modules"
    with joblib.parallel_config(backend="interpreters", n_jobs=2):
        results = Parallel()(delayed(eval)(code) for _ in range(8))
    assert set(results) == {(os.getpid(), False)}
    assert "joblib" in sys.modules


def test_short_calls_are_sent_in_batches() -> None:
    with Parallel(n_jobs=2, backend="interpreters") as parallel:
        assert parallel(delayed(abs)(-i) for i in range(3000)) == list(range(3000))
        assert parallel._backend.compute_batch_size() > 1


def test_a_function_whose_module_imports_joblib_goes_by_value() -> None:
    """This module imports joblib, which no worker can."""
    offset = 5
    with joblib.parallel_config(backend="interpreters", n_jobs=2):
        assert Parallel()(delayed(_double)(i) for i in range(4)) == [0, 2, 4, 6]
        assert set(Parallel()(delayed(_pid)(i) for i in range(4))) == {os.getpid()}
        assert Parallel()(delayed(lambda i: i + offset)(i) for i in range(3)) == [5, 6, 7]


NESTED = """
import multiprocessing
from joblib import Parallel, delayed, parallel_config
from joblib.parallel import get_active_backend
from interp_executor.contrib.joblib import register

def square(number):
    return number * number

def squares(count):
    return Parallel(n_jobs=2)(delayed(square)(number) for number in range(count))

def backend():
    active, _ = get_active_backend()
    return type(active).__name__, active.nesting_level

if __name__ == "__main__":
    register()
    with parallel_config("interpreters", n_jobs=2):
        print(Parallel()(delayed(squares)(3) for _ in range(2)))
        print(Parallel()([delayed(backend)()]))
"""


def test_a_parallel_within_a_task_runs_in_threads_of_its_process(tmp_path: Path) -> None:
    printed = run(write(tmp_path / "script.py", NESTED), warnings="default", check=False).stdout
    assert printed.splitlines() == ["[[0, 1, 4], [0, 1, 4]]", "[('ThreadingBackend', 1)]"]


@pytest.mark.parametrize("before", [[], [1, 2]], ids=["first", "once main goes by value"])
def test_connections_and_files_are_refused(before: list[int], tmp_path: Path) -> None:
    """Also where calls go by value, as those of this module do, which imports joblib."""
    reader, writer = multiprocessing.Pipe()
    with reader, writer, (tmp_path / "file").open("w") as file:
        with joblib.parallel_config(backend="interpreters", n_jobs=2):
            Parallel()(delayed(_double)(i) for i in before)
            for harmful in (reader, file):
                with pytest.raises(TransferError):
                    Parallel()(delayed(_kind)(harmful) for _ in range(2))
        writer.send("still open")
        assert reader.recv() == "still open"


def _kind(value: object) -> str:
    return type(value).__name__


def _double(value: int) -> int:
    return 2 * value


def _pid(_: int) -> int:
    return os.getpid()


def test_calls_that_need_what_loads_in_processes_alone_run_there() -> None:
    with joblib.parallel_config(backend="interpreters", n_jobs=2):
        pids = set(Parallel()(delayed(_pid_beside_joblib)(i) for i in range(4)))
        assert os.getpid() not in pids
        with pytest.raises(ImportError, match="fallback=None"):
            Parallel(fallback=None)([delayed(_other_pid_beside_joblib)(1)])


def _pid_beside_joblib(_: int) -> int:
    import joblib  # noqa: F401 - does not load in an interpreter

    return os.getpid()


def _other_pid_beside_joblib(_: int) -> int:
    import joblib  # noqa: F401

    return os.getpid()


def test_an_initializer_runs_in_each_interpreter() -> None:
    options = {"initializer": exec, "initargs": ("import sys; sys.marked = True",)}
    with joblib.parallel_config(backend="interpreters", n_jobs=2, **options):
        assert Parallel()(delayed(eval)("__import__('sys').marked") for _ in range(4)) == [True] * 4


def test_an_error_arrives_with_the_workers_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        Parallel(n_jobs=2, backend="interpreters")([delayed(divmod)(1, 0)])
    assert "in run_calls" in str(caught.value.__cause__)


def test_an_option_that_the_executor_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="no_such_option"):
        Parallel(n_jobs=2, backend="interpreters", no_such_option=1)([delayed(abs)(1)])


SCRIPT = """
    from dataclasses import dataclass
    from joblib import Parallel, delayed, parallel_config
    import interp_executor.contrib.joblib

    @dataclass
    class Point:
        x: int

    def move(point, by):
        return Point(point.x + by)

    if __name__ == "__main__":
        interp_executor.contrib.joblib.register()
        with parallel_config(backend="interpreters", n_jobs=2):
            for _ in range(2):
                moved = Parallel()(delayed(move)(Point(i), 10) for i in range(3))
                assert all(type(point) is Point for point in moved)
                print(moved)
"""


def test_a_script_that_imports_joblib_may_send_its_own_functions_and_classes(
    tmp_path: Path,
) -> None:
    script = write(tmp_path / "script.py", textwrap.dedent(SCRIPT))
    result = run(script, warnings="default")  # and nothing on stderr
    assert result.stdout == "[Point(x=10), Point(x=11), Point(x=12)]\n" * 2


def test_without_joblib_the_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["joblib"] = None
try:
    import interp_executor.contrib.joblib
except ImportError as error:
    print(error)
"""
    assert "pip install 'interp-executor[joblib]'" in run("-c", code).stdout
