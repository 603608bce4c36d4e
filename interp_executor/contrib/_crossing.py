"""Sends the calls that an adapter has unwrapped, by reference if a worker can load them.

A script that says ``from joblib import Parallel`` on top cannot be loaded by a worker, since joblib
cannot; nor can what it defines be found by name there. When a worker reports so, the calls go again
by value; what is defined in such a module goes by value from then on. Calls that need an extension
which does not load in an interpreter go to a process at last, unless the executor has no fallback.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future

from interp_executor._errors import IncompatibleModuleError, NotLoadedError, TransferError
from interp_executor._executor import InterpreterPoolExecutor
from interp_executor._refusal import refused_module
from interp_executor._serialize import TakenByValue, dumps_by_value, pack_nothing
from interp_executor.contrib import _inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Names of modules that workers could not import although they define what is called.
_elsewhere: set[str] = set()
# Functions, by module and name, that need extensions which load in processes alone.
_need_process: set[tuple[str, str]] = set()


class Lanes:
    """Submits to an executor's interpreters, or to the processes beside them."""

    def __init__(self, executor: InterpreterPoolExecutor) -> None:
        executor._pool.reports = False
        chosen = executor._options.get("lane")
        # Not by a method of a subclass, which may need lanes for what it returns.
        view = InterpreterPoolExecutor.with_options
        self.interpreter = view(executor, lane=chosen or "interpreter")
        self.process = view(executor, lane=chosen or "process")
        self._may_fall_back = executor._pool.fallback and chosen is None

    def may_fall_back(self) -> bool:
        """Whether what does not load in an interpreter may run in a process."""
        return self._may_fall_back

    def submit(self, in_process: bool, fn: Callable[..., Any], *args: object) -> Future[Any]:
        """Submit past what a subclass's own submit() does."""
        view = self.process if in_process else self.interpreter
        return InterpreterPoolExecutor.submit(view, fn, *args)


class Crossing(Future[object]):
    """What becomes of calls that were sent to a worker.

    Parameters
    ----------
    lanes : Lanes
        The ways to a worker.
    run : callable
        The function of ``_inside`` that makes the calls.
    args : tuple
        Its arguments, which contain the calls.
    functions : iterable of callable
        The functions that are called.
    finish : callable, optional
        Makes the result of the finished future of the worker; by default it is the worker's.
    whole : callable, optional
        Makes the calls as the adapted package does, where that loads: in a process.
    """

    def __init__(
        self,
        lanes: Lanes,
        run: Callable[..., object],
        args: tuple[object, ...],
        functions: Iterable[Callable[..., object]],
        finish: Callable[[Future[Any]], object] = Future.result,
        whole: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self._lanes = lanes
        self._call = run, args
        self._names = {_name(fn) for fn in functions}
        self._homes = {home for home, _ in self._names if home}
        self._finish = finish
        self._whole = whole
        self._in_process = lanes.may_fall_back() and not self._names.isdisjoint(_need_process)
        self._by_value: set[str] | None = None  # the homes that went by value, last time
        self._extension = ""  # the one that refused, last time
        self._send()

    def cancel(self) -> bool:
        """Cancel the calls unless a worker has taken them; return whether they are cancelled."""
        return self._inner.cancel()

    def interrupt(self) -> bool:
        """Stop the calls if a worker makes them, or else cancel them; whether there were any."""
        return self._inner.cancel() or bool(self._inner.interrupt())  # type: ignore[attr-defined]

    def running(self) -> bool:
        """Return whether a worker makes the calls now."""
        return not self.done() and self._inner.running()

    def _send(self) -> None:
        run, args = self._call
        data = None if self._in_process else self._encode_by_value()
        if data is not None:
            self._inner = self._lanes.submit(False, _inside.run_by_value, data)
        elif self._in_process and self._whole is not None:
            self._inner = self._lanes.submit(True, self._whole)
        else:
            self._inner = self._lanes.submit(self._in_process, run, *args)
        self._inner.add_done_callback(self._arrive)

    def _encode_by_value(self) -> bytes | None:
        """Encode the calls if they are to go by value; otherwise None, which may mean a process."""
        elsewhere = self._homes & _elsewhere
        if not elsewhere and self._by_value is None:
            return None
        self._by_value = elsewhere
        try:
            return _dumps_by_value(self._call, elsewhere)
        except TransferError:
            if not self._turn_to_process():
                raise
            return None

    def _turn_to_process(self) -> bool:
        """Send the calls to a process from now on, if there may be one; whether there may."""
        self._in_process = self._lanes.may_fall_back()
        if self._in_process:
            _need_process.update(self._names)
            if self._extension:
                from interp_executor import _lanes

                _lanes.report(self._extension, "what needs it runs in processes")
        return self._in_process

    def _arrive(self, inner: Future[Any]) -> None:
        if inner.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
            return
        try:
            error = inner.exception()
            if self._has_another_way(error):
                self._send()
                return
            result = self._finish(inner)
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(result)

    def _has_another_way(self, error: BaseException | None) -> bool:
        """Whether the calls may succeed by value, or at last in a process."""
        if self._in_process:
            return False
        self._extension = _refusing_extension(error) or self._extension
        if self._by_value is not None and _refusing_extension(error) is not None:
            return self._turn_to_process()
        if isinstance(error, (NotLoadedError, IncompatibleModuleError)):
            return self._may_go_by_value(error)
        return False

    def _may_go_by_value(self, error: NotLoadedError | IncompatibleModuleError) -> bool:
        """Whether another attempt, with more by value, can do better."""
        if self._by_value is None:
            self._by_value = set()
            refused = _refusing_extension(error) is not None
            homes = self._homes if refused else self._homes & {"__main__", "__mp_main__"}
            _elsewhere.update(homes - sys.stdlib_module_names)
            return True
        module = getattr(error, "module", "")
        if module not in self._homes - self._by_value:
            return False
        _elsewhere.add(module)
        return True


def _refusing_extension(error: BaseException | None) -> str | None:
    """Return the extension at fault if it is one that loads in no interpreter of its own.

    None: it is another fault; "": nobody knows which extension.
    """
    if isinstance(error, IncompatibleModuleError):
        return error.name or ""
    return refused_module(error) if isinstance(error, NotLoadedError) else None


def _name(fn: object) -> tuple[str, str]:
    """Return the names of the module that defines what is called, and of that itself."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    home = getattr(fn, "__module__", None)
    return home if isinstance(home, str) else "", getattr(fn, "__qualname__", "")


def _dumps_by_value(value: object, homes: Iterable[str]) -> bytes:
    try:
        with TakenByValue(*homes):
            return dumps_by_value(value, pack_nothing)
    except Exception as error:
        from interp_executor._diagnose import transfer_error

        raise transfer_error(value, "the calls", error) from error
