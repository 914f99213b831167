"""PURE. A pipeline: what was seen of its code and data, which runs that asks for, and what
becomes of a candidate that passed.

One run per branch at a time. What is asked for meanwhile waits, and the newest of it wins: nobody
wants the model of the commit before last.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from controller.machine import candidate, incidents
from controller.machine.actions import ReportCommit
from controller.machine.code import Code
from controller.machine.core import Action, Decision, Fact, Key, Letter, Message, Value
from controller.machine.data import UNSETTLED, Listing, Seen, look, missing, versions
from controller.machine.graph import Baseline, Graph, build, fingerprint
from controller.machine.pull import Pull
from controller.machine.run import Run, Trigger
from controller.machine.untrusted import rules_of, without_secrets
from specs.digests import short
from specs.model import Pipeline as Spec
from validators.report import Report

PATIENCE = 86_400.0
"""Seconds after which a run that waits for its data is given up."""
SETTLED = ("running", "passed", "stopped")
"""Outcomes that stand for all commits that read the same; a step that failed is tried again."""


class Wanted(Value):
    """A run that is asked for."""

    trigger: Trigger
    commit: str
    at: float
    force: bool = False
    """Run even if nothing changed."""
    asked: bool = False
    """By more than a commit: it runs where commits start no runs, too."""
    told: str | None = None
    """What its commit was told that it waits for."""


class Last(Value):
    """The newest run of a branch."""

    run: str
    commit: str
    fingerprint: str
    outcome: str = "running"


class Pipeline(Value):
    """The facts of a pipeline."""

    name: str
    repository: str
    default_branch: str
    heads: Mapping[str, str] = {}
    """Of the branches with its spec."""
    folders: Mapping[str, str] = {}
    """Where its spec is, on each of them."""
    pulls: Mapping[str, Pull] = {}
    """Those of them that are pull requests."""
    gone: str | None = None
    """Why it wants nothing: its spec is not on the default branch any more."""
    wanted: Mapping[str, Wanted] = {}
    active: Mapping[str, str] = {}
    """The run that goes on, by branch."""
    last: Mapping[str, Last] = {}
    data: Mapping[str, Seen] = {}
    """By `data.place`."""
    taken: Mapping[str, str] = {}
    """Per dataset, the version that the newest run of the default branch reads."""
    scheduled: float | None = None
    """When the schedule was last due, or since when there is one; in seconds since the epoch."""
    runs: int = 0
    versions: int = 0
    alerts: tuple[str, ...] = ()
    """Alerts that fire, to be resolved: at most one of each gate, and one of runs that failed."""
    waits_for: str | None = None
    """What keeps a wanted run from starting."""


class Observed(Value):
    """What the world says of a pipeline."""

    code: Mapping[str, Code] = {}
    """By commit: of wanted commits, of the head of the default branch, and of the bases of wanted
    pull requests."""
    listings: Mapping[str, Mapping[str, Listing]] = {}
    """Of the datasets that the spec of each of those commits names, by commit and dataset."""
    baseline: Baseline | None = None
    ended: Mapping[str, Run] = {}
    """The runs that letters say have ended, by id."""
    reports: Mapping[str, tuple[Report, ...]] = {}
    """The gates' reports of those runs."""
    known: Mapping[str, int] = {}
    """Numbers of versions that exist already, by package digest."""


def decide(
    state: Pipeline | None, observed: Observed, inbox: Sequence[Letter], now: float
) -> Decision[Pipeline]:
    """Take in commits, data and ended runs; start the runs that follow."""
    pipeline = state or begin(inbox)
    out = _Out()
    for letter in inbox:
        pipeline = _heed(pipeline, letter.message, observed, out, now)
    pipeline = _look_at_schedule(pipeline, observed, now)
    pipeline, wait = _look_at_data(pipeline, observed, now)
    waits: dict[str, None] = {}
    for branch in sorted(pipeline.wanted.keys() - pipeline.active.keys()):
        pipeline, waiting = _start(pipeline, branch, observed, out, now)
        waits |= {waiting: None} if waiting else {}
    pipeline = pipeline.model_copy(update={"waits_for": "; ".join(waits) or None})
    soon = bool(pipeline.wanted.keys() - pipeline.active.keys())
    asleep = pipeline.gone is not None and not pipeline.wanted
    return Decision(
        state=pipeline,
        actions=tuple(out.actions),
        messages=tuple(out.messages),
        facts=tuple(out.facts),
        requeue_after=None if asleep else min(wait, UNSETTLED) if soon else wait,
    )


