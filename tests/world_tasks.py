"""Tasks that look at the world around them: importable, and light."""

import asyncio
import atexit
import contextvars
import ctypes
import datetime
import decimal
import importlib
import os
import sqlite3
import subprocess
import sys
import threading
import warnings
import zoneinfo
from concurrent.futures import ThreadPoolExecutor
from typing import Any

picklable: contextvars.ContextVar[Any] = contextvars.ContextVar("picklable", default="unset")
unpicklable: contextvars.ContextVar[Any] = contextvars.ContextVar("unpicklable", default="unset")


def interpreter_id() -> int:
    import _interpreters

    return int(_interpreters.get_current()[0])


def path() -> list[str]:
    return list(sys.path)


def argv() -> list[str]:
    return list(sys.argv)


def set_up_path() -> None:
    """Be an initializer. The environment that C code sees is left alone: it is the process's."""
    sys.path.insert(0, "/put/in/front")
    sys.path.append("/put/at/the/end")
    os.environ._data[b"IX_TEST_INITIALIZED"] = b"yes"  # type: ignore[attr-defined]


def environment() -> dict[str, str]:
    return dict(os.environ)


def warn(category: type[Warning]) -> str:
    warnings.warn("from a task", category, stacklevel=1)
    return "went on"


def import_quietly(name: str) -> None:
    """Import a module as those do whom its warnings are too many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(name)


def error_of_nested(module: str, name: str) -> BaseException | None:
    """What a function raises in an executor of this task's."""
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(1) as executor:
        return executor.submit(eval, f"__import__({module!r}).{name}()").exception()


def thread_names() -> tuple[str, list[str]]:
    return threading.current_thread().name, [thread.name for thread in threading.enumerate()]


def thread_identity() -> tuple[bool, bool, int]:
    """Whether threading knows this thread by its real identity."""
    thread = threading.current_thread()
    return (
        thread.ident == threading.get_ident(),
        thread.native_id == threading.get_native_id(),
        len(threading.enumerate()),
    )


def run_command(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run_loop() -> list[Any]:
    async def double(value: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * value

    async def main() -> list[Any]:
        in_thread = await asyncio.to_thread(threading.get_ident)
        values = await asyncio.gather(*(double(number) for number in range(5)))
        return [in_thread != threading.get_ident(), *values]

    return asyncio.run(main())


def run_loop_with_process() -> bytes:
    async def main() -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('from a child')", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return out

    return asyncio.run(main())


def run_threads(count: int) -> list[int]:
    results: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        with lock:
            results.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


def leave_a_thread_running(read: int, write: int) -> None:
    """The thread waits for a byte on one pipe and answers on the other."""

    def work() -> None:
        os.write(write, os.read(read, 1))

    threading.Thread(target=work).start()


def run_thread_pool() -> list[int]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(abs, range(-5, 0)))


def query_database() -> list[tuple[int, str]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("create table t (number integer, name text)")
        connection.executemany("insert into t values (?, ?)", [(1, "one"), (2, "two")])
        return list(connection.execute("select * from t order by number"))
    finally:
        connection.close()


def divide_decimals() -> str:
    with decimal.localcontext() as context:
        context.prec = 30
        return str(decimal.Decimal(1) / decimal.Decimal(7))


def parse_dates() -> tuple[str, float]:
    moment = datetime.datetime.strptime("2024-02-29 13:14", "%Y-%m-%d %H:%M")
    zoned = moment.replace(tzinfo=zoneinfo.ZoneInfo("UTC"))
    return zoned.isoformat(), (zoned + datetime.timedelta(days=1)).timestamp()


def call_c() -> tuple[int, int]:
    library = ctypes.CDLL(None)
    callback_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
    compare = callback_type(lambda first, second: first[0] - second[0])
    library.qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare)
    return library.abs(-3), numbers[0]


def import_modules(names: list[str]) -> list[str]:
    """Import each; return those that failed with why."""
    failed = []
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed.append(f"{name}: {error}")
    return failed


def register_exit(write: int, text: bytes) -> None:
    atexit.register(os.write, write, text)


def context_values() -> tuple[Any, Any]:
    return picklable.get(), unpicklable.get()


def set_context_value(value: Any) -> Any:
    before = picklable.get()
    picklable.set(value)
    return before


def nested_sum(numbers: list[int], depth: int) -> int:
    """Sum by executors within executors."""
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(max_workers=1) as executor:
        if depth == 0:
            return sum(executor.map(abs, numbers))
        return executor.submit(nested_sum, numbers, depth - 1).result()


def nested_failure() -> None:
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(max_workers=1) as executor:
        executor.submit(int, "not a number").result()


def nested_and_left() -> int:
    """An inner executor that nobody shuts down."""
    from interp_executor import InterpreterPoolExecutor

    return InterpreterPoolExecutor(max_workers=1).submit(abs, -7).result()


def interpreters_within() -> tuple[int, int]:
    from interp_executor import InterpreterPoolExecutor

    with InterpreterPoolExecutor(max_workers=1) as executor:
        return interpreter_id(), executor.submit(interpreter_id).result()


def read_byte(fd: int) -> bytes:
    return os.read(fd, 1)
