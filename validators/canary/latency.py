"""The latency family: bets on where an answer's latency falls among stable's usual ones.

Latencies are counted in about 80 bins at quantiles of stable's earlier ones, so the state is small
however long the canary runs, and the tail has bins of its own. A badly chosen bin costs power, not
validity: bins only have to be fixed before the outcomes that are bet on in them.

The canary's latencies are divided by 1 + margin before they are counted. The bet is then against
"no part of the distribution is slower than stable's by more than the margin": all tilts grow with
the latency, and with growing tilts a canary that is faster than the margin loses money on average.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, TypeVar

from validators.canary.policy import Statistic
from validators.report import GateValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEARN_FROM: Final = 200
"""How many latencies of stable it takes to fix the bins."""
HISTORY: Final = 20_000
"""How many of the newest latencies before the canary are used."""

_LEVELS: Final = (
    *(i / 64 for i in range(1, 58)),
    *(i / 100 for i in range(90, 99)),
    *(0.985, 0.99, 0.9925, 0.995, 0.9975, 0.999),
)
_BEYOND: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Edges above all of stable's latencies, as multiples of the slowest, to tell slow from hanging."""

_BODY: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_EXCEEDANCE: Final[dict[str, tuple[float, tuple[float, ...]]]] = {
    "p50": (0.5, _BODY),
    "p90": (0.9, _BODY),
    "p99": (0.99, _BODY),
    "p999": (0.999, (2.0, 5.0, 15.0, 40.0, 100.0)),
}
_LOCATION: Final = (0.1, 0.2, 0.4, 0.8)
EXPERTS: Final = sum(len(tilts) for _, tilts in _EXCEEDANCE.values()) + len(_LOCATION)
_FAR: Final = ("p99", "p999")
"""The exceedances that are also bet on for requests in flight or failed. At lower latencies that
would say little, and a canary with many failures would be called slow for them."""
PASSES: Final = len(_FAR) + 1
"""How many values the number of their thresholds below an age can have: none to all."""


class Bins(GateValue):
    """Edges in seconds, ascending, and how many known latencies fell into each bin.

    Bin i holds latencies above edge i - 1 and up to edge i; the last bin is open.
    """

    edges: tuple[float, ...]
    reference: tuple[int, ...]

    def place(self, latency: float) -> int:
        """The bin of a latency."""
        return bisect_left(self.edges, latency)


Binned = tuple[float, Sequence[int], Sequence[int]]
"""A probability, and stable's and the canary's latencies per bin while it was in force."""
Unended = tuple[float, Sequence[int], Sequence[int]]
"""The same for requests without an answer, by how many far thresholds their ages have passed."""


def learn(latencies: Sequence[float]) -> Bins:
    """Fix the bins at quantiles of these latencies, in seconds."""
    import numpy as np

    known = np.asarray(latencies, dtype=float)
    quantiles = np.quantile(known, _LEVELS)
    slowest = max(float(known.max()), 1e-6)
    edges = np.unique(np.concatenate([quantiles, slowest * np.asarray(_BEYOND)]))
    reference = np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1)
    return Bins(edges=tuple(edges.tolist()), reference=tuple(reference.tolist()))


@lru_cache(maxsize=512)
def edge(bins: Bins, level: float) -> int:
    """The index of the edge nearest to the quantile at `level` of the known latencies."""
    total, below, tails = sum(bins.reference), 0, []
    for count in bins.reference[:-1]:
        below += count
        tails.append(abs((total - below) / total - (1 - level)))
    return tails.index(min(tails))


def tail(bins: Bins, at: int) -> float:
    """The share of the known latencies above an edge, kept off 0 and 1."""
    above = sum(bins.reference[at + 1 :])
    return (above + 0.5) / (sum(bins.reference) + 1)


def prior(statistic: Statistic) -> list[float]:
    """Log weight of each expert: half for the statistic that names the signal, half for the rest.

    So a signal is quickest at its own quantile and still notices changes elsewhere.
    """
    own = "location" if statistic == "mean" else statistic
    sizes = {name: len(tilts) for name, (_, tilts) in _EXCEEDANCE.items()}
    sizes["location"] = len(_LOCATION)
    return [
        log((0.5 if name == own else 0.5 / (len(sizes) - 1)) / size)
        for name, size in sizes.items()
        for _ in range(size)
    ]


def levels() -> list[float | None]:
    """The quantile of stable's latencies above which each expert bets, in the order of `prior`;
    None for those that bet on the whole distribution."""
    tails = [level for level, tilts in _EXCEEDANCE.values() for _ in tilts]
    return [*tails, *[None] * len(_LOCATION)]


def wealth(
    bins: Bins | None, counted: Iterable[Binned], unended: Iterable[Unended] = ()
) -> list[float]:
    """Log wealth per expert, in the order of `prior`; 0 while bins are still being learned.

    A request without an answer, in flight or failed, is bet on only by experts on far thresholds
    that its age has passed: however it ends, it is above them. Their bet is the same once it has
    ended, so nothing is counted twice or taken back. All other experts wait for its end.
    """
    if bins is None:
        return [0.0] * EXPERTS
    import numpy as np

    total = np.zeros(EXPERTS)
    for rho, stable, canary in counted:
        total += _table(bins, rho) @ np.asarray((*stable, *canary), dtype=float)
    for rho, stable, canary in unended:
        total += _unended_table(bins, rho) @ np.asarray((*stable, *canary), dtype=float)
    values: list[float] = total.tolist()
    return values


