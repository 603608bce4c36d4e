"""Progress bars: ``interpreter_map``, the sibling of tqdm's ``process_map`` and ``thread_map``."""

from __future__ import annotations

from operator import length_hint

from interp_executor import InterpreterPoolExecutor

try:
    from tqdm.auto import tqdm as tqdm_auto
except ImportError as error:
    from interp_executor.contrib._extras import missing

    raise missing("tqdm", error) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["interpreter_map"]

_OF_THE_POOL = ("thread_name_prefix", "max_tasks_per_child", "mp_context", "reuse")


def interpreter_map[T](
    fn: Callable[..., T],
    *iterables: Iterable[Any],
    max_workers: int | None = None,
    timeout: float | None = None,
    chunksize: int | None = None,
    buffersize: int | None = None,
    lock_name: str = "",
    tqdm_class: type[Any] = tqdm_auto,
    **options: Any,
) -> list[T]:
    """Return ``list(map(fn, *iterables))``, run by interpreters under a progress bar.

    The signature is that of ``tqdm.contrib.concurrent.process_map``.

    Parameters
    ----------
    fn : callable
        Called once per item, in the workers.
    *iterables : iterable
        Taken from side by side.
    max_workers : int, optional
        The most interpreters that work at once.
    timeout : float, optional
        Seconds from now after which TimeoutError is raised.
    chunksize : int, optional
        Items per claim of a worker; by default by the measured time per item. The bar advances with
        the items either way.
    buffersize : int, optional
        The most items that may be under way or unread at a time.
    lock_name : str, optional
        Accepted for process_map's sake: only this interpreter writes the bar.
    tqdm_class : optional
        The class of the bar; by default ``tqdm.auto.tqdm``.
    **options
        ``thread_name_prefix``, ``max_tasks_per_child``, ``mp_context`` and ``reuse`` go to the
        executor, the rest (``total``, ``desc``, ``disable``, ...) to the bar.

    Returns
    -------
    list
        The results, in the order of the items.
    """
    pool = {name: options.pop(name) for name in _OF_THE_POOL if name in options}
    options.setdefault("total", _shortest(iterables))
    with InterpreterPoolExecutor(max_workers, **pool) as executor:
        results = executor.map(
            fn, *iterables, timeout=timeout, chunksize=chunksize, buffersize=buffersize
        )
        return list(tqdm_class(results, **options))


def _shortest(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """Return how many items there will be, if the iterables tell."""
    hints = (length_hint(iterable, -1) for iterable in iterables)
    return min((hint for hint in hints if hint >= 0), default=None)
