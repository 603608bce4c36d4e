"""Running tasks from asyncio: a call, a map with bounded concurrency, cancellation that stops.

    import asyncio
    from interp_executor import InterpreterPoolExecutor, aio

    async def main():
        with InterpreterPoolExecutor() as executor:
            print(await aio.run(executor, fn, 1))

            async for result in aio.map(executor, fn, range(1000), limit=8):
                print(result)

            async with asyncio.TaskGroup() as group:  # one that fails cancels the others
                for item in range(3):
                    group.create_task(aio.run(executor, fn, item))

It works with any event loop and takes any executor of ``concurrent.futures``.
"""

from __future__ import annotations

import asyncio
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
    from concurrent.futures import Executor, Future
    from typing import Any

__all__ = ["map", "run"]


async def run[**P, T](
    executor: Executor, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run fn(*args, **kwargs) in the executor and return its result.

    When the awaiting task is cancelled, so is the work: what no worker has taken yet does not
    start, and what runs is interrupted where the executor can do that.

    Parameters
    ----------
    executor : Executor
        An InterpreterPoolExecutor; any other executor will do, but does not stop what runs.
    fn : callable
        Called in a worker.
    *args, **kwargs
        Its arguments.
    """
    future = executor.submit(fn, *args, **kwargs)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        _stop(future)
        raise


async def map[T](  # noqa: A001 - the executor's method has this name
    executor: Executor,
    fn: Callable[..., T],
    *iterables: Iterable[Any] | AsyncIterable[Any],
    limit: int | None = None,
) -> AsyncGenerator[T]:
    """Yield fn(*items) in order, items taken from the iterables side by side.

    What is under way is stopped when the iteration ends early: by an exception, by cancellation or
    when the generator is closed (``contextlib.aclosing`` closes it at once after a ``break``).

    Parameters
    ----------
    executor : Executor
        As for ``run``.
    fn : callable
        Called in the workers.
    *iterables : iterable or async iterable
        Read only as fast as results are taken.
    limit : int, optional
        The most items that are under way or unread at a time; by default twice the workers.

    Raises
    ------
    ValueError
        If limit is less than 1.
    """
    if limit is None:
        limit = 2 * getattr(executor, "_max_workers", 1)
    if limit < 1:
        raise ValueError("limit must be at least 1")
    under_way: deque[Future[T]] = deque()
    try:
        async for args in _side_by_side(iterables):
            if len(under_way) == limit:
                yield await asyncio.wrap_future(under_way[0])
                under_way.popleft()
            under_way.append(executor.submit(fn, *args))
        while under_way:
            yield await asyncio.wrap_future(under_way[0])
            under_way.popleft()
    finally:
        for future in under_way:
            _stop(future)


async def _side_by_side(
    iterables: tuple[Iterable[Any] | AsyncIterable[Any], ...],
) -> AsyncIterator[tuple[Any, ...]]:
    """zip() for iterables of both kinds."""
    iterators = [aiter(each) if _is_async(each) else iter(each) for each in iterables]  # type: ignore[arg-type]
    while iterators:
        items = []
        for iterator in iterators:
            try:
                items.append(await anext(iterator) if _is_async(iterator) else next(iterator))  # type: ignore[arg-type]
            except (StopIteration, StopAsyncIteration):
                return
        yield tuple(items)


def _is_async(iterable: object) -> bool:
    return hasattr(iterable, "__aiter__")


def _stop(future: Future[Any]) -> None:
    """Cancel a future's work, or interrupt it if it has begun."""
    if not future.cancel():
        interrupt = getattr(future, "interrupt", None)
        if interrupt is not None:
            interrupt()
