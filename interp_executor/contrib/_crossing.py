"""Sends the calls that an adapter has unwrapped, by reference if a worker can load them.

A script that says ``from joblib import Parallel`` on top cannot be loaded by a worker, since joblib
cannot; nor can what it defines be found by name there. When a worker reports so, nothing has been
run, and the calls go again by value; what is defined in such a module goes by value from then on.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future

from interp_executor._errors import NotLoadedError
from interp_executor.contrib import _inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Names of modules that workers could not import although they define what is called.
_elsewhere: set[str] = set()
_by_value_lock = threading.Lock()  # cloudpickle's register is one for the process


class Crossing(Future[object]):
    """What becomes of calls that were sent to a worker.

    Parameters
    ----------
    submit : callable
        Sends a function and its arguments to a worker and returns a future.
    run : callable
        The function of ``_inside`` that makes the calls.
    args : tuple
        Its arguments, which contain the calls.
    functions : iterable of callable
        The functions that are called.
    finish : callable, optional
        Makes the result of the finished future of the worker; by default it is the worker's.
    """

    def __init__(
        self,
        submit: Callable[..., Future[Any]],
        run: Callable[..., object],
        args: tuple[object, ...],
        functions: Iterable[Callable[..., object]],
        finish: Callable[[Future[Any]], object] = Future.result,
    ) -> None:
        super().__init__()
        self._submit = submit
        self._call = run, args
        self._homes = {home for fn in functions if (home := _home(fn)) is not None}
        self._finish = finish
        self._by_value: set[str] | None = None  # the homes that went by value, last time
        self._send()

    def cancel(self) -> bool:
        """Cancel the calls unless a worker has taken them; return whether they are cancelled."""
        return self._inner.cancel()

    def running(self) -> bool:
        """Return whether a worker makes the calls now."""
        return not self.done() and self._inner.running()

    def _send(self) -> None:
        run, args = self._call
        elsewhere = self._homes & _elsewhere
        if elsewhere or self._by_value is not None:
            self._by_value = elsewhere
            data = _dumps_by_value((run, args), elsewhere)
            self._inner = self._submit(_inside.run_by_value, data)
        else:
            self._inner = self._submit(run, *args)
        self._inner.add_done_callback(self._arrive)

    def _arrive(self, inner: Future[Any]) -> None:
        if inner.cancelled():
            super().cancel()
            self.set_running_or_notify_cancel()
            return
        try:
            error = inner.exception()
            if isinstance(error, NotLoadedError) and self._may_go_by_value(error):
                self._send()
                return
            result = self._finish(inner)
        except BaseException as error:
            self.set_exception(error)
        else:
            self.set_result(result)

    def _may_go_by_value(self, error: NotLoadedError) -> bool:
        """Whether another attempt, with more by value, can do better."""
        if self._by_value is None:
            self._by_value = set()
            _elsewhere.update(self._homes & {"__main__", "__mp_main__"})
            return True
        if error.module not in self._homes - self._by_value:
            return False
        _elsewhere.add(error.module)
        return True


def _home(fn: object) -> str | None:
    """Return the name of the module that defines what is called."""
    while hasattr(fn, "func"):  # functools.partial
        fn = fn.func
    home = getattr(fn, "__module__", None)
    return home if isinstance(home, str) else None


def _dumps_by_value(value: object, homes: Iterable[str]) -> bytes:
    import cloudpickle

    with _by_value_lock:
        known = cloudpickle.list_registry_pickle_by_value()
        modules = [sys.modules[home] for home in homes if home not in known and home in sys.modules]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            data: bytes = cloudpickle.dumps(value, protocol=5)
        except Exception as error:
            from interp_executor._diagnose import transfer_error

            raise transfer_error(value, "the calls", error) from error
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)
    return data
