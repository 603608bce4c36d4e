"""What is compared with what, and the floor to reach: data only.

A row is one kind of work; its bounds are the cells of the table. The floors hold
on CPython 3.14 and 3.15, and on 3.13 without the standard library's interpreters.
"""

from functools import partial
from importlib.util import find_spec

from bench import measures, ticker
from bench.buffer_rows import BUFFERS
from bench.entries import (
    idle_shutdown,
    in_fresh_process,
    on,
    on_views,
    pingpong_entry,
    second_executors,
    spin_iterations,
    spinning,
    standard,
    uneven,
)
from bench.executors import (
    FORKSERVER,
    IN_PROCESSES,
    INTERPRETER,
    LOKY,
    OURS,
    PROCESS,
    THREAD,
)
from bench.fresh import memory_missing
from bench.gates import start_all_with_builtins
from bench.place import no_pinning
from bench.row import Row
from bench.stats import Bound, Kind

CHUNK_SIZES = (100, 500, 1000, 5000, 20000)
CHUNKED = tuple(f"process/{size}" for size in CHUNK_SIZES)
TIME, RATE, EXCESS = Kind.TIME, Kind.RATE, Kind.EXCESS


ROUND_TRIP = standard(measures.round_trips)
NOT_PROCESS = (THREAD, INTERPRETER, OURS)

LATENCY = (
    Row(
        "round-trip-pinned",
        "round_trip",
        "submit(noop).result(), p50, one core",
        ROUND_TRIP,
        (
            Bound(THREAD, 0.45),
            Bound(INTERPRETER, 0.15),
            Bound(PROCESS, 0.08),
        ),
        pinned=True,
        missing=no_pinning,
    ),
    Row(
        "round-trip",
        "round_trip",
        "submit(noop).result(), p50, free cores",
        (pingpong_entry(), *ROUND_TRIP),
        (
            Bound(THREAD, 0.7),
            Bound(INTERPRETER, 0.2),
            Bound(PROCESS, 0.2),
            Bound("pingpong", 6e-6, EXCESS),
        ),
    ),
    Row(
        "closure",
        "closure",
        "closure by value, submit to result, p50",
        (
            on(LOKY, measures.closures),
            on(PROCESS, measures.pickled_closures),
            on(OURS, measures.closures),
        ),
        (Bound((LOKY, PROCESS), 1.0),),
    ),
)


def _deep(workers: int) -> Row:
    plural = "worker" if workers == 1 else "workers"
    return Row(
        f"deep-{workers}",
        "throughput",
        f"submit(echo, i) 100,000 deep, {workers} {plural}",
        standard(measures.echoes, workers=workers),
        (
            Bound(THREAD, 3, RATE),
            Bound(INTERPRETER, 30, RATE),
            Bound(PROCESS, 30, RATE),
        ),
    )


THROUGHPUT = (
    _deep(1),
    _deep(2),
    Row(
        "map",
        "map",
        "list(map(echo, range(n))), 2 workers",
        (
            *(
                on(PROCESS, measures.mapped, workers=2, name=name, chunksize=size)
                for name, size in zip(CHUNKED, CHUNK_SIZES, strict=True)
            ),
            *standard(measures.mapped, NOT_PROCESS, workers=2),
        ),
        (
            Bound(THREAD, 20, RATE),
            Bound(INTERPRETER, 60, RATE),
            Bound(CHUNKED, 2, RATE, note="best chunksize"),
        ),
        max_items=4_000_000,
        seconds=0.7,
    ),
)

