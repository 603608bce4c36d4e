"""Dask on interpreters: an executor for its local scheduler and for the workers of ``distributed``.

    dask.config.set(pool=DaskExecutor(4))                                # the local scheduler
    LocalCluster(n_workers=1, threads_per_worker=4, executor=DaskExecutor(4))

Dask's tasks are taken apart here and run in the interpreters as plain calls: ``distributed`` does
not load there, and a graph of plain functions needs nothing of ``dask`` either.
"""

from __future__ import annotations

import sys
from threading import get_ident
from time import time

from interp_executor import InterpreterPoolExecutor
from interp_executor.contrib import _inside
from interp_executor.contrib._crossing import Crossing, Lanes

try:
    import dask.config
    import dask.local
    from dask import _task_spec as spec
except ImportError as error:
    from interp_executor.contrib._extras import missing

    raise missing("dask", error) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from typing import Any, Self

__all__ = ["DaskExecutor"]


class DaskExecutor(InterpreterPoolExecutor):
    """An InterpreterPoolExecutor that runs Dask's tasks without Dask in the workers.

    It takes the same parameters. Pickled, it crosses as these and its options, so that
    ``LocalCluster`` can send it to the processes that it starts; each makes an executor of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lanes = Lanes(self)
        self._parameters = args, kwargs
        if sys.version_info < (3, 14):
            # distributed's profiler calls sys._current_frames(), which there is no surviving on
            # 3.13 while an interpreter works.
            dask.config.set({"distributed.worker.profile.enabled": False})

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (*self._parameters, self._options)

    def with_options(self, **options: Any) -> Self:
        """Return a view of this executor whose calls have other defaults, Dask's tasks as well.

        Parameters
        ----------
        **options
            Those of InterpreterPoolExecutor.with_options().
        """
        view = super().with_options(**options)
        view._lanes = Lanes(view)
        return view

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # type: ignore[override]
        """Submit a call; what Dask's schedulers submit is unwrapped.

        Parameters
        ----------
        fn : callable
            Called in a worker with the arguments that follow.
        """
        if fn is dask.local.batch_execute_tasks:
            return self._submit_batch(*args)
        if getattr(fn, "__name__", None) == "_run_task_simple" and _is_of_distributed(fn):
            return self._submit_task(*args)
        return super().submit(fn, *args, **kwargs)

    def _submit_batch(self, batch: list[tuple[Any, ...]]) -> Future[Any]:
        """Run what dask.local.get_async() submits: (key, (task, data), dumps, loads, ...) each."""
        keys = [key for key, *_ in batch]
        packers = [(dumps, pack) for _, _, dumps, _, _, pack in batch]
        unwrapped = _Unwrapped()
        calls = [unwrapped.take(*loads(info)) for _, info, _, loads, _, _ in batch]

        def finish(future: Future[Any]) -> list[tuple[Any, Any, bool]]:
            error = future.exception()
            if error is None:
                return [
                    (key, dumps((result, thread)), False)
                    for key, (dumps, _), (result, *_, thread) in zip(
                        keys, packers, future.result(), strict=True
                    )
                ]
            return [
                (key, _pack(error, pack, dumps), True)
                for key, (dumps, pack) in zip(keys, packers, strict=True)
            ]

        return Crossing(self._lanes, _inside.work_out_all, (calls,), unwrapped.functions, finish)

    def _submit_task(self, task: Any, data: Mapping[Any, Any], delay: float) -> Future[Any]:
        """Run what distributed's Worker submits; the answer is the message that it expects."""
        from distributed.core import error_message
        from distributed.sizeof import safe_sizeof

        began = time()
        unwrapped = _Unwrapped()
        call = unwrapped.take(task, data)

        def finish(future: Future[Any]) -> dict[str, Any]:
            try:
                (result, start, stop, thread), *_ = future.result()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                message: dict[str, Any] = error_message(error)
                message |= {"op": "task-erred", "actual_exception": error}
                start, stop, thread = began, time(), get_ident()
            else:
                message = {
                    "op": "task-finished",
                    "status": "OK",
                    "result": result,
                    "nbytes": safe_sizeof(result),
                    "type": type(result) if result is not None else None,
                }
            return message | {"start": start + delay, "stop": stop + delay, "thread": thread}

        return Crossing(self._lanes, _inside.work_out_all, ([call],), unwrapped.functions, finish)


def _make(args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> DaskExecutor:
    executor = DaskExecutor(*args, **kwargs)
    return executor.with_options(**options) if options else executor


def _is_of_distributed(fn: Callable[..., Any]) -> bool:
    return fn.__module__ == "distributed.worker"


def _pack(error: BaseException, pack: Callable[..., Any], dumps: Callable[..., Any]) -> Any:
    """Pack an exception as the scheduler wants it, which looks at the one being handled."""
    try:
        raise error
    except BaseException as raised:
        return pack(raised, dumps)


class _Unwrapped:
    """Turns tasks into calls, and collects the functions that are called."""

    def __init__(self) -> None:
        self.functions: list[Callable[..., Any]] = []

    def take(self, task: Any, data: Mapping[Any, Any]) -> Any:
        """Return what a worker has to work out for the task, given its dependencies."""
        if isinstance(task, spec.Task) and task.func is spec._execute_subgraph:
            return self._plan(task, data)
        if isinstance(task, spec.NestedContainer):
            return self._call(_MAKERS[type(task)], task.args, {}, data)
        if type(task) is spec.Task:
            self.functions.append(task.func)
            return self._call(task.func, task.args, task.kwargs, data)
        if isinstance(task, (spec.Alias, spec.TaskRef)):
            key = task.target if isinstance(task, spec.Alias) else task.key
            return data[key]
        if isinstance(task, spec.DataNode):
            return task.value
        if isinstance(task, spec.GraphNode):  # of a kind that is not known here: Dask's own way
            known = {key: data[key] for key in task.dependencies}
            return _inside.Call(task, (known,), {})
        return task

    def _call(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        data: Mapping[Any, Any],
    ) -> _inside.Call:
        taken = tuple(self.take(argument, data) for argument in args)
        return _inside.Call(fn, taken, {name: self.take(v, data) for name, v in kwargs.items()})

    def _plan(self, task: Any, data: Mapping[Any, Any]) -> _inside.Plan:
        """Turn fused tasks into steps, each after those that it needs."""
        inner, last, names, *arguments = task.args
        values = {
            name: self.take(argument, data) for name, argument in zip(names, arguments, strict=True)
        }
        known = {key: _inside.Place(key) for key in (*inner, *values)}
        steps = [(key, self.take(inner[key], known)) for key in _in_order(inner, last)]
        return _inside.Plan(steps, values)


_MAKERS: dict[type, Callable[..., Any]] = {
    spec.List: _inside.make_list,
    spec.Tuple: _inside.make_tuple,
    spec.Set: _inside.make_set,
    spec.Dict: _inside.make_dict,
}


def _in_order(inner: Mapping[Any, Any], last: Any) -> list[Any]:
    """Return the keys that the last one needs, and it, each after its own dependencies."""
    order: dict[Any, None] = {}
    stack = [last]
    while stack:
        key = stack[-1]
        needed = [
            other for other in inner[key].dependencies if other in inner and other not in order
        ]
        if needed:
            stack += needed
        else:
            order[stack.pop()] = None
    return list(order)
