"""The outcome of each expectation: from metrics, or from Great Expectations.

Great Expectations 1.24 on pandas compares text with dates, rounds limits to floats, and fails on
decimals and zones; docs/data-gate.md lists the cases. So expectations that compare values with
members or limits are answered here, as are patterns and lengths of texts, from metrics that are
measured in one pass over the data. Great Expectations evaluates the others (formats,
distributions), one column at a time and without nulls.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from validators.data.answering import of_columns, of_records, of_statistics, of_texts
from validators.data.answering.columns import columns_named
from validators.data.answering.measure import Work, measure, rows_of
from validators.data.answering.of_columns import mapped
from validators.data.metrics.batch import RowBatch
from validators.data.metrics.by_engine import ONE_BY_ONE, EngineError, MetByEngine
from validators.data.metrics.conditions import Condition, condition_of
from validators.data.metrics.hits import RowsMeeting
from validators.data.metrics.measured import Measured, MetricNeed, NotYetMeasured
from validators.data.metrics.metric import Nulls, RowCount
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.suites import engine
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation
from validators.data.values.common_types import is_nested, is_text
from validators.data.values.frame import frame_of
from validators.data.values.literals import Unfit
from validators.report import GREAT_EXPECTATIONS, FailingObject

_Answer = Callable[[Measured, Mapping[str, Any]], ExpectationOutcome]
_Rule = Callable[[RowBatch, Mapping[str, Any]], Any]

_OF_VALUES: Final[Mapping[str, _Answer]] = {
    "expect_column_values_to_be_between": of_columns.between,
    "expect_column_values_to_be_in_set": of_columns.in_set,
    "expect_column_values_to_not_be_in_set": of_columns.not_in_set,
    "expect_column_distinct_values_to_be_in_set": of_columns.distinct_in_set,
    "expect_column_distinct_values_to_contain_set": of_columns.distinct_contain_set,
    "expect_column_distinct_values_to_equal_set": of_columns.distinct_equal_set,
    "expect_column_most_common_value_to_be_in_set": of_columns.most_common_in_set,
    "expect_column_values_to_be_unique": of_columns.unique,
    "expect_column_values_to_be_increasing": of_columns.increasing,
    "expect_column_values_to_be_decreasing": of_columns.decreasing,
    "expect_column_min_to_be_between": of_statistics.least,
    "expect_column_max_to_be_between": of_statistics.greatest,
    "expect_column_mean_to_be_between": of_statistics.mean,
    "expect_column_median_to_be_between": of_statistics.median,
    "expect_column_stdev_to_be_between": of_statistics.deviation,
    "expect_column_sum_to_be_between": of_statistics.total_between,
    "expect_column_quantile_values_to_be_between": of_statistics.quantiles,
    "expect_column_unique_value_count_to_be_between": of_statistics.distinct_count,
    "expect_column_proportion_of_unique_values_to_be_between": of_statistics.distinct_share,
    "expect_column_value_z_scores_to_be_less_than": of_statistics.z_scores,
    "expect_column_values_to_match_like_pattern": of_texts.match_like,
    "expect_column_values_to_not_match_like_pattern": of_texts.not_match_like,
    "expect_column_values_to_match_like_pattern_list": of_texts.match_like_list,
    "expect_column_values_to_not_match_like_pattern_list": of_texts.not_match_like_list,
    "expect_column_values_to_not_be_outliers": of_statistics.no_outliers,
}
"""On the values of one column that are not null."""
_WITHOUT_LIMITS: Final = frozenset({
    "expect_column_values_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_unique_value_count_to_be_between",
    "expect_column_proportion_of_unique_values_to_be_between",
})  # fmt: skip
"""Those of them that compare values with each other only."""
_OF_TEXTS: Final[Mapping[str, _Answer]] = {
    "expect_column_values_to_match_regex": of_texts.match_regex,
    "expect_column_values_to_not_match_regex": of_texts.not_match_regex,
    "expect_column_values_to_match_regex_list": of_texts.match_regex_list,
    "expect_column_values_to_not_match_regex_list": of_texts.not_match_regex_list,
    "expect_column_value_lengths_to_be_between": of_texts.lengths_between,
    "expect_column_value_lengths_to_equal": of_texts.lengths_equal,
}
"""On the values that are not null of a column of texts; of others, Great Expectations is asked."""
_OF_ROWS: Final[Mapping[str, _Answer]] = {
    "expect_column_values_to_be_null": of_columns.null,
    "expect_column_values_to_not_be_null": of_columns.not_null,
    "expect_column_proportion_of_non_null_values_to_be_between": of_statistics.non_null_share,
    "expect_column_values_to_be_of_type": of_columns.of_type,
    "expect_column_type_to_be": of_columns.of_type,
    "expect_column_values_to_be_in_type_list": of_columns.in_type_list,
}
"""On one column, nulls included."""
_OF_PAIRS: Final[Mapping[str, _Rule]] = {
    "expect_column_pair_values_to_be_equal": of_records.equal_pair,
    "expect_column_pair_values_a_to_be_greater_than_b": of_records.greater_pair,
    "expect_column_pair_values_to_be_in_set": of_records.pair_in_set,
}
_OF_RECORDS: Final[Mapping[str, _Rule]] = {
    "expect_select_column_values_to_be_unique_within_record": of_records.unique_in_record,
    "expect_multicolumn_values_to_be_equal": of_records.equal_in_record,
    "expect_multicolumn_sum_to_equal": of_records.sum_in_record,
}
_TOGETHER: Final = "expect_compound_columns_to_be_unique"
_OF_TABLE: Final[Mapping[str, _Answer]] = {
    "expect_table_row_count_to_be_between": of_records.row_count,
    "expect_table_row_count_to_equal": of_records.row_count,
    "expect_table_column_count_to_be_between": of_records.column_count,
    "expect_table_column_count_to_equal": of_records.column_count,
    "expect_table_columns_to_match_set": of_records.column_set,
    "expect_table_columns_to_match_ordered_list": of_records.ordered_columns,
    "expect_column_to_exist": of_records.column_exists,
}


_AMONG_ALL: Final = frozenset({
    "expect_column_values_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    _TOGETHER,
})  # fmt: skip
"""Whether a value or row meets these depends on others, in other objects."""


class _Asked(NamedTuple):
    """Expectations that Great Expectations evaluates together."""

    condition: Condition | None
    columns: tuple[str, ...]


def answers(
    dataset: OpenedDataset,
    expectations: Mapping[int, Expectation],
    work: Work | None = None,
    examples: Collection[str] = (),
    also: Collection[MetricNeed] = (),
) -> Iterator[ExpectationOutcome]:
    """An outcome for each of the expectations, which are keyed by their place in the suite.

    `work` has what is known from earlier judgements, and is added to: `also` is measured in the
    same pass. Values are shown of the columns in `examples`. Raises `Unreadable` if an object turns
    out not to be.
    """
    work, shows = work or Work(), frozenset(examples)
    known: dict[MetricNeed, Any] = {}
    open_ones = dict(expectations)
    asked: dict[_Asked, dict[int, Expectation]] = {}
    kinds = dataset.kinds
    wanted = dict.fromkeys(also)
    while open_ones:
        for place, one in list(open_ones.items()):
            try:
                condition = condition_of(one.kwargs)
                of = Measured(
                    kinds, dataset.columns, dataset.types, condition, known, shows, wanted
                )
                outcome = _counted(of, _located(of, one, _outcome(of, one), work))
            except NotYetMeasured:
                continue
            except Unreadable:
                raise
            except EngineError as error:
                outcome = ExpectationOutcome(
                    place, success=False, raised=str(error), engine=GREAT_EXPECTATIONS
                )
            except Unfit as error:
                outcome = ExpectationOutcome(place, success=False, refused=str(error))
            except Exception as error:  # of any kind: its message may quote the data
                outcome = ExpectationOutcome(place, success=False, raised=type(error).__name__)
            del open_ones[place]
            if outcome is None:
                asked.setdefault(_Asked(condition, columns_named(one)), {})[place] = one
            else:
                yield dataclasses.replace(outcome, place=place)
        known |= measure(dataset, list(wanted), work)
        wanted = {}
    work.also.update({need: known[need] for need in also if need in known})
    for group, several in asked.items():
        try:
            rows = _rows(known, group.condition)
            for outcome in list(_of_engine(dataset, group, several)):
                yield dataclasses.replace(outcome, rows=rows)
        except Unreadable:
            raise
        except Exception as error:  # as above; the other checks go on
            raised = type(error).__name__
            yield from (
                ExpectationOutcome(place, success=False, raised=raised, engine=GREAT_EXPECTATIONS)
                for place in several
            )


def _rows(known: Mapping[MetricNeed, Any], condition: Condition | None) -> int | None:
    """How many rows meet a condition, if that was counted."""
    found = known.get(MetricNeed(condition, RowCount()))
    return found if isinstance(found, int) else None


def _counted(of: Measured, outcome: ExpectationOutcome | None) -> ExpectationOutcome | None:
    """The outcome with the number of rows that meet its condition."""
    return outcome and dataclasses.replace(outcome, rows=_rows(of.known, of.condition))


def _located(
    of: Measured, one: Expectation, outcome: ExpectationOutcome | None, work: Work
) -> ExpectationOutcome | None:
    """The outcome with the objects that fail, if it counts values or rows one by one."""
    if outcome is None or not outcome.unexpected or not outcome.evaluated:
        return outcome
    if one.type in _AMONG_ALL or len(work.by_object) < 2:
        return outcome
    failing = []
    for key, known in work.by_object.items():
        with suppress(NotYetMeasured):
            alone = dataclasses.replace(of, known=known, shows=frozenset(), asked={})
            found = _outcome(alone, one)
            if found is not None and found.unexpected and found.evaluated:
                failing.append(
                    FailingObject(key=key, failing=found.unexpected, rows=found.evaluated)
                )
    return dataclasses.replace(outcome, objects=tuple(failing))


def _outcome(of: Measured, one: Expectation) -> ExpectationOutcome | None:
    """The outcome, or None if Great Expectations must evaluate it."""
    kwargs = one.kwargs
    if table_answer := _OF_TABLE.get(one.type):
        return table_answer(of, kwargs)
    column = kwargs.get("column")
    column = column if isinstance(column, str) else None
    answer = _answer(of, one, column)
    _ask(of, answer, column, kwargs)
    rows = of(RowCount())
    if rows == 0:
        return _nothing("no row meets its condition")
    if answer is not None and one.type in _OF_ROWS:
        return answer(of, kwargs)
    if column is not None:
        nulls = of(Nulls(column))[1]
        if nulls == rows:
            return _nothing(f"all {rows:,} values of `{column}` are null")
    return None if answer is None else answer(of, kwargs)


def _answer(of: Measured, one: Expectation, column: str | None) -> _Answer | None:
    """What answers it; None: Great Expectations."""
    if rule := _OF_PAIRS.get(one.type):
        columns = (one.kwargs["column_A"], one.kwargs["column_B"])
        return _rows_meeting(one, rule, columns, "both_values_are_missing")
    if rule := _OF_RECORDS.get(one.type):
        return _rows_meeting(one, rule, tuple(one.kwargs["column_list"]), "all_values_are_missing")
    if one.type == _TOGETHER:
        return _unique_together
    if column is not None and is_text(of.kinds[column]) and (answer := _OF_TEXTS.get(one.type)):
        return answer
    if column is not None and one.type in ONE_BY_ONE:
        return _met_by_engine(one, column)
    if column is not None and one.type in _WITHOUT_LIMITS and is_nested(of.kinds[column]):
        return None  # Arrow compares no lists and structs
    return _OF_ROWS.get(one.type) or _OF_VALUES.get(one.type)


def _ask(of: Measured, answer: _Answer | None, column: str | None, kwargs: Any) -> None:
    """Ask for all that is needed in any case, at once. Raises nothing else."""
    with suppress(NotYetMeasured):
        of.each(RowCount(), *([] if column is None else [Nulls(column)]))
    with suppress(Exception):  # which is told once it is known that there are values
        if answer is not None:
            answer(of, kwargs)


def answer_by_names(dataset: OpenedDataset, one: Expectation) -> ExpectationOutcome | None:
    """The outcome if names and types of columns are all that it depends on; else None."""
    answer = _OF_TABLE.get(one.type) or (_OF_ROWS.get(one.type) if "_type" in one.type else None)
    if answer is None or "row_count" in one.type or one.kwargs.get("row_condition"):
        return None
    known = {MetricNeed(None, RowCount()): dataset.rows}
    of = Measured(dataset.kinds, dataset.columns, dataset.types, None, known)
    try:
        return _counted(of, answer(of, one.kwargs))
    except Unfit as error:
        return ExpectationOutcome(place=0, success=False, refused=str(error))


def _rows_meeting(
    one: Expectation, rule: _Rule, columns: tuple[str, ...], by_default: str
) -> _Answer:
    """The answer of a rule for each row."""
    ignored = str(one.kwargs.get("ignore_row_if") or by_default)
    arguments = repr(sorted(one.kwargs.items(), key=lambda pair: pair[0]))
    metric = RowsMeeting(one.type, arguments, columns, ignored, rule, one.kwargs)

    def answer(of: Measured, kwargs: Mapping[str, Any]) -> ExpectationOutcome:
        n, met = of(metric)
        return mapped(n, met, kwargs) if n else _no_records(of)

    return answer


def _met_by_engine(one: Expectation, column: str) -> _Answer:
    """The answer of Great Expectations, which looks at each value alone."""
    plain = _unconditional(one)
    metric = MetByEngine(column, one.type, repr(sorted(plain.kwargs.items())), plain)

    def answer(of: Measured, kwargs: Mapping[str, Any]) -> ExpectationOutcome:
        n, unexpected = of(metric)
        return dataclasses.replace(mapped(n, n - unexpected, kwargs), engine=GREAT_EXPECTATIONS)

    return answer


def _unconditional(one: Expectation) -> Expectation:
    """The expectation on rows that meet its condition already."""
    left_out = ("row_condition", "condition_parser")
    kwargs = {key: value for key, value in one.kwargs.items() if key not in left_out}
    return dataclasses.replace(one, kwargs=kwargs)


def _unique_together(of: Measured, kwargs: Mapping[str, Any]) -> ExpectationOutcome:
    ignored = str(kwargs.get("ignore_row_if") or "all_values_are_missing")
    return of_records.unique_together(of, kwargs, ignored) or _no_records(of)


def _no_records(of: Measured) -> ExpectationOutcome:
    return _nothing(f"none of {of(RowCount()):,} rows has values in its columns")


def _nothing(why: str) -> ExpectationOutcome:
    return ExpectationOutcome(place=0, success=False, n=0, nothing=why)


def _of_engine(
    dataset: OpenedDataset, group: _Asked, several: Mapping[int, Expectation]
) -> Iterator[ExpectationOutcome]:
    table = rows_of(dataset, group.condition, group.columns)
    if len(group.columns) == 1:
        table = table.drop_null()
    plain = {place: _unconditional(one) for place, one in several.items()}
    for outcome in engine.evaluate(frame_of(table), plain):
        yield dataclasses.replace(outcome, n=table.num_rows, engine=GREAT_EXPECTATIONS)


READS_LIMITS: Final = frozenset((*_OF_VALUES, *_OF_PAIRS, *_OF_RECORDS, _TOGETHER))
"""Expectations whose members and limits are read here, in forms that Great Expectations refuses."""
