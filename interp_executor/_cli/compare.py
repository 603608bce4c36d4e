"""``compare``: a function of the user's own on every executor."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable
    from typing import Any

    from interp_executor._compare.figures import Comparison

    Items = list[tuple[Any, ...]]

DESCRIPTION = """\
Run your own function in a plain loop, with threads, with processes (by each start method), with the
standard library's interpreters (Python 3.14 and later) and with this package; check that the
answers agree; print what each takes, and which to use."""

EXAMPLES = """\
examples:
  python -m interp_executor compare mymodule:parse --args '"some text"' 3
      calls parse("some text", 3) again and again, for about a second in a plain loop
  python -m interp_executor compare mymodule:parse --items texts.jsonl --plot chart.svg
      calls parse(item) once for each line of JSON in the file, and draws the chart
  seq 1000 1200 | python -m interp_executor compare math:factorial --stdin --workers 1,2,4
      one line each from standard input, and how it scales

Ctrl-C shows what was measured until then. The exit status is 0; 1 if answers differ or this package
could not run the function; 2 if there is nothing to compare; 130 after Ctrl-C."""

INTERRUPTED = 130
REPEATED_SECONDS = 1.0
MOST_REPEATS = 100_000


class UsageError(Exception):
    """There is nothing to compare; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = _help_formatter()
    add = parser.add_argument
    add("target", metavar="MODULE:FUNCTION", help="what to call, found as `python -m` finds it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--args",
        nargs="*",
        metavar="VALUE",
        help="the arguments of one call, which is repeated; JSON, or else a string as it is",
    )
    source.add_argument(
        "--items", metavar="FILE", help="a file with a line of JSON for each call: its argument"
    )
    source.add_argument("--stdin", action="store_true", help="the same from standard input")
    add("--star", action="store_true", help="a line is a list: the arguments of its call")
    add("--repeat", type=_positive, metavar="N", help="how many calls of --args; default: enough")
    add(
        "--workers",
        type=_numbers,
        metavar="N,N,...",
        help="numbers of workers to compare; default: the number of processors",
    )
    add("--rounds", type=_positive, default=3, metavar="N", help="medians of N; default: 3")
    add(
        "--executors",
        type=lambda text: text.split(","),
        metavar="NAME,...",
        help="threads, processes, interpreters (the standard library's), ours; default: all",
    )
    add("--json", metavar="FILE", help="write the figures there, - for standard output")
    add("--plot", metavar="FILE", help="draw the chart there: .svg, or .png with matplotlib")
    add("--quiet", action="store_true", help="show no progress")


def run(options: argparse.Namespace) -> int:
    """Compare; return the exit status."""
    from interp_executor import TransferError
    from interp_executor._compare.race import FunctionError
    from interp_executor._compare.session import check_workers, choose, compare_items

    try:
        _check_places(options)
        workers = check_workers(options.workers)
        choose(options.executors)
        fn = load_target(options.target)
        items = _items(options, fn, max(workers))
        comparison = compare_items(
            fn, items, workers, options.rounds, options.executors, not options.quiet
        )
    except (UsageError, TransferError, ValueError) as error:
        return _complain(str(error))
    except FunctionError as error:
        print(error.traceback, end="", file=sys.stderr)
        return _complain(f"{options.target} fails in a plain loop: {error}")
    except KeyboardInterrupt:
        print("compare: interrupted before anything was measured", file=sys.stderr)
        return INTERRUPTED
    comparison = _named(comparison, options.target)
    shown = _show(comparison, options)
    return INTERRUPTED if comparison.interrupted else shown or _status(comparison)