class _Out:
    """What one decision gathers on its way."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.messages: list[Message] = []
        self.facts: list[Fact] = []


def begin(inbox: Sequence[Letter]) -> Pipeline:
    """A pipeline that was seen for the first time."""
    body = next(x.message.body for x in inbox if x.message.type == "commit_seen")
    return Pipeline(
        name=body["pipeline"],
        repository=body["repository"],
        default_branch=body["default_branch"],
    )


def _heed(
    pipeline: Pipeline, message: Message, observed: Observed, out: _Out, now: float
) -> Pipeline:
    body = message.body
    match message.type:
        case "commit_seen":
            return _see_commit(pipeline, body, out, now)
        case "spec_gone":
            return _lose(pipeline, body, observed, out)
        case "trigger":
            branch = body.get("branch") or pipeline.default_branch
            last = pipeline.last.get(branch)
            if body.get("unless_passed") and last and last.outcome in ("running", "passed"):
                return pipeline
            trigger = Trigger(kind=body["kind"], why=body["why"], by=body.get("by", ""))
            return _want(pipeline, branch, trigger, now, force=body.get("force", False))
        case "schedule_due":
            trigger = Trigger(kind="schedule", why=f"the schedule was due at {body['at']}")
            due = datetime.fromisoformat(body["at"]).timestamp()
            pipeline = pipeline.model_copy(update={"scheduled": due})
            return _want(pipeline, pipeline.default_branch, trigger, now)
        case "cancel":
            return _cancel(pipeline, body, out)
        case "run_ended":
            return _end_run(pipeline, message, observed, out, now)
        case _:
            return pipeline


def _see_commit(pipeline: Pipeline, body: Mapping[str, str], out: _Out, now: float) -> Pipeline:
    branch, commit = body["branch"], body["commit"]
    pull = Pull.model_validate(body["pull"]) if body.get("pull") else None
    # A pull request, which anybody may open, does not claim a pipeline's name.
    claimed = pipeline.gone is None and bool(pipeline.heads.keys() - pipeline.pulls.keys())
    if body["repository"] != pipeline.repository and (claimed or pull):
        title = (
            f"the repository {pipeline.repository} has a pipeline {pipeline.name} already; give "
            "one of them another `metadata.name`"
        )
        theirs = _report(pipeline, branch, commit, "invalid", title)
        number = pull.number if pull else None
        update = {"repository": body["repository"], "pull": number}
        out.actions.append(theirs.model_copy(update=update))
        return pipeline
    pipeline = pipeline.model_copy(
        update={
            "heads": {**pipeline.heads, branch: commit},
            "folders": {**pipeline.folders, branch: body["folder"]},
            "pulls": {**pipeline.pulls, branch: pull} if pull else pipeline.pulls,
            "repository": body["repository"],
            "default_branch": body["default_branch"],
            "gone": None if branch == body["default_branch"] else pipeline.gone,
        }
    )
    active = pipeline.active.get(branch)
    last = pipeline.last.get(branch)
    known = last is not None and last.commit == commit
    if active and branch != pipeline.default_branch and not known:
        reason = f"superseded by commit {commit[:12]}"
        out.messages.append(_cancel_message(active, reason, f"superseded/{commit}"))
    waiting = pipeline.wanted.get(branch)
    if waiting and waiting.commit != commit:
        out.actions.append(
            _report(pipeline, branch, waiting.commit, "cancelled", f"superseded by {commit[:12]}")
        )
    if pull is not None:
        why = f"commit {commit[:12]} of pull request #{pull.number}: {pull.title}".rstrip(": ")
        return _want(pipeline, branch, Trigger(kind="pull_request", why=why, by=pull.author), now)
    why = f"commit {commit[:12]} on {branch}: {body.get('subject', '')}".rstrip(": ")
    trigger = Trigger(kind="commit", why=why, by=body.get("author", ""))
    return _want(pipeline, branch, trigger, now)


def _lose(pipeline: Pipeline, body: Mapping[str, Any], observed: Observed, out: _Out) -> Pipeline:
    """The branch was deleted, or its spec was, or goes by another name now."""
    branch, commit = body["branch"], body["commit"]
    if branch not in pipeline.heads or body["repository"] != pipeline.repository:
        return pipeline
    why = body["why"]
    if branch in pipeline.active:
        id_ = f"gone/{pipeline.heads[branch]}"
        out.messages.append(_cancel_message(pipeline.active[branch], why, id_))
    if branch in pipeline.wanted:
        waiting = pipeline.wanted[branch].commit
        out.actions.append(_report(pipeline, branch, waiting, "cancelled", f"cancelled: {why}"))
    keeps = ""
    if branch == pipeline.default_branch:
        keeps = "; its environments keep what they run"
        code = observed.code.get(pipeline.heads[branch])
        to = code.spec.notify if code and code.spec else ()
        over = incidents.spec_gone(pipeline.name, why)
        out.actions += candidate.resolve(pipeline.alerts, to, over)
        pipeline = pipeline.model_copy(update={"gone": why, "alerts": ()})
    if commit is not None:
        title = f"nothing to run: {why}{keeps}"
        out.actions.append(_report(pipeline, branch, commit, "skipped", title))
    return pipeline.model_copy(
        update={
            facts: {name: one for name, one in getattr(pipeline, facts).items() if name != branch}
            for facts in ("heads", "folders", "pulls", "wanted", "last")
        }
    )


def _want(
    pipeline: Pipeline, branch: str, trigger: Trigger, now: float, *, force: bool = False
) -> Pipeline:
    """Ask for a run of the branch's head; what already waits there is replaced."""
    commit = pipeline.heads.get(branch)
    if commit is None:
        return pipeline
    before = pipeline.wanted.get(branch)
    wanted = Wanted(
        trigger=trigger,
        commit=commit,
        at=now,
        force=force or bool(before and before.force),
        asked=trigger.kind not in ("commit", "pull_request") or bool(before and before.asked),
    )
    return pipeline.model_copy(update={"wanted": {**pipeline.wanted, branch: wanted}})


