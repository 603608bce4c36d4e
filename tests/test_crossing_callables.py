"""Which callables cross, and whether they go by reference or by value."""

import functools
import math
import operator
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import crossing_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor

GREETING = "hello"


def greet(name: str) -> str:
    """A function of the test module itself, which a worker finds through pytest's path."""
    return f"{GREETING} {name}"


def test_an_importable_function_goes_by_reference(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.echo, 1).result() == 1


def test_the_module_of_a_function_lives_on_between_tasks(
    executor: InterpreterPoolExecutor,
) -> None:
    counted = [executor.submit(tasks.count_calls).result() for _ in range(3)]
    assert counted == [1, 2, 3]
    assert tasks.calls == 0


def test_a_function_of_the_test_module_is_found_through_pytests_path(
    executor: InterpreterPoolExecutor,
) -> None:
    assert executor.submit(greet, "worker").result() == "hello worker"


@pytest.mark.parametrize(
    ("function", "argument", "expected"),
    [
        (len, "four", 4),
        (math.sqrt, 9.0, 3.0),
        (str.upper, "up", "UP"),
        (int, "12", 12),
        (dict, [("a", 1)], {"a": 1}),
        (operator.itemgetter(1), "abc", "b"),
        (operator.attrgetter("real"), 3 + 4j, 3.0),
        (operator.methodcaller("split", ","), "a,b", ["a", "b"]),
        ("sep".join, ["a", "b"], "asepb"),
        ([1, 2, 3].count, 2, 1),
    ],
    ids=lambda value: repr(value).partition(" object at ")[0],
)
def test_builtins_cross(
    executor: InterpreterPoolExecutor, function: Callable[..., Any], argument: Any, expected: Any
) -> None:
    assert executor.submit(function, argument).result() == expected