def passed(bins: Bins, age: float) -> int:
    """How many far thresholds an age has passed."""
    place = bins.place(age)
    return sum(place > edge(bins, _EXCEEDANCE[name][0]) for name in _FAR)


def is_slow(statistic: Statistic, passed: int) -> bool:
    """Whether a latency that passed this many thresholds is above all that `scores` calls fast."""
    return passed == len(_FAR) or (passed > 0 and statistic != "mean")


def quantile(bins: Bins, counts: Sequence[int], level: float) -> float | None:
    """The quantile of counted latencies in seconds, interpolated within its bin.

    In the open last bin, its lower edge; None when nothing was counted.
    """
    rank, low = level * sum(counts), 0.0
    if not sum(counts):
        return None
    for high, count in zip(bins.edges, counts, strict=False):
        if count >= rank > 0:
            return low + (high - low) * rank / count
        rank, low = rank - count, high
    return bins.edges[-1]


def mean(bins: Bins, counts: Sequence[int]) -> float | None:
    """The mean of counted latencies in seconds, each taken as its bin's middle."""
    total = sum(counts)
    weighed = (n * middle for n, middle in zip(counts, _middles(bins), strict=True))
    return sum(weighed) / total if total else None


@lru_cache(maxsize=64)
def scores(bins: Bins, statistic: Statistic) -> tuple[float, ...]:
    """The score of each bin in the promotion bet, in [0, 1].

    For a quantile: whether the bin is above that quantile of the known latencies. For the mean:
    the bin's middle, capped at the 99.9 % quantile, because no test can bound an unbounded mean.
    """
    if statistic != "mean":
        at = edge(bins, _EXCEEDANCE[statistic][0])
        return tuple(float(i > at) for i in range(len(bins.reference)))
    cap = bins.edges[edge(bins, 0.999)] or 1e-6
    return tuple(min(middle / cap, 1.0) for middle in _middles(bins))


def faster(bins: Bins, counts: Sequence[float], factor: float) -> list[float]:
    """Counted latencies per bin if each were divided by `factor`, to the bins' resolution."""
    moved = [0.0] * len(counts)
    for middle, count in zip(_middles(bins), counts, strict=True):
        moved[bins.place(middle / factor)] += count
    return moved


N = TypeVar("N", int, float)


def placed(bins: Bins, counts: Sequence[N], factor: float, *, up: bool) -> list[N]:
    """Counted latencies per bin if each were divided by `factor`, for latencies of which only the
    bin is known: each as the highest (`up`) or the lowest that it can have been."""
    moved: list[N] = [0] * len(counts)
    bounds = (0.0, *bins.edges)
    for i, count in enumerate(counts):
        if up:
            to = bins.place(bins.edges[i] / factor) if i < len(bins.edges) else i
        else:
            to = bisect_right(bins.edges, bounds[i] / factor) if i else 0
        moved[to] += count
    return moved


def _middles(bins: Bins) -> list[float]:
    """A latency for each bin: its middle, and the last edge for the open bin."""
    return [(a + b) / 2 for a, b in pairwise((0.0, *bins.edges, bins.edges[-1]))]


@lru_cache(maxsize=128)
def _table(bins: Bins, rho: float) -> "NDArray[np.float64]":
    """Log gain of each expert (rows) in each bin: stable's bins first, then the canary's."""
    import numpy as np

    tilts = _tilts(bins)
    market = np.log(rho * np.exp(tilts) + (1 - rho))
    return np.hstack([-market, tilts - market])


@lru_cache(maxsize=128)
def _unended_table(bins: Bins, rho: float) -> "NDArray[np.float64]":
    """Log gain of each expert (rows) by the number of passed thresholds, stable's first."""
    import numpy as np

    both, size = _table(bins, rho), len(bins.reference)
    ends = np.zeros((EXPERTS, 2 * PASSES))
    row = 0
    for name, (_, odds) in _EXCEEDANCE.items():
        rows, row = slice(row, row + len(odds)), row + len(odds)
        if name not in _FAR:
            continue
        least = _FAR.index(name) + 1
        for arm in (0, 1):
            # Above its threshold an expert gains the same in every bin.
            gain = both[rows, (arm + 1) * size - 1]
            ends[rows, arm * PASSES + least : (arm + 1) * PASSES] = gain[:, None]
    return ends


@lru_cache(maxsize=64)
def _tilts(bins: Bins) -> "NDArray[np.float64]":
    """log g of each expert in each bin."""
    import numpy as np

    rows = []
    place = np.arange(len(bins.reference))
    for level, odds in _EXCEEDANCE.values():
        at = edge(bins, level)
        share = tail(bins, at)
        # As odds, not as a ratio of rates: the same in the tail, and possible at the median.
        rows += [(place > at) * log(r) - log(1 - share + r * share) for r in odds]
    mass = np.asarray(bins.reference) + 1 / len(bins.reference)
    mass /= mass.sum()
    middle = np.cumsum(mass) - mass / 2
    height = np.asarray([NormalDist().inv_cdf(rank) for rank in middle])
    rows += [theta * height - np.log(mass @ np.exp(theta * height)) for theta in _LOCATION]
    return np.asarray(rows)