OBSERVED = (
    Row(
        "asyncio-single",
        "asyncio",
        "await loop.run_in_executor, p50",
        standard(measures.awaited, NOT_PROCESS),
        (Bound(THREAD, 1.0), Bound(INTERPRETER, 0.3)),
    ),
    Row(
        "asyncio-gather",
        "asyncio",
        "asyncio.gather of 10,000",
        standard(measures.gathered, NOT_PROCESS, workers=2, items=10_000),
        (Bound(THREAD, 1.0), Bound(INTERPRETER, 0.3)),
    ),
    Row(
        "asyncio-ticker",
        "asyncio",
        "delay of a 10 ms ticker while 2 workers are busy, p95",
        standard(
            measures.ticker_delay,
            workers=2,
            items=70,
            worker_count=2,
            iterations=partial(spin_iterations, 10e-3),
        ),
        (
            Bound(THREAD, 0.5),
            Bound(INTERPRETER, 1.0, lenient=True, note="no worse"),
            Bound(PROCESS, 1.0, lenient=True, note="no worse"),
        ),
        rounds=0.7,
    ),
    Row(
        "asyncio-ticker-own",
        "asyncio",
        "the same without waits for a processor, p95",
        standard(
            measures.ticker_delay,
            workers=2,
            items=70,
            worker_count=2,
            iterations=partial(spin_iterations, 10e-3),
            own=True,
        ),
        (
            Bound(THREAD, 0.5),
            Bound(INTERPRETER, 1.1, lenient=True),
            Bound(PROCESS, 1.1, lenient=True),
        ),
        rounds=0.7,
        missing=ticker.missing,
    ),
    Row(
        "as-completed",
        "observed",
        "as_completed over 20,000 futures",
        standard(measures.completed, NOT_PROCESS, workers=2),
        (Bound(THREAD, 1.0), Bound(INTERPRETER, 0.2)),
        max_items=20_000,
    ),
    Row(
        "wait",
        "observed",
        "wait over 20,000 futures",
        standard(measures.waited, NOT_PROCESS, workers=2),
        (Bound(THREAD, 1.0), Bound(INTERPRETER, 0.2)),
        max_items=20_000,
    ),
)


def _parallel(name: str, title: str, seconds: float, share: float) -> Row:
    return Row(
        f"parallel-{name}",
        "parallel",
        f"pure-Python tasks of {title}, 2 workers",
        spinning(seconds),
        (
            Bound("independent", share, RATE),
            Bound(INTERPRETER, 1.0, RATE, lenient=True, note="no worse"),
            Bound(PROCESS, 1.0, RATE, note="better"),
        ),
        seconds=0.7,
        rounds=2,
    )


def _skewed(place: str, position: int) -> Row:
    return Row(
        f"uneven-{place}",
        "schedule",
        f"map over 64 items, the {place} one 100 x as long",
        uneven(position),
        (Bound("list", 1.1, note="list scheduling"),),
        max_items=1,
        rounds=4,
    )


PARALLEL = (
    _parallel("1ms", "1 ms", 1e-3, 0.92),
    _parallel("50us", "50 us", 50e-6, 0.85),
    _skewed("first", 0),
    _skewed("middle", 32),
    _skewed("last", 63),
)

START = (
    Row(
        "first-executor",
        "start",
        "first result of the first executor",
        tuple(in_fresh_process(name, "first-result") for name in NOT_PROCESS),
        (Bound(INTERPRETER, 0.6),),
        max_items=1,
        rounds=1.4,
    ),
    Row(
        "first-executor-import",
        "start",
        "the same, importing the executor included",
        tuple(in_fresh_process(name, "first-result-with-import") for name in NOT_PROCESS),
        (),
        max_items=1,
    ),
    Row(
        "second-executor",
        "start",
        "first result of a second executor",
        second_executors(),
        (
            Bound(INTERPRETER, 0.6, subject="ours-fresh"),
            Bound(THREAD, 2.0, subject="ours-reuse"),
            Bound(INTERPRETER, 0.02, subject="ours-reuse"),
            Bound("thread/prepared", 2.0, subject="ours-prewarmed"),
            Bound(INTERPRETER, 0.02, subject="ours-prewarmed"),
        ),
        max_items=200,
        seconds=0.5,
    ),
    Row(
        "shutdown-64",
        "start",
        "shutdown of 64 idle workers",
        (
            idle_shutdown(64, OURS),
            idle_shutdown(64, "ours-clean", start_all_with_builtins),
            idle_shutdown(64, "ours-third", executors_before=2),
        ),
        # "ours": every worker has imported a module of the user's, so 64 interpreters end. "third":
        # while those of two executors just before it may still be ending.
        (
            Bound((), 0.1, Kind.ABSOLUTE),
            Bound((), 0.1, Kind.ABSOLUTE, subject="ours-third"),
            Bound((), 0.1, Kind.ABSOLUTE, subject="ours-clean"),
        ),
        max_items=1,
        rounds=0.7,
    ),
)

