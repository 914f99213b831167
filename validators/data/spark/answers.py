"""The outcome of each expectation, by Great Expectations on Spark."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from validators.data.answering.answers import answer_by_names
from validators.data.metrics.conditions import Condition, columns_of, condition_of
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.spark.columns import form_needed
from validators.data.spark.conditions import HeldColumn, met
from validators.data.spark.frame import SparkTable
from validators.data.spark.questions import OF_SPREAD, EngineQuestion, question
from validators.data.spark.records import OF_RECORDS, asked_of_records, columns_of_record
from validators.data.spark.session import NoSpark, session
from validators.data.suites import engine
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation
from validators.data.values.literals import Unfit
from validators.report import GREAT_EXPECTATIONS_ON_SPARK
from validators.verdict import Verdict

_ROW_COUNTS: Final = ("expect_table_row_count_to_be_between", "expect_table_row_count_to_equal")
_Asked = Mapping[int, Expectation]


class _Known(NamedTuple):
    """What is known of the rows that meet a condition."""

    rows: int
    values: Mapping[str, int]
    """How many values of each column are not null."""
    spans: Mapping[str, tuple[Any, Any]]
    """Least and greatest value of columns of which the spread is asked for."""


def spark_answers(dataset: OpenedDataset, expectations: _Asked) -> Iterator[ExpectationOutcome]:
    """An outcome for each of the expectations, which are keyed by their place in the suite. Raises
    `Unreadable` if Spark cannot be had or cannot read an object."""
    by_names = {place: found for place, one in expectations.items()
                if (found := answer_by_names(dataset, one))}  # fmt: skip
    yield from (dataclasses.replace(one, place=place) for place, one in by_names.items())
    left = {place: one for place, one in expectations.items() if place not in by_names}
    if not left:
        return
    with TemporaryDirectory() as folder:
        try:
            with session(Path(folder)) as spark:
                yield from answers_in(spark, dataset, left, Path(folder))
        except NoSpark as error:
            raise Unreadable(f"cannot be read by Spark: {error}", Verdict.ERROR) from None


def answers_in(
    spark: Any, dataset: OpenedDataset, expectations: _Asked, folder: Path
) -> Iterator[ExpectationOutcome]:
    """Those for which rows are looked at, in a session; `folder` is for what is written for it.
    Raises `Unreadable`."""
    return _Judgement.of(SparkTable.of(spark, dataset, folder)).outcomes(expectations)


@dataclasses.dataclass(frozen=True)
class _Judgement:
    """Asks about one table."""

    table: SparkTable
    frame: Any
    columns: Mapping[str, HeldColumn]

    @classmethod
    def of(cls, table: SparkTable) -> "_Judgement":
        """Raises `Unreadable`."""
        try:
            frame = table.frame()
            table.check(frame.count())
        except Unreadable:
            raise
        except Exception as error:  # of any kind: its message may quote the data
            why = f"cannot be read by Spark ({type(error).__name__}); is each object to be seen "
            why += "at the same path by all of its workers?"
            raise Unreadable(why, Verdict.ERROR) from None
        return cls(table, frame, table.columns())

    def outcomes(self, expectations: _Asked) -> Iterator[ExpectationOutcome]:
        """Raises `Unreadable` if an object was replaced meanwhile."""
        groups: dict[Condition | None, dict[int, Expectation]] = {}
        for place, one in expectations.items():
            try:
                groups.setdefault(condition_of(one.kwargs), {})[place] = one
            except Unfit as error:
                yield _refused(place, error)
        for condition, several in groups.items():
            try:
                rows = self.frame if condition is None else self._meeting(condition)
                found = list(self._of_group(rows, several))
            except Unfit as error:
                found = [_refused(place, error) for place in several]
            except Exception as error:  # as above; the other checks go on
                found = [_raised(place, error) for place in several]
            yield from found
        self.table.check(self.table.dataset.rows)

    def _meeting(self, condition: Condition) -> Any:
        self._need(columns_of(condition))
        return self.frame.filter(met(condition, self.columns))

    def _need(self, names: Iterable[str]) -> None:
        """Raises `Unfit` if Spark does not hold these columns."""
        for name in names:
            form_needed(name, self.table.dataset.kinds[name])

    def _of_group(self, rows: Any, several: _Asked) -> Iterator[ExpectationOutcome]:
        known = self._known(rows, several)
        questions: dict[int, EngineQuestion] = {}
        for place, one in several.items():
            try:
                if one.type in _ROW_COUNTS:
                    questions[place] = EngineQuestion(_unconditional(one))
                elif nothing := _nothing(one, known):
                    yield dataclasses.replace(nothing, place=place)
                elif one.type in OF_RECORDS:
                    yield self._of_records(place, one, rows, known)
                else:
                    name = _column(one)
                    self._need([name])
                    questions[place] = question(
                        one, name, self.columns[name].kind, self.table.names[name]
                    )
            except Unfit as error:
                yield _refused(place, error)
            except Exception as error:  # as above
                yield _raised(place, error)
        for place, outcome in self._asked(rows, questions).items():
            one = several[place]
            n = known.rows if "_null" in one.type else known.values.get(_column(one))
            strangers = outcome.unexpected
            if "equal_set" in one.type:  # which may fail for what is missing
                strangers = strangers or None
            yield dataclasses.replace(outcome, n=n, rows=known.rows, unexpected=strangers)

    def _known(self, rows: Any, several: _Asked) -> _Known:
        """Count rows and values, in one pass."""
        import pyspark.sql.functions as F  # noqa: N812

        named = {name for one in several.values() for name in _columns(one)}
        names = [name for name in self.columns if name in named]
        spread = [_column(one) for one in several.values() if one.type in OF_SPREAD]
        spread = [name for name in dict.fromkeys(spread) if name in self.columns]
        of = self.columns
        (found,) = rows.agg(
            F.count(F.lit(1)),
            *(F.count(of[name].column) for name in names),
            *(end(of[name].column) for name in spread for end in (F.min, F.max)),
        ).collect()
        ends = found[1 + len(names) :]
        return _Known(
            found[0],
            dict(zip(names, found[1:], strict=False)),
            {name: (ends[2 * at], ends[2 * at + 1]) for at, name in enumerate(spread)},
        )

    def _asked(
        self, rows: Any, questions: Mapping[int, EngineQuestion]
    ) -> dict[int, ExpectationOutcome]:
        """The outcomes of questions on the same rows, together; one that fails does not fail the
        others."""
        import pyspark.sql.functions as F  # noqa: N812

        moved: dict[int, Expectation] = {}
        more: dict[str, Any] = {}
        for place, one in questions.items():
            asked = one.expectation
            if one.offset:
                called = f"{asked.kwargs['column']}_{len(more)}"
                offset = F.lit(one.offset).cast("bigint")
                more[called] = F.col(asked.kwargs["column"]) - offset
                asked = dataclasses.replace(asked, kwargs={**asked.kwargs, "column": called})
            moved[place] = asked
        frame = rows.withColumns(more) if more else rows
        found = {one.place: one for one in engine.evaluate_on_spark(frame, moved)} if moved else {}
        for place in [place for place, one in found.items() if one.raised and len(moved) > 1]:
            found[place] = engine.evaluate_on_spark(frame, {place: moved[place]})[0]
        return {
            place: dataclasses.replace(
                questions[place].answered(one), engine=GREAT_EXPECTATIONS_ON_SPARK
            )
            for place, one in found.items()
        }

    def _of_records(
        self, place: int, one: Expectation, rows: Any, known: _Known
    ) -> ExpectationOutcome:
        self._need(columns_of_record(one))
        asked, frame = asked_of_records(one, rows, self.columns)
        n = frame.count()
        if n == 0:
            why = f"none of {known.rows:,} rows has values in its columns"
            return ExpectationOutcome(place, success=False, n=0, nothing=why)
        (outcome,) = engine.evaluate_on_spark(frame, {place: asked})
        return dataclasses.replace(
            outcome, n=n, evaluated=n, rows=known.rows, engine=GREAT_EXPECTATIONS_ON_SPARK
        )


def _nothing(one: Expectation, known: _Known) -> ExpectationOutcome | None:
    """The outcome if there is nothing to check."""

    def because(why: str, n: int = 0) -> ExpectationOutcome:
        return ExpectationOutcome(place=0, success=False, n=n, nothing=why)

    if known.rows == 0:
        return because("no row meets its condition")
    if one.type in OF_RECORDS:
        return None
    name = _column(one)
    values = known.values.get(name)
    if values is None or "_null" in one.type:
        return None
    if values == 0:
        return because(f"all {known.rows:,} values of `{name}` are null")
    if one.type not in OF_SPREAD or isinstance(known.spans[name][0], str):
        return None
    if values == 1:
        return because("there is one value, which has no spread", 1)
    low, high = known.spans[name]
    if "stdev" not in one.type and inf in (high, -low):
        return because("some values are infinite", values)
    if "z_scores" in one.type and low == high:
        return because(f"all {values:,} values are equal, so there are no z-scores", values)
    return None


def _column(one: Expectation) -> str:
    return str(one.kwargs.get("column", ""))


def _columns(one: Expectation) -> tuple[str, ...]:
    return columns_of_record(one) if one.type in OF_RECORDS else (_column(one),)


def _unconditional(one: Expectation) -> Expectation:
    left_out = ("row_condition", "condition_parser")
    kwargs = {key: value for key, value in one.kwargs.items() if key not in left_out}
    return dataclasses.replace(one, kwargs=kwargs)


def _refused(place: int, why: Unfit) -> ExpectationOutcome:
    return ExpectationOutcome(place, success=False, refused=str(why))


def _raised(place: int, error: Exception) -> ExpectationOutcome:
    return ExpectationOutcome(
        place, success=False, raised=type(error).__name__, engine=GREAT_EXPECTATIONS_ON_SPARK
    )
