"""The data gate: evaluate a suite on a dataset version, and report."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from validators.data.answering.answers import READS_LIMITS, answers
from validators.data.answering.columns import columns_everywhere, columns_to_read
from validators.data.answering.measure import Work
from validators.data.answering.pictures import drawn
from validators.data.answering.portraits import Sketching, sketches, sketching
from validators.data.asked_suite import asked_suite
from validators.data.checks import (
    TableFacts,
    can_be_asked,
    check_of,
    misfit_check,
    missing_notes,
    numbered,
    problem_check,
)
from validators.data.metrics.kept import KeptMetrics
from validators.data.portrait import ColumnSketch, Portrait
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.reading.formats.kinds import has_types
from validators.data.reading.objects import DatasetReading
from validators.data.reading.opening import open_dataset
from validators.data.reading.tables import object_check
from validators.data.request import DataGateRequest, MetricFiles
from validators.data.spark.answers import spark_answers
from validators.data.suites import engine
from validators.data.suites.core_types import custom_of, only_custom, without_custom
from validators.data.suites.forms import is_known
from validators.data.suites.outcome import ExpectationOutcome, Misfit
from validators.data.suites.suite import Expectation, Suite
from validators.data.validation_result import Evaluated, Findings, findings_of
from validators.report import HEADGATE, Check, Report
from validators.verdict import Verdict

_MOST_UNCHECKED = 20
"""Notes about what is not checked, at most."""
NO_ROWS: Final = Check(
    name="rows",
    verdict=Verdict.FAIL,
    message="the dataset has no rows, so no expectation was evaluated",
    observed=0,
    limit="at least 1",
    n=0,
)


class _Judged(NamedTuple):
    """What came of the expectations."""

    evaluated: tuple[Evaluated, ...]
    """Those that Great Expectations would not refuse, in the suite's order."""
    checks: Sequence[Check]
    notes: Sequence[str] = ()
    sketches: Mapping[int, ColumnSketch] = {}
    """By the place of the expectation; the last checks are those of the expectations."""

    @classmethod
    def none(cls, expectations: Sequence[Expectation], why: Sequence[Check]) -> "_Judged":
        """Nothing was evaluated; the last of the checks says why."""
        surely = [one for one in expectations if is_known(one, reads_limits=True)]
        return cls(tuple(Evaluated(one, why[-1]) for one in surely), why)


def judge(request: DataGateRequest) -> Report:
    """The report on the dataset; see `judgement`."""
    return judgement(request).report


def judgement(request: DataGateRequest) -> Findings:
    """Judge the dataset. Every problem of the suite or the data becomes a check."""
    suite, provenance = asked_suite(request)
    checks = [problem_check(problem) for problem in suite.problems]
    if request.leaves_custom and (left := custom_of(suite)):
        suite = without_custom(suite)
        checks += [] if suite.expectations else [only_custom(len(left))]
    notes: list[str] = []
    judged, cost = _Judged((), ()), None
    if suite.expectations:
        judged, cost = _of_data(request, suite, provenance)
        checks += judged.checks
        notes += judged.notes
    notes += _unchecked(suite)
    critical = [one for one in suite.expectations if one.severity == "critical"]
    if suite.expectations and not critical:
        notes.append("No expectation of the suite is critical: none of them can fail this gate.")
    report = Report(
        gate="data",
        subject=request.dataset,
        checks=numbered(checks),
        enforces=bool(critical) or not suite.expectations,
        provenance=provenance,
        notes=tuple(notes),
    )
    first = len(report.checks) - len(suite.expectations)
    named = {report.checks[first + at].name: one for at, one in judged.sketches.items()}
    found = findings_of(report, suite, judged.evaluated, cost)
    return found._replace(portrait=Portrait(sketches=named))


def _of_data(
    request: DataGateRequest, suite: Suite, provenance: dict[str, str]
) -> tuple[_Judged, str | None]:
    """What came of the expectations and of the data as such, and what of it was read."""
    needed, work = suite.expectations, Work(_kept(request.metrics))
    dataset = open_dataset(
        request.objects,
        columns_to_read(needed),
        columns_everywhere(needed),
        _reading(request, suite.texts),
        work.kept,
    )
    try:
        judged = _judged(needed, dataset, request, provenance, work)
    except Unreadable as error:
        dataset = replace(dataset, is_readable=False)
        why = object_check("readable", error.why, None, error.verdict)
        judged = _Judged.none(needed, [why])
    if request.metrics:
        work.kept.write(Path(request.metrics.found))
    of_objects = [one for one in dataset.checks if not _is_of_contract(one, suite, request)]
    objects = dataset.objects or len(request.objects)
    cost = _cost(objects, work) if request.metrics else None
    every = judged._replace(
        checks=[*of_objects, *judged.checks],
        notes=[_size(dataset, objects), *dataset.notes, *judged.notes],
    )
    return every, cost


