"""The arithmetic of a comparison: medians, bootstrap bounds and verdicts.

A *cell* sets our executor (the subject) against a peer. Both are measured in
each of several alternating rounds, so the samples come in pairs that saw the
same noise; the figure is the median of the per-round ratios, and its bounds are
the 10th and 90th percentile of that median over bootstrap resamples of the
rounds: each is a one-sided 90 % bound.
"""

import enum
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RESAMPLES = 4000


class Kind(enum.Enum):
    """How a cell's figure is made of the subject's and the peer's samples."""

    TIME = "time"  # subject / peer: how many times the peer's cost
    RATE = "rate"  # peer / subject: how many times the peer's rate
    EXCESS = "excess"  # subject - peer
    ABSOLUTE = "absolute"  # the subject alone


class Verdict(enum.Enum):
    """What the bounds say of a cell.

    The rule is the strict one: a cell is reached when even its unfavourable 90 %
    bound meets the limit. Where the median meets it and that bound does not, the
    cell is missed by no more than the noise, and says so. A row with a missed cell
    is measured on (see ``__main__``): more rounds draw the bounds together, so noise
    goes and a real miss stays.
    """

    REACHED = "reached"
    NOISE = "MISSED (noise)"
    MISSED = "MISSED"
    UNKNOWN = "-"


@dataclass(frozen=True)
class Bound:
    """A floor that a row has to reach against one peer.

    ``peer`` names the peer's entry; several names mean whichever of them has the
    best median. ``limit`` is in the units of ``kind`` (seconds or bytes for EXCESS
    and ABSOLUTE). ``lenient`` is for "no worse": missed only where the
    favourable bound misses, since equals are as often above 1 as below.
    """

    peer: str | tuple[str, ...]
    limit: float
    kind: Kind = Kind.TIME
    subject: str = "ours"
    lenient: bool = False
    note: str = ""

    @property
    def at_most(self) -> bool:
        """Whether a smaller figure is the better one."""
        return self.kind is not Kind.RATE

    @property
    def peers(self) -> tuple[str, ...]:
        """The names of the peers, one or several."""
        return (self.peer,) if isinstance(self.peer, str) else self.peer

    def meets(self, figure: float) -> bool:
        """Whether ``figure`` is on the right side of the limit."""
        return figure <= self.limit if self.at_most else figure >= self.limit


@dataclass(frozen=True)
class Cell:
    """One comparison, measured."""

    bound: Bound
    peer: str
    figure: float
    low: float
    high: float
    verdict: Verdict


def median(values: Sequence[float]) -> float:
    """Return the median; of an empty sequence, raise ValueError."""
    if not values:
        raise ValueError("the median of nothing")
    return statistics.median(values)


def quantile(values: Sequence[float], fraction: float) -> float:
    """Return the value below which ``fraction`` of the values lie (linear)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a quantile of nothing")
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def bounds_of_median(
    values: Sequence[float], *, confidence: float = 0.9, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Return the lower and upper one-sided bootstrap bounds of the median.

    The generator is seeded, so the same samples always give the same bounds.
    """
    generator = random.Random(20261)
    count = len(values)
    medians = [statistics.median(generator.choices(values, k=count)) for _ in range(resamples)]
    return quantile(medians, 1 - confidence), quantile(medians, confidence)


def figures(kind: Kind, subject: Sequence[float], peer: Sequence[float]) -> list[float]:
    """Return one figure per round from the paired samples."""
    if kind is Kind.ABSOLUTE:
        return list(subject)
    pairs = list(zip(subject, peer, strict=True))
    if kind is Kind.EXCESS:
        return [ours - theirs for ours, theirs in pairs]
    if kind is Kind.RATE:
        return [theirs / ours for ours, theirs in pairs]
    return [ours / theirs for ours, theirs in pairs]


def judge(bound: Bound, figure: float, low: float, high: float) -> Verdict:
    """Say whether the bound is reached; see Verdict for the rule."""
    worst, best = (high, low) if bound.at_most else (low, high)
    if bound.meets(best if bound.lenient else worst):
        return Verdict.REACHED
    if not bound.lenient and bound.meets(figure):
        return Verdict.NOISE
    return Verdict.MISSED


def compare(bound: Bound, samples: Mapping[str, Sequence[float]]) -> Cell | None:
    """Measure one bound, or return None where a side has no samples.

    ``samples`` maps entry names to costs (seconds or bytes), one per round.
    """
    ours = samples.get(bound.subject)
    there = [name for name in bound.peers if samples.get(name)]
    if not ours or (not there and bound.kind is not Kind.ABSOLUTE):
        return None
    peer = min(there, key=lambda name: median(samples[name]), default="")
    paired = figures(bound.kind, ours, samples.get(peer, ()))
    low, high = bounds_of_median(paired)
    figure = median(paired)
    return Cell(bound, peer, figure, low, high, judge(bound, figure, low, high))
