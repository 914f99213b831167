"""The checks of a report, from the outcome of each expectation. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specs.figures import clip, number, percent, significant
from specs.loading.explain import nearest
from specs.loading.problems import Problem
from validators.data.answering.columns import BY_NAME, columns_named, columns_needed
from validators.data.reading.formats.delimiters import meant_by_name
from validators.data.suites.outcome import ExpectationOutcome, Misfit
from validators.data.suites.phrases import subject_of, tolerance, words_for
from validators.data.suites.suite import Expectation
from validators.report import Check, Examples, FailingObjects, Location
from validators.verdict import Verdict


@dataclass(frozen=True)
class TableFacts:
    """What is known about the table besides the outcomes."""

    rows: int
    columns: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    """The type of each column that was read, by name."""
    clashing: frozenset[str] = frozenset()


def can_be_asked(expectation: Expectation, facts: TableFacts) -> bool:
    """Whether the columns that it needs exist and have one type each."""
    return not (_missing(expectation, facts) or _clashing(expectation, facts))


def _clashing(expectation: Expectation, facts: TableFacts) -> list[str]:
    if expectation.type.startswith(BY_NAME):
        return []
    return [name for name in columns_needed(expectation) if name in facts.clashing]


def problem_check(problem: Problem) -> Check:
    """The check for a suite, or an entry of it, that cannot be read."""
    parts = [
        problem.message,
        f"found {problem.found}" if problem.found else "",
        f"expected {problem.expected}" if problem.expected else "",
        f"did you mean `{problem.nearest}`?" if problem.nearest else "",
    ]
    return Check(
        name=f"suite: {problem.path or problem.code}",
        verdict=Verdict.ERROR,
        message="; ".join(part for part in parts if part),
        subject=problem.file,
        next_step=f"Fix {_place(problem.file, problem.line)}.",
        where=Location(file=problem.file, line=problem.line, column=problem.column),
    )


def misfit_check(expectation: Expectation, misfit: Misfit, origin: str) -> Check:
    """The check for an expectation that Great Expectations does not know or refuses."""
    meant = f", did you mean `{misfit.meant}`?" if misfit.meant else ""
    return Check(
        name=f"suite: {expectation.type}",
        verdict=Verdict.ERROR,
        message=f"`{clip(expectation.type)}`: {misfit.why}{meant}",
        subject=subject_of(expectation),
        next_step=f"Fix {_place(origin, expectation.line)}.",
        where=_where(expectation, origin),
    )


def _place(origin: str, line: int | None) -> str:
    return f"{origin}:{line}" if line else origin


def _where(expectation: Expectation, origin: str) -> Location:
    return Location(file=origin, line=expectation.line, column=expectation.column)


def check_of(
    expectation: Expectation, outcome: ExpectationOutcome | None, facts: TableFacts, origin: str
) -> Check:
    """The check for one expectation; `outcome` is None if it was not evaluated."""
    verdict, message = _judged(expectation, outcome, facts)
    blocks = expectation.severity == "critical"
    if not blocks and not verdict.passes:
        verdict = Verdict.WARN
    if expectation.severity == "info" and verdict is Verdict.WARN:
        message += " (for information)"
    subject = subject_of(expectation)
    limit = words_for(expectation).limit
    return Check(
        name=f"{subject}: {limit}" if subject else limit,
        verdict=verdict,
        message=message,
        subject=subject,
        engine=None if outcome is None else outcome.engine,
        objects=None if outcome is None else FailingObjects.of(outcome.objects),
        examples=None if outcome is None else Examples.of(outcome.strangers),
        observed=_observed(expectation, outcome, facts),
        limit=limit,
        n=_n(outcome, facts),
        blocks=blocks,
        next_step=_next_step(expectation, outcome, facts, origin),
        where=_where(expectation, origin),
    )


def _judged(
    expectation: Expectation, outcome: ExpectationOutcome | None, facts: TableFacts
) -> tuple[Verdict, str]:
    if missing := _missing(expectation, facts):
        return Verdict.FAIL, _lost(expectation, missing)
    if clashing := _clashing(expectation, facts):
        return (
            Verdict.ERROR,
            f"not evaluated: the objects disagree about the type of `{clashing[0]}`",
        )
    if outcome is None:
        return Verdict.ERROR, "Great Expectations gave no result for this expectation"
    if outcome.refused:
        return Verdict.ERROR, f"not evaluated: {outcome.refused}{_held(expectation, facts)}"
    if outcome.raised:
        what = expectation.type
        held = _held(expectation, facts)
        return Verdict.ERROR, f"`{what}` could not be evaluated ({outcome.raised}){held}"
    if outcome.nothing:
        return _checked_nothing(expectation, outcome.nothing)
    if outcome.success:
        return Verdict.PASS, _passed(expectation, outcome)
    return Verdict.FAIL, _failed(expectation, outcome)


def _lost(expectation: Expectation, missing: Sequence[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in missing)
    are = "columns {} are" if len(missing) > 1 else "column {} is"
    named = columns_named(expectation)
    if any(name in named for name in missing):
        return f"{are.format(listed)} missing from the dataset"
    are = (
        "columns {}, which its condition names, are"
        if len(missing) > 1
        else ("column {}, which its condition names, is")
    )
    return f"{are.format(listed)} missing from the dataset"


def _held(expectation: Expectation, facts: TableFacts) -> str:
    """The types of the columns that it needs, in words."""
    held = " and ".join(
        f"`{name}` holds {facts.types[name]}"
        for name in columns_needed(expectation)
        if name in facts.types
    )
    return f"; {held}" if held else ""


def _checked_nothing(expectation: Expectation, why: str) -> tuple[Verdict, str]:
    """A check of nothing is inconclusive, unless its author allows it."""
    limit = words_for(expectation).limit
    said = f"{_quoted(expectation)}: {limit}: checked nothing, because {why}"
    if expectation.may_be_empty:
        return Verdict.PASS, f"{said}; its `may_be_empty` allows this"
    return Verdict.INCONCLUSIVE, said


def _missing(expectation: Expectation, facts: TableFacts) -> list[str]:
    return [name for name in columns_needed(expectation) if name not in facts.columns]


def _quoted(expectation: Expectation) -> str:
    names = columns_named(expectation)
    if not names:
        return "the table"
    return clip(", ".join(f"`{name}`" for name in names), 120)


def _passed(expectation: Expectation, outcome: ExpectationOutcome) -> str:
    limit = words_for(expectation).limit
    if outcome.unexpected and outcome.evaluated:
        share = percent(outcome.unexpected / outcome.evaluated)
        return (
            f"{_quoted(expectation)}: {limit}; {outcome.unexpected:,} of "
            f"{outcome.evaluated:,} values do not meet it ({share})"
        )
    if outcome.evaluated is not None:
        values = f"all {outcome.evaluated:,} values" if outcome.evaluated != 1 else "the one value"
        return f"{_quoted(expectation)}: {limit}, in {values}"
    if outcome.observed is not None:
        return f"{_quoted(expectation)}: {limit}, found {_found(expectation, outcome.observed)}"
    return f"{_quoted(expectation)}: {limit}, as expected"


def _failed(expectation: Expectation, outcome: ExpectationOutcome) -> str:
    limit, missed = words_for(expectation)
    about = _quoted(expectation)
    if outcome.names is not None:
        return _column_names(expectation, outcome.names)
    if outcome.unexpected is not None and outcome.evaluated:
        rows = "values" if len(columns_named(expectation)) == 1 else "rows"
        share = percent(outcome.unexpected / outcome.evaluated)
        allowed = tolerance(expectation)
        limits = f"at most {percent(allowed)} allowed" if allowed else "none allowed"
        message = (
            f"{about}: {outcome.unexpected:,} of {outcome.evaluated:,} {rows} {missed} "
            f"({share}), {limits}"
        )
        if outcome.span:
            low, high = (_found(expectation, end) for end in outcome.span)
            message += f"; found {low} to {high}"
        return message
    lacking = clip(", ".join(outcome.lacking), 120)
    if outcome.unexpected is not None:
        also = f"; {lacking} missing" if lacking else ""
        return (
            f"{about}: {outcome.unexpected:,} distinct values are not allowed{also}; "
            f"expected {limit}"
        )
    if lacking:
        return f"{about}: {lacking} missing; expected {limit}"
    if outcome.observed is not None:
        return f"{about}: expected {limit}, found {_found(expectation, outcome.observed)}"
    return f"{about}: expected {limit}, which does not hold"


def _column_names(expectation: Expectation, names: Sequence[str]) -> str:
    wanted = expectation.kwargs.get("column_set") or expectation.kwargs.get("column_list") or []
    wanted = [str(name) for name in wanted] if isinstance(wanted, list | tuple | set) else []
    missing = [name for name in wanted if name not in names]
    extra = [name for name in names if name not in wanted]
    parts = [
        "missing " + ", ".join(f"`{name}`" for name in missing) if missing else "",
        "unexpected " + ", ".join(f"`{name}`" for name in extra) if extra else "",
    ]
    said = "; ".join(part for part in parts if part)
    said = said or "in the wrong order: " + ", ".join(f"`{name}`" for name in names)
    return f"the table's columns: {clip(said, 300)}"


def _found(expectation: Expectation, value: Any) -> str:
    """A found value, with enough digits to tell it from the bounds in the suite."""
    if not isinstance(value, float):
        return number(value)
    bounds = [expectation.kwargs.get(name) for name in ("min_value", "max_value")]
    return significant(value, [one for one in bounds if isinstance(one, int | float)])


def _observed(
    expectation: Expectation, outcome: ExpectationOutcome | None, facts: TableFacts
) -> float | str | None:
    if outcome is None:
        return "missing" if _missing(expectation, facts) else None
    if outcome.nothing:
        return "nothing"
    if outcome.unexpected is not None:
        if outcome.evaluated:
            return f"{outcome.unexpected:,} ({percent(outcome.unexpected / outcome.evaluated)})"
        return f"{outcome.unexpected:,}"
    value = outcome.observed
    return value if isinstance(value, int | float | str | None) else number(value)


def _n(outcome: ExpectationOutcome | None, facts: TableFacts) -> int | None:
    if outcome is None or outcome.raised or outcome.refused:
        return None
    if outcome.nothing:
        return 0
    if outcome.evaluated is not None:
        return outcome.evaluated
    return facts.rows if outcome.n is None else outcome.n


def _next_step(
    expectation: Expectation, outcome: ExpectationOutcome | None, facts: TableFacts, origin: str
) -> str | None:
    for name in _missing(expectation, facts):
        if delimiter := meant_by_name(name, facts.columns):
            return f"Set {delimiter} in the dataset, if its files are written with it."
        if meant := nearest(name, list(facts.columns)):
            return f"The dataset has `{meant}`: was the column renamed, or is the suite wrong?"
        return f"Restore `{name}` in the data, or remove its expectations from the suite."
    if outcome is not None and outcome.raised:
        return "Choose an expectation that fits the type of the column."
    if outcome is not None and outcome.refused:
        return f"Fix {_place(origin, expectation.line)}."
    if outcome is not None and outcome.nothing and not expectation.may_be_empty:
        return "Fix its condition or the data; to allow this, add `meta: {may_be_empty: true}`."
    return None


def missing_notes(expectations: Sequence[Expectation], facts: TableFacts) -> list[str]:
    """One line per missing column that several checks fail for."""
    counts = Counter(name for one in expectations for name in _missing(one, facts))
    return [
        f"Column `{name}` is missing: {count} checks fail for this one reason."
        for name, count in counts.items()
        if count > 1
    ]


def numbered(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks with unique names, so that each can be followed from run to run."""
    seen: Counter[str] = Counter()
    result = []
    for check in checks:
        seen[check.name] += 1
        again = seen[check.name]
        result.append(
            check if again == 1 else check.model_copy(update={"name": f"{check.name} ({again})"})
        )
    return tuple(result)
