"""Tasks about large values and lent memory: importable by workers, and light."""

kept: list[object] = []


def noop() -> None:
    """Do nothing."""


def echo(value: object) -> object:
    """Return what came in."""
    return value


def size(value: bytes | str | bytearray | memoryview | list[object]) -> int:
    """Return the length, without a look at the contents."""
    return len(value)


def ends(view: memoryview) -> tuple[int, int]:
    """Return the first and the last item."""
    return view[0], view[-1]


def keep(value: object) -> None:
    """Keep a value in this worker."""
    kept[:] = [value]


def give() -> object:
    """Return the value that this worker keeps."""
    return kept[0]
