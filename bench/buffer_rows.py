"""The rows about large values and lent memory: data only."""

from collections.abc import Callable

from bench import buffers
from bench.entries import in_fresh_process
from bench.executors import OURS
from bench.fresh import memory_missing, peak_missing
from bench.place import no_pinning
from bench.row import Row
from bench.stats import Bound, Kind


def _copied(kind: str, title: str, copies: float) -> Row:
    return Row(
        f"large-{kind}",
        "buffers",
        f"{title} of 100 MB, submit to result",
        buffers.copied(kind),
        tuple(
            Bound(buffers.COPY, copies, subject=way)
            for way in (buffers.ARGUMENT, buffers.NESTED, buffers.RESULT)
        ),
        seconds=0.3,
    )


def _pickled(name: str, title: str, make: Callable[[], object]) -> Row:
    return Row(
        name,
        "buffers",
        f"{title} there and back, one core",
        buffers.pickled(make),
        (Bound(buffers.PICKLES, 1.3),),
        seconds=0.5,
        # Work is compared with work. On two cores half of ours would be on the other one, which
        # is often the slower or the faster of the two for as long as the row takes.
        pinned=True,
        missing=no_pinning,
    )


BUFFERS = (
    Row(
        "lent-view",
        "buffers",
        "memoryview of 100 MB there and back, p50",
        buffers.lent(),
        (Bound(buffers.NOOP, 6),),
        seconds=0.5,
    ),
    _copied("bytes", "bytes", 1.3),
    _copied("str", "str", 1.3),
    _copied("bytearray", "bytearray", 2.4),
    _copied("array", "array('d')", 2.4),
    _pickled("list-of-ints", "list of 10^6 ints", buffers.many_ints),
    _pickled("dict-of-strings", "dict of 10^5 strings", buffers.many_strings),
    Row(
        "lent-memory",
        "buffers",
        "memory that 10,000 more views of 1 MB leave behind",
        (in_fresh_process(OURS, "lent-memory"),),
        (Bound((), 1e6, Kind.ABSOLUTE),),
        max_items=1,
        unit="B",
        rounds=0.5,
        missing=memory_missing,
    ),
    Row(
        "lent-peak",
        "buffers",
        "peak memory of sending a view of 1 GB",
        (in_fresh_process(OURS, "lent-peak"),),
        (Bound((), 10e6, Kind.ABSOLUTE),),
        max_items=1,
        unit="B",
        missing=peak_missing,
    ),
)
