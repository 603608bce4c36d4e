"""Warning filters of the owner, in the worker: those for classes of libraries above all."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import warning_tasks as tasks
import world_tasks
from garbage import collect
from warning_tasks import LeafWarning, RootWarning

from interp_executor import InterpreterPoolExecutor

LANES = pytest.mark.parametrize("lane", ["interpreter", "process"])


@pytest.fixture(autouse=True)
def filters() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        yield


def test_warning_filters_of_the_caller_apply_in_the_worker() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        with InterpreterPoolExecutor(1) as executor:
            assert executor.submit(world_tasks.warn, UserWarning).result() == "went on"
            with pytest.raises(DeprecationWarning, match="from a task"):
                executor.submit(world_tasks.warn, DeprecationWarning).result()


def test_warning_filters_of_an_earlier_executor_are_gone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with InterpreterPoolExecutor(1) as executor:
            assert executor.submit(world_tasks.warn, UserWarning).result() == "went on"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with InterpreterPoolExecutor(1) as executor, pytest.raises(UserWarning):
            executor.submit(world_tasks.warn, UserWarning).result()


@LANES
@pytest.mark.parametrize("name", ["RootWarning", "LeafWarning"])
def test_a_filter_for_a_class_of_a_library_comes_with_the_library(lane: Any, name: str) -> None:
    warnings.simplefilter("error", RootWarning)
    with InterpreterPoolExecutor(1, lane=lane) as executor:
        for _ in range(2):
            with pytest.raises(RootWarning, match="from a task"):
                executor.submit(tasks.warn_by_name, name).result()


@LANES
def test_filters_keep_their_order_whenever_their_classes_come(lane: Any) -> None:
    warnings.simplefilter("error", UserWarning)
    warnings.simplefilter("ignore", RootWarning)
    warnings.simplefilter("always", LeafWarning)
    warnings.simplefilter("ignore", LeafWarning.Inner)
    with InterpreterPoolExecutor(1, lane=lane) as executor:
        assert executor.submit(tasks.warn_by_name, "RootWarning").result() == "ignored"
        assert executor.submit(tasks.warn_by_name, "LeafWarning").result() == "shown"
        assert executor.submit(tasks.warn, LeafWarning.Inner).result() == "ignored"
        with pytest.raises(UserWarning):
            executor.submit(tasks.warn, UserWarning).result()


@LANES
def test_what_tasks_have_made_of_the_filters_stays(lane: Any) -> None:
    warnings.simplefilter("error", RootWarning)
    first = ("ignore", UserWarning)
    with InterpreterPoolExecutor(1, "", warnings.simplefilter, first, lane=lane) as executor:
        for _ in range(2):
            assert executor.submit(tasks.warn).result() == "ignored"
        executor.submit(warnings.resetwarnings).result()
        assert executor.submit(tasks.warn).result() == "shown"


@LANES
@pytest.mark.parametrize(
    "kinds", [(LeafWarning,), (LeafWarning, BytesWarning), (BytesWarning, (LeafWarning,))]
)
def test_one_filter_may_be_for_several_classes(lane: Any, kinds: Any) -> None:
    warnings.simplefilter("ignore", kinds)
    with InterpreterPoolExecutor(1, lane=lane) as executor:
        assert executor.submit(tasks.warn).result() == "ignored"
        assert executor.submit(tasks.warn, RootWarning).result() == "shown"
        builtin = executor.submit(tasks.warn, BytesWarning).result()
        assert builtin == ("ignored" if BytesWarning in kinds else "shown")


def test_a_filter_for_several_classes_that_a_task_sets_ends_with_its_executor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        with InterpreterPoolExecutor(1, reuse=True) as executor:
            assert executor.submit(tasks.warn, BytesWarning).result() == "shown"
            executor.submit(warnings.simplefilter, "ignore", (BytesWarning,)).result()
            assert executor.submit(tasks.warn, BytesWarning).result() == "ignored"
    assert not caplog.records


def test_a_class_without_a_module_is_warned_with_as_any_other() -> None:
    warnings.simplefilter("error", RootWarning)
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(tasks.warn_with_a_class_of_no_module).result() == "shown"


class _Pattern:
    def match(self, text: str) -> bool:
        return "task" in text


@pytest.mark.parametrize(
    "odd", [("error", None, "no class", None, 0), ("error", _Pattern(), UserWarning, None, 0)]
)
def test_a_filter_that_cannot_cross_stays_behind_alone(odd: Any) -> None:
    collect()  # what is freed may warn, which the filter does not survive
    warnings.simplefilter("ignore", UserWarning)
    warnings.filters.insert(0, odd)  # type: ignore[attr-defined]
    with InterpreterPoolExecutor(1) as executor:
        assert executor.submit(tasks.warn).result() == "ignored"


def test_patterns_come_along() -> None:
    warnings.filterwarnings("error", "from A task", RootWarning)
    warnings.filterwarnings("ignore", "from elsewhere", LeafWarning)
    with InterpreterPoolExecutor(1) as executor, pytest.raises(LeafWarning):
        executor.submit(tasks.warn).result()


def test_a_module_that_comes_while_all_is_ignored_has_its_filters_afterwards() -> None:
    warnings.simplefilter("error", RootWarning)
    with InterpreterPoolExecutor(1) as executor:
        executor.submit(world_tasks.import_quietly, "warning_tasks").result()
        assert isinstance(executor.submit(tasks.warn).exception(), RootWarning)


def test_an_executor_within_a_task_has_the_filters_too() -> None:
    warnings.simplefilter("error", RootWarning)
    with InterpreterPoolExecutor(1) as executor:
        error = executor.submit(world_tasks.error_of_nested, "warning_tasks", "warn").result()
    assert isinstance(error, RootWarning)


@pytest.mark.parametrize("reuse", [False, True])
def test_each_executor_has_the_filters_of_its_time(reuse: bool) -> None:
    for action, seen in (("ignore", "ignored"), ("always", "shown"), ("ignore", "ignored")):
        with warnings.catch_warnings(), InterpreterPoolExecutor(1, reuse=reuse) as executor:
            warnings.simplefilter(action, RootWarning)  # type: ignore[arg-type]
            assert executor.submit(tasks.warn).result() == seen
