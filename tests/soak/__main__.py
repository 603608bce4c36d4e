"""Run the soak: tasks, executors and programs at random, and count what is lost."""

import argparse
import random
import sys

from . import executors, programs, tasks

_EPILOG = """\
The parts run one after the other; 0 leaves a part out. Each ends in a line with the count of what
was lost, and the exit status is 1 unless all of these are 0. A run can be repeated with its --seed,
as far as threads and signals can be.
"""


def _parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, epilog=_EPILOG
    )
    parser.add_argument(
        "--tasks",
        type=int,
        default=1_000_000,
        metavar="N",
        help="tasks of random kind, from eight threads: results, exceptions, what cannot cross, "
        "cancels, timeouts, callbacks, interrupts, nested executors (default: %(default)s)",
    )
    parser.add_argument(
        "--executors",
        type=int,
        default=10_000,
        metavar="N",
        help="executors made and shut down in every way, with a look at memory "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--programs",
        type=int,
        default=100,
        metavar="N",
        help="programs that are killed, or end, at a random moment (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="end each part after so many seconds, done or not (default: without limit)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=2.0,
        metavar="S",
        help="seconds within which a program that gets a signal must be gone "
        "(default: %(default)s); the others may finish their work",
    )
    parser.add_argument("--seed", type=int, help="of the random choices (default: a new one)")
    return parser.parse_args(arguments)


def main() -> int:
    """Run what is asked for; return the exit status."""
    options = _parse()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"soak on Python {sys.version.split()[0]}, --seed {seed}", flush=True)
    lost = 0
    if options.programs > 0:
        lost += programs.soak(options.programs, options.seconds, seed, options.limit)
    if options.executors > 0:
        lost += executors.soak(options.executors, options.seconds, seed)
    if options.tasks > 0:
        lost += tasks.soak(options.tasks, options.seconds, seed)
    print(f"lost in all: {lost}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
