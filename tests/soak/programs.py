"""Programs that end at a random moment, in every way: none may hang, crash or tell tales."""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import interp_executor

from .report import Progress, complain, slowness

_PROGRAM = """\
import gc, itertools, os, signal, sys, time
from interp_executor import InterpreterPoolExecutor

def work(number):
    if number % 7 == 0:
        raise ValueError(number)
    return sum(range(number % 5000))

def nap(seconds):
    time.sleep(seconds)

def spin():
    while True:
        pass

def spin_in_c():
    sum(itertools.repeat(0))

class Holder:
    pass

def use(executor, seconds):
    end = time.monotonic() + seconds
    window = []
    for number in itertools.count(1):
        if time.monotonic() > end:
            return window
        window.append(executor.submit(work, number))
        if number % 50 == 0:
            window.append(executor.submit(lambda: number))
            assert sum(executor.map(abs, range(-50, 0))) == 1275
            window[number % len(window)].cancel()
        if len(window) > 200:
            for future in window:
                if not future.cancelled():
                    future.exception()
            window.clear()

def finish(end, executor):
    executor.submit(nap, 0.2)
    if end == "exit":
        sys.exit(3)
    if end == "exception":
        raise LookupError("of the program")

def main(home, end, seconds):
    print("ready", flush=True)
    if home == "block":
        with InterpreterPoolExecutor(2) as executor:
            use(executor, seconds)
            finish(end, executor)
    elif home == "global":
        global kept
        kept = InterpreterPoolExecutor(2)
        use(kept, seconds)
        finish(end, kept)
    elif home == "cycle":
        holder = Holder()
        holder.executor = InterpreterPoolExecutor(2)
        holder.executor.holder = holder
        use(holder.executor, seconds)
        finish(end, holder.executor)
    elif home == "processes":
        with InterpreterPoolExecutor(2) as executor:
            in_processes = executor.with_options(lane="process")
            use(in_processes, seconds)
            finish(end, in_processes)
    elif home == "stuck":
        executor = InterpreterPoolExecutor(3)
        limited = {} if end in ("SIGINT", "SIGTERM") else {"timeout": 0.05, "grace": 0.05}
        stuck = executor.with_options(**limited)
        for task in ((nap, 1000), (spin,), (spin_in_c,)):
            stuck.submit(*task)
        time.sleep(seconds)
        finish(end, executor)
    elif home == "many":
        last = time.monotonic() + seconds
        while time.monotonic() < last:
            executor = InterpreterPoolExecutor(2)
            use(executor, 0.02)
        finish(end, executor)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
"""

_HOMES = ("block", "global", "cycle", "many", "stuck", "processes")
_SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
_CODES = {"SIGINT": -signal.SIGINT, "SIGTERM": -signal.SIGTERM, "exit": 3, "exception": 1, "end": 0}
_LAST_LINES = {"SIGINT": "KeyboardInterrupt", "exception": "LookupError: of the program"}


# Between the tracebacks of one exception and its context or cause.
_CHAINED = "another exception occurred:\n|direct cause of the following exception:\n"
# What multiprocessing's fork server says of a process whose parent is killed while it starts.
_CUT_SHORT = (
    r"Traceback \(most recent call last\):\n(  .*\n)*"
    r"  File .*multiprocessing.*spawn\.py.*\n(  .*\n)*EOFError: Ran out of input\n"
)


class _Plan(NamedTuple):
    home: str
    end: str
    moment: float  # seconds from its first line to its end


def _faults(plan: _Plan, took: float, limit: float, code: int, err: str) -> list[str]:
    """Say what is wrong with how a program ended."""
    faults = []
    if took > limit and plan.end in _SIGNALS:  # the others finish what is pending
        slower = slowness()
        if took > limit * slower:
            faults.append(f"it was gone after {took:.1f} s, of {limit * slower:.1f} s")
    if code != _CODES[plan.end]:
        faults.append(f"its exit code is {code} instead of {_CODES[plan.end]}")
    err = re.sub(r".* has been abandoned: .*\n", "", err)
    if plan.home == "processes":
        err = re.sub(_CUT_SHORT, "", err)
    last = _LAST_LINES.get(plan.end)
    tracebacks = err.count("Traceback (most recent call last)") - len(re.findall(_CHAINED, err))
    if tracebacks > (last is not None) or "Exception ignored" in err or "Fatal" in err:
        faults.append("it told tales")
    if err and (last is None or last not in err.splitlines()[-2:]):  # a note may follow
        faults.append("its last words are not its own")
    return faults


def _is_gone(group: int) -> bool:
    """Wait for the end of all processes of a group, not for long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    return False


def _run(plan: _Plan, script: Path, limit: float) -> tuple[list[str], float]:
    """Run a program to its end; return what is wrong with that, and how long it took to go."""
    source = str(Path(interp_executor.__file__).parent.parent)
    asked = plan.end in _SIGNALS
    process = subprocess.Popen(
        [sys.executable, str(script), plan.home, plan.end, str(1000 if asked else plan.moment)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
        text=True,
        start_new_session=True,  # so that what it leaves behind can be found
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            return ["it did not begin: " + process.communicate()[1]], 0.0
        if asked:
            try:
                process.wait(plan.moment)
            except subprocess.TimeoutExpired:
                process.send_signal(_SIGNALS[plan.end])
        began = time.monotonic()
        # Those that end by themselves first work on for their time, and their last task naps.
        own_time = 0.0 if asked else plan.moment + 0.2
        try:
            _, err = process.communicate(timeout=own_time + limit + 30)
        except subprocess.TimeoutExpired:
            return ["it hangs"], time.monotonic() - began
        took = time.monotonic() - began
        faults = _faults(plan, took, limit, process.returncode, err)
        if not _is_gone(process.pid):
            faults.append("it left processes behind")
        return ([*faults, err] if faults else []), took - own_time
    finally:
        process.kill()
        process.communicate()


def soak(programs: int, seconds: float | None, seed: int, limit: float) -> int:
    """Run so many programs; return how many ended badly."""
    dice = random.Random(seed)
    progress = Progress("programs", programs, seconds)
    ends: Counter[str] = Counter()
    lost = done = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "program.py"
        script.write_text(_PROGRAM, encoding="utf-8")
        while done < programs and not progress.is_over():
            plan = _Plan(dice.choice(_HOMES), dice.choice(list(_CODES)), dice.uniform(0.0, 0.6))
            faults, took = _run(plan, script, limit)
            slowest = max(slowest, took)
            done += 1
            ends[plan.end] += 1
            if faults:
                lost += 1
                complain(f"program {done} ({plan}): " + "; ".join(faults))
            progress.show(done)
    note = ", ".join(f"{count} by {end}" for end, count in ends.most_common())
    note += f", the slowest after {slowest:.1f} s"
    return progress.close(done, lost, note)