def test_builtins_that_look_at_their_caller_cross(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(eval, "1 + 1").result() == 2
    assert executor.submit(exec, "import json").result() is None
    assert executor.submit(eval, "value", {"value": 7}).result() == 7


def test_a_decorated_and_a_cached_function_cross(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.decorated, 4).result() == 10
    assert executor.submit(tasks.cached, 4).result() == 12


def test_methods_of_every_kind_cross(executor: InterpreterPoolExecutor) -> None:
    account = tasks.Account(100)
    assert executor.submit(account.add, 5).result() == 105
    assert account.balance == 100
    assert executor.submit(tasks.Account.name_of_bank).result() == "first"
    assert executor.submit(tasks.Account.fee, 50).result() == 5
    assert executor.submit(tasks.Account.add, account, 7).result() == 107
    assert executor.submit(tasks.Outer.Inner(9).get).result() == 9


def test_a_callable_object_crosses(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.Account(6), 7).result() == 42


def test_a_nested_class_is_instantiated(executor: InterpreterPoolExecutor) -> None:
    result = executor.submit(tasks.Outer.Inner, 3).result()
    assert type(result) is tasks.Outer.Inner
    assert result.value == 3


def test_partials_cross(executor: InterpreterPoolExecutor) -> None:
    partial = functools.partial(tasks.arguments, 1, key=2)
    assert executor.submit(partial, 3, other=4).result() == ((1, 3), {"key": 2, "other": 4})
    nested = functools.partial(functools.partial(lambda a, b, c: (a, b, c), 1), 2)
    assert executor.submit(nested, 3).result() == (1, 2, 3)


def test_a_lambda_crosses_by_value(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(lambda: 5).result() == 5
    assert list(executor.map(lambda number: number**2, range(20))) == [n**2 for n in range(20)]


def test_a_closure_takes_its_cells_along(executor: InterpreterPoolExecutor) -> None:
    base, table = 10, {"a": 1}
    assert executor.submit(lambda key: base + table[key], "a").result() == 11


def test_a_closure_sees_its_cells_as_they_are_at_each_submit(
    executor: InterpreterPoolExecutor,
) -> None:
    value = 1

    def read() -> int:
        return value

    first = executor.submit(read)
    value = 2
    second = executor.submit(read)
    assert (first.result(), second.result()) == (1, 2)


def test_each_task_sees_a_fresh_copy_of_a_closure(executor: InterpreterPoolExecutor) -> None:
    seen: list[int] = []

    def note(value: int) -> int:
        seen.append(value)
        return len(seen)

    assert [executor.submit(note, value).result() for value in range(3)] == [1, 1, 1]
    assert seen == []


def test_a_local_function_uses_globals_and_imports(executor: InterpreterPoolExecutor) -> None:
    def local(name: str) -> tuple[str, str, float]:
        import json

        return greet(name), json.dumps(GREETING), math.floor(2.5)

    assert executor.submit(local, "you").result() == ("hello you", '"hello"', 2)


def test_a_recursive_local_function_crosses(executor: InterpreterPoolExecutor) -> None:
    def factorial(number: int) -> int:
        return 1 if number < 2 else number * factorial(number - 1)

    assert executor.submit(factorial, 10).result() == math.factorial(10)


def test_defaults_keywords_and_annotations_of_a_local_function_survive(
    executor: InterpreterPoolExecutor,
) -> None:
    def local(a: int, /, b: int = 2, *rest: int, c: int = 4, **more: int) -> tuple[Any, ...]:
        return a, b, rest, c, more

    assert executor.submit(local, 1).result() == (1, 2, (), 4, {})
    assert executor.submit(local, 1, 3, 5, c=7, d=9).result() == (1, 3, (5,), 7, {"d": 9})


def test_a_local_class_crosses_with_its_instances(executor: InterpreterPoolExecutor) -> None:
    class Base:
        def value(self) -> int:
            return 1

    class Local(Base):
        def value(self) -> int:
            return super().value() + 1

        def __call__(self) -> int:
            return self.value()

    assert executor.submit(Local().value).result() == 2
    assert executor.submit(Local()).result() == 2
    assert executor.submit(tasks.type_name, Local()).result().endswith("Local")


def test_an_instance_of_a_local_class_comes_back_as_that_class(
    executor: InterpreterPoolExecutor,
) -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    result = executor.submit(Local, 3).result()
    assert type(result) is Local
    assert result.value == 3


def test_a_local_class_made_in_the_worker_comes_back(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.make_local_instance).result().value == 7


def test_a_lambda_comes_back(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.make_lambda).result()(1) == 2


def test_lambdas_as_arguments_cross(executor: InterpreterPoolExecutor) -> None:
    offset = 3
    assert executor.submit(tasks.call, lambda value: value + offset, 4).result() == 7
    assert executor.submit(sorted, ["bb", "a"], key=lambda text: len(text)).result() == ["a", "bb"]
    assert list(executor.map(tasks.call, [lambda: 1, lambda: 2])) == [1, 2]


def test_a_cached_local_function_crosses_with_its_parameters(
    executor: InterpreterPoolExecutor,
) -> None:
    @functools.lru_cache(maxsize=7, typed=True)
    def fibonacci(number: int) -> int:
        """Call itself through its cache."""
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    vars(fibonacci)["note"] = "kept"

    def look() -> tuple[Any, ...]:
        value, info = fibonacci(50), fibonacci.cache_info()
        return value, info.misses, fibonacci.cache_parameters(), vars(fibonacci)["note"]

    fibonacci(3)  # its results stay here
    assert executor.submit(fibonacci, 50).result() == 12586269025
    parameters = {"maxsize": 7, "typed": True}
    assert executor.submit(look).result() == (12586269025, 51, parameters, "kept")
    assert executor.submit(tasks.call, functools.cache(math.sqrt), 9).result() == 3
    assert executor.submit(fibonacci.__wrapped__, 9).result() == 34


def test_a_local_class_with_a_cached_method_crosses(executor: InterpreterPoolExecutor) -> None:
    class Local:
        @functools.cache  # noqa: B019 - few instances
        def double(self, value: int) -> int:
            return 2 * value

        @classmethod
        def name(cls) -> str:
            return cls.__name__

    assert executor.submit(Local().double, 4).result() == 8
    assert executor.submit(Local.name).result() == "Local"
    assert executor.submit(tasks.type_name, Local()).result().endswith("Local")


def test_a_cached_function_that_a_worker_finds_keeps_its_results_there(
    executor: InterpreterPoolExecutor,
) -> None:
    cached = tasks.cached

    def misses() -> int:
        cached(4)
        return cached.cache_info().misses

    assert [executor.submit(misses).result() for _ in range(2)] == [1, 1]
    assert [executor.submit(cached, 4).result() for _ in range(2)] == [12, 12]
    assert executor.submit(misses).result() == 1


def test_a_local_generic_function_crosses(executor: InterpreterPoolExecutor) -> None:
    @functools.singledispatch
    def kind(value: object) -> str:
        return "something"

    @kind.register
    def _(value: int) -> str:
        return "a number"

    class Local:
        @functools.singledispatchmethod
        def kind(self, value: object) -> str:
            return kind(value)

        @kind.register
        def _(self, value: bool) -> str:
            return "a truth"

    assert kind(1) == "a number"
    assert [executor.submit(kind, each).result() for each in (1, "")] == ["a number", "something"]
    results = [executor.submit(Local().kind, each).result() for each in (True, 1)]
    assert results == ["a truth", "a number"]


def test_a_function_made_by_exec_crosses(executor: InterpreterPoolExecutor) -> None:
    namespace: dict[str, Any] = {}
    exec("def made(value):\n    return value * 2", namespace)
    assert executor.submit(namespace["made"], 4).result() == 8


def test_a_function_of_a_module_that_only_exists_here_goes_by_value(
    executor: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("made_up_module")
    exec("factor = 3\ndef scale(value):\n    return value * factor", vars(module))
    monkeypatch.setitem(sys.modules, "made_up_module", module)
    assert executor.submit(module.scale, 4).result() == 12


def test_a_cached_function_of_a_module_that_only_exists_here_goes_by_value(
    executor: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("made_up_module")
    source = "import functools\n@functools.cache\ndef scale(value):\n    return value * 3\n"
    exec(source + "def scale_all(*values):\n    return [scale(v) for v in values]", vars(module))
    monkeypatch.setitem(sys.modules, "made_up_module", module)
    assert executor.submit(module.scale, 4).result() == 12
    assert executor.submit(module.scale_all, 4, 5).result() == [12, 15]
    assert executor.with_options(lane="process").submit(module.scale, 5).result() == 15


def test_a_function_shadowed_by_another_of_its_name_goes_by_value(
    executor: InterpreterPoolExecutor,
) -> None:
    def echo(value: Any) -> Any:
        return ("shadow", value)

    echo.__module__ = tasks.__name__
    echo.__qualname__ = "echo"
    assert executor.submit(echo, 1).result() == ("shadow", 1)


def test_the_same_name_later_bound_to_another_function_is_noticed(
    executor: InterpreterPoolExecutor,
) -> None:
    def make(number: int) -> Callable[[], int]:
        def same_name() -> int:
            return number

        return same_name

    assert [executor.submit(make(number)).result() for number in range(5)] == list(range(5))


@pytest.fixture
def late_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder with a module, not yet on the path."""
    (tmp_path / "late_module.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "late_module"
    sys.modules.pop("late_module", None)


def test_a_module_on_a_path_added_later_is_found(
    executor: InterpreterPoolExecutor, request: pytest.FixtureRequest
) -> None:
    assert executor.submit(tasks.echo, "started before").result() == "started before"
    __import__(request.getfixturevalue("late_module"))
    assert executor.submit(sys.modules["late_module"].answer).result() == 42


def test_an_argument_of_a_module_on_a_path_added_later_is_found(
    executor: InterpreterPoolExecutor, request: pytest.FixtureRequest
) -> None:
    assert executor.submit(tasks.echo, "started before").result() == "started before"
    __import__(request.getfixturevalue("late_module"))
    assert executor.submit(tasks.call, sys.modules["late_module"].answer).result() == 42


def test_many_different_callables_take_turns(executor: InterpreterPoolExecutor) -> None:
    functions = [functools.partial(operator.add, number) for number in range(300)]
    results = [executor.submit(function, 1) for function in functions]
    assert [future.result() for future in results] == list(range(1, 301))


def test_many_lambdas_are_not_confused(executor: InterpreterPoolExecutor) -> None:
    def make(number: int) -> Callable[[], int]:
        return lambda: number

    futures = [executor.submit(make(number)) for number in range(300)]
    assert [future.result() for future in futures] == list(range(300))


def test_initializer_and_its_arguments_may_be_by_value() -> None:
    offset = 5

    def prepare(value: int) -> None:
        tasks.calls = value + offset

    with InterpreterPoolExecutor(1, initializer=prepare, initargs=(10,)) as executor:
        assert executor.submit(tasks.count_calls).result() == 16
    assert tasks.calls == 0


class Meeting:
    """Something whose pickling takes until others have come as far."""

    def __init__(self, tell: threading.Event, await_: threading.Event) -> None:
        self._tell, self._await = tell, await_

    def __reduce__(self) -> tuple[type, tuple[()]]:
        self._tell.set()
        assert self._await.wait(60)
        return set, ()


def test_a_module_goes_by_value_for_two_threads_at_once(
    executor: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what cloudpickle takes by value it keeps one register for all threads."""
    module: Any = types.ModuleType("only_in_this_process")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = "def five(): return 5\ndef close_over(first): return lambda: (first, five())\n"
    exec(source, vars(module))
    first_in, second_in, first_over = (threading.Event() for _ in range(3))
    results = []

    def submit_second() -> None:
        assert first_in.wait(60)
        future = executor.submit(module.close_over(Meeting(second_in, first_over)))
        results.append(future.result())

    thread = threading.Thread(target=submit_second)
    thread.start()
    first = executor.submit(module.close_over(Meeting(first_in, second_in)))
    first_over.set()
    thread.join()
    assert [first.result(), *results] == [(set(), 5)] * 2


def test_a_submit_may_come_while_another_thread_loads_what_processes_need(
    executor: InterpreterPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "interp_executor._lanes"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))  # nothing is in it yet
    assert executor.submit(lambda: 5).result() == 5
