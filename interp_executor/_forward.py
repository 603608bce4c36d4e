"""The owner's side of forward_output: what the workers write and log, here."""

from __future__ import annotations

import _pickle
import logging
import marshal
import sys


def levels() -> tuple[tuple[str, int], ...]:
    """Return the names and levels of the loggers that have one; the root logger's name is ""."""
    loggers = logging.root.manager.loggerDict
    set_here = [
        (name, logger.level)
        for name, logger in list(loggers.items())
        if isinstance(logger, logging.Logger) and logger.level
    ]
    return (("", logging.root.level), *set_here)


def deliver(data: bytes | bytearray) -> None:
    """Write and log what a worker has sent, in its order."""
    for kind, value in marshal.loads(data):
        if kind == "log":
            record = logging.makeLogRecord(_pickle.loads(value))
            logger = logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
            continue
        stream = getattr(sys, kind)
        if stream is not None:
            stream.write(value)
            stream.flush()
