"""Rows of new objects that were in an earlier accepted version already.

The keys of earlier versions are known by a sample of bounded size (see `SampledKeys`): those with
the least hashes. A new row is looked for only if its hash is in the range of both samples, which is
a random share of the keys, so what is found among these estimates what would be found among all.
The interval is Wilson's (Wilson 1927, JASA 22), over the distinct keys that were looked for. As
long as all keys fit the sample, the answer is exact.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final, NamedTuple

from specs.dataset_checks import SeenBeforeRule
from specs.figures import percent
from validators.data.answering.measure import Work, measure
from validators.data.history.past import KeySample, Past
from validators.data.history.row_keys import HASHED_BY, SAMPLED, KeyCounts, SampledKeys, key_type
from validators.data.history.verdicts import found, impossible, share_of, undecided
from validators.data.metrics.measured import MetricNeed
from validators.data.reading.dataset import OpenedDataset
from validators.data.values.literals import Unfit
from validators.report import Check, Interval

_FEWEST: Final = 100
"""Distinct keys of a sample that decide anything."""
_Z: Final = 1.959963984540054
CONFIDENCE: Final = 0.95


class SeenRows(NamedTuple):
    """The check, and the sample with the keys of this version, for the next one."""

    check: Check
    sample: KeySample | None


def name_of(columns: Sequence[str]) -> str:
    """What a sample of the keys of these columns is called."""
    return "\n".join(columns)


def seen_before(
    rule: SeenBeforeRule, whole: OpenedDataset, new: OpenedDataset, past: Past
) -> SeenRows:
    """Whether few enough rows of the new objects were there before; `new` has these of `whole`
    only. Raises `Unreadable`."""
    columns = rule.key or tuple(sorted(whole.columns))
    by = ", ".join(columns) if rule.key else "all columns"
    name, known = f"rows seen before, by {by}", past.samples.get(name_of(rule.key))
    try:
        types = _types(whole, columns)
        form = tuple(f"{one}: {kind}" for one, kind in zip(columns, types, strict=True))
        usable = known if known and (known.columns, known.by) == (form, HASHED_BY) else None
        metric = SampledKeys(tuple(columns), types, with_nulls=not rule.key)
        state = _measured(new if usable else whole, metric)
    except Unfit as error:
        fix = "Name the columns that identify a row under `key`."
        return SeenRows(impossible(name, str(error), fix), known)
    sample = _joined(usable, state, form)
    if usable is None:
        why = "the keys of earlier versions are not known in this form"
        why = why if past.last else "no accepted version is known yet"
        return SeenRows(undecided(name, f"{why}; the next version is compared with these"), sample)
    if not state.rows:
        nothing = "there is no new object with rows"
        check = found(rule, name, nothing, passes=True, observed=0.0, limit=_limit(rule), n=0)
        return SeenRows(check, sample)
    return SeenRows(_check(rule, name, state, usable), sample)


def _limit(rule: SeenBeforeRule) -> str:
    return f"at most {percent(rule.at_most)} of new rows"


def _check(rule: SeenBeforeRule, name: str, state: KeyCounts, known: KeySample) -> Check:
    earlier = known.values
    is_exact = known.is_complete and len(state.hashes) <= SAMPLED
    looked = state
    if len(state.hashes) > SAMPLED:
        looked = looked.up_to(int(state.hashes[SAMPLED - 1]))
    if not known.is_complete:
        looked = looked.up_to(int(earlier[-1]))
    rows, both = looked.rows, looked.rows_in(earlier)
    share = both / rows if rows else 0.0
    were = "was" if both == 1 else "were"
    said = f"{share_of(both, rows)} of new objects {were} in an earlier accepted version"
    interval = None
    if not is_exact:
        distinct = len(looked.hashes)
        said += f", in a sample of {distinct:,} keys"
        if distinct < _FEWEST:
            why = f"{said}, which is too few to decide"
            return undecided(name, why, n=rows)
        low, high = _wilson(share, distinct)
        interval = Interval(low=low, high=high, confidence=CONFIDENCE)
        if low <= rule.at_most < share:
            return undecided(
                name, f"{said}; the interval has the limit of {percent(rule.at_most)}", n=rows
            )
    return found(
        rule,
        name,
        said,
        passes=share <= rule.at_most,
        observed=share,
        limit=_limit(rule),
        interval=interval,
        n=rows,
        next_step="Look whether an object was delivered twice; leave out the rows that were.",
    )


def _wilson(share: float, n: int) -> tuple[float, float]:
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _types(whole: OpenedDataset, columns: Sequence[str]) -> tuple[str, ...]:
    for name in columns:
        if name not in whole.kinds:
            raise Unfit(f"there is no column `{name}` of one type in all objects")
    return tuple(key_type(whole.kinds[name]) for name in columns)


def _measured(new: OpenedDataset, metric: SampledKeys) -> KeyCounts:
    if not new.rows:
        return metric.empty
    need = MetricNeed(None, metric)
    state = measure(new, [need], Work())[need]
    if isinstance(state, KeyCounts):
        return state
    raise (
        state
        if isinstance(state, Unfit)
        else Unfit(f"its rows cannot be compared ({type(state).__name__})")
    )


def _joined(known: KeySample | None, state: KeyCounts, form: Sequence[str]) -> KeySample:
    """The sample of the keys before and now."""
    import numpy as np

    earlier = known.values if known else state.hashes[:0]
    every = np.union1d(earlier, state.hashes)
    complete = (known is None or known.is_complete) and len(every) <= SAMPLED
    if known is not None and not known.is_complete:
        every = every[every <= earlier[-1]]
    return KeySample.of(every[:SAMPLED], form, HASHED_BY, is_complete=complete)
