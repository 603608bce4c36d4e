"""The exceptions of the package. The public ones name the module from which people import them."""

import sys
from _pickle import PicklingError  # pickle's own, which is slower to import

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import BrokenExecutor


class TransferError(PicklingError, TypeError):
    """A callable, an argument, a result or an exception cannot cross to another interpreter.

    The message names the type and the place of what failed; ``__cause__`` is the failure itself.
    """

    __module__ = "interp_executor"


class NotLoadedError(TransferError):
    """A worker could not load a task's callable or arguments; nothing of the task has been run.

    Attributes
    ----------
    module : str
        The module that did not load; empty where that is not known.
    """

    module = ""


class IncompatibleModuleError(ImportError):
    """A task needs an extension module that does not load in an interpreter, and could not move.

    The message says why the task was not run in a process instead, and the ways out. ``name`` is
    the extension; ``__cause__`` is the exception of its import, where there was one.
    """

    __module__ = "interp_executor"


class TaskError(Exception):
    """Stands for an exception of a task whose class cannot cross.

    Attributes
    ----------
    type_name : str
        The class's qualified name in the worker, with its module.
    message : str
        ``str()`` of the exception.
    traceback : str
        The worker's formatted traceback.
    """

    __module__ = "interp_executor"

    def __init__(self, type_name: str, message: str, traceback: str = "") -> None:
        super().__init__(type_name, message, traceback)
        self.type_name = type_name
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


class TaskInterrupt(BaseException):
    """Raised inside a task that is to stop, by ``future.interrupt()`` or for want of time.

    Not an ``Exception``, so that ``except Exception`` does not swallow it. A task may catch it to
    clean up, and raise it again.
    """

    __module__ = "interp_executor"


class TaskInterrupted(Exception):
    """A task was interrupted: ``future.interrupt()``, a cancelled await, ``terminate_workers()``.

    Attributes
    ----------
    abandoned : bool
        The task did not stop within the grace period: it may still be running, in a worker that
        serves no other task.
    """

    __module__ = "interp_executor"

    def __init__(self, message: str = "the task was interrupted", abandoned: bool = False) -> None:
        super().__init__(message, abandoned)
        self.abandoned = abandoned

    def __str__(self) -> str:
        return str(self.args[0])


class TaskTimeoutError(TaskInterrupted, TimeoutError):
    """A task, or an item of a map, was interrupted because it was over its time."""

    __module__ = "interp_executor"


class RemoteTraceback(Exception):
    """A worker's formatted traceback, at the root of the ``__cause__`` chain of what it raised."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def _broken_bases() -> "tuple[type[BrokenExecutor], ...]":
    from concurrent.futures.process import BrokenProcessPool

    if sys.version_info >= (3, 14):
        from concurrent.futures.interpreter import BrokenInterpreterPool

        return BrokenInterpreterPool, BrokenProcessPool
    from concurrent.futures.thread import BrokenThreadPool

    return BrokenThreadPool, BrokenProcessPool


def _make_broken_interpreter_pool() -> type:
    return type(
        "BrokenInterpreterPool",
        _broken_bases(),
        {
            "__doc__": "An initializer failed: the pool is not usable any more.\n\n"
            "The initializer's exception is the ``__cause__``. The standard library's exceptions\n"
            "of broken pools are its bases, so that existing ``except`` clauses hold.",
            "__module__": "interp_executor",
        },
    )


def _make_process_crash_error() -> type:
    from concurrent.futures.process import BrokenProcessPool

    return type(
        "ProcessCrashError",
        (BrokenProcessPool,),
        {
            "__doc__": "The process that ran a task has died.\n\n"
            "The message names the signal or the exit status. The executor goes on: only the task\n"
            "that ran there is lost.",
            "__module__": "interp_executor",
        },
    )


if TYPE_CHECKING:
    from concurrent.futures.process import BrokenProcessPool
    from concurrent.futures.thread import BrokenThreadPool

    class ProcessCrashError(BrokenProcessPool):
        """The process that ran a task has died."""

    class BrokenInterpreterPool(BrokenThreadPool, BrokenProcessPool):
        """An initializer failed: the pool is not usable any more."""


def __getattr__(name: str) -> object:
    # Made on first use: their base for processes costs the import of multiprocessing.
    makers = {
        "BrokenInterpreterPool": _make_broken_interpreter_pool,
        "ProcessCrashError": _make_process_crash_error,
    }
    if name not in makers:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = makers[name]()
    return value
