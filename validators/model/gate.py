"""The model gate as a function of its request."""

from collections.abc import Sequence

from specs.gates import PairedCheck
from specs.metrics import METRICS, is_own, usual_metrics
from validators.model.baseline import Opponent, pair, their_rows
from validators.model.checks import (
    SpecCheck,
    answer,
    by_severity,
    difference_interval,
    unanswered,
)
from validators.model.measure import EvaluatedRows, UndefinedMetric, measure
from validators.model.own_metrics import judge_numbers
from validators.model.request import ModelGateRequest, NoBaseline, NoCandidate
from validators.model.rows import Predictions, Unusable, in_one_type, load
from validators.model.slice_values import per_value
from validators.model.slices import LISTED, SliceColumn, screen, split
from validators.model.study import Measurement, Study, Subset, resamples_for, study
from validators.model.tasks import ModelTask, evaluated_rows, task_of
from validators.model.too_good import too_good
from validators.report import Check, Interval, Location, MetricComparison, Report
from validators.verdict import Verdict

WHOLE = Subset()
CONFIDENCE = 0.95
"""Of the intervals in the table of metrics."""
MANY_CLASSES = 20
"""With more classes, intervals of ranking metrics take too long to compute unless a check asks."""


def judge(request: ModelGateRequest) -> Report:
    """Evaluate every check of the gate. Reads the files that the request names."""
    parts = []
    if request.gate.predictions is not None:
        parts.append(_of_predictions(_without_numbers(request)))
    if request.gate.metrics is not None:
        parts.append(judge_numbers(request))
    enforces = any(part.enforces for part in parts)
    notes = [*_exam(request), *(note for part in parts for note in part.notes)]
    if not enforces:
        notes.append(
            "No check of this gate can stop this candidate. An absolute limit could: add at_least "
            f"or at_most in {request.file}."
        )
    return parts[0].model_copy(
        update={
            "baseline": next((part.baseline for part in parts if part.baseline), ""),
            "checks": tuple(check for part in parts for check in part.checks),
            "enforces": enforces,
            "notes": tuple(dict.fromkeys(notes)),
            "metrics": tuple(one for part in reversed(parts) for one in part.metrics),
        }
    )


def _without_numbers(request: ModelGateRequest) -> ModelGateRequest:
    """The request with only the checks on predictions."""
    places = [*request.where, *[None] * len(request.gate.checks)]
    asked = [
        (check, where)
        for check, where in zip(request.gate.checks, places, strict=False)
        if not is_own(check.metric)
    ]
    gate = request.gate.model_copy(update={"checks": tuple(check for check, _ in asked)})
    where = tuple(where for _, where in asked if where is not None)
    return request.model_copy(update={"gate": gate, "where": where})


def _of_predictions(request: ModelGateRequest) -> Report:
    columns = _slice_columns(request)
    if isinstance(request.candidate, NoCandidate):
        return _not_there(request, request.candidate)
    named = request.gate.columns
    assert named is not None, "they go with predictions"
    assert request.candidate is not None, "the request has what the gate names"
    try:
        rows = load(request.candidate, named, columns)
        theirs = their_rows(request, columns)
        tables = [rows, theirs] if isinstance(theirs, Predictions) else [rows]
        rows, *others = in_one_type(*tables)
        model_task = task_of(request.gate, request.file, (rows, *others))
        candidate = evaluated_rows(rows, model_task, request.gate.threshold)
    except Unusable as problem:
        return _unusable(request, problem)
    if isinstance(theirs, Opponent):
        opponent = theirs
    else:
        opponent = pair(request, rows, others[0], candidate, model_task)
    fewest = request.gate.minimum_slice_rows
    vouched = {**rows.slices, **opponent.slices}
    slices = {name: split(name, vouched[name], candidate, fewest) for name in columns}
    measured = study(
        candidate,
        opponent.compared,
        _wanted(request, slices, opponent),
        resamples_for(_confidences(request), request.resamples),
        request.seed,
    )
    return Report(
        gate="model",
        subject=request.subject,
        exam=request.exam,
        baseline=_held_against(request, opponent),
        checks=(
            _usable(request, rows, opponent),
            *_answers(request, slices, opponent, measured),
            *_screening(request, slices, opponent, measured),
            *too_good(candidate, opponent.same_rows),
        ),
        enforces=request.enforces,
        provenance=request.provenance,
        notes=_notes(request, rows, slices, opponent, model_task),
        metrics=tuple(_metrics(request, candidate, opponent.compared, measured)),
    )


