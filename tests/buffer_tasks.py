"""Functions that tests of buffers send into workers: importable, and light."""

import pickle
from typing import Any

kept: list[Any] = []


def echo(value: Any) -> Any:
    return value


def describe(view: memoryview) -> tuple[Any, ...]:
    """All that a memoryview says of its memory."""
    layout = (view.format, view.itemsize, view.ndim, view.shape, view.strides)
    return (*layout, view.readonly, view.nbytes, view.contiguous, view.tobytes())


def type_names(values: list[Any]) -> list[str]:
    return [type(value).__name__ for value in values]


def size(value: Any) -> int:
    return len(value)


def sizes(values: list[Any]) -> list[int | None]:
    """How long each is, or None of a function."""
    return [None if callable(value) else len(value) for value in values]


def fill(buffer: Any, value: int) -> None:
    with memoryview(buffer).cast("B") as view:
        view[:] = bytes([value]) * len(view)


def keep(value: Any) -> None:
    kept.append(value)


def kept_bytes() -> list[bytes]:
    return [bytes(value) for value in kept]


def forget() -> None:
    kept.clear()


def make_view(length: int, value: int = 7) -> memoryview:
    return memoryview(bytearray([value]) * length)


def make(kind: str, length: int) -> Any:
    """A large value of this kind."""
    if kind == "array":
        import array

        return array.array("d", bytes(length))
    makers = {"bytes": bytes, "bytearray": bytearray, "str": "x".__mul__, "wide": "é漢".__mul__}
    return makers[kind](length)


def slice_of(view: memoryview, start: int, stop: int) -> memoryview:
    return view[start:stop]


def are_one(first: Any, second: Any) -> bool:
    return first is second


def append(buffer: bytearray, more: bytes) -> bytearray:
    buffer += more
    return buffer


class Array:
    """Pickles as NumPy's arrays do: out of band, where the pickler takes it."""

    def __init__(self, data: Any, name: str) -> None:
        self.data = data
        self.name = name

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Array, (pickle.PickleBuffer(self.data), self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and bytes(self.data) == bytes(other.data)

    __hash__ = None  # type: ignore[assignment]


class Holder:
    """An instance with something in an attribute."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holder) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


class Source:
    """An exporter that can be watched by a weak reference."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.data)


class Unwilling:
    """An exporter that raises, and that pickles by what it exports."""

    def __buffer__(self, flags: int) -> memoryview:
        raise ValueError("not today")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return bytes, (pickle.PickleBuffer(self),)


class Text(str):
    """A subclass."""


class Bytes(bytes):
    """A subclass."""


class Bytearray(bytearray):
    """A subclass."""


def ends_of(view: memoryview) -> tuple[int, int, int]:
    return len(view), view[0], view[-1]


def total(buffer: Any) -> int:
    with memoryview(buffer) as view:
        return sum(view)


def fill_range(buffer: Any, start: int) -> None:
    """Write consecutive numbers of eight bytes."""
    with memoryview(buffer).cast("q") as view:
        for i in range(len(view)):
            view[i] = start + i


def make_shared(length: int) -> Any:
    from interp_executor import SharedBuffer

    return SharedBuffer.from_buffer(bytes(range(length)))


class Matrix:
    """Rows of bytes whose memory is pickled out of band, as an array of NumPy's is."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Matrix, (pickle.PickleBuffer(self.memory),)

    def is_read_only(self) -> bool:
        return memoryview(self.memory).readonly

    def value(self) -> bytes:
        return bytes(self.memory)


def raised_by_one(matrix: Matrix) -> Matrix:
    """Change the memory in place, and return it."""
    with memoryview(matrix.memory).cast("B") as view:
        view[:] = bytes(byte + 1 for byte in view)
    return matrix


def is_read_only(matrix: Matrix) -> bool:
    return matrix.is_read_only()


def abort_holding(value: Any) -> None:
    import os

    kept.append(value)
    os.abort()


def descriptors() -> int:
    import os

    return len(os.listdir("/proc/self/fd"))


def resident_shared() -> int:
    """Bytes of files, memory files among them, that this process maps and has touched."""
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return (int(fields["RssShmem"].split()[0]) + int(fields["RssFile"].split()[0])) * 1024


def raise_holding(value: Any) -> None:
    """Raise an exception while the task's argument is in use."""
    raise ValueError(len(value))


def wait_holding(value: Any) -> None:
    """Wait for ever while the task's argument is in use."""
    import threading

    threading.Event().wait()
