"""Exceptions keep what their classes hold in C or in slots, and lose only what cannot cross."""

import builtins
import multiprocessing
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

import crossing_tasks
import exception_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor

# Built-in exceptions that keep something beside their arguments: class, arguments, keywords.
SAMPLES: list[tuple[type[BaseException], tuple[Any, ...], dict[str, Any]]] = [
    (AttributeError, ("no such",), {"name": "attribute"}),
    (BlockingIOError, (11, "try again", 5), {}),
    (FileNotFoundError, (2, "not there", "a file"), {}),
    (ImportError, ("no module",), {"name": "module", "path": "a path", "name_from": "name"}),
    (KeyError, ("key",), {}),
    (NameError, ("no such",), {"name": "variable"}),
    (OSError, ("only a text",), {}),
    (OSError, (18, "not across", "from", None, "to"), {}),
    (StopIteration, (), {}),
    (StopIteration, (5,), {}),
    (SyntaxError, ("bad", ("a file", 1, 2, "text", 1, 3)), {}),
    (SystemExit, (), {}),
    (SystemExit, (3,), {}),
    (UnicodeDecodeError, ("utf-8", b"\xff", 0, 1, "invalid"), {}),
    (UnicodeEncodeError, ("ascii", "\xff", 0, 1, "invalid"), {}),
    (UnicodeTranslateError, ("\xff", 0, 1, "invalid"), {}),
]
# Seen to by other tests; and what an AttributeError was raised for stays in the worker.
APART = (BaseException, BaseExceptionGroup)


def _slots(kind: type) -> set[str]:
    """The names of what a class of C keeps in its instances."""
    return {
        name
        for name, value in vars(kind).items()
        if isinstance(value, (GetSetDescriptorType, MemberDescriptorType))
        and not name.startswith("__")
    } - {"obj"}


def _kept(error: BaseException) -> dict[str, Any]:
    """What an exception has in the slots of built-in classes."""
    names = {name for kind in type(error).__mro__ if kind not in APART for name in _slots(kind)}
    return {name: getattr(error, name, None) for name in names}


def _failure(executor: InterpreterPoolExecutor, function: Any, *args: Any, **kw: Any) -> Any:
    error = executor.submit(function, *args, **kw).exception(timeout=30)
    assert error is not None
    return error


def test_the_samples_are_of_all_built_in_exceptions_that_keep_something() -> None:
    kinds = {
        kind
        for kind in vars(builtins).values()
        if isinstance(kind, type) and issubclass(kind, BaseException) and _slots(kind)
    }
    assert kinds - set(APART) <= {kind for sample, *_ in SAMPLES for kind in sample.__mro__}


