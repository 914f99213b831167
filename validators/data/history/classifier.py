"""Whether a classifier can tell the rows of a version from those of a reference, over all columns.

Columns may each be distributed as before and yet not go together as before. So gradient boosting is
trained to tell a sample of both apart, and the area under its ROC curve on rows that it was not
trained on is the effect: 0.5 if it can only guess, 1 if it is always right (Lopez-Paz and Oquab
2017, Revisiting Classifier Two-Sample Tests). The interval is that of Hanley and McNeil (1982,
Radiology 143) for the rows that were sampled.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any, Final, NamedTuple

from specs.dataset_checks import DriftRule
from specs.figures import significant
from validators.data.history.distribution import form_of, unit_of
from validators.data.history.verdicts import found, impossible, undecided
from validators.data.metrics.batch import RowBatch
from validators.data.metrics.tally import keys_of
from validators.data.reading.dataset import OpenedDataset
from validators.data.values.literals import Unfit
from validators.report import Check, Interval

SAMPLED: Final = 5_000
"""Rows of each, at most."""
FEWEST: Final = 200
"""Rows of each that decide anything."""
CONFIDENCE: Final = 0.95
_FOLDS: Final = 3
_MOST_VALUES: Final = 200
"""Values of a column that are told apart; the classifier takes 255."""
_SEED: Final = 20_261_130
_Z: Final = 1.959963984540054
_TELLING: Final = 0.01
"""How much the area has to fall without a column for it to be named."""


class _Separation(NamedTuple):
    area: float
    low: float
    high: float
    columns: tuple[str, ...]
    """Those that tell the rows apart, the best first."""


def classifier_check(
    rule: DriftRule, dataset: OpenedDataset, reference: OpenedDataset, columns: Sequence[str]
) -> Check:
    """Whether the rows are hard to tell from those of the reference. Raises `Unreadable`."""
    name = f"rows told from those of {rule.reference}"
    try:
        _must_be_alike(dataset, reference, columns)
    except Unfit as error:
        return impossible(name, str(error), "Name other `columns`, or declare their `types`.")
    if not columns:
        why = f"no column of `{rule.reference}` can be compared"
        return impossible(name, why, "Name the `columns` to compare.")
    from threadpoolctl import threadpool_limits

    tables = [_sample(each, columns) for each in (reference, dataset)]
    n = min(table.num_rows for table in tables)
    if n < FEWEST:
        return undecided(name, f"{n:,} rows decide nothing; it takes {FEWEST} of both", n=n)
    # On such small samples, threads that wait for each other cost many times what they save.
    with threadpool_limits(1):
        apart = _separation(tables, columns)
    limit = significant(rule.at_most)
    low, high = (significant(end, (rule.at_most,)) for end in (apart.low, apart.high))
    by = f", mostly by {', '.join(apart.columns)}" if apart.columns else ""
    said = f"a classifier tells them apart with an area of {significant(apart.area)} "
    said += f"(95 % interval {low} to {high}) over {len(columns)} columns{by}"
    if apart.low <= rule.at_most < apart.area:
        return undecided(name, f"{said}; the interval has the limit of {limit}", n=n)
    return found(
        rule,
        name,
        said,
        passes=apart.area <= rule.at_most,
        observed=apart.area,
        limit=f"at most {limit}",
        interval=Interval(low=apart.low, high=apart.high, confidence=CONFIDENCE),
        n=n,
        next_step="Look at the columns that tell them apart, and how they go together.",
    )


def _must_be_alike(
    dataset: OpenedDataset, reference: OpenedDataset, columns: Sequence[str]
) -> None:
    for column in columns:
        kinds = [each.kinds.get(column) for each in (dataset, reference)]
        if None in kinds:
            raise Unfit(f"not both have a column `{column}` of one type")
        form_of(kinds[0])
        if unit_of(kinds[0]) != unit_of(kinds[1]):
            raise Unfit(f"`{column}` is {kinds[0]} here and {kinds[1]} there")


def _sample(dataset: OpenedDataset, columns: Sequence[str]) -> Any:
    """Some rows, the same ones each time, with settled columns."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(_SEED)
    share = 2 * SAMPLED / max(dataset.rows, 1)
    pieces = []
    for part in dataset.parts:
        for group in range(part.groups):
            for batch in part.read(group, columns):
                drawn = random.random(batch.rows) < share
                kept = RowBatch.of(batch.settled(columns).filter(pa.array(drawn)))
                pieces.append(kept.settled(columns))
    if not pieces:
        return pa.table({name: [] for name in columns})
    table = pa.concat_tables(pieces)
    chosen = random.permutation(table.num_rows)[:SAMPLED]
    return table.take(pa.array(np.sort(chosen)))


def _separation(tables: Sequence[Any], columns: Sequence[str]) -> _Separation:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    coded = [_coded([table.column(name) for table in tables]) for name in columns]
    rows = np.column_stack([values for values, _ in coded])
    labels = np.concatenate([np.full(table.num_rows, at) for at, table in enumerate(tables)])
    scores, falls = np.zeros(len(labels)), np.zeros(len(columns))
    for train, test in StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED).split(
        rows, labels
    ):
        model = HistGradientBoostingClassifier(
            max_iter=50,
            categorical_features=[is_code for _, is_code in coded],
            early_stopping=False,
            random_state=_SEED,
        ).fit(rows[train], labels[train])
        scores[test] = model.predict_proba(rows[test])[:, 1]
        importance = permutation_importance(
            model, rows[test], labels[test], scoring="roc_auc", n_repeats=1, random_state=_SEED
        )
        falls += importance.importances_mean / _FOLDS
    area = float(roc_auc_score(labels, scores))
    half = _Z * _error(area, *(table.num_rows for table in tables))
    best = [columns[at] for at in np.argsort(-falls, kind="stable")[:3] if falls[at] > _TELLING]
    return _Separation(area, max(0.0, area - half), min(1.0, area + half), tuple(best))


def _coded(both: Sequence[Any]) -> tuple[Any, bool]:
    """The values of a column of both as floats, nulls as NaN; and whether they are codes of the
    most frequent values. All others have one code."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pa.chunked_array([chunk for each in both for chunk in each.chunks], both[0].type)
    found = np.full(len(column), np.nan)
    there = np.flatnonzero(column.is_valid().to_numpy())
    if form_of(column.type) == "number":
        found[there] = keys_of(column.drop_null()).astype(np.float64)
        return found, False
    counts = pc.value_counts(column.drop_null().cast(pa.string())).to_pylist()
    ranked = sorted(counts, key=lambda one: (-one["counts"], one["values"]))[:_MOST_VALUES]
    known = pa.array([one["values"] for one in ranked], pa.string())
    codes = pc.index_in(column.drop_null().cast(pa.string()), known).fill_null(_MOST_VALUES)
    found[there] = codes.to_numpy()
    return found, True


def _error(area: float, positives: int, negatives: int) -> float:
    """The standard error of an area, by Hanley and McNeil."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    square = area**2
    spread = area * (1 - area) + (negatives - 1) * (one - square) + (positives - 1) * (two - square)
    return sqrt(spread / (positives * negatives))
