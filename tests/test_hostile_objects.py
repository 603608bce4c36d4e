"""What resists being pickled, looked at or described still fails its own future, in plain words."""

import functools
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import hostile_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor, TaskError, TransferError

TIMEOUT = 30


@pytest.fixture(autouse=True)
def executor_lives_on(executor: InterpreterPoolExecutor) -> Iterator[None]:
    """Whatever happened, the worker still works."""
    yield
    assert executor.submit(abs, -1).result(TIMEOUT) == 1


@pytest.mark.parametrize("name", tasks.HOSTILE)
def test_an_argument_that_resists_fails_its_own_future(
    executor: InterpreterPoolExecutor, name: str
) -> None:
    error = executor.submit(type, tasks.make_hostile(name)).exception(TIMEOUT)
    assert isinstance(error, TransferError)
    assert str(error).startswith("argument 0 cannot cross to another interpreter: ")
    results = executor.map(abs, [-1, tasks.make_hostile(name)])
    assert next(results) == 1
    with pytest.raises(TransferError, match="the argument cannot cross"):
        next(results)


@pytest.mark.parametrize("name", tasks.HOSTILE)
def test_a_result_that_resists_fails_its_own_future(
    executor: InterpreterPoolExecutor, name: str
) -> None:
    error = executor.submit(tasks.make_hostile, name).exception(TIMEOUT)
    assert isinstance(error, TransferError)
    assert str(error).startswith("the result cannot cross to another interpreter: ")


@pytest.mark.parametrize("name", tasks.HOSTILE)
def test_a_callable_that_resists_fails_its_own_future(
    executor: InterpreterPoolExecutor, name: str
) -> None:
    error = executor.submit(tasks.make_hostile(name)).exception(TIMEOUT)
    assert isinstance(error, TransferError)
    assert str(error).startswith("the callable cannot cross to another interpreter: ")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (functools.partial(abs, tasks.LOCK), ".args[0]"),
        (functools.partial(abs, key=tasks.LOCK), ".keywords['key']"),
        (deque([1, tasks.LOCK]), "[1]"),
        (tasks.Slotted(tasks.LOCK), ".content"),
        (SimpleNamespace(lock=tasks.LOCK), ".lock"),
        (tasks.make_user_of_default(), ".__defaults__[1]"),
        (tasks.make_user_of_keyword(), "'s default of 'lock'"),
        (eval("lambda: LOCK", {"LOCK": tasks.LOCK}), "'s global 'LOCK'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_lock_is_found_wherever_it_is(
    executor: InterpreterPoolExecutor, value: Any, place: str
) -> None:
    error = executor.submit(type, value).exception(TIMEOUT)
    assert isinstance(error, TransferError)
    assert str(error).startswith(f"argument 0{place} cannot cross to another interpreter: _thread")
    assert "locks do not work across interpreters" in str(error)


@pytest.mark.parametrize("name", ["NoCause", "NoArguments", "NoClassError"])
def test_an_exception_that_shows_nothing_of_itself_crosses(
    executor: InterpreterPoolExecutor, name: str
) -> None:
    error = executor.submit(tasks.fail, name).exception(TIMEOUT)
    assert type(error) is getattr(tasks, name)
    assert vars(BaseException)["args"].__get__(error) == ("look here",)
    cause = vars(BaseException)["__cause__"].__get__(error)
    assert "in fail" in str(cause)


@pytest.mark.parametrize(("name", "noted"), [("NoMroError", True), ("NoNamesError", False)])
def test_an_exception_that_resists_becomes_a_task_error(
    executor: InterpreterPoolExecutor, name: str, noted: bool
) -> None:
    errors = [executor.submit(tasks.fail, name).exception(TIMEOUT)]
    with pytest.raises(TaskError) as caught:
        next(executor.map(tasks.fail, [name]))
    for error in (*errors, caught.value):
        assert isinstance(error, TaskError)
        assert error.type_name == f"hostile_tasks.{name}"
        assert error.message == "look here"
        assert "in fail" in error.traceback
        notes = getattr(error, "__notes__", [])
        assert ["cannot be taken apart" in note for note in notes] == [True] * noted


@pytest.mark.parametrize("name", ["InterruptsPickling", "InterruptsLoading"])
def test_an_exception_may_interrupt_its_pickling(
    executor: InterpreterPoolExecutor, name: str
) -> None:
    error = executor.submit(tasks.fail, name).exception(TIMEOUT)
    assert type(error).__name__ == name
    assert error is not None
    assert error.args == ("look here",)


@pytest.mark.parametrize("spoil", [tasks.lose_path, tasks.break_builtins])
def test_a_worker_that_can_import_no_more_still_names_what_was_raised(spoil: Any) -> None:
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(tasks.import_and_fail).exception(TIMEOUT)
        assert executor.submit(abs, -1).result(TIMEOUT) == 1  # imports what it names, once
        executor.submit(spoil).result(TIMEOUT)
        error = executor.submit(tasks.import_and_fail).exception(TIMEOUT)
        assert type(error) in (ModuleNotFoundError, TypeError, TaskError)
        with pytest.raises((ModuleNotFoundError, TypeError, TaskError)):
            next(executor.map(tasks.import_and_fail_at, [1]))
        assert list(executor.map(abs, [-1])) == [1]