@pytest.mark.parametrize(("kind", "args", "keywords"), SAMPLES)
def test_a_built_in_exception_keeps_all_that_it_has(
    executor: InterpreterPoolExecutor,
    kind: type[BaseException],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    expected = kind(*args, **keywords)
    error = _failure(executor, crossing_tasks.fail, kind, *args, **keywords)
    assert type(error) is type(expected)
    assert (error.args, str(error)) == (expected.args, str(expected))
    assert _kept(error) == _kept(expected)


@pytest.mark.parametrize(("kind", "args", "keywords"), SAMPLES)
def test_so_does_a_subclass_whose_init_takes_other_arguments_and_is_not_called_again(
    executor: InterpreterPoolExecutor,
    kind: type[BaseException],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> None:
    own: Any = tasks.own[kind]
    before = len(executor.submit(tasks.what_was_made).result())
    error = _failure(executor, crossing_tasks.fail, own, arguments=args, more=keywords)
    assert executor.submit(tasks.what_was_made).result()[before:] == [own.__name__]
    assert tasks.made == []
    expected = own(arguments=args, more=keywords)
    tasks.made.clear()
    assert type(error) is own
    assert (error.args, str(error)) == (expected.args, str(expected))
    assert _kept(error) == _kept(expected)


def test_a_stop_iteration_without_a_value_ends_a_generator_that_delegates(
    executor: InterpreterPoolExecutor,
) -> None:
    """CPython takes it for granted that there is one, and crashes."""
    error = _failure(executor, crossing_tasks.fail, tasks.own[StopIteration], arguments=(), more={})

    class Ends:
        def __iter__(self) -> Iterator[int]:
            return self  # type: ignore[return-value]

        def __next__(self) -> int:
            raise error

    def delegate() -> Iterator[object]:
        yield (yield from Ends())  # type: ignore[func-returns-value]

    assert list(delegate()) == [None]


def test_what_was_set_later_is_kept(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_filename_set_later)
    assert error.filename == "set later"
    assert str(error) == "[Errno 2] not there: 'set later'"


@pytest.mark.parametrize("kind", [tasks.OSErrorFirst, tasks.ValueErrorFirst])
def test_an_exception_of_two_kinds_keeps_what_either_has(
    executor: InterpreterPoolExecutor, kind: type[Any]
) -> None:
    error = _failure(executor, crossing_tasks.fail, kind, "a path")
    assert type(error) is kind
    assert (error.errno, error.strerror, error.filename) == (2, "not there", "a path")
    assert str(error) == str(kind("a path"))


def test_slots_of_a_class_are_kept(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, crossing_tasks.fail, tasks.Slotted, [1, 2])
    assert (error.value, error.name, error.path) == ([1, 2], "in a slot", "a path")
    assert not hasattr(error, "never_set")


def test_a_new_that_takes_other_arguments_is_not_called_again(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, crossing_tasks.fail, tasks.OwnNew, code=3)
    assert type(error) is tasks.OwnNew
    assert (error.code, error.args) == (3, ("code 3",))
    assert tasks.made == []


def test_a_group_of_a_class_of_its_own_can_still_be_split(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_coded_group)
    assert type(error) is tasks.CodedGroup
    assert tasks.made == []
    assert (error.code, error.args[::2]) == (7, ("coded", 7))
    matched, rest = error.split(KeyError)
    tasks.made.clear()
    assert (type(matched), matched.code) == (tasks.CodedGroup, 7)
    assert [type(member) for member in rest.exceptions] == [ValueError]


def test_a_class_that_says_how_it_is_pickled_is_obeyed(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, crossing_tasks.fail, tasks.ReducesItself, "mine")
    assert type(error) is tasks.ReducesItself
    assert not error.lock.locked()
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize(
    "kind",
    [
        tasks.HidesArguments,
        tasks.ShowsOtherArguments,
        tasks.Frozen,
        tasks.SetsNothing,
        tasks.ShowsNoDict,
    ],
)
def test_a_class_may_have_what_it_likes_in_place_of_its_bases_attributes(
    executor: InterpreterPoolExecutor, kind: type[Exception]
) -> None:
    expected = kind("linked")
    error = _failure(executor, tasks.fail_and_link, kind)
    assert type(error) is kind
    assert (str(error), error.args) == ("linked", expected.args)
    state = vars(BaseException)["__dict__"].__get__
    assert state(error) == {**state(expected), "__notes__": ["noted"]}
    assert repr(error.__cause__) == "KeyError('cause')"
    assert error.__suppress_context__
    assert "in fail_and_link" in str(error.__cause__.__cause__)


def test_a_class_is_obeyed_even_if_nobody_can_tell_whether_the_copy_is_the_same(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_more_than_a_name, tasks.ReducesItselfAndMore)
    assert not error.lock.locked()
    assert type(error.args[1]) is tasks.NoEq
    assert not hasattr(error, "__notes__")


def test_what_a_class_keeps_to_itself_does_not_cross(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, crossing_tasks.fail, tasks.Masked, "secret")
    assert (type(error), error.args) == (tasks.Masked, ("***",))


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (tasks.SetsItsState, "name", "init and state"),
        # Its __init__ would make another of it.
        (tasks.SetsItsStateOfOtherArguments, "name!", "init"),
    ],
)
def test_a_class_that_sets_its_state_is_made_again_only_if_that_makes_the_same(
    executor: InterpreterPoolExecutor, kind: type[Exception], name: str, told: str
) -> None:
    error = _failure(executor, tasks.fail_with_more_than_a_name, kind)
    assert type(error) is kind
    assert (error.args[0], type(error.args[1]), error.told) == (name, tasks.NoEq, told)


def test_a_group_keeps_its_arguments_by_their_places(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_group_of_its_own_arguments)
    assert tasks.made == []
    assert (type(error), error.message, error.code) == (tasks.OwnArgumentsGroup, "own", 7)
    assert error.args == (7, *error.exceptions)
    assert error.more["worst"] is error.exceptions[1]
    assert repr(error.exceptions[1].__cause__) == "KeyError('cause of a member')"


def test_a_group_may_have_its_members_first(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_listed_group)
    assert error.args == (list(error.exceptions), 7)
    matched, _ = error.split(KeyError)
    tasks.made.clear()
    assert (type(matched), matched.code) == (tasks.ListedGroup, 7)


def test_a_group_that_says_how_it_is_pickled_is_obeyed(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_reduced_group)
    assert tasks.made == ["ReducedGroup"]
    tasks.made.clear()
    assert (type(error), error.message, error.code) == (tasks.ReducedGroup, "reduced", 8)
    assert [(type(each), each.code) for each in error.exceptions] == [(tasks.OwnNew, 3)]


