"""Independent processes: the yardstick for parallel pure-Python work.

They run the same task function in a plain loop and talk to nobody meanwhile, so
their rate is what the machine's cores can give at that moment. For the map with
one long item they share a pipe out of which each takes the next item when it is
free: list scheduling, in the order of the items, with next to no overhead.

Run as ``python -m bench.processes`` this module is such a process; it obeys lines
on its standard input.
"""

import os
import subprocess
import sys
import time

from bench import tasks
from bench.measures import Sample
from bench.place import environment

END = 255  # the item number that tells a process to stop taking items


class Independent:
    """A number of processes that are up and wait for orders."""

    def __init__(self, count: int) -> None:
        self._take, self._give = os.pipe()
        command = [sys.executable, "-m", "bench.processes", str(self._take)]
        self._processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self._take],
                env=environment(),
            )
            for _ in range(count)
        ]
        self._order([b"spin 1 1\n"] * count)

    def close(self) -> None:
        """Let the processes end and wait for them."""
        for process in self._processes:
            process.communicate()
        os.close(self._take)
        os.close(self._give)

    def spins(self, items: int, iterations: int) -> Sample:
        """Share ``items`` calls of spin out evenly in advance."""
        count = len(self._processes)
        shares = [items // count + (i < items % count) for i in range(count)]
        elapsed = self._order([b"spin %d %d\n" % (iterations, n) for n in shares])
        return Sample(elapsed / items, elapsed)

    def list_schedule(self, sizes: list[int]) -> Sample:
        """Run ``spin(size)`` for each size, each by whoever is free first."""
        if len(sizes) >= END:
            raise ValueError(f"more than {END - 1} items")
        order = b"take %s\n" % b" ".join(b"%d" % size for size in sizes)
        os.write(self._give, bytes(range(len(sizes))))
        os.write(self._give, bytes([END] * len(self._processes)))
        elapsed = self._order([order] * len(self._processes))
        return Sample(elapsed, elapsed)

    def _order(self, lines: list[bytes]) -> float:
        """Send each process its line; return the time until the last is done."""
        started = time.perf_counter()
        for process, line in zip(self._processes, lines, strict=True):
            assert process.stdin is not None
            process.stdin.write(line)
            process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline() != b"done\n":
                raise RuntimeError("an independent process died")
        return time.perf_counter() - started


def _spin(iterations: int, count: int) -> None:
    for _ in range(count):
        tasks.spin(iterations)


def _take(descriptor: int, sizes: list[int]) -> None:
    while (item := os.read(descriptor, 1)[0]) != END:
        tasks.spin(sizes[item])


def _obey(take: int) -> None:
    for line in sys.stdin.buffer:
        verb, *numbers = line.split()
        values = [int(number) for number in numbers]
        if verb == b"spin":
            _spin(*values)
        else:
            _take(take, values)
        sys.stdout.buffer.write(b"done\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _obey(int(sys.argv[1]))
