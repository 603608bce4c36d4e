"""The bare futex ping-pong, compiled through cffi in API mode on first use."""

import importlib.util
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measures import Sample

SOURCE = Path(__file__).with_name("pingpong.c")
NAME = "_bench_pingpong"


def missing() -> str | None:
    """Say why the ping-pong cannot be compiled here, if so."""
    for module in ("cffi", "setuptools"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    return None


def _compile(folder: str) -> Any:
    builder: Any = importlib.import_module("cffi").FFI()
    builder.cdef("int bench_pingpong(unsigned rounds, double *durations);")
    builder.set_source(NAME, SOURCE.read_text(), extra_compile_args=["-O2"], libraries=["pthread"])
    path = builder.compile(tmpdir=folder)
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PingPong:
    """The compiled game."""

    def __init__(self, module: Any) -> None:
        self._ffi, self._lib = module.ffi, module.lib

    def round_trips(self, items: int) -> Sample:
        """Play that many round trips: the median."""
        durations = self._ffi.new("double[]", items)
        error = self._lib.bench_pingpong(items, durations)
        if error:
            raise OSError(error, os.strerror(error))
        seconds = list(durations)
        return Sample(statistics.median(seconds), sum(seconds))


@contextmanager
def compiled() -> Iterator[PingPong]:
    """Compile the C file into a folder of its own and yield the game."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield PingPong(_compile(folder))
