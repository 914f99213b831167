"""Measuring candidate and baseline on all rows and on slices, with resampled replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from specs.figures import percent
from specs.metrics import METRICS, Task
from validators.model.decide import Gain, unseen_difference
from validators.model.measure import EvaluatedRows, Floats, UndefinedMetric, measure
from validators.model.resample import Replicate, ResamplingJob, resample
from validators.model.weighted import weighted
from validators.report import Interval
from validators.verdict import Verdict

FEWEST_ROWS = 100
FEWEST_OF_A_CLASS = 10
"""With fewer, a resampled interval is too narrow."""

_MOST_UNDEFINED = 0.01


@dataclass(frozen=True, slots=True)
class Subset:
    """All rows, or those with one value of a slice column."""

    rows: NDArray[np.intp] | None = None
    name: str | None = None
    """`carrier=AA`; None for all rows."""

    def of(self, outcome: EvaluatedRows) -> EvaluatedRows:
        """The outcome on these rows."""
        return outcome if self.rows is None else outcome.take(self.rows)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric on one subset, for both models if there are two."""

    metric: str
    n: int
    candidate: float
    baseline: float | None = None
    why_no_baseline: UndefinedMetric | None = None
    """Why the metric is undefined for the baseline alone."""
    too_few: str | None = None
    """Why no interval can be trusted; None if it can."""
    replicates: Floats = field(default_factory=lambda: np.empty((0, 2)))
    """Shape (replicates, 1 or 2): the candidate's, and the baseline's if there is one."""

    def interval(self, confidence: float) -> Interval | None:
        """For the candidate's value; None if the rows allow none."""
        if self.too_few:
            return None
        low, high = _percentiles(self.replicates[:, 0], confidence)
        return Interval(low=low, high=high, confidence=confidence)

    def gain(self, confidence: float) -> Gain:
        """The gain over the baseline. Raises UndefinedMetric if the rows allow no interval."""
        if self.why_no_baseline:
            raise self.why_no_baseline
        if self.too_few or self.baseline is None:
            raise UndefinedMetric(self.too_few or "there is no baseline", Verdict.INCONCLUSIVE)
        metric = METRICS[self.metric]
        value = metric.gain(self.candidate, self.baseline)
        gains = self.replicates[:, 0] - self.replicates[:, 1]
        if not metric.greater_is_better:
            gains = -gains
        low, high = _percentiles(gains, confidence)
        if low == high and metric.bounded:
            unseen = unseen_difference(self.n, confidence)
            low, high = low - unseen, high + unseen
        return Gain(value, low, high, float(np.nanstd(gains)), self.n)


Study = Mapping[tuple[str | None, str], Measurement | UndefinedMetric]
"""By (subset name, metric name)."""


def study(
    candidate: EvaluatedRows,
    baseline: EvaluatedRows | None,
    wanted: Sequence[tuple[Subset, Sequence[str]]],
    resamples: int,
    seed: int,
) -> Study:
    """Measure the metrics of each subset in `wanted`, all with the same resampled rows."""
    found: dict[tuple[str | None, str], Measurement | UndefinedMetric] = {}
    pending: list[tuple[int, slice, Measurement, str | None]] = []
    jobs: list[ResamplingJob] = []
    for subset, names in wanted:
        ours = subset.of(candidate)
        theirs = None if baseline is None else subset.of(baseline)
        statistics: list[Replicate] = []
        for name in names:
            measured = _measure(name, ours, theirs)
            found[subset.name, name] = measured
            if isinstance(measured, UndefinedMetric) or measured.too_few:
                continue
            first = len(statistics)
            statistics.append(weighted(name, ours))
            if theirs is not None and measured.baseline is not None:
                statistics.append(weighted(name, theirs))
            columns = slice(first, len(statistics))
            pending.append((len(jobs), columns, measured, subset.name))
        jobs.append(ResamplingJob(subset.rows, tuple(statistics)))
    replicates = resample(jobs, len(candidate), resamples, seed)
    for job, columns, measured, place in pending:
        found[place, measured.metric] = _with_replicates(measured, replicates[job][:, columns])
    return found


def _measure(
    name: str, ours: EvaluatedRows, theirs: EvaluatedRows | None
) -> Measurement | UndefinedMetric:
    try:
        value = measure(name, ours)
    except UndefinedMetric as undefined:
        return undefined
    reference, why_none = None, None
    if theirs is not None:
        try:
            reference = measure(name, theirs)
        except UndefinedMetric as undefined:
            why_none = undefined
    too_few = why_too_few(ours) or _why_rare(name, ours)
    return Measurement(name, len(ours), value, reference, why_none, too_few)


def _with_replicates(measured: Measurement, drawn: Floats) -> Measurement:
    undefined = float(np.isnan(drawn).any(axis=1).mean())
    if undefined > _MOST_UNDEFINED:
        return replace(
            measured, too_few=f"{percent(undefined)} of the resamples leave the metric undefined"
        )
    return replace(measured, replicates=drawn)


def why_too_few(rows: EvaluatedRows, fewest: int = FEWEST_ROWS) -> str | None:
    """Why there are too few rows for a resampled interval; None if there are enough."""
    if len(rows) < fewest:
        return f"{len(rows):,} rows, at least {fewest:,} are needed"
    if rows.task is not Task.BINARY:
        return None
    positives = int(rows.label.sum())
    fewer = min(positives, len(rows) - positives)
    if fewer < FEWEST_OF_A_CLASS:
        rarer = rows.names[positives == fewer]
        return f"{fewer} labels are {rarer}, at least {FEWEST_OF_A_CLASS} are needed"
    return None


def _why_rare(name: str, rows: EvaluatedRows) -> str | None:
    """Why a metric that counts classes equally has too few rows of one; None if it has enough."""
    if rows.task is not Task.MULTICLASS or not METRICS[name].by_class:
        return None
    numbers, counts = np.unique(rows.label, return_counts=True)
    if counts.min() >= FEWEST_OF_A_CLASS:
        return None
    rarest = rows.names[int(numbers[counts.argmin()])]
    return f"{counts.min():,} labels are {rarest}, at least {FEWEST_OF_A_CLASS} are needed"


def resamples_for(confidences: list[float], least: int) -> int:
    """Enough resamples for twenty beyond each end of the widest interval; at most 10,000."""
    return max([least, *(min(10_000, round(40 / (1 - one))) for one in confidences)])


def _percentiles(values: Floats, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
