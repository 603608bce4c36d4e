"""Where a worker's output goes: to the terminal in whole lines, or to the owner if it asks for it.

The standard streams collect what is written and pass it on at the end of each task, when they are
flushed, and when there is much of it; then in whole lines, so that those of several workers do not
mix. With ``forward_output=True`` the owner gets it, and what is logged, in the order of writing.
"""

import _thread
import io
import sys

from interp_executor import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Levels = tuple[tuple[str, int], ...]

# Set by streams when they are written to and reset by the C core when it has flushed them.
written = bytearray(1)

_MUCH = 8192  # bytes that a stream holds before it passes whole lines on

# The streams of install_streams(), whatever tasks have put in their place since.
_installed: "list[_Text]" = []
_buffers: "list[_Buffer]" = []

# What is on its way to the owner, as (kind, value); None while output goes to the file descriptors.
#   "stdout", "stderr": str       written to the stream of that name
#   "log": bytes                  the pickled attributes of a log record
_events: "list[tuple[str, object]] | None" = None
# How they get there: the owner's pool takes them, or says that it cannot at present.
_tell: "Callable[[bytes], bool]" = _native.tell_owner
_lock = _thread.RLock()  # a finalizer may print while something is being passed on


class _Buffer(io.BufferedIOBase):
    """The binary side of a standard stream."""

    def __init__(self, name: str, raw: io.FileIO, encoding: str) -> None:
        self.raw = raw
        self._name = name
        self._encoding = encoding
        self._held = bytearray()

    @property
    def name(self) -> str:
        return f"<{self._name}>"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.raw.fileno()

    def isatty(self) -> bool:
        return self.raw.isatty()

    def write(self, data: "Any", /) -> int:
        written[0] = 1
        with _lock:
            before = len(self._held)
            self._held += data
            count = len(self._held) - before
            if len(self._held) > _MUCH:
                self._pass_on(self._held.rfind(b"\n") + 1)
                _tell_owner()
        return count

    def flush(self) -> None:
        with _lock:
            self._pass_on(len(self._held))

    def _pass_on(self, length: int) -> None:
        if length == 0:
            return
        data = bytes(self._held[:length])
        del self._held[:length]
        if _events is not None:
            _events.append((self._name, data.decode(self._encoding, "replace")))
        else:
            _native.write_whole(self.raw.fileno(), data)


class _Text(io.TextIOWrapper):
    def write(self, text: str, /) -> int:
        written[0] = 1
        return super().write(text)

    def flush(self) -> None:
        super().flush()
        _tell_owner()


def install_streams() -> None:
    """Replace the standard streams by ones that tell when they hold output.

    Flushing them after every task costs more than the task; so they say when it is needed.
    """
    for name in ("stdout", "stderr"):
        old = getattr(sys, name)
        if not isinstance(old, io.TextIOWrapper):
            continue  # absent: a program without a console
        raw = io.FileIO(old.fileno(), "w", closefd=False)
        buffer = _Buffer(name, raw, old.encoding)
        stream = _Text(
            buffer,
            encoding=old.encoding,
            errors=old.errors,
            # Unbuffered (python -u), the pieces of a print() would mix with other workers'.
            line_buffering=old.line_buffering or old.write_through,
        )
        stream.mode = "w"  # type: ignore[misc]
        _installed.append(stream)
        _buffers.append(buffer)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def flush() -> None:
    """Pass on what tasks have written, be it to streams of their own that write to these."""
    for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None), *_installed):
        if isinstance(stream, io.TextIOBase):
            try:
                stream.flush()
            except ValueError:
                pass  # closed or detached, as its task wished
    for buffer in _buffers:
        buffer.flush()
    _tell_owner()


def is_whole() -> bool:
    """Return whether tasks have left the standard streams such that they can be written to."""
    try:
        return not any(stream.closed for stream in _installed)
    except ValueError:  # detached
        return False


# ---- forwarding ----


def forward(levels: "Levels | None", tell: "Callable[[bytes], bool]" = _native.tell_owner) -> None:
    """Send output to the owner from now on, and log records; None: no longer.

    The levels are those of the owner's loggers, by name; the root logger's is "". A process has
    another way to tell its owner than a worker.
    """
    global _events, _tell
    flush()
    _stop_logging()
    _events = None if levels is None else []
    _tell = tell
    if levels is not None:
        _start_logging(levels)


def begin_copy() -> None:
    """Write to the file descriptors, in a forked process: the owner does not listen to it."""
    global _events, _lock
    _lock = _thread.RLock()  # its holder may not have come along
    _events = None
    _stop_logging()


def _tell_owner() -> None:
    """Let the owner have the events: the worker's own thread can, and others leave it to that."""
    if not _events:
        return
    import marshal

    with _lock:
        events = _events[:]
        del _events[:]
        if not _tell(marshal.dumps(events)):
            _events[:0] = events
            written[0] = 1


def _start_logging(levels: "Levels") -> None:
    """Have loggers send their records once logging is imported."""
    global _stop_logging
    from interp_executor._imports import when_imported

    handlers: list[tuple[Any, Any]] = []

    def begin(logging: "Any") -> None:
        handler = _make_handler(logging)
        logging.root.addHandler(handler)
        handlers.append((logging.root, handler))
        for name, level in levels:
            logging.getLogger(name or None).setLevel(level)

    withdraw = when_imported("logging", begin)

    def stop() -> None:
        withdraw()
        for root, handler in handlers:
            root.removeHandler(handler)

    _stop_logging = stop


def _nothing() -> None:
    pass


_stop_logging: "Callable[[], None]" = _nothing


def _make_handler(logging: "Any") -> "Any":
    class Handler(logging.Handler):  # type: ignore[misc]
        """Sends records to the owner, whose loggers handle them."""

        def emit(self, record: "Any") -> None:
            try:
                event = ("log", _portable(logging, record))
                with _lock:
                    if _events is not None:
                        _pass_on_text()
                        _events.append(event)
                _tell_owner()
            except Exception:
                self.handleError(record)

    return Handler()


def _pass_on_text() -> None:
    """What was printed before a record goes before it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Text) and not stream.closed:
            io.TextIOWrapper.flush(stream)


def _portable(logging: "Any", record: "Any") -> bytes:
    """Pickle a record's attributes, with all that may not cross turned into text."""
    from interp_executor._serialize import dumps_plain

    attributes = dict(vars(record), msg=record.getMessage(), args=None, exc_info=None)
    if record.exc_info and not record.exc_text:
        attributes["exc_text"] = logging.Formatter().formatException(record.exc_info)
    for name, value in attributes.items():
        try:
            dumps_plain(value)
        except Exception:
            attributes[name] = repr(value)
    return dumps_plain(attributes)
