"""Victor Stinner's proof of concept of 2020: a GIL for each interpreter.

Four factorials in pure Python, on four processors then: threads came out slower
than one after the other, interpreters as fast as processes. As there, starting the
workers is part of the time.
"""

from bench import executors, tasks
from bench.origins.claim import Case, Claim, needs, timed

NUMBER = 50_000
WORKERS = 4
JOBS = 4


def sequential(_times: int) -> float:
    """One factorial after the other."""
    return timed(lambda: [tasks.factorial(NUMBER) for _ in range(JOBS)])


def _pooled(executor: str) -> float:
    def work() -> None:
        with executors.load(executor)(WORKERS) as running:
            for future in [running.submit(tasks.factorial, NUMBER) for _ in range(JOBS)]:
                future.result()

    return timed(work)


def threads(_times: int) -> float:
    """Four threads of one interpreter."""
    return _pooled(executors.THREAD)


def processes(_times: int) -> float:
    """Four processes."""
    return _pooled(executors.PROCESS)


def stdlib(_times: int) -> float:
    """Four interpreters of the standard library's executor."""
    return _pooled(executors.INTERPRETER)


def ours(_times: int) -> float:
    """Four interpreters of our executor."""
    return _pooled(executors.OURS)


CLAIM = Claim(
    "stinner",
    f"Stinner 2020: factorial({NUMBER:,}) in pure Python, {WORKERS} workers",
    "the whole job of 4",
    1,
    1,
    (
        Case("sequential", "sequential", sequential, 1.99),
        Case("threads", "threads", threads, 3.15),
        Case("processes", "processes", processes, 0.560),
        Case("stdlib", "interpreters, stdlib pool", stdlib, 0.583, needs(executors.INTERPRETER)),
        Case("ours", "interpreters, ours", ours, 0.583, needs(executors.OURS)),
    ),
)
