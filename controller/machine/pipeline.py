"""PURE. A pipeline: what was seen of its code and data, which runs that asks for, and what
becomes of a candidate that passed.

One run per branch at a time. What is asked for meanwhile waits, and the newest of it wins: nobody
wants the model of the commit before last.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from controller.machine import incidents
from controller.machine.actions import Notify, ReportCommit
from controller.machine.core import Action, Decision, Fact, Key, Letter, Message, Value
from controller.machine.graph import Baseline, Graph, Source, build, fingerprint
from controller.machine.run import Run, Trigger
from controller.machine.version import ModelVersion
from specs.digests import short
from specs.model import Pipeline as Spec
from validators.report import Report
from validators.verdict import Verdict

LOOK = 60.0
"""Seconds after which a pipeline looks at its datasets, should no source have hinted."""
UNSETTLED = 1.0
"""Seconds between looks at a dataset that is still being written."""


class Wanted(Value):
    """A run that is asked for."""

    trigger: Trigger
    commit: str
    at: float
    force: bool = False
    """Run even if nothing changed."""


class Last(Value):
    """The newest run of a branch."""

    run: str
    commit: str
    fingerprint: str
    outcome: str = "running"


class Seen(Value):
    """What was seen of a dataset."""

    current: str
    """The newest version listed."""
    since: float
    """When that version was first listed."""
    ready: str | None = None
    """The newest version that was complete: quiet for long enough, or marked."""


class Pipeline(Value):
    """The facts of a pipeline."""

    name: str
    repository: str
    folder: str
    default_branch: str
    heads: Mapping[str, str] = {}
    wanted: Mapping[str, Wanted] = {}
    active: Mapping[str, str] = {}
    """The run that goes on, by branch."""
    last: Mapping[str, Last] = {}
    data: Mapping[str, Seen] = {}
    taken: Mapping[str, str] = {}
    """Per dataset, the version that the newest run of the default branch reads."""
    scheduled: float | None = None
    """When the schedule was last due, in seconds since the epoch."""
    runs: int = 0
    versions: int = 0
    alerts: tuple[str, ...] = ()
    """Alerts that fire, to be resolved."""
    waits_for: str | None = None
    """What keeps a wanted run from starting."""


class Code(Value):
    """A commit as a pipeline sees it: its spec, or what is wrong with it."""

    source: Source
    name: str | None = None
    """What the pipeline is called: by its spec, or by its folder while that says nothing."""
    branches: tuple[str, ...] = ()
    """Globs of the branches that it watches beside the default one."""
    spec: Spec | None = None
    problems: str = ""
    """All problems, rendered as a compiler does."""
    problem_count: int = 0


class Listing(Value):
    """What a dataset holds now."""

    digest: str | None = None
    settled: bool = True
    """False while an object is being written."""
    marked: bool = False
    """Whether the marker file is there."""
    problem: str | None = None


class Observed(Value):
    """What the world says of a pipeline."""

    code: Mapping[str, Code] = {}
    """By commit: of wanted commits, and of the head of the default branch."""
    listings: Mapping[str, Listing] = {}
    """Of the datasets of the default branch's spec."""
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
    pipeline, wait = _look_at_data(pipeline, observed, now)
    pipeline = pipeline.model_copy(update={"waits_for": None})
    for branch in sorted(pipeline.wanted):
        if branch not in pipeline.active:
            pipeline = _start(pipeline, branch, observed, out, now)
    return Decision(
        state=pipeline,
        actions=tuple(out.actions),
        messages=tuple(out.messages),
        facts=tuple(out.facts),
        requeue_after=min(wait, UNSETTLED) if pipeline.waits_for else wait,
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
        folder=body["folder"],
        default_branch=body["default_branch"],
    )