def _cancel(pipeline: Pipeline, body: Mapping[str, str], out: _Out) -> Pipeline:
    """Stop a run by its name, or whatever a branch runs and waits for."""
    branch = body.get("branch", "")
    run = body.get("run") or pipeline.active.get(branch, "")
    if run in pipeline.active.values():
        out.messages.append(_cancel_message(run, body["reason"], "asked"))
    if branch not in pipeline.wanted:
        return pipeline
    waiting = pipeline.wanted[branch].commit
    out.actions.append(_report(pipeline, branch, waiting, "cancelled", body["reason"]))
    return _forget(pipeline, branch)


def _cancel_message(run: str, reason: str, id_: str) -> Message:
    return Message(
        to=Key("run", run), id=f"cancel/{run}/{id_}", type="cancel", body={"reason": reason}
    )


def _look_at_schedule(pipeline: Pipeline, observed: Observed, now: float) -> Pipeline:
    """Note since when there is a schedule: its first time may be missed before it ever came."""
    code = observed.code.get(pipeline.heads.get(pipeline.default_branch, ""))
    if code is None or code.spec is None:
        return pipeline  # as the spec was before it was broken
    since = None
    if code.spec.triggers.schedule is not None:
        since = now if pipeline.scheduled is None else pipeline.scheduled
    return pipeline.model_copy(update={"scheduled": since})


def _look_at_data(pipeline: Pipeline, observed: Observed, now: float) -> tuple[Pipeline, float]:
    """Note new dataset versions, and want a run for those that trigger one once complete."""
    head = pipeline.heads.get(pipeline.default_branch)
    commits = ([head] if head else []) + [wanted.commit for wanted in pipeline.wanted.values()]
    codes = {commit: observed.code[commit] for commit in commits if commit in observed.code}
    specs = {commit: code.spec for commit, code in codes.items() if code.spec}
    data, wait = look(pipeline.data, specs, observed.listings, now)
    spec = specs.get(head or "")
    if head is not None and spec is None:
        data = {**pipeline.data, **data}  # of the spec as it was before it was broken
    pipeline = pipeline.model_copy(update={"data": data})
    if head is None or spec is None:
        return pipeline, wait
    return _want_new_data(pipeline, spec, versions(data, spec, head), now), wait


