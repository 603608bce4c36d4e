"""What the tests of the core share: handles on its structs, calls that block, and patience."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

PATIENCE = 20.0
MS = 1_000_000
"""Nanoseconds in a millisecond: the core counts time in nanoseconds."""

type CData = Any
"""A struct or pointer of cffi's."""


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this should have happened by now"
        time.sleep(0.0005)


class Call:
    """A call that blocks, in a thread of its own."""

    def __init__(self, fn: Callable[..., Any], *args: Any) -> None:
        self._outcome: list[Any] = []
        # A daemon, so that a test in which it is never woken fails and does not hang.
        self._thread = threading.Thread(target=lambda: self._outcome.append(fn(*args)), daemon=True)
        self._thread.start()

    @property
    def ident(self) -> int:
        """The thread's identity, for signals."""
        assert self._thread.ident is not None
        return self._thread.ident

    def is_over(self) -> bool:
        """Whether the call has returned."""
        return bool(self._outcome)

    def result(self) -> Any:
        """Wait until the call returns, and say what."""
        self._thread.join(PATIENCE)
        assert self._outcome, "the call still blocks"
        return self._outcome[0]


class Core:
    """One compiled variant, and shorthands for what tests do with it."""

    def __init__(self, variant: str, module: ModuleType) -> None:
        self.variant = variant
        self.ffi: Any = module.ffi
        self.lib: Any = module.lib
        self._kept: list[CData] = []  # memory that buffers borrow

    def new(self, declaration: str, **fields: Any) -> CData:
        """Return a struct in memory of Python's, zeroed but for the fields given."""
        return self.ffi.new(f"{declaration} *", fields)

    def buffer(self, data: bytes = b"", room: int | None = None) -> CData:
        """Return a buffer that has data in memory borrowed from the caller."""
        memory = self.ffi.new("char[]", max(len(data) if room is None else room, 1))
        buffer = self.new("struct ix_buffer")
        self.lib.ix_buffer_init(buffer, memory, len(data) if room is None else room)
        self._kept.append(memory)
        assert self.lib.ix_buffer_write(buffer, data, len(data))
        return buffer

    def text(self, owner: CData) -> bytes:
        """Return the contents of a buffer, a task, a range or a callable."""
        is_task = self.ffi.typeof(owner) is self.ffi.typeof("struct ix_task *")
        data = self.lib.ix_task_data(owner) if is_task else owner.data
        return bytes(self.ffi.buffer(data, owner.length)) if owner.length else b""

    def block(self, data: bytes) -> CData:
        """Return a heap block that the core may take over."""
        block = self.lib.ix_test_malloc(max(len(data), 1))
        self.ffi.memmove(block, data, len(data))
        return block

    def task(self, data: bytes = b"", callable_: CData = None) -> CData:
        """Return a pending task with one reference."""
        task = self.lib.ix_task_new(callable_ or self.ffi.NULL, self.buffer(data))
        assert task
        return task

    def running_task(self) -> CData:
        """Return a task that a worker has started."""
        task = self.task()
        assert self.lib.ix_task_start(task)
        return task

    def state(self, task: CData) -> str:
        """Return the name of the task's state, and of its flags."""
        names = {
            self.lib.IX_PENDING: "PENDING",
            self.lib.IX_RUNNING: "RUNNING",
            self.lib.IX_DONE: "DONE",
            self.lib.IX_CANCELLED: "CANCELLED",
        }
        flags = ("WAITED", "OBSERVED", "LOUD")
        word = int(task.state)
        return " ".join(
            [names[word & self.lib.IX_STATE_MASK]]
            + [flag for flag in flags if word & getattr(self.lib, f"IX_{flag}")]
        )

    def entry(self, owner: CData) -> CData:
        """Return the queue's end of a task or a job."""
        return self.ffi.cast("struct ix_entry *", owner)

    def word(self, pointer: CData) -> CData:
        """Return the address of an atomic word as the parker takes it."""
        return self.ffi.cast("ix_word *", pointer)

    def chain(self, first: CData) -> list[CData]:
        """Return the tasks of a list that the outbox gave."""
        tasks = []
        while first:
            tasks.append(first)
            first = self.ffi.cast("struct ix_task *", first.entry.next)
        return tasks

    def entries(self, first: CData) -> list[CData]:
        """Return the entries of a list that the queue gave."""
        entries = []
        while first:
            entries.append(first)
            first = first.next
        return entries

    @contextmanager
    def failing_allocation(self, nth: int = 1) -> Iterator[None]:
        """Make the nth allocation fail that this thread asks the core for."""
        self.lib.ix_test_fail_allocation(nth)
        try:
            yield
        finally:
            self.lib.ix_test_fail_allocation(0)