def _heed(
    pipeline: Pipeline, message: Message, observed: Observed, out: _Out, now: float
) -> Pipeline:
    body = message.body
    match message.type:
        case "commit_seen":
            return _see_commit(pipeline, body, out, now)
        case "trigger":
            branch = body.get("branch") or pipeline.default_branch
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
    pipeline = pipeline.model_copy(
        update={
            "heads": {**pipeline.heads, branch: commit},
            "repository": body["repository"],
            "folder": body["folder"],
            "default_branch": body["default_branch"],
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
            _report(pipeline, waiting.commit, "cancelled", f"superseded by {commit[:12]}")
        )
    why = f"commit {commit[:12]} on {branch}: {body.get('subject', '')}".rstrip(": ")
    trigger = Trigger(kind="commit", why=why, by=body.get("author", ""))
    return _want(pipeline, branch, trigger, now)


def _want(
    pipeline: Pipeline, branch: str, trigger: Trigger, now: float, *, force: bool = False
) -> Pipeline:
    """Ask for a run of the branch's head; what already waits there is replaced."""
    commit = pipeline.heads.get(branch)
    if commit is None:
        return pipeline
    before = pipeline.wanted.get(branch)
    wanted = Wanted(
        trigger=trigger, commit=commit, at=now, force=force or bool(before and before.force)
    )
    return pipeline.model_copy(update={"wanted": {**pipeline.wanted, branch: wanted}})


def _cancel(pipeline: Pipeline, body: Mapping[str, str], out: _Out) -> Pipeline:
    run = body["run"]
    if run in pipeline.active.values():
        out.messages.append(_cancel_message(run, body["reason"], "asked"))
    return pipeline


def _cancel_message(run: str, reason: str, id_: str) -> Message:
    return Message(
        to=Key("run", run), id=f"cancel/{run}/{id_}", type="cancel", body={"reason": reason}
    )


def _look_at_data(pipeline: Pipeline, observed: Observed, now: float) -> tuple[Pipeline, float]:
    """Note new dataset versions, and want a run for those that trigger one once complete."""
    head = observed.code.get(pipeline.heads.get(pipeline.default_branch, ""))
    if head is None or head.spec is None:
        return pipeline, LOOK
    spec, wait = head.spec, LOOK
    data = {name: seen for name, seen in pipeline.data.items() if name in spec.datasets}
    for name, listing in observed.listings.items():
        if listing.digest is None:
            continue
        seen = data.get(name)
        if seen is None or seen.current != listing.digest:
            seen = Seen(current=listing.digest, since=now, ready=seen.ready if seen else None)
        if seen.ready != seen.current:
            remaining = _incomplete_for(spec, name, listing, seen, now)
            if remaining > 0:
                wait = min(wait, remaining)
            else:
                seen = seen.model_copy(update={"ready": seen.current})
        data[name] = seen
    pipeline = pipeline.model_copy(update={"data": data})
    return _want_new_data(pipeline, spec, now), wait


def _incomplete_for(spec: Spec, name: str, listing: Listing, seen: Seen, now: float) -> float:
    """Seconds until the version can count as complete; 0 when it does."""
    if not listing.settled:
        return UNSETTLED
    trigger = spec.triggers.data
    if trigger is None or name not in trigger.datasets:
        return 0.0
    if trigger.marker is not None:
        return 0.0 if listing.marked else LOOK
    return float(seen.since + trigger.quiet.total_seconds() - now)


def _want_new_data(pipeline: Pipeline, spec: Spec, now: float) -> Pipeline:
    trigger = spec.triggers.data
    if trigger is None or not pipeline.taken:
        return pipeline  # the first run is a commit's
    changed = [
        f"{name} went from {short(pipeline.taken[name])} to {short(seen.ready)}"
        for name, seen in pipeline.data.items()
        if name in trigger.datasets
        and seen.ready is not None
        and name in pipeline.taken
        and seen.ready != pipeline.taken[name]
    ]
    if not changed or pipeline.default_branch in pipeline.wanted:
        return pipeline
    why = "; ".join(changed)
    return _want(pipeline, pipeline.default_branch, Trigger(kind="data", why=why), now)


def _start(pipeline: Pipeline, branch: str, observed: Observed, out: _Out, now: float) -> Pipeline:
    """Start the wanted run of a branch, or say on its commit why there is none."""
    wanted = pipeline.wanted[branch]
    code = observed.code.get(wanted.commit)
    if code is None:
        return pipeline  # asked for in this very decision: the next observation has its code
    if code.spec is None:
        out.actions.extend(_invalid(pipeline, wanted, code))
        return _forget(pipeline, branch)
    if wanted.trigger.kind == "commit" and not code.spec.triggers.commits.enabled:
        title = "nothing to run: triggers.commits is off"
        out.actions.append(_report(pipeline, wanted.commit, "skipped", title))
        return _forget(pipeline, branch)
    missing = _missing_data(pipeline, code.spec, observed)
    if missing:
        return pipeline.model_copy(update={"waits_for": missing})
    datasets = {name: ready for name in code.spec.datasets if (ready := pipeline.data[name].ready)}
    graph = build(code.spec, code.source, observed.baseline)
    print_ = fingerprint(graph, datasets)
    last = pipeline.last.get(branch)
    if last and last.fingerprint == print_ and last.outcome != "cancelled" and not wanted.force:
        if last.commit != wanted.commit:
            title = f"nothing to run: all that it reads is as in {last.run} ({last.outcome})"
            out.actions.append(_report(pipeline, wanted.commit, "skipped", title, last.run))
        return _forget(_took(pipeline, branch, datasets), branch)
    return _begin_run(pipeline, branch, wanted, graph, datasets, print_, observed, out, now)


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
    run = Run(
        id=f"{pipeline.name}-{number}",
        number=number,
        pipeline=pipeline.name,
        repository=pipeline.repository,
        commit=wanted.commit,
        branch=branch,
        folder=pipeline.folder,
        trigger=wanted.trigger,
        datasets=datasets,
        fingerprint=print_,
        baseline=observed.baseline.version if observed.baseline else None,
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


def _missing_data(pipeline: Pipeline, spec: Spec, observed: Observed) -> str | None:
    """What a run of this spec still waits for, in a sentence."""
    for name in spec.datasets:
        seen = pipeline.data.get(name)
        if seen is None or seen.ready is None:
            listing = observed.listings.get(name, Listing())
            return listing.problem or f"dataset {name} to be complete"
    return None


def _invalid(pipeline: Pipeline, wanted: Wanted, code: Code) -> Iterable[Action]:
    count = code.problem_count
    title = f"the spec is invalid: {count} problem{'s' if count != 1 else ''}"
    yield _report(pipeline, wanted.commit, "invalid", title, text=code.problems)


def _report(
    pipeline: Pipeline,
    commit: str,
    state: Literal["cancelled", "skipped", "invalid"],
    title: str,
    run: str | None = None,
    text: str = "",
) -> ReportCommit:
    return ReportCommit(
        repository=pipeline.repository,
        commit=commit,
        pipeline=pipeline.name,
        state=state,
        title=title,
        run=run,
        text=text,
    )


def _end_run(
    pipeline: Pipeline, message: Message, observed: Observed, out: _Out, now: float
) -> Pipeline:
    body = message.body
    branch, id_ = body["branch"], body["run"]
    active = {name: run for name, run in pipeline.active.items() if run != id_}
    last = pipeline.last.get(branch)
    if last and last.run == id_:
        ended = last.model_copy(update={"outcome": body["outcome"]})
        pipeline = pipeline.model_copy(update={"last": {**pipeline.last, branch: ended}})
    pipeline = pipeline.model_copy(update={"active": active})
    run = observed.ended[id_]
    code = observed.code.get(run.commit)
    if not run.releases or code is None or code.spec is None:
        return pipeline
    pipeline = _alert(pipeline, run, code.spec, observed.reports.get(id_, ()), out)
    if body["package"] is None or code.spec.release is None:
        return pipeline
    return _promote(pipeline, run, code, message, observed, out, now)


def _promote(
    pipeline: Pipeline,
    run: Run,
    code: Code,
    message: Message,
    observed: Observed,
    out: _Out,
    now: float,
) -> Pipeline:
    """Make a version of the candidate, or find the one that it already is, and release it."""
    body = message.body
    assert code.spec is not None
    number = observed.known.get(body["package"])
    if number is None:
        number = pipeline.versions + 1
        pipeline = pipeline.model_copy(update={"versions": number})
        version = ModelVersion(
            pipeline=pipeline.name,
            number=number,
            digest=body["package"],
            model=body["model"],
            run=run.id,
            source=code.source,
            branch=run.branch,
            datasets=run.datasets,
            verdicts={gate: Verdict(v) for gate, v in body["verdicts"].items()},
            reports=body["reports"],
            spec=code.spec,
            created=now,
        )
        out.facts += _version_facts(version)
    out.messages.append(
        Message(
            to=Key("environment", f"{pipeline.name}/staging"),
            id=f"release/{run.id}",
            type="release",
            body={
                "version": number,
                "digest": body["package"],
                "repository": pipeline.repository,
                "why": f"{run.id} passed its gates: {run.trigger.why}",
            },
        )
    )
    return pipeline


def _version_facts(version: ModelVersion) -> list[Fact]:
    name = f"{version.pipeline}/{version.number}"
    return [
        Fact(key=Key("model", name), body=version.model_dump(mode="json")),
        Fact(
            key=Key("package", f"{version.pipeline}/{version.digest}"),
            body={"number": version.number},
        ),
    ]


def _alert(
    pipeline: Pipeline, run: Run, spec: Spec, reports: Sequence[Report], out: _Out
) -> Pipeline:
    """Tell on-call that a gate stopped the default branch, or that it passes again."""
    gate, step = f"{pipeline.name}/gate", f"{pipeline.name}/run"
    alerts = dict.fromkeys(pipeline.alerts)
    if run.outcome == "stopped":
        incident = incidents.gate_failed(run, reports)
        out.actions += _notify(spec, "gate_failed", "firing", f"{gate}/{run.id}", incident)
        alerts |= {f"{gate}/{run.id}": None}
    elif run.outcome == "failed":
        incident = incidents.run_failed(run)
        out.actions += _notify(spec, "run_failed", "firing", f"{step}/{run.id}", incident)
        alerts |= {f"{step}/{run.id}": None}
    elif run.outcome == "passed":
        for alert in pipeline.alerts:
            event: Literal["gate_failed", "run_failed"] = (
                "gate_failed" if alert.startswith(gate + "/") else "run_failed"
            )
            incident = incidents.passed_again(run)
            out.actions += _notify(spec, event, "resolved", alert, incident)
        alerts = {}
    return pipeline.model_copy(update={"alerts": tuple(alerts)})


def _notify(
    spec: Spec,
    event: Literal["gate_failed", "run_failed"],
    status: Literal["firing", "resolved"],
    alert: str,
    incident: incidents.Incident,
) -> list[Notify]:
    to = tuple(n.to for n in spec.notify if event in n.on)
    return [Notify(event=event, status=status, alert=alert, to=to, incident=incident)]
