"""Exceptions of tasks, and what happens when something cannot travel."""

import pickle
import traceback
from typing import Any

import pytest

from . import tasks
from .differences import differs
from .rig import PATIENCE, Rig


def _failure(rig: Rig, function: Any, *args: Any) -> BaseException:
    error: BaseException | None = rig.executor().submit(function, *args).exception(PATIENCE)
    assert error is not None
    return error


def test_an_exception_keeps_its_type_and_arguments(rig: Rig) -> None:
    error = _failure(rig, tasks.fail, OSError, 2, "not there", "file")
    assert type(error) is FileNotFoundError
    assert (error.errno, error.strerror, error.filename) == (2, "not there", "file")


def test_the_traceback_shows_the_line_that_raised(rig: Rig) -> None:
    text = "".join(traceback.format_exception(_failure(rig, tasks.fail, ValueError, "look")))
    assert "in fail" in text
    assert "raise kind(*args)" in text


def test_notes_travel_with_the_exception(rig: Rig) -> None:
    error = _failure(rig, tasks.fail_with_notes, "noted", "first note", "second note")
    assert error.__notes__ == ["first note", "second note"]


def test_the_cause_travels_with_the_exception(rig: Rig) -> None:
    error = _failure(rig, tasks.fail_because, "outer", "inner")
    assert isinstance(error.__cause__, KeyError)
    assert error.__cause__.args == ("inner",)


def test_an_exception_whose_init_cannot_be_replayed_arrives(rig: Rig) -> None:
    executor = rig.executor()
    error = executor.submit(tasks.fail, tasks.TwoArguments, 7, "seven").exception(PATIENCE)
    assert type(error) is tasks.TwoArguments
    assert (error.code, error.text, str(error)) == (7, "seven", "7: seven")
    assert executor.submit(tasks.echo, "alive").result(PATIENCE) == "alive"


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_end_programs_are_results(rig: Rig, kind: type[BaseException]) -> None:
    executor = rig.executor()
    error = executor.submit(tasks.fail, kind, "as a result").exception(timeout=PATIENCE)
    assert type(error) is kind
    assert error.args == ("as a result",)
    assert executor.submit(tasks.echo, "alive").result(PATIENCE) == "alive"


def test_an_argument_that_cannot_travel_fails_its_future_only(rig: Rig) -> None:
    executor = rig.executor()
    future = executor.submit(tasks.forget, tasks.NeverPickles())
    if differs(rig.lane.name, "what cannot be pickled cannot travel"):
        assert future.result() is None
    else:
        with pytest.raises((TypeError, pickle.PicklingError), match="stays where it is"):
            future.result(timeout=PATIENCE)
    assert executor.submit(tasks.echo, "alive").result(PATIENCE) == "alive"


def test_a_result_that_cannot_travel_fails_its_future_only(rig: Rig) -> None:
    executor = rig.executor()
    future = executor.submit(tasks.make_never_pickles)
    if differs(rig.lane.name, "what cannot be pickled cannot travel"):
        assert isinstance(future.result(), tasks.NeverPickles)
    else:
        with pytest.raises((TypeError, pickle.PicklingError), match="stays where it is"):
            future.result(timeout=PATIENCE)
    assert executor.submit(tasks.echo, "alive").result(PATIENCE) == "alive"


def test_an_argument_that_arrives_broken_fails_its_future_only(rig: Rig) -> None:
    executor = rig.executor()
    future = executor.submit(tasks.forget, tasks.NeverLoads())
    if differs(rig.lane.name, "what cannot be pickled cannot travel"):
        assert future.result() is None
    else:
        error = future.exception(timeout=PATIENCE)
        assert "arrives broken" in "".join(traceback.format_exception(error))
    assert executor.submit(tasks.echo, "alive").result(PATIENCE) == "alive"


def test_a_result_that_arrives_broken_fails_its_future_only(rig: Rig) -> None:
    executor = rig.executor()
    future = executor.submit(tasks.make_never_loads)
    if differs(rig.lane.name, "what cannot be pickled cannot travel"):
        assert isinstance(future.result(), tasks.NeverLoads)
    else:
        error = future.exception(timeout=PATIENCE)
        assert "arrives broken" in "".join(traceback.format_exception(error))
    assert executor.submit(tasks.echo, "alive").result(PATIENCE) == "alive"


def test_a_lambda_and_a_closure_are_called(rig: Rig) -> None:
    executor = rig.executor()
    offset = 10
    assert executor.submit(lambda: 1).result(timeout=PATIENCE) == 1
    assert executor.submit(lambda value: value + offset, 5).result(timeout=PATIENCE) == 15


def test_a_local_class_is_instantiated(rig: Rig) -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    assert rig.executor().submit(Local, 5).result(timeout=PATIENCE).value == 5


def test_failures_among_successes_stay_with_their_futures(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    futures = [executor.submit(tasks.fail_unless_even, number) for number in range(40)]
    for number, future in enumerate(futures):
        error = future.exception(timeout=PATIENCE)
        assert (error is None) == (number % 2 == 0)
        if error:
            assert error.args == (number,)
