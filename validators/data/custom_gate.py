"""Judge the custom expectations of a suite, by a module that nobody vouches for.

The module is imported by a process of its own (`custom_process`), which is asked for one
expectation at a time. Whatever it does there (raise, hang, exit, eat memory, answer for others) is
an ERROR of the expectation that it was asked for, and a new process goes on with the next one.
"""

import ctypes
import dataclasses
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from validators.data.answering.columns import columns_everywhere
from validators.data.answering.measure import Work, measure
from validators.data.answering.pictures import drawn
from validators.data.answering.portraits import sketches, sketching
from validators.data.asked_suite import asked_suite
from validators.data.checks import TableFacts, can_be_asked, check_of, numbered, problem_check
from validators.data.custom_worker import CustomError, CustomWorker
from validators.data.gate import NO_ROWS
from validators.data.portrait import ColumnSketch, Portrait
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.reading.opening import open_dataset
from validators.data.request import CustomModule, DataGateRequest
from validators.data.suites.core_types import custom_of
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.suites.suite import Expectation
from validators.data.validation_result import Evaluated, Findings, findings_of
from validators.report import Check, Report
from validators.verdict import Verdict

_SET_DUMPABLE, _SET_CHILD_SUBREAPER = 4, 36
"""As in prctl(2)."""


def judge_custom(request: DataGateRequest, module: CustomModule) -> Findings:
    """What is found by the custom expectations alone."""
    _keep_apart()
    suite, provenance = asked_suite(request)
    asked = custom_of(suite)
    checks: Sequence[Check] = [problem_check(problem) for problem in suite.problems]
    evaluated: Sequence[Evaluated] = ()
    sketched: Mapping[int, ColumnSketch] = {}
    if asked:
        dataset = open_dataset(request.objects, None, columns_everywhere(asked), request.reading)
        if why := dataset.checks or ([NO_ROWS] if dataset.rows == 0 else ()):
            checks, evaluated = why, [Evaluated(one, why[-1]) for one in asked]
        else:
            evaluated, sketched = _judged(request, module, asked, dataset)
            checks = [one.check for one in evaluated]
    elif not checks:
        checks = [_nothing_to_do(module)]
    critical = [one for one in asked if one.severity == "critical"]
    report = Report(
        gate="data",
        subject=f"{request.dataset}, by its custom expectations",
        checks=numbered(list(checks)),
        enforces=bool(critical) or not asked,
        provenance={**provenance, "module": module.origin},
    )
    named = {report.checks[at].name: one for at, one in sketched.items()}
    found = findings_of(report, suite, evaluated)
    return found._replace(portrait=Portrait(sketches=named))


def _keep_apart() -> None:
    """Let no process of the same user read or change this one, nor outlive it unseen."""
    with suppress(OSError, AttributeError):  # not on Linux
        prctl = ctypes.CDLL(None).prctl
        prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_all() -> None:
    """End whatever the module has started and left; it could change the report otherwise."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with suppress(ChildProcessError, FileNotFoundError):  # no child is left; not on Linux
        while True:
            for child in children.read_text(encoding="ascii").split():
                os.kill(int(child), signal.SIGKILL)
            os.waitpid(-1, 0)


def _nothing_to_do(module: CustomModule) -> Check:
    return Check(
        name="custom expectations",
        verdict=Verdict.ERROR,
        message="all expectations of the suite are Great Expectations' own, so the module has "
        "nothing to judge",
        subject=module.origin,
        next_step="Use one of its types in the suite, or remove `custom_expectations`.",
    )


def _judged(
    request: DataGateRequest,
    module: CustomModule,
    asked: Sequence[Expectation],
    dataset: OpenedDataset,
) -> tuple[list[Evaluated], Mapping[int, ColumnSketch]]:
    """What came of each, and sketches of the columns that they name, by place. Pictures are made by
    this process, when the module's has ended, and are left out if an object cannot be read again.
    """
    facts = TableFacts(
        rows=dataset.rows,
        columns=dataset.columns,
        types={name: str(kind) for name, kind in dataset.types.items()},
        clashing=dataset.clashing,
    )
    possible = {place: one for place, one in enumerate(asked) if can_be_asked(one, facts)}
    outcomes = _outcomes(request, module, list(possible))
    origin, work = request.suite.origin, Work()
    checks = [check_of(one, outcomes.get(at), facts, origin) for at, one in enumerate(asked)]
    also, sketched = sketching(dataset, possible), {}
    with suppress(Unreadable):
        if also.needs:
            known = measure(dataset, list(dict.fromkeys(also.needs.values())), work)
            sketched = sketches(also, known)
        checks = drawn(checks, possible, dataset, work)
    found = zip(asked, checks, strict=True)
    evaluated = [Evaluated(one, check, outcomes.get(at)) for at, (one, check) in enumerate(found)]
    return evaluated, sketched


def _outcomes(
    request: DataGateRequest, module: CustomModule, places: Sequence[int]
) -> Mapping[int, ExpectationOutcome]:
    """An outcome for each place among the custom expectations."""
    found: dict[int, ExpectationOutcome] = {}
    each, starting = module.seconds / (len(places) + 1), module.starting
    worker: CustomWorker | None = None
    try:
        for place in places:
            try:
                if worker is None:
                    worker = CustomWorker.started(request, module, starting, each)
                    starting -= worker.took
                outcome = worker.ask(place, each)
            except CustomError as error:
                outcome = ExpectationOutcome(place, success=False, refused=str(error))
                if worker is None:  # nor would it begin for another
                    return {one: dataclasses.replace(outcome, place=one) for one in places} | found
                worker.close()
                worker = None
            found[place] = outcome
    finally:
        if worker is not None:
            worker.close()
        _end_all()
    return found
