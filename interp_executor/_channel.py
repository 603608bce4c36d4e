"""The way between a worker and its process: pickles through a socket, what is large in memory.

The memory is a file without a name, which the sender fills and the receiver maps; its descriptor
comes along with the message. It is gone when the last mapping is, however the processes end, so
nobody keeps account of it. The mapping is private: what is written there goes to pages of the
writer's own. Where there are no such files, what is large goes through the socket too.
"""

from __future__ import annotations

import array
import contextlib
import errno
import mmap
import os
import pickle
import socket
import struct
import sys

from interp_executor import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    type Buffer = bytes | memoryview
    type Rights = Sequence[tuple[int, int, array.array[int]]]
    type Large = list[Any]  # of objects that export a buffer

_HEADER = struct.Struct("=Q?")  # the bytes that follow, and whether they are words
_PASSING = 65536  # bytes of a message there is no memory for, at once
_ALIGNMENT = 64  # bytes: what arrays of numbers like, and no more than a line of a cache
_HAS_MEMORY_FILES = hasattr(os, "memfd_create")
_ROOM = socket.CMSG_SPACE(array.array("i").itemsize)  # for one descriptor
_FLAGS = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # no child of ours inherits it
_NO_SIGPIPE = getattr(socket, "MSG_NOSIGNAL", 0)  # which may end the program
_SO_NOSIGPIPE = 0x1022


class LargeFailed(OSError):
    """What was large could not be sent or received: the system has no room for it.

    Nothing was sent, or all was received but that: the way is as good as before.
    """


class WordsLost(OSError):
    """There was no memory for words: they have gone by, and the message is still to come."""