def _want_new_data(
    pipeline: Pipeline, spec: Spec, complete: Mapping[str, str], now: float
) -> Pipeline:
    trigger = spec.triggers.data
    if trigger is None:
        return pipeline
    watched = {name: complete[name] for name in trigger.datasets if name in complete}
    if not spec.triggers.commits.enabled:  # no commit's run comes first: begin with what is there
        pipeline = pipeline.model_copy(update={"taken": {**watched, **pipeline.taken}})
    changed = [
        f"{name} went from {short(pipeline.taken[name])} to {short(version)}"
        for name, version in watched.items()
        if pipeline.taken.get(name, version) != version
    ]
    waiting = pipeline.wanted.get(pipeline.default_branch)
    if not changed or (waiting and (waiting.asked or spec.triggers.commits.enabled)):
        return pipeline
    why = "; ".join(changed)
    return _want(pipeline, pipeline.default_branch, Trigger(kind="data", why=why), now)


def _start(
    pipeline: Pipeline, branch: str, observed: Observed, out: _Out, now: float
) -> tuple[Pipeline, str | None]:
    """Start the wanted run of a branch, or say on its commit why there is none; or what it
    waits for."""
    wanted = pipeline.wanted[branch]
    code = observed.code.get(wanted.commit)
    if code is None:
        return pipeline, None  # the next observation has its code
    if code.spec is None:
        out.actions.extend(_invalid(pipeline, branch, wanted, code))
        return _forget(pipeline, branch), None
    trigger = "pull_requests" if branch in pipeline.pulls else "commits"
    if not wanted.asked and not getattr(code.spec.triggers, trigger).enabled:
        title = f"nothing to run: triggers.{trigger} is off"
        out.actions.append(_report(pipeline, branch, wanted.commit, "skipped", title))
        return _forget(pipeline, branch), None
    listings = observed.listings.get(wanted.commit, {})
    waits_for = missing(pipeline.data, code.spec, wanted.commit, listings)
    if waits_for:
        return _wait(pipeline, branch, waits_for, out, now)
    datasets = versions(pipeline.data, code.spec, wanted.commit)
    graph = _graph(code, code.spec, pipeline.pulls.get(branch), observed)
    print_ = fingerprint(graph, datasets)
    last = pipeline.last.get(branch)
    if last and last.fingerprint == print_ and last.outcome in SETTLED and not wanted.force:
        if last.commit != wanted.commit:
            title = f"nothing to run: all that it reads is as in {last.run} ({last.outcome})"
            out.actions.append(_report(pipeline, branch, wanted.commit, "skipped", title, last.run))
        return _forget(_took(pipeline, branch, datasets), branch), None
    return _begin_run(pipeline, branch, wanted, graph, datasets, print_, observed, out, now), None


def _wait(
    pipeline: Pipeline, branch: str, waits_for: str, out: _Out, now: float
) -> tuple[Pipeline, str | None]:
    """Say once on the commit what its run waits for, and give up after a day."""
    wanted = pipeline.wanted[branch]
    if now - wanted.at > PATIENCE:
        title = f"gave up after a day without this: {waits_for}; `headgate trigger` asks again"
        out.actions.append(_report(pipeline, branch, wanted.commit, "cancelled", title))
        return _forget(pipeline, branch), None
    if wanted.told != waits_for:
        title = f"waits: {waits_for}"
        out.actions.append(_report(pipeline, branch, wanted.commit, "running", title))
        told = wanted.model_copy(update={"told": waits_for})
        pipeline = pipeline.model_copy(update={"wanted": {**pipeline.wanted, branch: told}})
    return pipeline, waits_for


def _graph(code: Code, spec: Spec, pull: Pull | None, observed: Observed) -> Graph:
    """A pull request is judged by the rules of its base, and gets few secrets."""
    if pull is None:
        return build(spec, code.source, observed.baseline)
    rules = rules_of(observed.code.get(pull.base_commit))
    spec = without_secrets(spec, rules, fork=pull.fork)
    return build(spec, code.source, observed.baseline, rules)


