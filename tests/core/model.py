"""A model of the core's shared steps, to prove the protocols on paper, as it were.

Each function mirrors a function of the core, one ``yield`` before each operation on shared memory.
`run_once` moves the actors by a schedule and `schedules` enumerates all of them. test_model.py
proves what must hold of every run, and that the compiled core, moved by the same schedule, makes
the very same steps.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

PENDING, RUNNING, DONE, CANCELLED = range(4)
STATE, TERMINAL, WAITED, OBSERVED, LOUD, ABANDONED = 3, 2, 4, 8, 16, 32
AWAKE, ASLEEP, NUDGED, CLOSED = range(4)  # of the outbox
NOTIFIED, WATCHING, SLEEPING = range(3)
WOKEN, TIMED_OUT, INTERRUPTED = 1, 2, 3

type Steps[T] = Generator[str | None, int, T]
"""Yields None before a step, the name of a word to sleep on it, or "lock" to wait for the lock."""


@dataclass
class World:
    """What the actors share: a task, an outbox, and a queue with the seat of its only worker."""

    task: int = PENDING
    outbox: int = AWAKE
    left: list[int] = field(default_factory=list)  # in the outbox, newest first
    seat: int = NOTIFIED
    queued: int = 0
    parked: bool = False
    waking: int = 0
    woken: bool = False
    closed: bool = False
    workers: int = 1
    locked: bool = False
    delivered: list[int] = field(default_factory=list)
    taken: int = 0
    to_wake: list[str] = field(default_factory=list)  # for the scheduler, after the step

    def words(self) -> tuple[int, int, int, int]:
        """The shared words, as scene_words() of the compiled core gives them."""
        counts = self.queued | self.parked << 8 | self.waking << 16
        return self.task, self.outbox | len(self.left) << 8, self.seat, counts


# ---- task.c ----


def leave_pending(world: World, to: int) -> Steps[int | None]:
    yield None
    word = world.task
    while True:
        if word & STATE != PENDING:
            return None
        yield None
        if world.task == word:
            world.task = word | to
            return word
        word = world.task


def wake(world: World, word: str) -> Steps[None]:
    yield None
    world.to_wake.append(word)


def cancel(world: World) -> Steps[int]:
    flags = yield from leave_pending(world, CANCELLED)
    if flags is not None and flags & WAITED:
        yield from wake(world, "task")
    return int(flags is not None)


def flag(world: World, flags: int) -> Steps[int]:
    yield None
    word = world.task
    while not word & TERMINAL:
        yield None
        if world.task == word:
            world.task = word | flags
            return 1
        word = world.task
    return 0


def leave_running(world: World, to: int) -> Steps[int | None]:
    word = RUNNING
    while True:
        if word & STATE != RUNNING:
            return None
        yield None
        if world.task == word:
            world.task = to
            break
        word = world.task
    if word & WAITED:
        yield from wake(world, "task")
    return word & ~STATE


def finish(world: World) -> Steps[int]:
    flags = yield from leave_running(world, DONE)
    return ABANDONED if flags is None else flags


def abandon(world: World) -> Steps[int]:
    """What the owner does with a task that it gives up."""
    flags = yield from leave_running(world, DONE | ABANDONED)
    if flags is None:
        return 0
    if flags & OBSERVED:
        yield from drop(world, -1)
    return 1 | flags


def park(word: str, holds: Callable[[], bool]) -> Steps[int]:
    yield None
    if not holds():
        return WOKEN
    return (yield word)


def wait(world: World) -> Steps[int]:
    while (yield from flag(world, WAITED)):
        yield None
        word = world.task
        if word & TERMINAL:
            break

        def holds(word: int = word) -> bool:
            return world.task == word

        if (yield from park("task", holds)) == INTERRUPTED:
            yield None
            return WOKEN if world.task & TERMINAL else INTERRUPTED
    return WOKEN


def run(world: World) -> Steps[int]:
    """What a worker does with the task."""
    if (yield from leave_pending(world, RUNNING)) is None:
        return 0
    flags = yield from finish(world)
    if flags & ABANDONED:
        return flags
    if flags & OBSERVED:
        yield from drop(world, -1)
    return 1 | flags


# ---- outbox.c ----


def drop(world: World, number: int) -> Steps[int]:
    yield None
    head = list(world.left)
    while True:
        yield None
        if world.left == head:
            world.left = [number, *head]
            break
        head = list(world.left)
    yield None  # the look of the ring
    if world.outbox == ASLEEP:
        yield None
        if world.outbox == ASLEEP:
            world.outbox = AWAKE
            yield from wake(world, "outbox")
    return 1


def outbox_wait(world: World) -> Steps[bool]:
    while True:
        yield None
        if world.left:
            return True
        yield None
        closed = world.outbox == CLOSED
        if world.outbox == AWAKE:
            world.outbox = ASLEEP
        yield None
        if closed:
            return bool(world.left)
        if not world.left:
            yield from park("outbox", lambda: world.outbox == ASLEEP)
        yield None
        if world.outbox == ASLEEP:
            world.outbox = AWAKE


def notify(world: World) -> Steps[int]:
    count = 0
    while (yield from outbox_wait(world)):
        yield None
        count += len(world.left)
        world.delivered += reversed(world.left)
        world.left = []
    return count


def close_outbox(world: World) -> Steps[int]:
    yield None
    world.outbox = CLOSED
    yield from wake(world, "outbox")
    return 0


# ---- queue.c ----


def lock(world: World) -> Steps[None]:
    yield None
    while world.locked:
        yield "lock"
    world.locked = True


def unlock(world: World) -> None:
    world.locked = False
    world.to_wake.append("lock")


def pop_seat(world: World) -> bool:
    if not world.parked:
        return False
    world.parked = False
    world.waking += 1
    return True


def ring_seat(world: World) -> Steps[None]:
    yield None
    word, world.seat = world.seat, NOTIFIED
    if word == SLEEPING:
        yield from wake(world, "seat")


def push(world: World, count: int) -> Steps[int]:
    accepted = 0
    for _ in range(count):
        yield from lock(world)
        popped = False
        if not world.closed:
            accepted += 1
            world.queued += 1
            popped = pop_seat(world)
        unlock(world)
        if popped:
            yield from ring_seat(world)
    return accepted


def take(world: World) -> Steps[str]:
    yield from lock(world)
    if world.woken:
        world.woken = False
        world.waking -= 1
    result = "entry"
    if world.closed and not world.queued:
        result = "leave"
    elif not world.queued:
        yield None
        world.seat = WATCHING
        world.parked = True
        result = "empty"
    else:
        world.queued -= 1
        yield None  # the number of its last run,
        yield None  # and of this one
        yield None  # busy
    unlock(world)
    return result


def sleep(world: World) -> Steps[None]:
    for _ in range(4):
        yield None  # how long the worker has been awake
    yield None  # the spin's score,
    yield None  # and how many waits have skipped it,
    yield None  # which is one more now
    yield None
    if world.seat == WATCHING:
        world.seat = SLEEPING
        while True:
            yield None
            if world.seat != SLEEPING:
                break
            yield from park("seat", lambda: world.seat == SLEEPING)
    yield None  # was it nudged?
    yield None  # awake since now
    world.woken = True


def work(world: World) -> Steps[int]:
    while (took := (yield from take(world))) != "leave":
        if took == "empty":
            yield from sleep(world)
        else:
            world.taken += 1
    yield from leave(world)
    return world.taken + 1


def leave(world: World) -> Steps[None]:
    yield from lock(world)
    for _ in range(9):
        yield None  # its counts
    world.workers -= 1
    yield None
    yield from wake(world, "leased")
    unlock(world)


def close_queue(world: World) -> Steps[int]:
    yield from lock(world)
    world.closed = True
    if pop_seat(world):
        yield from ring_seat(world)
    unlock(world)
    return 0


# ---- the scheduler ----

GO_ON, INTERRUPT = 0, 2  # kinds of choices, as in stepped.h
ACTORS = 6
ENDED = "ended"


@dataclass
class Run:
    """One run: the choices made, those there were, and the words after each step."""

    world: World
    choices: list[int] = field(default_factory=list)
    enabled: list[int] = field(default_factory=list)
    words: list[tuple[int, int, int, int]] = field(default_factory=list)
    results: list[int | None] = field(default_factory=list)
    asleep: list[str | None] = field(default_factory=list)  # where each actor is in the end


type Body = Callable[[World], Steps[int]]


def run_once(bodies: list[Body], schedule: list[int], interrupts: int) -> Run:
    """Move the actors by the schedule as far as it goes, then always the first that can."""
    world = World()
    done = Run(world, results=[None] * len(bodies))
    actors = [body(world) for body in bodies]
    status: list[str | None] = [None] * len(bodies)

    def go_on(i: int, reason: int | None) -> None:
        try:
            status[i] = next(actors[i]) if reason is None else actors[i].send(reason)
        except StopIteration as end:
            status[i], done.results[i] = ENDED, end.value

    for i in range(len(bodies)):
        go_on(i, None)
    reasons = [WOKEN] * len(bodies)
    while True:
        enabled = sum(1 << i for i, word in enumerate(status) if word is None)
        if interrupts:
            sleepers = (i for i, word in enumerate(status) if word not in {None, ENDED, "lock"})
            enabled |= sum(1 << (INTERRUPT * ACTORS + i) for i in sleepers)
        if not enabled:
            done.asleep = [None if word == ENDED else word for word in status]
            return done
        step = len(done.choices)
        choice = schedule[step] if step < len(schedule) else (enabled & -enabled).bit_length() - 1
        kind, actor = divmod(choice, ACTORS)
        if kind == INTERRUPT:
            interrupts -= 1
            reasons[actor] = INTERRUPTED
        go_on(actor, reasons[actor])
        reasons[actor] = WOKEN
        status = [None if word in world.to_wake else word for word in status]
        world.to_wake.clear()
        done.choices.append(choice)
        done.enabled.append(enabled)
        done.words.append(world.words())


def schedules(bodies: list[Body], interrupts: int = 0) -> Iterator[Run]:
    """Every run there can be."""
    schedule: list[int] | None = []
    while schedule is not None:
        run = run_once(bodies, schedule, interrupts)
        yield run
        schedule = None
        for i in reversed(range(len(run.choices))):
            later = run.enabled[i] >> (run.choices[i] + 1)
            if later:
                lowest = (later & -later).bit_length() + run.choices[i]
                schedule = [*run.choices[:i], lowest]
                break