def test_exceptions_that_one_refers_to_are_taken_apart_too(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_others_within)
    assert tasks.made == []
    assert not hasattr(error, "__notes__")
    assert (type(error.args[1]), error.args[1].code) == (tasks.OwnNew, 4)
    assert (type(error.inner), error.inner.code) == (tasks.CodedGroup, 7)
    assert [(type(each), each.code) for each in error.inner.exceptions] == [(tasks.OwnNew, 3)]
    assert error.inner.outer is error


def test_so_are_those_of_local_classes(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_local_within)
    assert not hasattr(error, "__notes__")
    assert (type(error.args[1]).__name__, str(error.args[1])) == ("LocalError", "code 5")


def test_what_arrives_is_what_a_process_pool_delivers(executor: InterpreterPoolExecutor) -> None:
    calls: list[tuple[Any, ...]] = [
        (crossing_tasks.fail, tasks.HidesArguments, "hidden"),
        (crossing_tasks.fail, tasks.ShowsOtherArguments, "hidden"),
        (crossing_tasks.fail, tasks.Masked, "secret"),
        (tasks.fail_with_more_than_a_name, tasks.ReducesItselfAndMore),
        (tasks.fail_with_more_than_a_name, tasks.SetsItsState),
        (tasks.fail_with_listed_group,),
    ]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        expected = [processes.submit(*call).exception(timeout=60) for call in calls]
    assert [_seen(_failure(executor, *call)) for call in calls] == list(map(_seen, expected))
    tasks.made.clear()


def _seen(error: BaseException | None) -> tuple[object, ...]:
    """What can be compared of two copies; most objects only by their types."""
    args = vars(BaseException)["args"].__get__(error)
    of_what = [value if type(value) is str else type(value) for value in args]
    return type(error), of_what, {name: type(value) for name, value in vars(error).items()}


def test_an_attribute_that_cannot_cross_is_left_out_and_a_note_says_so(
    executor: InterpreterPoolExecutor,
) -> None:
    with pytest.raises(ValueError, match="has a lock") as caught:
        executor.submit(tasks.fail_with_lock).result()
    error: Any = caught.value
    assert error.position == 17
    assert not hasattr(error, "lock")
    before, note = error.__notes__
    assert before == "noted before"
    assert note.startswith("the exception's attribute 'lock' cannot cross")
    assert note.endswith("It is left out.")
    assert "locks do not work across interpreters" in note
    assert "in fail_with_lock" in "".join(traceback.format_exception(error))


def test_the_note_names_what_is_at_fault_within_the_attribute(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_deep_lock)
    assert type(error) is ValueError
    (note,) = error.__notes__
    assert note.startswith("the exception's attribute 'settings'['locks'][0] cannot cross")


def test_a_local_exception_with_such_an_attribute_arrives_too(
    executor: InterpreterPoolExecutor,
) -> None:
    class LocalError(Exception):
        pass

    error = _failure(executor, tasks.fail_with_lock, LocalError)
    assert type(error) is LocalError
    assert error.position == 17
    assert "'lock'" in error.__notes__[1]


def test_a_slot_that_cannot_cross_is_left_out(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_lock_in_slot)
    assert (type(error), error.name) == (tasks.Slotted, "in a slot")
    assert not hasattr(error, "value")
    assert "'value'" in error.__notes__[0]


def test_an_argument_that_cannot_cross_becomes_text(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_lock_in_arguments)
    assert type(error) is ValueError
    assert error.args[0] == "carries"
    assert error.args[1].startswith("<unlocked _thread.lock object")
    (note,) = error.__notes__
    assert note.startswith("the exception's argument 1 cannot cross")
    assert note.endswith("Its repr() is in its place.")


def test_an_argument_without_a_repr_becomes_the_name_of_its_type(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_no_repr)
    assert (type(error), error.args) == (ValueError, ("<exception_tasks.NoRepr object>",))


def test_a_group_loses_no_members_with_an_attribute(executor: InterpreterPoolExecutor) -> None:
    error = _failure(executor, tasks.fail_with_lock_in_group)
    assert type(error) is ExceptionGroup
    assert (error.message, [str(member) for member in error.exceptions]) == ("has a lock", ["v"])
    assert "'lock'" in error.__notes__[0]


def test_an_attribute_that_pickles_but_cannot_be_loaded_is_left_out(
    executor: InterpreterPoolExecutor,
) -> None:
    error = _failure(executor, tasks.fail_with_what_cannot_be_made_again)
    assert (type(error), error.args) == (ValueError, ("wraps another",))
    assert "'original'" in error.__notes__[0]