def load_target(target: str) -> Callable[..., Any]:
    """Import the function that MODULE:FUNCTION names.

    Raises
    ------
    UsageError
        If there is none; the message names the part that is at fault.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise UsageError(f"{target!r} is not of the form MODULE:FUNCTION, as in mymodule:parse")
    try:
        found = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(f"the import of {module_name!r} fails: {error}") from error
        hint = ""
        if module_name.endswith(".py") or "/" in module_name:
            hint = "; name a module as in an import statement, without folders and .py"
        raise UsageError(
            f"no module is called {error.name!r} in {Path.cwd()} or on sys.path{hint}"
        ) from None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"the import of {module_name!r} fails: {reason}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            close = _close_names(found, part)
            raise UsageError(f"{found.__name__!r} has no {part!r}{close}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{target!r} is a {type(found).__name__}, which cannot be called")
    return found


def _close_names(found: object, name: str) -> str:
    import difflib

    close = difflib.get_close_matches(name, [each for each in dir(found) if each[0] != "_"], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _items(options: argparse.Namespace, fn: Callable[..., Any], workers: int) -> Items:
    if options.args is not None:
        if options.star:
            raise UsageError("--star goes with --items and --stdin; --args are several already")
        item = tuple(_value(text) for text in options.args)
        repeats = options.repeat or _repeats(options.target, fn, item, workers)
        return [item] * repeats
    if options.repeat:
        raise UsageError("--repeat goes with --args; a file has a line for each call")
    if options.stdin:
        return read_items(sys.stdin, "standard input", options.star)
    try:
        with open(options.items, encoding="utf-8") as file:
            return read_items(file, options.items, options.star)
    except OSError as error:
        raise UsageError(f"--items: {error}") from None


def read_items(lines: Iterable[str], place: str, star: bool) -> Items:
    """Read a line of JSON for each call; blank lines are skipped.

    Raises
    ------
    UsageError
        If a line is no JSON, or with *star* no list as long as the others; if there is none.
    """
    items: Items = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{place}, line {number} is no JSON: {error}") from None
        if star and not isinstance(value, list):
            raise UsageError(f"{place}, line {number} is no list, which --star asks for")
        items.append(tuple(value) if star else (value,))
        if len(items[-1]) != len(items[0]):
            lengths = f"{len(items[-1])} arguments, where the first has {len(items[0])}"
            raise UsageError(f"{place}, line {number} has {lengths}")
    if not items:
        raise UsageError(f"{place} holds no item")
    return items


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _repeats(target: str, fn: Callable[..., Any], item: tuple[Any, ...], workers: int) -> int:
    """Return how many calls take about a second, and keep all workers busy."""
    seconds: list[float] = []
    while sum(seconds) < REPEATED_SECONDS / 4 and len(seconds) < 1000:
        start = time.perf_counter()
        try:
            fn(*item)
        except Exception as error:
            import traceback

            traceback.print_exc()
            raise UsageError(f"{target} fails: {type(error).__name__}: {error}") from error
        seconds.append(time.perf_counter() - start)
    each = max(statistics.median(seconds), 1e-9)
    return min(MOST_REPEATS, max(4 * workers, round(REPEATED_SECONDS / each)))


def _check_places(options: argparse.Namespace) -> None:
    """Refuse what cannot be written before the time is spent."""
    for name in ("json", "plot"):
        text = getattr(options, name)
        if text is not None and text != "-" and not Path(text).absolute().parent.is_dir():
            raise UsageError(f"--{name}: there is no folder {Path(text).parent}")
    if options.plot is not None:
        from interp_executor._compare.drawing import DrawingError, check_suffix

        try:
            check_suffix(Path(options.plot))
        except DrawingError as error:
            raise UsageError(f"--plot: {error}") from None


def _named(comparison: Comparison, target: str) -> Comparison:
    import dataclasses

    return dataclasses.replace(comparison, function=target)


def _show(comparison: Comparison, options: argparse.Namespace) -> int:
    if options.json == "-":
        print(json.dumps(comparison.as_dict(), indent=2))
    else:
        print(comparison)
    try:
        if options.json not in (None, "-"):
            comparison.save_json(options.json)
        if options.plot is not None:
            comparison.plot(options.plot)
            print(f"compare: the chart is in {options.plot}", file=sys.stderr)
    except OSError as error:
        return _complain(str(error))
    return 0


def _status(comparison: Comparison) -> int:
    broken = [row for row in comparison.rows if row.executor == "ours" and row.outcome != "ok"]
    return 1 if broken or not comparison.agreed else 0


def _complain(sentence: str) -> int:
    print(f"compare: {sentence}", file=sys.stderr)
    return 2


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise _argument_error(f"{text!r} is not a whole number above 0")
    return number


def _numbers(text: str) -> list[int]:
    return [_positive(part) for part in text.split(",")]


def _argument_error(message: str) -> Exception:
    import argparse

    return argparse.ArgumentTypeError(message)


def _help_formatter() -> type[argparse.HelpFormatter]:
    import argparse

    return argparse.RawDescriptionHelpFormatter