def _held_against(request: ModelGateRequest, opponent: Opponent) -> str:
    if isinstance(request.baseline, NoBaseline) or opponent.same_rows is None:
        return ""
    return request.baseline.subject


def _slice_columns(request: ModelGateRequest) -> tuple[str, ...]:
    named = [check.slice for check in request.gate.checks if check.slice]
    return tuple(dict.fromkeys([*request.gate.slices, *named]))


def _paired(request: ModelGateRequest) -> list[PairedCheck]:
    """The paired checks of the whole."""
    return [
        check
        for check in request.gate.checks
        if isinstance(check, PairedCheck) and check.slice is None
    ]


def _confidences(request: ModelGateRequest) -> list[float]:
    return [check.confidence for check in request.gate.checks if isinstance(check, PairedCheck)]


def _unusable(request: ModelGateRequest, problem: Unusable) -> Report:
    return _unmeasured(
        request,
        Check(
            name="predictions",
            verdict=problem.verdict,
            message=f"The candidate's predictions cannot be judged: {problem}.",
            next_step=_fix(request),
        ),
        "was not measured: the candidate's predictions cannot be used",
    )


def _not_there(request: ModelGateRequest, none: NoCandidate) -> Report:
    """A report without measurements. It never passes, whatever the reason."""
    failed = none.kind == "could_not_run"
    what = "The candidate could not be evaluated" if failed else "There is nothing to judge"
    usual = (
        "Make the candidate work with that evaluation; its output says why it does not."
        if failed
        else _fix(request)
    )
    return _unmeasured(
        request,
        Check(
            name="predictions",
            verdict=Verdict.INCONCLUSIVE if failed else Verdict.ERROR,
            message=f"{what}: {none.reason.rstrip('.')}.",
            next_step=none.next_step or usual,
        ),
        "was not measured: there are no predictions of the candidate",
    )


def _fix(request: ModelGateRequest) -> str:
    return (
        f"Fix the step that writes {request.gate.predictions}, or what gates.model in "
        f"{request.file} says about them."
    )


def _unmeasured(request: ModelGateRequest, why: Check, reason: str) -> Report:
    """A report with every check of the gate, none of them evaluated."""
    return Report(
        gate="model",
        subject=request.subject,
        exam=request.exam,
        checks=(
            why,
            *(
                unanswered(check, Verdict.SKIPPED, reason, check.slice, where)
                for check, where in _placed(request)
            ),
        ),
        provenance=request.provenance,
    )


def _exam(request: ModelGateRequest) -> tuple[str, ...]:
    return (f"Judged by {request.exam}.",) if request.exam else ()


def _wanted(
    request: ModelGateRequest, slices: dict[str, SliceColumn], opponent: Opponent
) -> list[tuple[Subset, Sequence[str]]]:
    """The metrics to measure, per subset of the rows."""
    of_whole = [str(check.metric) for check in request.gate.checks if not check.slice]
    if opponent.compared is not None:  # the table of metrics shows the intervals of differences
        of_whole += _unasked(opponent.compared)
    wanted: list[tuple[Subset, Sequence[str]]] = [(WHOLE, tuple(dict.fromkeys(of_whole)))]
    screened = [check.metric for check in _paired(request)] if opponent.compared else []
    for name, column in slices.items():
        asked = [check.metric for check in request.gate.checks if check.slice == name]
        names = tuple(dict.fromkeys([*asked, *(screened if name in request.gate.slices else ())]))
        wanted.extend((subset, names) for subset in column.judged if names)
        wanted.extend((one.subset, asked) for one in column.small[:LISTED] if asked)
    return wanted


def _unasked(rows: EvaluatedRows) -> list[str]:
    """The metrics to measure with an interval although no check asks for them."""
    many = len(rows.scored) > MANY_CLASSES
    usual = usual_metrics(rows.task)
    return [name for name in usual if not (many and METRICS[name].needs == "ranking")]


def _placed(request: ModelGateRequest) -> list[tuple[SpecCheck, Location | None]]:
    where = [*request.where, *[None] * len(request.gate.checks)]
    return list(zip(request.gate.checks, where, strict=False))


