"""Exceptions of tasks arrive as they were raised, with the traceback of the worker."""

import asyncio
import traceback
from typing import Any

import crossing_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor, TaskError
from interp_executor._errors import RemoteTraceback


def _failure(executor: InterpreterPoolExecutor, function: Any, *args: Any, **kw: Any) -> Any:
    error = executor.submit(function, *args, **kw).exception(timeout=30)
    assert error is not None
    return error


def _root(error: BaseException) -> BaseException:
    """The last exception of the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_the_traceback_of_the_worker_is_the_cause(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail, ValueError, "look here")
    assert type(error) is ValueError
    assert error.args == ("look here",)
    assert isinstance(error.__cause__, RemoteTraceback)
    text = str(error.__cause__)
    assert "crossing_tasks.py" in text
    assert "in fail" in text
    assert "raise kind(*args, **kwargs)" in text
    assert "ValueError: look here" in text


def test_the_traceback_shows_no_frames_of_the_executor(executor: InterpreterPoolExecutor) -> None:
    text = str(_root(_failure(executor, tasks.fail, ValueError)))
    assert "interp_executor" not in text.replace("interp_executor/tests", "")


def test_the_traceback_of_a_lambda_is_shown(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, lambda: 1 / 0)
    assert isinstance(error, ZeroDivisionError)
    assert "in <lambda>" in _shown(error)
    assert "test_crossing_exceptions.py" in _shown(error)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (KeyError, ("key",)),
        (OSError, (2, "not there", "file name")),
        (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "invalid start byte")),
        (StopIteration, (5,)),
        (ImportError, ("no module",)),
        (SyntaxError, ("bad", ("file.py", 1, 2, "text", 1, 3))),
        (asyncio.CancelledError, ()),
        (AssertionError, ((1, 2), {"a": 1})),
    ],
)
def test_built_in_exceptions_keep_type_and_arguments(
    executor: InterpreterPoolExecutor, kind: type[BaseException], arguments: tuple[Any, ...]
) -> None:
    expected = kind(*arguments)
    error = _failure(executor, tasks.fail, kind, *arguments)
    assert type(error) is type(expected)
    assert error.args == expected.args
    assert str(error) == str(expected)


def test_an_os_error_keeps_its_attributes(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, open, "/no/such/file")
    assert type(error) is FileNotFoundError
    assert (error.errno, error.filename) == (2, "/no/such/file")


def test_an_init_with_two_required_arguments_is_not_called_again(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail, tasks.TwoArguments, 7, "seven")
    assert type(error) is tasks.TwoArguments
    assert (error.code, error.text) == (7, "seven")
    assert error.args == ("7: seven",)
    assert "in fail" in str(_root(error))


def test_an_init_with_keywords_only_is_not_called_again(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail, tasks.KeywordOnly, reason="because")
    assert type(error) is tasks.KeywordOnly
    assert (error.reason, error.args) == ("because", ("because",))


def test_attributes_and_notes_travel(executor: InterpreterPoolExecutor) -> None:
    assert _failure(executor, tasks.fail_with_attributes).position == 17
    noted = _failure(executor, tasks.fail_with_notes)
    assert noted.__notes__ == ["first", "second"]
    assert _shown(noted).rstrip().endswith("second")


def test_the_chain_of_causes_travels_with_the_traceback_at_its_root(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_because_twice)
    assert (type(error), error.args) == (ValueError, ("outermost",))
    middle: Any = error.__cause__
    assert type(middle) is tasks.TwoArguments
    assert (middle.code, middle.text) == (1, "middle")
    innermost: Any = middle.__cause__
    assert (type(innermost), innermost.args) == (KeyError, ("innermost",))
    root = innermost.__cause__
    assert isinstance(root, RemoteTraceback)
    assert "direct cause" in str(root)
    assert "outermost" in str(root)


def test_what_was_being_handled_is_shown(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_while_handling)
    assert error.args == ("while handling",)
    text = _shown(error)
    assert "KeyError: 'handled'" in text
    assert "During handling of the above exception" in text


def test_an_exception_raised_from_none_hides_what_it_hid(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_from_none)
    assert "hidden" not in _shown(error)


def test_a_chain_longer_than_the_stack_arrives(executor: InterpreterPoolExecutor) -> None:
    error: BaseException | None = _failure(executor, tasks.fail_after_failures, 3000)
    numbers = []
    while error is not None:
        numbers.append(error.args[0])
        error = error.__context__
    assert numbers == list(range(2999, -1, -1))


def test_a_group_arrives_with_all_its_members(executor: InterpreterPoolExecutor) -> None:
    error: Any = _failure(executor, tasks.fail_with_group)
    assert type(error) is ExceptionGroup
    assert error.message == "outer"
    assert (type(error.exceptions[0]), error.exceptions[0].args) == (ValueError, ("v",))
    inner: Any = error.exceptions[1]
    assert type(inner) is ExceptionGroup
    assert [type(member) for member in inner.exceptions] == [tasks.TwoArguments, KeyError]
    first: Any = inner.exceptions[0]
    assert first.code == 3
    assert "in fail_with_group" in str(_root(error))


def test_a_group_is_taken_apart_by_except_star(executor: InterpreterPoolExecutor) -> None:
    caught = []
    try:
        executor.submit(tasks.fail_with_group).result()
    except* tasks.TwoArguments as group:
        caught.append(len(group.exceptions))
    except* (ValueError, KeyError) as group:
        caught.append(len(group.exceptions))
    assert caught == [1, 2]


def test_a_base_group_is_a_result(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_base_group)
    assert type(error) is BaseExceptionGroup
    assert [type(member) for member in error.exceptions] == [KeyboardInterrupt, ValueError]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_end_programs_are_results_and_the_worker_lives_on(
    executor: InterpreterPoolExecutor, kind: type[BaseException]
) -> None:
    before = executor.submit(tasks.count_calls).result()
    error = _failure(executor, tasks.fail, kind, 3)
    assert (type(error), error.args) == (kind, (3,))
    assert executor.submit(tasks.count_calls).result() == before + 1


def test_an_exception_of_a_local_class_arrives_as_that_class(
    executor: InterpreterPoolExecutor,
) -> None:
    class LocalError(Exception):
        pass

    error = _failure(executor, tasks.fail, LocalError, "local")
    assert type(error) is LocalError
    assert error.args == ("local",)


def test_an_exception_class_that_cannot_cross_becomes_a_task_error(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_ghost)
    assert type(error) is TaskError
    assert error.type_name.endswith("Ghost")
    assert error.message == "boo"
    assert "in fail_with_ghost" in error.traceback
    assert "Ghost" in str(error)
    assert "boo" in str(error)
    assert "in fail_with_ghost" in _shown(error)
    assert executor.submit(tasks.echo, 1).result() == 1


def test_a_cause_that_cannot_cross_does_not_hold_back_the_exception(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_because_of_ghost)
    assert (type(error), error.args) == (ValueError, ("seen",))
    assert "Ghost" in _shown(error)
    assert "boo" in _shown(error)


def test_a_group_keeps_what_can_cross_of_it(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_ghost_in_group)
    text = _shown(error)
    assert "Ghost" in text
    assert "plain" in text
    assert executor.submit(tasks.echo, 1).result() == 1


def test_an_exception_that_refuses_to_pickle_still_arrives(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail, tasks.ReduceFails, "stubborn")
    assert isinstance(error, (tasks.ReduceFails, TaskError))
    assert "stubborn" in str(error)


def test_an_exception_without_a_text_arrives(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail, tasks.StrFails, 1)
    assert type(error) is tasks.StrFails
    assert error.args == (1,)
    assert "in fail" in str(_root(error))


def test_endless_recursion_is_a_result(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_recursively)
    assert type(error) is RecursionError
    assert "in fail_recursively" in str(_root(error))
    assert executor.submit(tasks.echo, 1).result() == 1


def test_too_little_memory_is_a_result(executor: InterpreterPoolExecutor) -> None:
    assert isinstance(_failure(executor, tasks.fail_for_memory), (MemoryError, OverflowError))
    assert executor.submit(tasks.echo, 1).result() == 1


def test_an_exception_object_passed_in_is_raised_as_a_copy(
    executor: InterpreterPoolExecutor,
) -> None:
    mine = KeyError("mine")
    error = _failure(executor, tasks.fail_with, mine)
    assert error is not mine
    assert (type(error), error.args) == (KeyError, ("mine",))


def test_exceptions_cross_as_plain_values_too(executor: InterpreterPoolExecutor) -> None:
    result = executor.submit(tasks.echo, ValueError("a value")).result()
    assert (type(result), result.args) == (ValueError, ("a value",))


def test_exceptions_of_map_carry_the_traceback_of_the_worker(
    executor: InterpreterPoolExecutor,
) -> None:
    with pytest.raises(tasks.TwoArguments) as caught:
        list(executor.map(tasks.fail, [tasks.TwoArguments], [4], ["four"]))
    assert caught.value.code == 4
    assert isinstance(_root(caught.value), RemoteTraceback)
    assert "in fail" in str(_root(caught.value))


def test_the_same_exception_is_pickled_on_by_its_reader(executor: InterpreterPoolExecutor) -> None:
    """A program that logs or forwards errors can send what it got."""
    error = _failure(executor, tasks.fail, ValueError, "forwarded")
    again = executor.submit(tasks.echo, error).result()
    assert (type(again), again.args) == (ValueError, ("forwarded",))
