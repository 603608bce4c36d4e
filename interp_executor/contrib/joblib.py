"""joblib's ``Parallel`` on interpreters: ``register()``, then ``parallel_backend("interpreters")``.

The batches that joblib makes are taken apart here and run in the workers as plain calls, since
joblib itself does not load there. What a Parallel call has used is scrubbed and kept for the next.
"""

from __future__ import annotations

from interp_executor import InterpreterPoolExecutor
from interp_executor.contrib import _inside
from interp_executor.contrib._crossing import Crossing, Lanes

try:
    from joblib import cpu_count
    from joblib._parallel_backends import (
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
    )
    from joblib.parallel import register_parallel_backend
except ImportError as error:
    from interp_executor.contrib._extras import missing

    raise missing("joblib", error) from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any

__all__ = ["InterpretersBackend", "register"]

# What Parallel passes to every backend, and what only concerns memory mapped by processes.
_NOT_OURS = ("max_nbytes", "mmap_mode", "temp_folder", "verbose", "context", "prefer", "require")


class InterpretersBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs joblib's batches in the workers of an InterpreterPoolExecutor.

    Keyword arguments given to ``parallel_config`` or ``parallel_backend`` beside joblib's own go to
    the executor: ``initializer``, ``initargs``, ``max_tasks_per_child``, ``thread_name_prefix``.
    """

    supports_retrieve_callback = True

    # Dispatch costs microseconds, not the millisecond of a process: short batches spread better.
    MIN_IDEAL_BATCH_DURATION = 0.02
    MAX_IDEAL_BATCH_DURATION = 0.2

    _workers: InterpreterPoolExecutor | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many interpreters work at once for this n_jobs; negative counts from all."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(cpu_count() + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Make the executor of a Parallel call, or of its ``with`` block."""
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        options = {**self.backend_kwargs, **options}
        for name in _NOT_OURS:
            options.pop(name, None)
        self._workers = InterpreterPoolExecutor(n_jobs, **{"reuse": True, **options})
        self._lanes = Lanes(self._workers)
        self.parallel = parallel
        return n_jobs

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Future[Any]:
        """Send one batch of calls to a worker; return its future.

        To a process it goes as it is: there, it says how a Parallel within a task is to run.
        """
        functions = [call[0] for call in func.items]
        future = Crossing(self._lanes, _inside.run_calls, (func.items,), functions, whole=func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return the results of a finished batch, or raise what one of its calls raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what waits and interrupt what runs; go on with other workers, if at all."""
        if self._workers is not None:
            self._workers.terminate_workers()
            self._workers = None
        if ensure_ready:
            self.configure(self.parallel.n_jobs, self.parallel, **self.parallel._backend_kwargs)

    def terminate(self) -> None:
        """Hand the workers back at the end of a Parallel call."""
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)
            self._workers = None
        self.reset_batch_stats()


def register(*, make_default: bool = False) -> None:
    """Make "interpreters" known to joblib.

    Parameters
    ----------
    make_default : bool
        Also use it wherever no backend is named.

    Raises
    ------
    ImportError
        On import of this module, if joblib is not installed.
    """
    register_parallel_backend("interpreters", InterpretersBackend, make_default=make_default)
