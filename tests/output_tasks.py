"""Tasks that print, log and warn."""

import io
import logging
import os
import sys
import threading
import warnings
from pathlib import Path


def say(text: str) -> None:
    print(text)


def write_and_count(text: str) -> int:
    return sys.stdout.write(text)


def say_to_both(text: str) -> None:
    print("out", text)
    print("err", text, file=sys.stderr)
    print("again", text)


def say_and_fail(text: str) -> None:
    print(text)
    raise ValueError(text)


def log(text: str, level: int = logging.WARNING, name: str = "tasks") -> None:
    logging.getLogger(name).log(level, "said %s", text)


def log_an_error(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("tasks").exception("it failed", extra={"lock": threading.Lock()})


def capture_what_is_logged(text: str) -> str:
    logger, captured = logging.getLogger("tasks"), io.StringIO()
    handler = logging.StreamHandler(captured)
    logger.addHandler(handler)
    log(text)
    logger.removeHandler(handler)
    return captured.getvalue()


def log_without_propagation(text: str) -> None:
    logger = logging.getLogger("tasks.apart")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(sys.stdout))
    log(text, name=logger.name)


def alternate(count: int) -> None:
    for number in range(count):
        print("printed", number)
        logging.getLogger("tasks").error("logged %d", number)


def say_and_wait(text: str, fifo: Path) -> bytes:
    print(text, flush=True)
    return fifo.read_bytes()


def log_and_wait(text: str, fifo: Path) -> bytes:
    logging.getLogger("tasks").error(text)
    return fifo.read_bytes()


def warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=1)


def say_from_a_thread(text: str) -> None:
    thread = threading.Thread(target=print, args=(text,))
    thread.start()
    thread.join()


def say_later(text: str, over: str, said: str) -> None:
    """Leave a thread that speaks when somebody opens the one FIFO, and tells so in the other."""

    def speak() -> None:
        with open(over, "rb"):
            print(text)
        with open(said, "wb"):
            pass

    threading.Thread(target=speak).start()


def say_and_die(text: str) -> None:
    print(text, flush=True)
    os._exit(1)


def say_much(letter: str, lines: int, width: int) -> None:
    for _ in range(lines):
        print(letter * width)


def configure_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s|%(message)s")


def say_at_exit() -> None:
    import atexit

    atexit.register(print, "at exit")
