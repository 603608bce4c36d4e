"""``compare()``: a user's own function on every executor.

A script that calls it is imported by the workers that it measures, and this module with it. So it
imports nothing until it is called.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from interp_executor._compare.figures import Comparison


def compare(
    fn: "Callable[..., Any]",
    *iterables: "Iterable[Any]",
    workers: "int | Sequence[int] | None" = None,
    rounds: int = 3,
    executors: "str | Sequence[str] | None" = None,
    progress: bool = True,
) -> "Comparison":
    """Run a function on every executor; return what each took, and which to use.

    Each executor calls ``fn(*items)`` in a new process of its own, in turns, ``rounds`` times. The
    function is imported there, so a script that calls this needs the guard
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    fn : callable
        The function.
    *iterables : iterable
        Its arguments, taken side by side as ``map`` does; they are pickled.
    workers : int or sequence of int, optional
        How many workers each executor has; several numbers show how it scales. By default one for
        each processor.
    rounds : int
        How many times each executor does the whole job; figures are medians.
    executors : sequence of str, optional
        Which to compare with the plain loop: "threads", "processes" (with each start method, or one
        of them as in "processes-spawn"), "interpreters" (the standard library's), "ours". By
        default all.
    progress : bool
        Whether to show a bar on stderr.

    Returns
    -------
    Comparison
        The figures. Ctrl-C ends the comparison early: then these are the rounds that were over,
        and ``interrupted`` is true.

    Raises
    ------
    TransferError
        If the function or an item cannot be pickled; it says which part.
    FunctionError
        If the function fails in a plain loop, or what it returns cannot be pickled.
    KeyboardInterrupt
        If Ctrl-C comes before anything was measured.
    ValueError
        If there is no item, or a number or a name makes no sense.
    """
    from interp_executor._compare.session import compare_items

    items = list(zip(*iterables, strict=False))
    return compare_items(fn, items, workers, rounds, executors, progress)
