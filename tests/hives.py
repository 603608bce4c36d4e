"""What tests ask of the hive."""

import _thread
import threading

from interp_executor import InterpreterPoolExecutor


def idle_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "interp_executor-idle"]


def warm() -> int:
    with InterpreterPoolExecutor(1) as executor:
        return executor.stats().warm


def thread_that_serves(**options: bool) -> int:
    with InterpreterPoolExecutor(1, **options) as executor:
        return executor.submit(_thread.get_ident).result()
