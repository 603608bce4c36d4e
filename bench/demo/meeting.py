"""Where the workers of a pool meet before the clock of the job starts."""

import os
import time

import bench.demo.job  # noqa: F401  # what each worker has to have imported

TIMEOUT = 60.0


def meet(folder: str, guest: int, guests: int) -> None:
    """Wait in a worker until all *guests* are there: each has started, and imported the job.

    A file per guest: the one meeting place that threads, interpreters and processes share.
    """
    deadline = time.monotonic() + TIMEOUT
    with open(f"{folder}/{guest}", "wb"):
        pass
    while len(os.listdir(folder)) < guests:  # pathlib is a large import
        if time.monotonic() > deadline:
            raise TimeoutError(f"{guests} tasks were submitted, but {guests} workers never came")
        time.sleep(0.001)
