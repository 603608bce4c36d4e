"""Tasks that touch what the whole process shares, for test_readme_claims.py."""

import os
import random
import time


def pid() -> int:
    """Return the process's number."""
    return os.getpid()


def change_folder(path: str) -> str:
    """Change the working directory; return the one before."""
    before = os.getcwd()
    os.chdir(path)
    return before


def set_handler() -> None:
    """Set the handler of a signal."""
    import signal

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def set_in_c(name: str, value: str) -> None:
    """Set a variable of the environment that C code sees, and no copy of Python's."""
    os.putenv(name, value)


def set_in_python(name: str, value: str) -> str:
    """Set a variable in this interpreter's os.environ."""
    os.environ[name] = value
    return os.environ[name]


def limit(number: int) -> tuple[int, int]:
    """Set the soft limit of open files; return the limits before."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
    return before


def burn(seconds: float) -> float:
    """Use so much CPU time of this thread; return it."""
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass
    return time.thread_time() - began


def draw_from_pid() -> float:
    """Draw a number with a seed that is the PID."""
    return random.Random(os.getpid()).random()


def draw() -> float:
    """Draw a number with the seed that the module has chosen."""
    return random.random()
