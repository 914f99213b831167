"""PURE. The versions of a dataset that a gate has judged, and which of them can be accepted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from controller.cli.context import not_found
from controller.cli.failures import Failed
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.data_exceptions import ACCEPTABLE, AcceptedVersion
from controller.machine.runs.judged_data import judgements, verdict_on, version_of
from controller.machine.runs.run import Progress, Run
from specs.digests import short
from specs.loading.explain import one_of
from validators.report import Report
from validators.verdict import Verdict


class JudgedVersion(NamedTuple):
    """A dataset version, and the last run whose gate looked at it."""

    version: str
    run: Run
    gates: Mapping[str, Progress]
    """Its gates by its own suite, by node."""
    verdict: Verdict | None
    """The worst of theirs; None if one of them has given none."""

    @property
    def stopped_by(self) -> dict[str, Progress]:
        """The gates that did not pass."""
        return {n: x for n, x in self.gates.items() if x.verdict and not x.verdict.passes}


def datasets_of(pipeline: PipelineState) -> list[str]:
    """The datasets of its spec, as the default branch's last run had it."""
    last = pipeline.last.get(pipeline.default_branch)
    return sorted(last.places) if last else []


def newest_version(
    pipeline: PipelineState, dataset: str, judged: Sequence[JudgedVersion]
) -> str | None:
    """The newest version that is known: as listed or, of fetched data, as the last run of the
    default branch fetched it."""
    last = pipeline.last.get(pipeline.default_branch)
    seen = pipeline.data.get(last.places.get(dataset, "")) if last else None
    if seen is not None:
        return seen.current
    return next((one.version for one in judged if one.run.releases), None)


def judged_versions(runs: Iterable[Run], dataset: str) -> list[JudgedVersion]:
    """Each version once, the last judged first; by the default branch's run if there is one."""
    found: dict[str, JudgedVersion] = {}
    for run in sorted(runs, key=lambda one: (one.releases, one.number), reverse=True):
        version, gates = version_of(run, dataset), judgements(run, dataset)
        if version is not None and gates:
            verdict = verdict_on(run, dataset)
            found.setdefault(version, JudgedVersion(version, run, gates, verdict))
    return sorted(found.values(), key=lambda one: one.run.number, reverse=True)


def is_meant(version: str, given: str) -> bool:
    """Whether somebody means a digest by `given`: all of it, or its first digits."""
    digits = given.rpartition(":")[2].lower()
    return bool(digits) and version.rpartition(":")[2].startswith(digits)


def find_version(
    judged: Sequence[JudgedVersion], dataset: str, given: str, newest: str | None
) -> JudgedVersion:
    """The version that is meant. Raises `Failed`, which names those that could be accepted."""
    found = [one for one in judged if is_meant(one.version, given)]
    if len(found) == 1:
        return found[0]
    if found:
        several = one_of([short(one.version) for one in found])
        raise Failed(f"{given!r} is the beginning of several versions of {dataset}: {several}.")
    could = [one for one in judged if objection_to(one, dataset, newest) is None]
    if could:
        named = ", ".join(f"{short(one.version)} (stopped in {one.run.id})" for one in could)
        raise Failed(f"no gate has judged a version {given!r} of {dataset}; to accept: {named}.")
    known = not_found(f"version of {dataset}", given, [short(one.version) for one in judged])
    raise Failed(f"{known} There is none to accept.")


def objection_to(one: JudgedVersion, dataset: str, newest: str | None) -> str | None:
    """Why a version cannot be accepted, and what to do instead; None if it can be, as far as the
    run says."""
    what, run, verdict = f"{dataset} {short(one.version)}", one.run, one.verdict
    if verdict is not None and verdict.passes:
        return f"{what} passed its gate in {run.id}: there is nothing to accept."
    if not run.releases:
        whose = f"pull request #{run.pull}" if run.pull else run.branch
        return (
            f"{what} was judged only in {run.id}, a run of {whose}, and what is not merged is not "
            f"accepted for production. After the merge, accept what stops the run of the default "
            "branch."
        )
    if newest is not None and newest != one.version:
        return (
            f"{what} was replaced by {short(newest)}, which runs read now: accept that, if its "
            "gate stops it."
        )
    if verdict not in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        return _not_judged(what, run)
    return None


def objection_to_report(one: JudgedVersion, dataset: str, report: Report | None) -> str | None:
    """Why a version cannot be accepted on that report; None if it can be."""
    what, run = f"{dataset} {short(one.version)}", one.run
    if report is None:
        return (
            f"the report of its gate on {what} is lost, so nobody can weigh it: "
            f"`headgate retry {run.id}` judges again."
        )
    errors = [check for check in report.checks if check.verdict is Verdict.ERROR]
    if not errors:
        return None
    more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"{_not_judged(what, run)} Not evaluated: {errors[0].name}{more}."


def acceptances_of(
    one: JudgedVersion, dataset: str, reports: Mapping[str, Report], by: str, reason: str
) -> tuple[AcceptedVersion, ...]:
    """The acceptance of a version that nothing speaks against: of each gate that did not pass.
    `reports` are theirs."""
    return tuple(
        AcceptedVersion(
            dataset=dataset,
            version=one.version,
            gate=name,
            key=gate.key or "",
            run=one.run.id,
            verdict=gate.verdict or Verdict.FAIL,
            failed=sum(reports[name].count(verdict) for verdict in ACCEPTABLE),
            by=by,
            reason=reason,
            at=0.0,
        )
        for name, gate in one.stopped_by.items()
    )


def _not_judged(what: str, run: Run) -> str:
    return (
        f"the gate could not judge {what} in {run.id} (ERROR), so there is no verdict to overrule. "
        f"`headgate show {run.id}` says why; when that is fixed, `headgate retry {run.id}` judges "
        "again."
    )