MEMORY = (
    Row(
        "worker-memory",
        "memory",
        "memory of one idle warm worker",
        tuple(in_fresh_process(n, "worker-memory") for n in (PROCESS, *NOT_PROCESS)),
        (Bound(INTERPRETER, 0.75), Bound(PROCESS, 0.5)),
        max_items=1,
        unit="B",
        rounds=0.7,
        missing=memory_missing,
    ),
    Row(
        "queued-memory",
        "memory",
        "memory of a task, 200,000 of them queued",
        tuple(in_fresh_process(n, "queued-memory") for n in (THREAD, OURS)),
        (Bound(THREAD, 0.5),),
        max_items=1,
        unit="B",
        rounds=0.7,
        missing=memory_missing,
    ),
)

DEPTHS = (1_000, 10_000, 100_000, 1_000_000)


def _depth(tasks: int) -> str:
    return f"{tasks:,} queued"


GROWTH = (
    Row(
        "growth-depth",
        "growth",
        "time per task as the queue grows",
        tuple(
            on(OURS, measures.echoes, workers=2, name=_depth(depth), items=depth)
            for depth in DEPTHS
        ),
        tuple(Bound(_depth(1_000), 1.2, subject=_depth(depth)) for depth in DEPTHS[1:]),
        max_items=1_000_000,
        seconds=0.5,
        rounds=2,
    ),
    Row(
        "growth-workers",
        "growth",
        "time per task with 64 workers on the same cores",
        (
            on(OURS, measures.echoes, workers=2, name="2 workers"),
            on(OURS, measures.echoes, workers=64, name="64 workers"),
        ),
        (Bound("2 workers", 1.5, subject="64 workers"),),
    ),
)


def _no_numpy() -> str | None:
    return None if find_spec("numpy") is not None else "NumPy is not installed"


LANES = (
    Row(
        "numpy",
        "lanes",
        "tasks of 20 ms that need NumPy, so run in processes, 2 workers",
        (
            on(FORKSERVER, measures.numpy_waves, workers=2),
            on(OURS, measures.numpy_waves, workers=2),
        ),
        (Bound(FORKSERVER, 1.05),),
        seconds=1.75,
        rounds=0.7,
        missing=_no_numpy,
    ),
    *(
        Row(
            name,
            "lanes",
            f"64 MB of bytes {way} a process",
            (on(FORKSERVER, measure, size=64 << 20), on(IN_PROCESSES, measure, size=64 << 20)),
            (Bound(FORKSERVER, 1.0, subject=IN_PROCESSES),),
            seconds=0.7,
        )
        for name, way, measure in (
            ("memory-to-process", "to", measures.bytes_there),
            ("memory-from-process", "from", measures.bytes_back),
        )
    ),
    Row(
        "deciding",
        "lanes",
        "submit(echo, i) 100,000 deep, the lane of each task decided or chosen by hand",
        on_views(
            OURS,
            measures.echoes,
            {
                "by hand": lambda executor: executor.with_options(lane="interpreter"),
                OURS: lambda executor: executor,
            },
        ),
        (Bound("by hand", 1.01, lenient=True),),
        seconds=0.3,
        rounds=4,
    ),
)

ROWS = (
    *LATENCY,
    *THROUGHPUT,
    *OBSERVED,
    *PARALLEL,
    *START,
    *MEMORY,
    *GROWTH,
    *LANES,
    *BUFFERS,
)


def find(name: str) -> Row:
    """Return the row of that name; LookupError names the ones there are."""
    for row in ROWS:
        if row.name == name:
            return row
    known = ", ".join(row.name for row in ROWS)
    raise LookupError(f"no row {name!r}; there are: {known}")


def of_topic(topic: str) -> tuple[Row, ...]:
    """Return the rows of one topic."""
    return tuple(row for row in ROWS if row.topic == topic)