class Channel:
    """One end of the way.

    Parameters
    ----------
    end : socket.socket
        One of a pair.
    wait : callable or None
        Waits until the other end has sent something, or, called with True, has taken something;
        raises if it will not. None: nobody else may hold the other end, so its close tells.
    """

    def __init__(self, end: socket.socket, wait: Callable[[bool], None] | None = None) -> None:
        self._socket = end
        end.setblocking(True)  # whatever the program has for new sockets: setdefaulttimeout()
        self._wait = wait
        self._send_flags = _NO_SIGPIPE | (0 if wait is None else socket.MSG_DONTWAIT)
        if sys.platform == "darwin":  # which has an option in place of that flag
            with contextlib.suppress(OSError):  # the other end is closed, and a send will tell
                end.setsockopt(socket.SOL_SOCKET, _SO_NOSIGPIPE, 1)

    def send(self, message: object, large: Sequence[Buffer] = ()) -> None:
        """Send a message and contiguous memory that goes with it."""
        if not large:
            self._send(pickle.dumps((message, False, ())), ())
        elif not _HAS_MEMORY_FILES:
            self._send(pickle.dumps((message, False, [bytes(buffer) for buffer in large])), ())
        else:
            sizes = [memoryview(buffer).nbytes for buffer in large]
            data, file = pickle.dumps((message, True, sizes)), _file_of(large, sizes)
            try:
                self._send(data, (file,))
            finally:
                os.close(file)

    def say(self, words: bytes) -> None:
        """Send words, which come as they are before a message that the other end waits for.

        A handler of signals that raises does so before or after: the end of words that had begun
        would be waited for for ever.
        """
        _native.send_whole(self._socket.fileno(), _HEADER.pack(len(words), True) + words)

    def receive(self) -> tuple[Any, Large]:
        """Return a message and the memory that came with it, which may be written to.

        Words are returned as a message of None and themselves.

        Raises
        ------
        EOFError, ConnectionError
            If the other end is closed.
        LargeFailed
            If what was large did not arrive, and this is lost; the next message may come.
        WordsLost
            If words did not arrive.
        """
        data, files, are_words = self._receive()
        if are_words:
            return (None, data), []
        try:
            message, in_file, sizes = _unpickled(data)
            if in_file and not files:  # the system has closed it
                raise _failure(errno.EMFILE)
            return message, _map(files[0], sizes) if in_file else list(sizes)
        finally:
            for file in files:
                os.close(file)

    def hang_up(self) -> None:
        """Have both ends closed, whoever else has copies of this one."""
        with contextlib.suppress(OSError):  # the other end has been closed: not an error on Linux
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close(self) -> None:
        """Close this copy of the end: a forked child has one that it does not use."""
        self._socket.close()

    def __del__(self) -> None:
        """Close it, if that has not been done."""
        self.close()

    def _send(self, data: bytes, files: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        header = _HEADER.pack(len(data), False)
        sent = self._write([header, data], rights) - len(header)
        left = memoryview(header[sent:] + data if sent < 0 else data)[max(sent, 0) :]
        while left:
            left = left[self._write([left]) :]

    def _write(self, data: list[Buffer], rights: Rights = ()) -> int:
        """Send as much as there is room for, once there is some; return how much."""
        while True:
            try:
                return self._socket.sendmsg(data, rights, self._send_flags)
            except BlockingIOError:
                assert self._wait is not None
                self._wait(True)

    def _receive(self) -> tuple[bytearray, array.array[int], bool]:
        """Return what _send() has sent."""
        header = bytearray(_HEADER.size)
        files = array.array("i")
        try:
            self._fill(header, files)
            length, are_words = _HEADER.unpack(header)
            data = self._room_for(length, are_words, files)
            self._fill(data, files)
        except BaseException:
            for file in files:
                os.close(file)
            raise
        return data, files, are_words

    def _room_for(self, length: int, are_words: bool, files: array.array[int]) -> bytearray:
        """Return room for a message; without memory for that, let the message go by."""
        try:
            return bytearray(length)
        except MemoryError:
            passing = memoryview(bytearray(min(length, _PASSING)))
            for start in range(0, length, _PASSING):
                self._fill(passing[: length - start], files)
            raise _words_lost() if are_words else _failure(errno.ENOMEM) from None

    def _fill(self, data: bytearray | memoryview, files: array.array[int]) -> None:
        left = memoryview(data)
        while left:
            if self._wait is not None:
                self._wait(False)
            length, rights, _, _ = self._socket.recvmsg_into([left], _ROOM, _FLAGS)
            if length == 0:
                raise EOFError
            for _, _, descriptors in rights:
                files.frombytes(descriptors)
            left = left[length:]


def _unpickled(data: bytearray) -> Any:
    try:
        return pickle.loads(data)
    except MemoryError:
        raise _failure(errno.ENOMEM) from None


def _file_of(large: Sequence[Buffer], sizes: Sequence[int]) -> int:
    """Return a file without a name that holds what is large."""
    try:
        file = os.memfd_create("interp_executor")
        try:
            _fill(file, large, sizes)
        except BaseException:
            os.close(file)
            raise
    except OSError as error:
        raise _failure(error.errno) from None
    return file


def _fill(file: int, large: Sequence[Buffer], sizes: Sequence[int]) -> None:
    for buffer, (_, end) in zip(large, _places(sizes), strict=True):
        left = memoryview(buffer).cast("B")
        while left:
            left = left[os.pwrite(file, left, end - len(left)) :]


def _map(file: int, sizes: Sequence[int]) -> Large:
    places = list(_places(sizes))
    try:
        memory = mmap.mmap(file, places[-1][1], access=mmap.ACCESS_COPY, trackfd=False)
    except OSError as error:
        raise _failure(error.errno) from None
    return [memoryview(memory)[start:end] for start, end in places]


def _failure(reason: int | None) -> LargeFailed:
    """Return what to raise where the system has no room for something large, and the way out."""
    reason = reason or errno.ENOMEM
    if reason in (errno.EMFILE, errno.ENFILE):
        text = (
            "too many open files for a large value of a task, which comes with one: raise the "
            "limit (ulimit -n), or have fewer open"
        )
    else:
        text = f"no room for a large value of a task ({os.strerror(reason)}): see ulimit -v and -f"
    return LargeFailed(reason, text)


def _words_lost() -> WordsLost:
    reason = os.strerror(errno.ENOMEM)
    text = f"no room for what a task has printed or logged, which is lost ({reason}): see ulimit -v"
    return WordsLost(errno.ENOMEM, text)


def _places(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Iterate over the places of buffers in a file: start and end, in bytes."""
    end = 0
    for size in sizes:
        start = end + -end % _ALIGNMENT
        end = start + size
        yield start, end