def _reading(request: DataGateRequest, texts: Collection[str]) -> DatasetReading:
    """How to read the dataset if these columns are known to be text. Files that say the types of
    their columns are believed."""
    if any(has_types(one.key) for one in request.objects):
        return request.reading
    types = {**dict.fromkeys(texts, "string"), **request.reading.types}
    return request.reading.model_copy(update={"types": types})


def _is_of_contract(check: Check, suite: Suite, request: DataGateRequest) -> bool:
    """Whether it is about the type of a column that only a contract names: one that is missing has
    a check of its own."""
    return (
        check.name.startswith("types: ")
        and check.subject in suite.texts
        and check.subject not in request.reading.types
    )


def _unchecked(suite: Suite) -> list[str]:
    """What a data contract asks and nothing checks, with its line."""
    every = [
        f"{one.file}:{one.line}: {one.message}"
        + (f", did you mean `{one.nearest}`?" if one.nearest else "")
        for one in suite.unchecked
    ]
    more = len(every) - _MOST_UNCHECKED
    return [*every[:_MOST_UNCHECKED], *([f"and {more:,} more are not checked"] if more > 0 else [])]


def _size(dataset: OpenedDataset, objects: int) -> str:
    counted = f"{objects:,} object{'s' * (objects != 1)}"
    if not dataset.is_readable:
        return f"{counted}; no expectation was evaluated."
    rows = dataset.rows
    return f"{rows:,} row{'s' * (rows != 1)} in {counted}."


def _kept(files: MetricFiles | None) -> KeptMetrics:
    return KeptMetrics(Path(files.known) if files and files.known else None)


def _cost(objects: int, work: Work) -> str:
    known = f"; {len(work.known):,} were measured for an earlier version" if work.known else ""
    return f"Rows of {len(work.read):,} of {objects:,} objects were read{known}."


def _judged(
    expectations: Sequence[Expectation],
    dataset: OpenedDataset,
    request: DataGateRequest,
    provenance: dict[str, str],
    work: Work,
) -> _Judged:
    origin = request.suite.origin
    if not dataset.is_readable:
        return _Judged.none(expectations, dataset.checks)._replace(checks=())
    if dataset.rows == 0:
        return _Judged.none(expectations, [NO_ROWS])
    provenance["great_expectations"] = engine.VERSION
    misfits: dict[int, Misfit] = {}
    fit: dict[int, Expectation] = {}
    for place, one in enumerate(expectations):
        reads = one.type in READS_LIMITS
        if is_known(one, reads_limits=reads):
            fit[place] = one
        elif found := engine.misfit(one, reads_limits=reads):
            misfits[place] = found
        else:
            fit[place] = one
    facts = _facts(dataset)
    possible = {place: one for place, one in fit.items() if can_be_asked(one, facts)}
    on_spark = request.engine == "spark"
    # What is drawn is measured here: Spark's rows would have to be read for it.
    also = Sketching({}, {}) if on_spark else sketching(dataset, possible)
    answered = (
        spark_answers(dataset, possible)
        if on_spark
        else answers(dataset, possible, work, request.examples, tuple(also.needs.values()))
    )
    outcomes = {one.place: one for one in answered}
    checks = [
        misfit_check(one, misfits[place], origin)
        if place in misfits
        else check_of(one, outcomes.get(place), facts, origin)
        for place, one in enumerate(expectations)
    ]
    if not on_spark:
        evaluable = {place: one for place, one in fit.items() if place in outcomes}
        checks = drawn(checks, evaluable, dataset, work)
    notes = [*_engines(outcomes.values()), *missing_notes(list(fit.values()), facts)]
    evaluated = tuple(
        Evaluated(one, check, outcomes.get(place))
        for place, (one, check) in enumerate(zip(expectations, checks, strict=True))
        if place in fit
    )
    return _Judged(evaluated, checks, notes, sketches(also, work.also))


def _engines(outcomes: Collection[ExpectationOutcome]) -> list[str]:
    """Who evaluated how many, if it was not all Headgate."""
    counts = Counter(one.engine for one in outcomes if one.engine != HEADGATE)
    return [
        f"{name} evaluated {theirs:,} of {len(outcomes):,} expectations, {HEADGATE} the others."
        for name, theirs in counts.items()
    ]


def _facts(dataset: OpenedDataset) -> TableFacts:
    return TableFacts(
        rows=dataset.rows,
        columns=dataset.columns,
        types={name: str(kind).removeprefix("large_") for name, kind in dataset.types.items()},
        clashing=dataset.clashing,
    )
