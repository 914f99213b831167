"""Checks of a dataset against another one of the spec: references, and rows in both."""

from collections.abc import Sequence
from typing import NamedTuple

from specs.dataset_checks import ApartFromRule, RefersToRule
from specs.figures import percent
from specs.loading.explain import nearest
from validators.data.answering.measure import Work, measure
from validators.data.history.row_keys import KeyCounts, RowKeys, common_type
from validators.data.history.verdicts import found, impossible, share_of, undecided
from validators.data.metrics.measured import MetricNeed
from validators.data.reading.dataset import OpenedDataset
from validators.data.values.literals import Unfit
from validators.report import Check


class _Side(NamedTuple):
    """Columns of a dataset."""

    called: str
    dataset: OpenedDataset
    columns: tuple[str, ...]


def refers_to_check(
    rule: RefersToRule, called: str, dataset: OpenedDataset, other: OpenedDataset
) -> Check:
    """Whether enough rows have their counterpart. Rows with a null refer to nothing: they do not
    count, as in SQL. Raises `Unreadable`."""
    there = rule.columns_there or rule.columns
    what = ", ".join(rule.columns)
    name = f"{what} refers to {rule.dataset}"
    try:
        keys, known = _keys_of_both(
            _Side(called, dataset, rule.columns), _Side(rule.dataset, other, there)
        )
    except Unfit as error:
        return impossible(name, str(error), "Correct `columns` or `columns_there`.", what)
    n = keys.rows
    if n == 0:
        why = f"no row has a value in {what}, so none refers to anything"
        return undecided(name, why, subject=what, n=0)
    lost = n - keys.rows_in(known.hashes)
    has = "has" if lost == 1 else "have"
    aside = dataset.rows - n
    ignored = f"; {aside:,} with a null in {what} are left out" if aside else ""
    return found(
        rule,
        name,
        f"{share_of(lost, n)} {has} no counterpart in `{rule.dataset}`{ignored}",
        passes=(n - lost) / n >= rule.at_least,
        subject=what,
        observed=(n - lost) / n,
        limit=f"at least {percent(rule.at_least)} of rows",
        n=n,
        next_step=f"Deliver the missing rows of `{rule.dataset}`, or leave these out.",
    )


def apart_from_check(
    rule: ApartFromRule, called: str, dataset: OpenedDataset, other: OpenedDataset
) -> Check:
    """Whether few enough rows are in the other dataset as well. Raises `Unreadable`."""
    name = f"apart from {rule.dataset}"
    columns = rule.columns or tuple(one for one in dataset.columns if one in other.columns)
    by = ", ".join(columns)
    if not columns:
        why = f"`{called}` and `{rule.dataset}` have no column in common"
        return impossible(name, why, "Name the `columns` that identify a row in both.")
    try:
        keys, known = _keys_of_both(
            _Side(called, dataset, columns),
            _Side(rule.dataset, other, columns),
            with_nulls=not rule.columns,
        )
    except Unfit as error:
        return impossible(name, str(error), "Name other `columns` that identify a row.", by)
    n = keys.rows
    if n == 0:
        return undecided(name, f"no row has a value in {by}", n=0)
    both = keys.rows_in(known.hashes)
    is_ = "is" if both == 1 else "are"
    return found(
        rule,
        name,
        f"{share_of(both, n)} {is_} in `{rule.dataset}` as well, by {by}",
        passes=both / n <= rule.at_most,
        observed=both / n,
        limit=f"at most {percent(rule.at_most)} of rows",
        n=n,
        next_step=f"Take the rows of `{rule.dataset}` out of `{called}`: a model trained on them "
        "has seen what evaluates it.",
    )


def _keys_of_both(
    own: _Side, other: _Side, *, with_nulls: bool = False
) -> tuple[KeyCounts, KeyCounts]:
    """The keys of both, hashed alike. Raises `Unfit`."""
    types = _common_types(own, other)
    found = []
    for side in (own, other):
        metric = RowKeys(side.columns, types, with_nulls)
        if not side.dataset.rows:
            found.append(metric.empty)
            continue
        need = MetricNeed(None, metric)
        state = measure(side.dataset, [need], Work())[need]
        if isinstance(state, Exception):
            raise (
                state
                if isinstance(state, Unfit)
                else Unfit(
                    f"{', '.join(side.columns)} of `{side.called}` cannot be compared "
                    f"({type(state).__name__})"
                )
            )
        found.append(state)
    return found[0], found[1]


def _common_types(own: _Side, other: _Side) -> tuple[str, ...]:
    for side in (own, other):
        _must_have(side)
    kinds, others = own.dataset.kinds, other.dataset.kinds
    types = []
    for here, there in zip(own.columns, other.columns, strict=True):
        kind = common_type(kinds[here], others[there])
        if kind is None:
            raise Unfit(
                f"`{here}` of `{own.called}` is {kinds[here]} and `{there}` of `{other.called}` is "
                f"{others[there]}: equal values cannot be told; declare one type for both under "
                "`types`"
            )
        types.append(kind)
    return tuple(types)


def _must_have(side: _Side) -> None:
    """Raises `Unfit` if columns are missing, or have no one type."""
    missing: Sequence[str] = [name for name in side.columns if name not in side.dataset.columns]
    for name in missing:
        meant = nearest(name, side.dataset.columns)
        hint = f"; did you mean `{meant}`?" if meant else ""
        raise Unfit(f"`{side.called}` has no column `{name}`{hint}")
    for name in side.columns:
        if name not in side.dataset.kinds:
            raise Unfit(f"`{name}` of `{side.called}` has no one type in all objects")
