"""Which executor to use, and why, in one sentence."""

from interp_executor._compare.executors import SERIAL, THREADS
from interp_executor._compare.figures import Comparison, Figures
from interp_executor._compare.report import memory_text, seconds_text

WORTH_IT = 1.15
"""A speed-up below this is not worth a pool."""

AS_FAST = 1.07
"""Speeds that differ by less than this factor are the same for the purpose of a choice."""


def advise(comparison: Comparison) -> str:
    """Say which to use: the fastest; among equals threads, the simplest, then the lightest."""
    ran = [row for row in comparison.rows if row.outcome == "ok" and row.speed_up is not None]
    pools = [row for row in ran if row.executor != SERIAL]
    if not pools:
        return "No executor has figures beside the plain loop, so there is nothing to advise."
    fastest = max(pools, key=_speed_up)
    if _speed_up(fastest) < WORTH_IT:
        return _stay(fastest, comparison)
    equals = [row for row in pools if _speed_up(row) * AS_FAST >= _speed_up(fastest)]
    chosen = min(equals, key=_preference)
    sentence = f"Use {chosen.label}: {_speed_up(chosen):.1f} times as fast as a plain loop"
    others = [row for row in equals if row is not chosen]
    if chosen.executor == THREADS:
        sentence += ", without leaving the interpreter"
        if others:
            sentence += ", and nothing else was faster"
    elif others:
        sentence += _beside(chosen, others)
    elif len(pools) > 1:
        second = max((row for row in pools if row is not chosen), key=_speed_up)
        factor = _speed_up(chosen) / _speed_up(second)
        sentence += f", and {factor:.2f} times as fast as the next, {second.label}"
    return f"{sentence}{_late(chosen, comparison)}."


def _stay(fastest: Figures, comparison: Comparison) -> str:
    why = f"the fastest pool, {fastest.label}, is {_speed_up(fastest):.2f} times as fast"
    serial = comparison.row(SERIAL)
    if fastest.overhead is not None and serial.seconds is not None:
        task = serial.seconds.median / comparison.items
        if fastest.overhead.median > task / 4:
            why += (
                f", since a call takes {seconds_text(task)} and its way there and back "
                f"{seconds_text(fastest.overhead.median)}"
            )
    return f"Use a plain loop: {why}."


def _beside(chosen: Figures, others: list[Figures]) -> str:
    """Say what sets the chosen one apart from the next that is as fast."""
    other = max(others, key=_speed_up)
    gains = []
    if chosen.peak_memory and other.peak_memory:
        mine, theirs = chosen.peak_memory.median, other.peak_memory.median
        if theirs > mine * AS_FAST:
            gains.append(f"with {memory_text(mine)} of memory instead of {memory_text(theirs)}")
    if chosen.start_seconds and other.start_seconds:
        mine, theirs = chosen.start_seconds.median, other.start_seconds.median
        if theirs > mine * AS_FAST:
            gains.append(f"ready after {seconds_text(mine)} instead of {seconds_text(theirs)}")
    return f", as fast as {other.label}" + "".join(f", {gain}" for gain in gains)


def _late(chosen: Figures, comparison: Comparison) -> str:
    """Say so if one run of this size is over before the workers have started."""
    serial = comparison.row(SERIAL).seconds
    if chosen.start_seconds is None or chosen.seconds is None or serial is None:
        return ""
    total = chosen.start_seconds.median + chosen.seconds.median
    if total < serial.median:
        return ""
    return (
        f"; but for a single run of this size a plain loop is done sooner ({seconds_text(total)} "
        f"with start-up, {seconds_text(serial.median)} without a pool)"
    )


def _speed_up(row: Figures) -> float:
    """Return the figure to rank by: what disturbs a round disturbs both sides of its ratio."""
    return 0.0 if row.speed_up is None else row.speed_up.median


def _preference(row: Figures) -> tuple[bool, float, float, float]:
    memory = row.peak_memory.median if row.peak_memory else 0.0
    start = row.start_seconds.median if row.start_seconds else 0.0
    return row.executor != THREADS, memory, start, -_speed_up(row)
