"""How far apart two distributions are, with an interval. Pure.

An effect size does not grow with the number of rows, as a test's significance does; but it is
estimated from a finite number of them, and all three measures are above zero even for two samples
of one distribution. So the interval is that of the basic bootstrap (Davison and Hinkley 1997,
Bootstrap Methods and their Application, 5.2): both counts are drawn again from their multinomial
distributions, and the estimate is reflected in what that does to it, which takes the bias off. Its
lower end is what can be said of the distributions themselves.

- `psi`, the population stability index: the sum of (p - q) ln(p / q) over the bins. Half a row is
  added to each bin, so that an empty one counts for no more than the rows can tell.
- `jensen_shannon`, the distance: the square root of the divergence to base 2, from 0 to 1.
- `wasserstein`: how far the mass has to move, in units of the reference's distance from its first
  to its last decile, as if it were even within each bin; for values without an order, the share
  of the mass that has to move.
"""

from typing import Any, Final, NamedTuple

from specs.dataset_checks import DriftMeasure
from validators.data.history.distribution import Distribution

DRAWS: Final = 400
CONFIDENCE: Final = 0.95
_SEED: Final = 20_261_130


class Effect(NamedTuple):
    """An effect size and its interval."""

    size: float
    low: float
    high: float


def effect_of(measure: DriftMeasure, was: Distribution, now: Distribution) -> Effect:
    """How far `now`, counted in the bins of `was`, is from it. Nulls are a bin of their own."""
    import numpy as np

    before, after = (np.array([*one.counts, one.nulls], np.int64) for one in (was, now))
    random = np.random.default_rng(_SEED)
    ends = _Ends(was, now)
    size = float(_size(measure, before[None], after[None], ends)[0])
    drawn = _size(measure, _again(before, random), _again(after, random), ends)
    least, greatest = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = max(0.0, 2 * size - float(greatest)), max(0.0, 2 * size - float(least))
    return Effect(size, low, max(low, high))


class _Ends(NamedTuple):
    was: Distribution
    now: Distribution

    @property
    def points(self) -> tuple[float, ...]:
        """The ends of the bins of numbers."""
        low, high = min(self.was.low, self.now.low), max(self.was.high, self.now.high)
        return (min(low, *self.was.cuts), *self.was.cuts, max(high, *self.was.cuts))


def _again(counts: Any, random: Any) -> Any:
    return random.multinomial(counts.sum(), counts / counts.sum(), size=DRAWS)


def _size(measure: DriftMeasure, before: Any, after: Any, ends: _Ends) -> Any:
    """The effect size of each pair of rows of counts."""
    import numpy as np

    if measure == "psi":
        p, q = (_shares(counts + 0.5) for counts in (before, after))
        return ((q - p) * np.log(q / p)).sum(axis=1)
    p, q = _shares(before), _shares(after)
    if measure == "jensen_shannon":
        middle = (p + q) / 2
        divergence = (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2).clip(0, 1)
        return np.sqrt(divergence)
    if ends.was.form == "value":
        return np.abs(p - q).sum(axis=1) / 2
    points = np.array(ends.points)
    spread = ends.was.cuts[-1] - ends.was.cuts[0] or points[-1] - points[0] or 1.0
    apart = np.abs(np.cumsum(p[:, :-1] - q[:, :-1], axis=1))  # without nulls
    before_it = np.concatenate([np.zeros((len(apart), 1)), apart[:, :-1]], axis=1)
    moved = ((apart + before_it) / 2 * np.diff(points)).sum(axis=1) / spread
    return moved + np.abs(p[:, -1] - q[:, -1])


def _shares(counts: Any) -> Any:
    return counts / counts.sum(axis=1, keepdims=True)


def _entropy(shares: Any) -> Any:
    import numpy as np

    bits = np.zeros_like(shares, dtype=float)
    np.log2(shares, out=bits, where=shares > 0)
    return -(shares * bits).sum(axis=1)
