"""Metrics under resampled rows: the paired bootstrap, many replicates at once.

A replicate gives every row a weight drawn from Poisson(1), the same for both models, so that what
is hard for both cancels out of their difference (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993; the Poisson form: Hanley and MacGibbon, Creating non-parametric bootstrap samples
using Poisson frequencies, 2006). Scores are sorted once, and each replicate is a cumulative sum in
that order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

from validators.model.measure import Floats

Counts = NDArray[np.uint8]
_CELLS_PER_BLOCK = 1_000_000


@dataclass(frozen=True)
class Weights:
    """How often each row (second axis) occurs in each replicate (first axis)."""

    counts: Counts

    @cached_property
    def reals(self) -> Floats:
        return self.counts.astype(np.float64)

    @cached_property
    def total(self) -> Floats:
        return np.asarray(self.counts.sum(axis=1, dtype=np.float64))

    def take(self, rows: NDArray[np.intp]) -> "Weights":
        """The same weights for some of the rows."""
        return Weights(np.take(self.counts, rows, axis=1))


Replicate = Callable[[Weights], Floats]
"""One value per replicate; NaN where the metric is undefined on the replicate."""


@dataclass(frozen=True, slots=True)
class ResamplingJob:
    """Statistics to resample on some rows."""

    rows: NDArray[np.intp] | None
    """Indices of the rows; None for all."""
    statistics: tuple[Replicate, ...]


def resample(jobs: list[ResamplingJob], n: int, resamples: int, seed: int) -> list[Floats]:
    """One array (replicates, statistics) for each job; all jobs see the same weights."""
    results = [np.empty((resamples, len(job.statistics))) for job in jobs]
    start = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        for weights in poisson_weights(n, resamples, seed):
            stop = start + len(weights.counts)
            for job, result in zip(jobs, results, strict=True):
                taken = weights if job.rows is None else weights.take(job.rows)
                for place, statistic in enumerate(job.statistics):
                    result[start:stop, place] = statistic(taken)
            start = stop
    return results


def poisson_weights(n: int, resamples: int, seed: int) -> Iterator[Weights]:
    """Weights from Poisson(1), in blocks of a few megabytes.

    Drawn by inverting the distribution on 16 random bits: mean 1 and variance 1 to four digits, at
    a quarter of the cost of a general sampler.
    """
    cumulated = np.cumsum([exp(-1) / factorial(k) for k in range(12)])
    table = np.searchsorted(cumulated, (np.arange(65_536) + 0.5) / 65_536).astype(np.uint8)
    source = np.random.default_rng(seed)
    block = max(1, min(resamples, _CELLS_PER_BLOCK // max(n, 1)))
    for start in range(0, resamples, block):
        size = (min(block, resamples - start), n)
        yield Weights(table[source.integers(0, 65_536, size=size, dtype=np.uint16)])
