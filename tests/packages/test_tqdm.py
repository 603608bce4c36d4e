"""tqdm over our map, and the sibling of its process_map."""

import inspect
import io
import re
import time

import pytest

pytest.importorskip("tqdm")

from isolated.script import run
from tqdm import tqdm
from tqdm.contrib.concurrent import process_map

from interp_executor import InterpreterPoolExecutor
from interp_executor.contrib.tqdm import interpreter_map

ITEMS = 200


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tqdm start no thread that watches its bars."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)


class Recording(tqdm):  # type: ignore[type-arg]
    """A bar that notes when it advances, in seconds."""

    moments: list[float]

    def __iter__(self):  # type: ignore[no-untyped-def]
        Recording.moments = []
        for item in super().__iter__():
            Recording.moments.append(time.perf_counter())
            yield item


def _assert_spread_over_the_run(started: float) -> None:
    """Every quarter of the run saw a good part of the progress."""
    ended = Recording.moments[-1]
    for quarter in range(4):
        begin = started + (ended - started) * quarter / 4
        end = started + (ended - started) * (quarter + 1) / 4
        events = sum(begin <= moment <= end for moment in Recording.moments)
        assert events > ITEMS / 20, Recording.moments


def test_a_bar_over_map_advances_smoothly() -> None:
    with InterpreterPoolExecutor(2) as executor:
        list(executor.map(time.sleep, [0.001] * 4))
        started = time.perf_counter()
        results = executor.map(time.sleep, [0.005] * ITEMS)
        assert len(list(Recording(results, total=ITEMS, file=io.StringIO()))) == ITEMS
    assert len(Recording.moments) == ITEMS
    _assert_spread_over_the_run(started)


def test_a_bar_over_map_with_a_chunksize_advances_smoothly() -> None:
    with InterpreterPoolExecutor(2) as executor:
        list(executor.map(time.sleep, [0.001] * 4))
        started = time.perf_counter()
        results = executor.map(time.sleep, [0.005] * ITEMS, chunksize=50)
        list(Recording(results, total=ITEMS, file=io.StringIO()))
    _assert_spread_over_the_run(started)


def test_interpreter_map_does_what_process_map_does() -> None:
    file = io.StringIO()
    results = interpreter_map(
        pow, range(50), [2] * 60, max_workers=2, chunksize=5, desc="squares", file=file
    )
    assert results == [number**2 for number in range(50)]
    assert "squares: 100%" in file.getvalue()
    assert "50/50" in file.getvalue()


def test_interpreter_map_takes_every_documented_option_of_process_map() -> None:
    file = io.StringIO()
    options = dict.fromkeys(("timeout", "chunksize", "buffersize", "mp_context"))
    assert process_map.__doc__ is not None
    documented = re.findall(r"^ *(\w+) +: ", process_map.__doc__, re.MULTILINE)
    assert {"max_workers", "chunksize", "tqdm_class"} <= set(documented)
    options |= dict.fromkeys(set(documented) - {"max_workers", "tqdm_class", "smoothing"})
    assert interpreter_map(
        abs,
        [-1],
        max_workers=1,
        tqdm_class=tqdm,
        smoothing=0.3,
        file=file,
        **options,
    ) == [1]
    names = inspect.signature(interpreter_map).parameters
    assert list(names)[:2] == ["fn", "iterables"]


def test_a_generators_items_need_no_total() -> None:
    assert interpreter_map(abs, (n for n in range(3)), max_workers=1, disable=True) == [0, 1, 2]


def test_an_error_of_an_item_is_raised_and_leaves_nothing() -> None:
    with pytest.raises(ZeroDivisionError):
        interpreter_map(divmod, [1] * 9, [0] * 9, max_workers=1, file=io.StringIO())


def test_without_tqdm_the_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["tqdm"] = None
try:
    import interp_executor.contrib.tqdm
except ImportError as error:
    print(error)
"""
    assert "pip install 'interp-executor[tqdm]'" in run("-c", code).stdout
