# mypy: ignore-errors
# (checked as 3.13, which has none of this)
"""The standard library's executor, told where this test suite lies (3.14 and later).

Its interpreters do not take over `sys.path` (cpython issue 126714), so without this they could
import none of the task functions.
"""

import concurrent.futures
import sys
from concurrent.futures.interpreter import WorkerContext
from typing import Any


class PathContext(WorkerContext):
    """A worker that gets the caller's `sys.path` before its initializer runs."""

    def initialize(self) -> None:
        initdata, self.initdata = self.initdata, None
        super().initialize()
        try:
            self.interp.exec(f"import sys; sys.path[:] = {sys.path!r}")
            if initdata:
                self.run(initdata)
        except BaseException:
            self.finalize()
            raise


class StdlibInterpreterPoolExecutor(concurrent.futures.InterpreterPoolExecutor):
    """InterpreterPoolExecutor as it is, but for the path."""

    @classmethod
    def prepare_context(cls, initializer: Any, initargs: Any) -> Any:
        return PathContext.prepare(initializer, initargs)
