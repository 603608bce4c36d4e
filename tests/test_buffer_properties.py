"""Random structures of buffers cross both ways and are what they were."""

import array
import pickle
from typing import Any

import buffer_tasks as tasks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interp_executor import InterpreterPoolExecutor, SharedBuffer

SIZES = st.one_of(st.integers(0, 300), st.sampled_from([262_143, 262_144, 300_000]))
LETTERS = st.sampled_from(["a", "é", "漢", "\U0001f600"])
CONTENTS = st.builds(
    lambda seed, size: (seed * (size // len(seed) + 1))[:size],
    st.binary(min_size=1, max_size=7),
    SIZES,
)


@st.composite
def views(draw: st.DrawFn) -> memoryview:
    """A memoryview of any kind: bytes or bytearray behind it, cast, cut, strided, reversed."""
    data = draw(CONTENTS)
    view = memoryview(data if draw(st.booleans()) else bytearray(data))
    if draw(st.booleans()) and len(view) >= 8:
        view = view[: len(view) // 8 * 8].cast(draw(st.sampled_from(["B", "h", "i", "q"])))
    elif draw(st.booleans()) and len(view) >= 6 and len(view) % 6 == 0:
        return view.cast("B", (2, len(view) // 2))
    start, stop = draw(st.integers(0, 5)), draw(st.integers(0, len(view)))
    return view[start : max(start, stop) : draw(st.sampled_from([1, 1, 2, 3]))]


LEAVES = st.one_of(
    st.none(),
    st.integers(),
    CONTENTS,
    CONTENTS.map(bytearray),
    st.builds(lambda letter, size: letter * size, LETTERS, SIZES),
    SIZES.map(lambda size: array.array("i", range(size))),
    views(),
    CONTENTS.map(lambda data: tasks.Array(bytearray(data), "array")),
    CONTENTS.map(SharedBuffer.from_buffer),
)
STRUCTURES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        inner.map(tasks.Holder),
    ),
    max_leaves=12,
)


def plain(value: Any) -> Any:
    """What the value is, in terms that can be compared: memory with its shape and contents."""
    if isinstance(value, memoryview):
        layout = (value.format, value.shape, value.strides, value.readonly)
        return ("view", *layout, value.tobytes())
    if isinstance(value, SharedBuffer):
        return ("shared", bytes(value))
    if isinstance(value, tasks.Array):
        return ("array", bytes(value.data))
    if isinstance(value, tasks.Holder):
        return ("holder", plain(value.value))
    if isinstance(value, (list, tuple)):
        return (type(value), [plain(item) for item in value])
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return (type(value), value)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(value=STRUCTURES)
def test_structures_come_back_as_they_went(executor: InterpreterPoolExecutor, value: Any) -> None:
    expected = plain(value)
    back = executor.submit(tasks.echo, value).result()
    assert plain(back) == expected
    (mapped,) = executor.map(tasks.echo, [value])
    assert plain(mapped) == expected
    again = executor.submit(tasks.echo, back).result()  # views of views, and what came home
    assert plain(again) == expected
    assert plain(value) == expected


def test_pickle_buffers_of_every_kind_of_view(executor: InterpreterPoolExecutor) -> None:
    view = memoryview(bytes(range(100)))
    for source in (view, view[::3], view.cast("B", (10, 10)), memoryview(bytearray(5))):
        back = executor.submit(tasks.echo, [pickle.PickleBuffer(source)]).result()[0]
        assert plain(back) == plain(source)