def _answers(
    request: ModelGateRequest, slices: dict[str, SliceColumn], opponent: Opponent, measured: Study
) -> list[Check]:
    answers: list[Check] = []
    for check, where in _placed(request):
        if isinstance(check, PairedCheck) and opponent.compared is None:
            message = f"was not compared: {opponent.reason}"
            answers.append(unanswered(check, opponent.verdict, message, check.slice, where))
        elif check.slice:
            answers += per_value(request, check, where, slices[check.slice], measured)
        else:
            found = measured[None, check.metric]
            answers.append(answer(check, found, None, where, request.file))
    return answers


def _screening(
    request: ModelGateRequest, slices: dict[str, SliceColumn], opponent: Opponent, measured: Study
) -> tuple[Check, ...]:
    if opponent.compared is None:
        return ()
    return screen([slices[name] for name in request.gate.slices], _paired(request), measured)


def _usable(request: ModelGateRequest, rows: Predictions, opponent: Opponent) -> Check:
    """The check that the predictions are usable. Contradicting the baseline's table is an error,
    compared or not: limits would be checked against invented labels."""
    message = f"{len(rows):,} rows, each with its own key, a label and a usable prediction"
    if not opponent.apart:
        if opponent.same_rows is not None:
            message += "; the baseline has the same rows and labels"
        return Check(name="predictions", verdict=Verdict.PASS, message=message + ".", n=len(rows))
    blocks = opponent.verdict is Verdict.ERROR
    return Check(
        name="predictions",
        verdict=by_severity(opponent.verdict, blocks),
        message=f"{message}, but {opponent.reason}.",
        n=len(rows),
        blocks=blocks,
        next_step=(
            f"Make the step that writes {request.gate.predictions} keep rows, labels and slice "
            "columns as they are in the data; both models are evaluated on the same rows."
        ),
    )


def _notes(
    request: ModelGateRequest,
    rows: Predictions,
    slices: dict[str, SliceColumn],
    opponent: Opponent,
    model_task: ModelTask,
) -> tuple[str, ...]:
    notes = [*model_task.notes, *opponent.notes]
    if opponent.compared is None:
        notes.append(f"Nothing was compared: {opponent.reason}.")
    by_class = any(METRICS[check.metric].needs == "class" for check in request.gate.checks)
    if by_class and rows.prediction is None and rows.scored is not None:
        notes.append("The class with the highest score counts as predicted.")
    elif by_class and rows.prediction is None:
        least = f"{request.gate.threshold:g}"
        notes.append(f"A score of {least} or more counts as class {model_task.names[-1]}.")
    if opponent.same_rows is not None:
        notes += [
            f"{name}: only the candidate's predictions have this column, so nothing vouches for "
            "its values."
            for name in slices
            if name not in opponent.slices
        ]
    for column in slices.values():
        left_out = f"{column.refused}." if column.refused else ""
        notes.append(left_out or column.too_small(request.gate.minimum_slice_rows))
    drawn = resamples_for(_confidences(request), request.resamples)
    notes.append(f"Intervals: paired bootstrap of rows, {drawn:,} resamples, seed {request.seed}.")
    return tuple(note for note in notes if note)


def _metrics(
    request: ModelGateRequest,
    candidate: EvaluatedRows,
    baseline: EvaluatedRows | None,
    study: Study,
) -> list[MetricComparison]:
    """The metrics that checks name, then the usual ones for the task that the columns allow."""
    found = []
    asked = [check.metric for check in request.gate.checks]
    for name in dict.fromkeys([*asked, *usual_metrics(candidate.task)]):
        values: list[float | None] = []
        reasons = []
        for who, rows in (("candidate", candidate), ("baseline", baseline)):
            try:
                values.append(None if rows is None else measure(name, rows))
            except UndefinedMetric as undefined:
                values.append(None)
                reasons.append((undefined.verdict, f"{who}: {undefined}"))
        ours, theirs = values
        if name not in asked and any(verdict is Verdict.ERROR for verdict, _ in reasons):
            continue
        found.append(
            MetricComparison(
                metric=name,
                candidate=ours,
                baseline=theirs,
                difference=None if ours is None or theirs is None else ours - theirs,
                interval=_interval(name, study),
                greater_is_better=METRICS[name].greater_is_better,
                n=len(candidate),
                note="; ".join(reason for _, reason in reasons) or None,
                checked=name in asked,
            )
        )
    return found


def _interval(name: str, study: Study) -> Interval | None:
    """For candidate minus baseline, on all rows."""
    found = study.get((None, name))
    if not isinstance(found, Measurement):
        return None
    try:
        gain = found.gain(CONFIDENCE)
    except UndefinedMetric:
        return None
    return difference_interval(gain, name, CONFIDENCE)
