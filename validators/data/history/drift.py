"""Whether columns are distributed as in a reference."""

from collections.abc import Iterator, Mapping

from specs.dataset_checks import DriftRule
from specs.figures import percent, significant
from validators.data.history.distribution import Distribution, counted, has_form, unit_of
from validators.data.history.effect import CONFIDENCE, effect_of
from validators.data.history.freshness import is_time
from validators.data.history.verdicts import found, impossible, undecided
from validators.data.reading.dataset import OpenedDataset
from validators.report import Check, Interval

FEWEST = 50
"""Values of both that decide anything."""
_CALLED = {
    "psi": "PSI",
    "jensen_shannon": "Jensen-Shannon distance",
    "wasserstein": "Wasserstein distance",
}


def drifting_columns(rule: DriftRule, dataset: OpenedDataset) -> tuple[str, ...]:
    """The columns to compare: those that are named, or all but times, which move in any case, and
    those that have no distribution."""
    if rule.columns:
        return rule.columns
    return tuple(name for name, kind in dataset.kinds.items() if _drifts(kind))


def _drifts(kind: object) -> bool:
    return has_form(kind) and not is_time(kind)


def drift_checks(
    rule: DriftRule, dataset: OpenedDataset, reference: Mapping[str, Distribution], called: str
) -> Iterator[Check]:
    """Whether each column is distributed as in the reference, which is `called` so. Raises
    `Unreadable`."""
    fit: dict[str, Distribution] = {}
    for column in drifting_columns(rule, dataset):
        name, kind = _name(column, called), dataset.kinds.get(column)
        if kind is None:
            why = f"there is no column `{column}` of one type in all objects"
            yield impossible(name, why, "Correct `columns`.", column)
            continue
        if not has_form(kind):
            why = f"`{column}` is {kind}, of which distributions cannot be compared"
            yield impossible(name, why, "Name other `columns`.", column)
            continue
        was = reference.get(column)
        if was is None:
            why = f"{called} has no distribution of `{column}` to compare with"
            yield undecided(name, why, subject=column)
        elif was.unit != unit_of(kind):
            why = f"`{column}` is {kind} now, which cannot be compared with {called}"
            yield undecided(name, why, subject=column)
        else:
            fit[column] = was
    now = counted(dataset, fit)
    for column, was in fit.items():
        if column in now:
            yield _check(rule, _name(column, called), column, was, now[column])
        else:
            why = f"`{column}` has no values, or more than 10,000 different texts"
            yield undecided(_name(column, called), why, subject=column)


def _name(column: str, called: str) -> str:
    return f"drift of {column} from {called}"


def _check(rule: DriftRule, name: str, column: str, was: Distribution, now: Distribution) -> Check:
    n = min(was.n, now.n)
    measured = _CALLED[rule.measure]
    if n < FEWEST:
        why = f"{n:,} values decide nothing; it takes {FEWEST} of both"
        return undecided(name, why, subject=column, n=n)
    size, low, high = effect_of(rule.measure, was, now)
    text, limit = significant(size, (rule.at_most,)), significant(rule.at_most)
    between = f"{significant(low, (rule.at_most,))} to {significant(high, (rule.at_most,))}"
    said = f"{measured} {text} (95 % interval {between}){_new_values(was, now)}"
    if low <= rule.at_most < size:
        return undecided(
            name, f"{said}; the interval has the limit of {limit}", subject=column, n=now.n
        )
    return found(
        rule,
        name,
        said,
        passes=size <= rule.at_most,
        subject=column,
        observed=size,
        limit=f"at most {limit}",
        interval=Interval(low=low, high=high, confidence=CONFIDENCE),
        n=now.n,
        next_step=f"Look what changed about `{column}` where the data comes from; if it is meant, "
        "let a person accept the version with `headgate accept`.",
    )


def _new_values(was: Distribution, now: Distribution) -> str:
    """How many rows have values that the reference did not."""
    if was.form != "value" or was.counts[-1] or not now.counts[-1]:
        return ""  # where the reference has rare values, too, nobody can tell
    rows = now.counts[-1]
    return f"; {rows:,} rows ({percent(rows / now.n)}) have values that were not there"
