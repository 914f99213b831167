"""Slices: which of their values can be judged, and which got worse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from specs.gates import PairedCheck
from specs.metrics import METRICS
from validators.model.categories import Categories, names_of
from validators.model.checks import comparison, difference, difference_interval
from validators.model.decide import holm, p_worse
from validators.model.measure import EvaluatedRows, UndefinedMetric
from validators.model.study import Measurement, Study, Subset, why_too_few
from validators.report import Check
from validators.verdict import Verdict

MOST_VALUES = 200
LISTED = 5


@dataclass(frozen=True, slots=True)
class SmallSlice:
    """A value with too few rows to be judged."""

    name: str
    subset: Subset
    rows: int
    why: str
    """What it has and what it needs."""


@dataclass(frozen=True, slots=True)
class SliceColumn:
    """A slice column, and which of its values have enough rows."""

    column: str
    judged: tuple[Subset, ...] = ()
    small: tuple[SmallSlice, ...] = ()
    """Reported, but not judged."""
    refused: str | None = None
    """Why the column cannot be a slice."""

    def too_small(self, fewest: int) -> str:
        """A note on the values that were not judged; empty if all were."""
        if not self.small:
            return ""
        count = len(self.small)
        more = f" and {count - LISTED} more" if count > LISTED else ""
        return (
            f"{self.column}: {count} {'value' if count == 1 else 'values'} with too few rows "
            f"(fewer than {fewest}, or 10 of a class) not judged: "
            f"{', '.join(f'{one.name} ({one.rows:,})' for one in self.small[:LISTED])}{more}."
        )


def split(column: str, of: Categories, rows: EvaluatedRows, fewest: int) -> SliceColumn:
    """Split the values of a column, in order, by whether they have enough rows."""
    if len(of.values) > MOST_VALUES:
        return SliceColumn(
            column,
            refused=f"{column} has {len(of.values):,} values, at most {MOST_VALUES} can be slices",
        )
    counts = np.bincount(of.codes, minlength=len(of.values))
    by_value = np.split(np.argsort(of.codes, kind="stable"), np.cumsum(counts)[:-1])
    judged: list[Subset] = []
    small: list[SmallSlice] = []
    for name, indices, count in zip(names_of(of.values), by_value, counts, strict=True):
        subset = Subset(indices, f"{column}={name}")
        if why := why_too_few(subset.of(rows), fewest):
            small.append(SmallSlice(name, subset, int(count), why))
        else:
            judged.append(subset)
    return SliceColumn(column, tuple(judged), tuple(small))


@dataclass(frozen=True, slots=True)
class _Candidate:
    check: PairedCheck
    column: str
    subset: Subset
    found: Measurement
    p: float


def screen(
    columns: Sequence[SliceColumn], checks: Sequence[PairedCheck], study: Study
) -> tuple[Check, ...]:
    """For every paired check on all rows: the values of each column that got worse.

    A value got worse if the candidate loses more than the margin there and the loss is still
    significant after Holm's adjustment over all values, columns and metrics. Only warns.
    """
    tested = _tested(columns, checks, study)
    adjusted = holm([one.p for one in tested])
    results: list[Check] = []
    for check in checks:
        for column in columns:
            if column.refused:
                continue
            family = [
                (one, p)
                for one, p in zip(tested, adjusted, strict=True)
                if one.check is check and one.column == column.column
            ]
            results.extend(_screened(check, column.column, family))
    return tuple(results)


def _tested(
    columns: Sequence[SliceColumn], checks: Sequence[PairedCheck], study: Study
) -> list[_Candidate]:
    tested = []
    for check in checks:
        for column in columns:
            for subset in column.judged:
                found = study[subset.name, check.metric]
                if isinstance(found, UndefinedMetric):
                    continue
                try:
                    p = p_worse(found.gain(check.confidence))
                except UndefinedMetric:
                    continue
                tested.append(_Candidate(check, column.column, subset, found, p))
    return tested


def _screened(
    check: PairedCheck, column: str, family: list[tuple[_Candidate, float]]
) -> list[Check]:
    name = f"{check.metric} by {column}"
    if not family:
        message = f"no value of {column} has enough rows to compare {check.metric}."
        return [
            Check(name=name, verdict=Verdict.SKIPPED, message=message, subject=column, blocks=False)
        ]
    by_gain = sorted(family, key=lambda one: (_gain(one[0]), one[0].subset.name))
    worse = [
        (one, p)
        for one, p in by_gain
        if p <= 1 - check.confidence and _gain(one) < -check.not_worse_than_baseline_by
    ]
    if worse:
        shown = [_worsened(name, one, p) for one, p in worse[:LISTED]]
        return [*shown, *_rest(name, column, len(worse) - LISTED)]
    lowest = by_gain[0][0]
    message = (
        f"none of the {len(family)} compared values of {column} is shown to be worse; "
        f"the lowest is {lowest.subset.name}: {comparison(lowest.found, check.confidence)}."
    )
    return [Check(name=name, verdict=Verdict.PASS, message=message, subject=column, blocks=False)]


def _gain(one: _Candidate) -> float:
    assert one.found.baseline is not None
    return METRICS[one.found.metric].gain(one.found.candidate, one.found.baseline)


def _worsened(name: str, one: _Candidate, p: float) -> Check:
    confidence = one.check.confidence
    interval = difference_interval(one.found.gain(confidence), one.found.metric, confidence)
    return Check(
        name=name,
        verdict=Verdict.WARN,
        message=(
            f"{one.subset.name} got worse: {comparison(one.found, confidence)}; "
            f"p {f'{p:.2g}' if p >= 0.0001 else '< 0.0001'} after Holm."
        ),
        subject=one.subset.name,
        observed=one.found.candidate,
        baseline=one.found.baseline,
        difference=difference(one.found),
        interval=interval,
        limit=f"not worse by more than {one.check.not_worse_than_baseline_by:g}",
        n=one.found.n,
        blocks=False,
        next_step=(
            f"To make this stop a candidate, add a check with `slice: {one.column}` to the gate."
        ),
    )


def _rest(name: str, column: str, count: int) -> list[Check]:
    if count <= 0:
        return []
    message = f"{count} more {'value' if count == 1 else 'values'} of {column} got worse."
    return [Check(name=name, verdict=Verdict.WARN, message=message, subject=column, blocks=False)]