def _begin_run(
    pipeline: Pipeline,
    branch: str,
    wanted: Wanted,
    graph: Graph,
    datasets: Mapping[str, str],
    print_: str,
    observed: Observed,
    out: _Out,
    now: float,
) -> Pipeline:
    number = pipeline.runs + 1
    pull = pipeline.pulls.get(branch)
    run = Run(
        id=f"{pipeline.name}-{number}",
        number=number,
        pipeline=pipeline.name,
        repository=pipeline.repository,
        commit=wanted.commit,
        branch=branch,
        folder=pipeline.folders[branch],
        trigger=wanted.trigger,
        datasets=datasets,
        fingerprint=print_,
        baseline=observed.baseline.version if observed.baseline else None,
        pull=pull.number if pull else None,
        base=pull.base_commit if pull else None,
        releases=branch == pipeline.default_branch,
        created=now,
    )
    out.facts.append(Fact(key=Key("graph", run.id), body=graph.model_dump(mode="json")))
    out.messages.append(
        Message(
            to=Key("run", run.id),
            id=f"start/{run.id}",
            type="start",
            body=run.model_dump(mode="json"),
        )
    )
    last = Last(run=run.id, commit=wanted.commit, fingerprint=print_)
    pipeline = pipeline.model_copy(
        update={
            "runs": number,
            "active": {**pipeline.active, branch: run.id},
            "last": {**pipeline.last, branch: last},
        }
    )
    return _forget(_took(pipeline, branch, datasets), branch)


def _took(pipeline: Pipeline, branch: str, datasets: Mapping[str, str]) -> Pipeline:
    if branch != pipeline.default_branch:
        return pipeline
    return pipeline.model_copy(update={"taken": dict(datasets)})


def _forget(pipeline: Pipeline, branch: str) -> Pipeline:
    wanted = {name: w for name, w in pipeline.wanted.items() if name != branch}
    return pipeline.model_copy(update={"wanted": wanted})


def _invalid(pipeline: Pipeline, branch: str, wanted: Wanted, code: Code) -> Iterable[Action]:
    count = code.problem_count
    title = f"the spec is invalid: {count} problem{'s' if count != 1 else ''}"
    said = _report(pipeline, branch, wanted.commit, "invalid", title, text=code.problems)
    yield said.model_copy(update={"problems": code.found})


def _report(
    pipeline: Pipeline,
    branch: str,
    commit: str,
    state: Literal["running", "cancelled", "skipped", "invalid"],
    title: str,
    run: str | None = None,
    text: str = "",
) -> ReportCommit:
    pull = pipeline.pulls.get(branch)
    return ReportCommit(
        repository=pipeline.repository,
        commit=commit,
        pipeline=pipeline.name,
        state=state,
        title=title,
        run=run,
        text=text,
        pull=pull.number if pull else None,
    )


def _end_run(
    pipeline: Pipeline, message: Message, observed: Observed, out: _Out, now: float
) -> Pipeline:
    body = message.body
    branch, id_ = body["branch"], body["run"]
    if pipeline.active.get(branch) != id_:
        return pipeline  # told before
    active = {name: run for name, run in pipeline.active.items() if name != branch}
    pipeline = pipeline.model_copy(update={"active": active})
    last = pipeline.last.get(branch)
    if last and last.run == id_:
        ended = last.model_copy(update={"outcome": body["outcome"]})
        pipeline = pipeline.model_copy(update={"last": {**pipeline.last, branch: ended}})
    run = observed.ended[id_]
    code = observed.code.get(run.commit)
    if not run.releases or pipeline.gone is not None or code is None or code.spec is None:
        return pipeline
    reports = observed.reports.get(id_, ())
    alerts, notify = candidate.alert(pipeline.alerts, run, code.spec, reports)
    out.actions += notify
    pipeline = pipeline.model_copy(update={"alerts": alerts})
    package = body["package"]
    if package is None or code.spec.release is None:
        return pipeline
    number = observed.known.get(package)
    if number is None:
        number = pipeline.versions + 1
        pipeline = pipeline.model_copy(update={"versions": number})
        version = candidate.version_of(run, code.spec, code.source, body, number, now)
        out.facts += candidate.facts_of(version)
    out.messages.append(candidate.release(run, number, package))
    return pipeline
