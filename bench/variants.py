"""Executors that are opened with options of their own, for rows about these options."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor

from interp_executor import InterpreterPoolExecutor


def forkserver(workers: int) -> Executor:
    """Processes by the start method that our process lane uses."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("forkserver"))


def by_hand(workers: int) -> Executor:
    """Ours, with the lane of every task chosen by hand: nothing is left to decide."""
    return InterpreterPoolExecutor(workers, fallback=None)


def decided(workers: int) -> Executor:
    """Ours as it is by default. From this module too, since what a process has imported tells in
    how often its collector goes through all that is alive."""
    return InterpreterPoolExecutor(workers)


def in_processes(workers: int) -> Executor:
    """Ours, with all tasks in processes and no interpreter."""
    return InterpreterPoolExecutor(workers, lane="process")
