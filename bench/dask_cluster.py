"""A graph of pure-Python tasks on a Dask LocalCluster: ``python -m bench.dask_cluster``.

The same graph on one worker process with threads, on one process per core, and on one process
with interpreters. The clusters are all up before the first round and take turns. Needs the dask
extra.
"""

import argparse
import os
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench import tasks
from bench.entries import spin_iterations

CORES = os.process_cpu_count() or 1


class Kind(NamedTuple):
    """One way to use the cores: worker processes, and threads or interpreters in each."""

    title: str
    processes: int
    threads: int
    interpreters: bool = False


KINDS = (
    Kind(f"1 process, {CORES} threads", 1, CORES),
    Kind(f"{CORES} processes, 1 thread each", CORES, 1),
    Kind(f"1 process, {CORES} interpreters", 1, CORES, interpreters=True),
)


@contextmanager
def cluster_of(kind: Kind) -> Iterator[Any]:
    """Bring a cluster up; yields its client."""
    from distributed import Client, LocalCluster

    options: dict[str, Any] = {}
    if kind.interpreters:
        from interp_executor.contrib.dask import DaskExecutor

        options["executor"] = DaskExecutor(kind.threads)
    cluster = LocalCluster(
        n_workers=kind.processes,
        threads_per_worker=kind.threads,
        processes=True,
        dashboard_address=":0",
        memory_limit=0,
        **options,
    )
    with cluster, Client(cluster) as client:
        client.run(_find_bench, str(Path(__file__).resolve().parent.parent))
        yield client


def _find_bench(folder: str) -> None:
    import sys

    sys.path.insert(0, folder)


def run_graph(client: Any, count: int, iterations: int) -> float:
    """Run that many spins and a sum of their results; return the seconds it took."""
    started = time.perf_counter()
    spins = client.map(tasks.spin, [iterations + i for i in range(count)], pure=False)
    total = client.submit(sum, spins, pure=False).result()
    elapsed = time.perf_counter() - started
    expected = sum(tasks.spin(iterations + i) for i in (0, count - 1))
    if total < expected:
        raise AssertionError(f"the graph returned {total}")
    return elapsed


def memory_of(client: Any) -> float:
    """Return the worker processes' share of memory in MB (PSS)."""
    text = "".join(
        Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in client.run(os.getpid).values()
    )
    return sum(map(int, re.findall(r"^Pss: +(\d+)", text, re.MULTILINE))) / 1024


def measure(rounds: int, count: int, seconds: float) -> list[tuple[Kind, float, float]]:
    """Return for each kind the median time of the graph and the memory in use after it."""
    iterations = spin_iterations(seconds)
    with ExitStack() as stack:
        clients = {kind: stack.enter_context(cluster_of(kind)) for kind in KINDS}
        times: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
        for kind in KINDS:
            run_graph(clients[kind], 2 * CORES, iterations)  # everything is imported
        for number in range(rounds):
            for kind in (*KINDS[number % 3 :], *KINDS[: number % 3]):
                times[kind].append(run_graph(clients[kind], count, iterations))
        return [(kind, statistics.median(times[kind]), memory_of(clients[kind])) for kind in KINDS]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.dask_cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one task")
    options = parser.parse_args()
    figures = measure(options.rounds, options.tasks, options.seconds)
    threads = figures[0][1]
    print("| workers | time of the graph | against threads | memory of the workers |")
    print("|---|---|---|---|")
    for kind, seconds, megabytes in figures:
        print(
            f"| {kind.title} | {seconds:.2f} s | {threads / seconds:.2f} x the speed "
            f"| {megabytes:.0f} MB |"
        )


if __name__ == "__main__":
    main()
