"""What deciding the lane of each task costs: ``python -m bench.deciding``.

It counts instructions, with valgrind's callgrind, since times on a machine that others use differ
by more than the 1 % in question. Each executor runs few tasks and many tasks; the difference is
what the tasks took, in all threads together, without the start. Threads that wait add to the
count where the machine is busy, so that the least of several runs is taken.
"""

import argparse
import re
import subprocess
import sys

from bench import executors, tasks
from bench.place import ROOT, environment

FEW, MANY = 1_000, 31_000
RUNS = 3
COUNTED = (executors.BY_HAND, executors.DECIDED)


def work(executor: str, items: int) -> None:
    """Submit all, then take all results, with one worker: what is counted."""
    with executors.load(executor)(1) as running:
        futures = [running.submit(tasks.echo, i) for i in range(items)]
        if [future.result() for future in futures] != list(range(items)):
            raise RuntimeError("an executor returned a wrong result")


def instructions(executor: str, items: int) -> int:
    """Return how many instructions a process takes that does this work."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    program = [sys.executable, "-m", "bench.deciding", "--work", executor, str(items)]
    done = subprocess.run(
        [*valgrind, *program],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env={**environment(), "PYTHONHASHSEED": "0"},
        text=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind told no count: {done.stderr[-200:]}")
    return int(found[1])


def per_task(executor: str, few: int, many: int) -> float:
    """Return the instructions that a task takes."""
    least = [min(instructions(executor, n) for _ in range(RUNS)) for n in (few, many)]
    return (least[1] - least[0]) / (many - few)


def main() -> None:
    """Print both, and by how much they differ."""
    parser = argparse.ArgumentParser(prog="python -m bench.deciding", description=__doc__)
    parser.add_argument("--many", type=int, default=MANY, help=f"tasks (default {MANY})")
    parser.add_argument("--work", nargs=2, metavar=("EXECUTOR", "ITEMS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], int(options.work[1]))
        return
    try:
        counts = [per_task(name, FEW, options.many) for name in COUNTED]
    except FileNotFoundError:
        sys.exit("python -m bench.deciding needs valgrind: install it with the system's packages")
    print(
        f"Python {sys.version.split()[0]}: instructions per task, {options.many:,} deep, 1 worker"
    )
    for name, count in zip(COUNTED, counts, strict=True):
        print(f"{executors.TITLES[name]:24} {count:8.1f}")
    print(f"deciding takes {counts[1] / counts[0] - 1:+.2%}")


if __name__ == "__main__":
    main()
