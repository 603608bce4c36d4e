"""Arguments and results arrive as they were sent."""

import array
import collections
import datetime
import decimal
import fractions
import ipaddress
import math
import pathlib
import uuid
import zoneinfo
from typing import Any

import crossing_tasks as tasks
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp_executor import InterpreterPoolExecutor

VALUES: list[Any] = [
    None,
    True,
    Ellipsis,
    NotImplemented,
    0,
    -1,
    2**31,
    -(2**63),
    2**64 + 1,
    10**1000,
    0.0,
    -0.0,
    1e308,
    math.inf,
    1 + 2j,
    "",
    "ascii",
    "latin é",
    "wide 漢字 \U0001f600",
    "lone surrogate \udc80",
    "null \0 inside",
    b"",
    b"bytes\0\xff",
    bytearray(b"mutable"),
    (),
    (1, "two", None),
    [],
    [1, [2, [3, []]]],
    {},
    {"key": {"nested": [1]}, 2: (3,), None: None},
    set(),
    {1, 2},
    frozenset({"a"}),
    range(1, 10, 2),
    slice(1, None, 2),
    array.array("d", [1.5, 2.5]),
    array.array("I", range(100)),
    collections.deque([1, 2], maxlen=5),
    collections.OrderedDict([("b", 1), ("a", 2)]),
    collections.defaultdict(list, {"a": [1]}),
    collections.Counter("hello"),
    collections.ChainMap({"a": 1}, {"b": 2}),
    decimal.Decimal("1.10"),
    fractions.Fraction(2, 3),
    datetime.date(2024, 2, 29),
    datetime.timedelta(days=1, microseconds=5),
    datetime.datetime(2024, 5, 6, 7, 8, tzinfo=datetime.UTC),
    uuid.UUID(int=5),
    pathlib.PurePosixPath("/a/b"),
    ipaddress.ip_address("::1"),
    int,
    tasks.Point,
    len,
    tasks.Pair(1, 2),
    tasks.Point(3, 4),
    tasks.Colour.GREEN,
    tasks.Flags.A | tasks.Flags.B,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_makes_the_round_trip(executor: InterpreterPoolExecutor, value: Any) -> None:
    result = executor.submit(tasks.echo, value).result()
    assert type(result) is type(value)
    assert repr(result) == repr(value)
    assert result == value


def test_all_values_make_the_round_trip_at_once(executor: InterpreterPoolExecutor) -> None:
    keywords = {f"k{number}": value for number, value in enumerate(VALUES)}
    assert executor.submit(tasks.arguments, *VALUES, **keywords).result() == (
        tuple(VALUES),
        keywords,
    )
    assert list(executor.map(tasks.echo, VALUES)) == VALUES


def test_nan_arrives_as_nan(executor: InterpreterPoolExecutor) -> None:
    assert math.isnan(executor.submit(tasks.echo, math.nan).result())


def test_a_time_zone_arrives(executor: InterpreterPoolExecutor) -> None:
    zone = zoneinfo.ZoneInfo("UTC")
    moment = datetime.datetime(2024, 5, 6, tzinfo=zone)
    result = executor.submit(tasks.echo, moment).result()
    assert result == moment
    assert result.tzinfo is zone


def test_singletons_stay_singletons(executor: InterpreterPoolExecutor) -> None:
    result = executor.submit(tasks.echo, [None, True, Ellipsis, tasks.Colour.RED, int]).result()
    assert result[0] is None
    assert result[1] is True
    assert result[2] is Ellipsis
    assert result[3] is tasks.Colour.RED
    assert result[4] is int


def test_an_object_passed_twice_stays_one_object(executor: InterpreterPoolExecutor) -> None:
    value = [1]
    assert executor.submit(tasks.same_object, value, value).result() is True
    assert executor.submit(tasks.same_object, value, [1]).result() is False
    first, second = executor.submit(tasks.echo, (value, value)).result()
    assert first is second


def test_a_list_that_holds_itself_makes_the_round_trip(executor: InterpreterPoolExecutor) -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert executor.submit(tasks.holds_itself, loop).result()
    result = executor.submit(tasks.echo, loop).result()
    assert result[0] is result


def test_deep_nesting_makes_the_round_trip(executor: InterpreterPoolExecutor) -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    assert executor.submit(tasks.echo, value).result() == value


def test_an_object_with_its_own_pickling_arrives(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.echo, tasks.Custom(5)).result().value == 5


def test_what_a_task_does_to_an_argument_stays_there(executor: InterpreterPoolExecutor) -> None:
    mine = [1]
    assert executor.submit(tasks.append_and_return, mine, 2).result() == [1, 2]
    assert mine == [1]


@pytest.mark.parametrize("size", [100, 10_000, 1_000_000, 20_000_000])
def test_large_values_of_every_kind_arrive(executor: InterpreterPoolExecutor, size: int) -> None:
    block = bytes(range(256)) * (size // 256 + 1)
    values = [
        block,
        block.decode("latin-1"),
        "漢" * (size // 3),
        bytearray(block),
        array.array("B", block),
    ]
    for value in values:
        result = executor.submit(tasks.echo, value).result()
        assert type(result) is type(value)
        assert result == value


def test_large_values_deep_inside_others_arrive(executor: InterpreterPoolExecutor) -> None:
    block = b"x" * 3_000_000
    value = {"a": [block, (bytearray(block), tasks.Holder(block.decode()))], "b": block}
    result = executor.submit(tasks.echo, value).result()
    assert result["a"][0] == block
    assert result["a"][1][0] == bytearray(block)
    assert result["a"][1][1].content == block.decode()
    assert result["a"][0] is result["b"]


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_bytearray_travels_as_it_was_at_submit(
    executor: InterpreterPoolExecutor, size: int
) -> None:
    value = bytearray(size)
    future = executor.submit(tasks.echo, value)
    value[0] = 1
    value.append(2)  # nothing holds the buffer
    assert future.result() == bytes(size)
    result = future.result()
    result.append(3)
    assert len(value) == size + 1


def test_many_results_that_are_large_arrive_in_order(executor: InterpreterPoolExecutor) -> None:
    blocks = [bytes([number]) * 200_000 for number in range(50)]
    assert list(executor.map(tasks.echo, blocks)) == blocks


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=30,
)


def _exactly_equal(first: Any, second: Any) -> bool:
    """Equal to the last type and sign, so that True is not 1 and 0.0 is not -0.0."""
    return first == second and repr(first) == repr(second)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=PLAIN)
def test_any_plain_value_makes_the_round_trip(
    executor: InterpreterPoolExecutor, value: Any
) -> None:
    single = executor.submit(tasks.echo, value)
    both = executor.submit(tasks.arguments, value, key=value)
    assert _exactly_equal(single.result(), value)
    assert _exactly_equal(both.result(), ((value,), {"key": value}))


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(values=st.lists(PLAIN, max_size=20), chunksize=st.none() | st.integers(1, 8))
def test_any_plain_values_make_the_round_trip_through_map(
    executor: InterpreterPoolExecutor, values: list[Any], chunksize: int | None
) -> None:
    results = list(executor.map(tasks.echo, values, chunksize=chunksize))
    assert _exactly_equal(results, values)
