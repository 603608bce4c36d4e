"""Repeat the published experiments: ``python -m bench.origins``."""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import report
from bench.origins import shannon, stinner, zimmerman
from bench.origins.claim import Case, Claim
from bench.place import ROOT, environment
from bench.stats import median

CLAIMS = (stinner.CLAIM, shannon.CLAIM, zimmerman.CLAIM)
ROUNDS = 3
TIMEOUT = 120.0
WIDTHS = (38, 10, 15, 10, 15)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="python -m bench.origins",
        description="Repeat the published experiments that started the field, each "
        "case in processes of its own, and print what was published beside what "
        "this machine does.",
    )
    names = [claim.name for claim in CLAIMS]
    made.add_argument("--only", choices=names, help="one experiment")
    made.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    made.add_argument("--case", nargs=2, metavar=("CLAIM", "CASE"), help=argparse.SUPPRESS)
    return made


def find(claim_name: str, case_name: str) -> tuple[Claim, Case]:
    """Return a claim and one of its cases by name."""
    claim = next(claim for claim in CLAIMS if claim.name == claim_name)
    return claim, next(case for case in claim.cases if case.name == case_name)


def measure_elsewhere(claim: Claim, case: Case) -> float:
    """Run one case once in a process of its own; return its seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.origins", "--case", claim.name, case.name],
        check=True,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure(claim: Claim, rounds: int) -> dict[str, list[float]]:
    """Run every case that can run here, in alternating rounds."""
    samples: dict[str, list[float]] = {
        case.name: [] for case in claim.cases if case.missing() is None
    }
    for _ in range(rounds):
        for case in claim.cases:
            if case.name in samples:
                samples[case.name].append(measure_elsewhere(claim, case))
    return samples


def _columns(texts: list[str]) -> str:
    return "  ".join(t.ljust(w) for t, w in zip(texts, WIDTHS, strict=True)).rstrip()


def _pair(times: dict[str, float], case: Case, claim: Claim) -> list[str]:
    """Return a time, and how many times the first case's it is."""
    time, base = times.get(case.name), times.get(claim.cases[0].name)
    if time is None:
        return ["-", ""]
    return [report.seconds(time), "" if base is None else f"{time / base:.3g} x"]


def lines(claim: Claim, samples: dict[str, list[float]]) -> Iterator[str]:
    """Yield the experiment's table."""
    yield f"{claim.title}; time of {claim.unit}"
    versus = f"vs {claim.cases[0].name}"
    yield _columns(["", "published", versus, "here", versus])
    was = {c.name: c.published / claim.published_scale for c in claim.cases if c.published}
    here = {name: median(values) / claim.scale for name, values in samples.items()}
    for case in claim.cases:
        texts = [f"  {case.title}", *_pair(was, case, claim), *_pair(here, case, claim)]
        yield _columns(texts) if case.name in here else f"{_columns(texts)} {case.missing()}"
    yield ""


def main() -> int:
    """Do what the command line says."""
    options = parser().parse_args()
    if options.case:
        claim, case = find(*options.case)
        print(json.dumps(case.run(claim.scale)), flush=True)
        return 0
    results: dict[str, Any] = {}
    for claim in CLAIMS:
        if options.only in (None, claim.name):
            results[claim.name] = measure(claim, options.rounds)
            print("\n".join(lines(claim, results[claim.name])), flush=True)
    if options.json:
        data = {"machine": report.machine(), "seconds": results}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
