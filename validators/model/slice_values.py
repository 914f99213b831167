"""A check with `slice`: its answer for each value of the column."""

from specs.figures import significant
from specs.gates import PairedCheck
from validators.model.checks import SpecCheck, answer, by_severity, limit_of, name_of, unanswered
from validators.model.request import ModelGateRequest
from validators.model.slices import LISTED, SliceColumn, SmallSlice
from validators.model.study import Measurement, Study
from validators.report import Check, Location
from validators.verdict import Verdict, worst


def per_value(
    request: ModelGateRequest,
    check: SpecCheck,
    where: Location | None,
    column: SliceColumn,
    measured: Study,
) -> list[Check]:
    """One check for each value that needs attention, and one for all others together."""
    if column.refused:
        return [unanswered(check, Verdict.ERROR, column.refused, column.column, where)]
    if not column.judged:
        reason = f"was not measured: no value of {column.column} has enough rows"
        return [unanswered(check, Verdict.INCONCLUSIVE, reason, column.column, where)]
    answers = [
        answer(check, measured[subset.name, check.metric], subset.name, where, request.file)
        for subset in column.judged
    ]
    small = _small(request, check, where, column, measured)
    answers.sort(key=lambda one: -one.verdict.rank)
    shown = [one for one in answers if one.verdict is not Verdict.PASS][: 2 * LISTED]
    rest = answers[len(shown) :]
    if not rest:
        return [*shown, *small]
    values = f"{len(rest)} {'value' if len(rest) == 1 else 'values'} of {column.column}"
    which = f"the {values} with enough rows" if column.small else f"all {values}"
    verdict = worst(one.verdict for one in rest)
    together = Check(
        name=name_of(check),
        verdict=verdict,
        message=f"{check.metric} for the rest of {column.column} ({len(rest)}): {verdict} at worst."
        if shown
        else f"{check.metric} for {which}: {limit_of(check)}.",
        subject=column.column,
        limit=limit_of(check),
        n=sum(one.n or 0 for one in rest),
        blocks=check.severity == "block",
        where=where,
    )
    return [*shown, together, *small]


def _small(
    request: ModelGateRequest,
    check: SpecCheck,
    where: Location | None,
    column: SliceColumn,
    measured: Study,
) -> list[Check]:
    """The check on the values with too few rows: inconclusive, whatever the model did."""
    weight = request.gate.small_slices
    if weight == "ignore":
        return []
    some = [_inconclusive(check, one, measured) for one in column.small[:LISTED]]
    more = len(column.small) - LISTED
    if more > 0:
        values = "value" if more == 1 else "values"
        reason = f"is inconclusive for {more} more {values} of {column.column}: too few rows"
        some.append(unanswered(check, Verdict.INCONCLUSIVE, reason, column.column, where))
    blocks = weight == "block" and check.severity == "block"
    settled = {
        "verdict": by_severity(Verdict.INCONCLUSIVE, blocks),
        "blocks": blocks,
        "where": where,
        "next_step": (
            "Evaluate on more rows of this value, or decide with small_slices in "
            f"{request.file} how such values count."
        ),
    }
    return [one.model_copy(update=settled) for one in some]


def _inconclusive(check: SpecCheck, small: SmallSlice, measured: Study) -> Check:
    """An inconclusive check with the measured values, to help people decide."""
    subject = small.subset.name
    found = measured[subject, check.metric]
    message = f"{check.metric} is inconclusive here: {small.why}"
    ours = theirs = None
    if isinstance(found, Measurement):
        ours = found.candidate
        theirs = found.baseline if isinstance(check, PairedCheck) else None
        against = "" if theirs is None else f", the baseline's {significant(theirs)}"
        message += f"; on those {small.rows:,} it is {significant(ours)}{against}"
    return Check(
        name=name_of(check),
        verdict=Verdict.INCONCLUSIVE,
        message=f"{message}.",
        subject=subject,
        observed=ours,
        baseline=theirs,
        limit=limit_of(check),
        n=small.rows,
    )
