"""PURE. The machine of pipelines: handles commits, new data, requests and ended runs, and asks for
the release of candidates that passed."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controller.machine import run_incidents
from controller.machine.actions import ReportCommit
from controller.machine.core import Blocked, Decision, InboxMessage, Message
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.messages import (
    AcceptData,
    ActionFailed,
    CancelRun,
    CommitSeen,
    RevokeData,
    RulesAccepted,
    RunEnded,
    RunRequested,
    ScheduleDue,
    SpecGone,
)
from controller.machine.pipelines import ended_run
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import (
    LISTING_INTERVAL,
    UNSETTLED_INTERVAL,
    complete_versions,
    describe_unmarked,
    origins,
    soonest,
    update_seen,
    with_newer,
    without_replaced,
)
from controller.machine.pipelines.data_history import with_accepted
from controller.machine.pipelines.failing_data import (
    Judging,
    accept,
    describe,
    fallbacks,
    go_on,
    last_good,
    note_judged,
    only_of,
    revoke,
)
from controller.machine.pipelines.launching import start
from controller.machine.pipelines.pipeline import (
    KEEPS,
    Accepted,
    ObservedPipeline,
    PipelineContext,
    PipelineState,
    begin,
    concerns,
    is_name_taken,
    queue_of,
    report,
    request_run,
    with_head,
    with_pull,
    with_queue,
    without_branch,
)
from controller.machine.pipelines.superseding import (
    cancel_active,
    cancel_message,
    supersede_active,
    trim_queue,
)
from controller.machine.runs.run import Run, Trigger
from specs.digests import short
from specs.model import Pipeline as Spec

WATCHED_INTERVAL = 3600.0
"""Seconds between looks at a pipeline whose sources give no hint."""
WAIT_SHARE = 0.1
"""How much longer a run that has waited may wait for what only looking finds out..."""
LONGEST_WAIT = 300.0
"""...and the most, in seconds."""


def decide(
    state: PipelineState | None,
    observed: ObservedPipeline,
    inbox: Sequence[InboxMessage],
    now: float,
) -> Decision[PipelineState]:
    """Handle the inbox, note new data and schedules, and start the runs that follow."""
    pipeline = state or begin(inbox)
    out = DecisionBuilder(observed.everyone)
    context = PipelineContext(observed, out, now)
    for each in inbox:
        pipeline = HANDLERS[type(each.message)](pipeline, each.message, context)
    pipeline = _update_schedule(pipeline, observed, now)
    pipeline, wait = _update_data(pipeline, observed, now)
    for branch in sorted(pipeline.wanted):
        pipeline = trim_queue(pipeline, branch, context)
    for branch in sorted(pipeline.wanted.keys() & pipeline.active.keys()):
        pipeline = supersede_active(pipeline, branch, context)
    waits: dict[str, None] = {}
    for branch in sorted(pipeline.wanted.keys() - pipeline.active.keys()):
        pipeline, waiting = start(pipeline, branch, context)
        waits |= {waiting: None} if waiting else {}
    pipeline = pipeline.model_copy(
        update={
            "waits_for": "; ".join(waits) or None,
            "invalid": _describe_invalid(pipeline, observed),
            "held_back": _describe_held_back(pipeline, observed),
        }
    )
    soon = _until_start(pipeline, now)
    asleep = pipeline.gone is not None and not pipeline.wanted
    away = _unavailable_store(observed)
    again = LISTING_INTERVAL if away else None  # of a dataset that no source watches, too
    return Decision(
        state=pipeline,
        actions=tuple(out.actions),
        messages=tuple(out.messages),
        facts=tuple(out.facts),
        requeue_after=None if asleep else soonest(wait, soon, again, _watched(pipeline, observed)),
        waits=None if asleep else away,
    )


def _until_start(pipeline: PipelineState, now: float) -> float | None:
    """The seconds until requested runs are tried again, if nothing is heard of what they wait for;
    None if none waits. It grows with the wait, so that many that wait for long are idle."""
    waiting = (
        pipeline.wanted[branch] for branch in pipeline.wanted.keys() - pipeline.active.keys()
    )
    return soonest(
        *(
            UNSETTLED_INTERVAL
            if wanted.told is None
            else min(max((now - wanted.at) * WAIT_SHARE, UNSETTLED_INTERVAL), LONGEST_WAIT)
            for wanted in waiting
        )
    )


def _watched(pipeline: PipelineState, observed: ObservedPipeline) -> float | None:
    """The seconds to the next look at a pipeline whose data or schedule sources watch. They have to
    be told of it after a restart, so it stays live; else only messages concern it."""
    code = observed.code.get(pipeline.heads.get(pipeline.default_branch, ""))
    triggers = code.spec.triggers if code is not None and code.spec is not None else None
    if triggers is None or (triggers.data is None and triggers.schedule is None):
        return None
    return WATCHED_INTERVAL


def _describe_invalid(pipeline: PipelineState, observed: ObservedPipeline) -> str | None:
    """The first problem of the default branch's spec, and how many more there are."""
    code = observed.code.get(pipeline.heads.get(pipeline.default_branch, ""))
    if code is None or code.spec is not None or pipeline.gone is not None:
        return None
    one = next((one for one in code.found if one.severity == "error"), None)
    if one is None:
        return code.problems or "it cannot be read"
    more = f" (and {code.problem_count - 1} more)" if code.problem_count > 1 else ""
    return f"{one.file}:{one.line}:{one.column}: {one.message}{more}"


def _describe_held_back(pipeline: PipelineState, observed: ObservedPipeline) -> str | None:
    head = pipeline.heads.get(pipeline.default_branch, "")
    code = observed.code.get(head)
    if code is None or code.spec is None or pipeline.gone is not None:
        return None
    listings = observed.listings.get(head, {})
    newest = complete_versions(pipeline.data, code.spec, head)
    replaced = fallbacks(pipeline, code.spec, Judging(code.spec, code.source), newest)
    said = (describe_unmarked(pipeline.data, code.spec, head, listings), describe(replaced))
    return "; ".join(filter(None, said)) or None


def _unavailable_store(observed: ObservedPipeline) -> Blocked | None:
    """A dataset's store that cannot be reached; preferably one that needs a person."""
    every = [one for found in observed.listings.values() for one in found.values()]
    away = [one.waits for one in every if one.waits]
    return next((one for one in away if one.human), away[0] if away else None)


def _commit_seen(
    pipeline: PipelineState, message: CommitSeen, context: PipelineContext
) -> PipelineState:
    branch, commit, pull = message.branch, message.commit, message.pull
    if is_name_taken(pipeline, message):
        context.out.actions.append(_report_taken_name(pipeline, message))
        return pipeline
    before = pipeline.pulls.get(branch)
    rebased = pull is not None and before is not None and before.base != pull.base
    # An acceptance ends with its commit or base, even if that head comes back later.
    accepted = {
        name: one
        for name, one in pipeline.accepted.items()
        if name != branch or (one.commit == commit and not rebased)
    }
    pipeline = with_head(pipeline, message).model_copy(update={"accepted": accepted})
    if rebased and pull is not None and branch in pipeline.active:
        last = pipeline.last.get(branch)
        known = last is not None and last.commit == commit
        by = f": its base is {pull.base} now" if known else f" by commit {commit[:12]}"
        pipeline = cancel_active(pipeline, branch, f"superseded{by}", context.out)
    return request_run(pipeline, branch, _trigger_of(message), context.now)


def _report_taken_name(pipeline: PipelineState, message: CommitSeen) -> ReportCommit:
    title = (
        f"the repository {pipeline.repository} has a pipeline {pipeline.name} already; give "
        "one of them another `metadata.name`"
    )
    number = message.pull.number if message.pull else None
    theirs = report(pipeline, message.branch, message.commit, "invalid", title)
    return theirs.model_copy(update={"repository": message.repository, "pull": number})


def _trigger_of(message: CommitSeen) -> Trigger:
    commit, pull = message.commit, message.pull
    if pull is None:
        why = f"commit {commit[:12]} on {message.branch}: {message.subject}".rstrip(": ")
        return Trigger(kind="commit", why=why, by=message.author)
    why = f"commit {commit[:12]} of pull request #{pull.number}: {pull.title}".rstrip(": ")
    if pull.queued:
        why = f"merge group {commit[:12]} of #{pull.number} into {pull.base}"
    return Trigger(kind="pull_request", why=why, by=pull.author)


def _run_requested(
    pipeline: PipelineState, message: RunRequested, context: PipelineContext
) -> PipelineState:
    branch = message.branch or pipeline.default_branch
    pipeline = with_pull(pipeline, branch, message.pull)
    last = pipeline.last.get(branch)
    if message.unless_passed and last and last.outcome in ("running", "passed"):
        return pipeline
    trigger = Trigger(kind=message.kind, why=message.why, by=message.by)
    force = message.force or message.fresh
    return request_run(pipeline, branch, trigger, context.now, force=force, fresh=message.fresh)


def _schedule_due(
    pipeline: PipelineState, message: ScheduleDue, context: PipelineContext
) -> PipelineState:
    trigger = Trigger(kind="schedule", why=f"the schedule was due at {message.at}")
    due = datetime.fromisoformat(message.at).timestamp()
    pipeline = pipeline.model_copy(update={"scheduled": due})
    return request_run(pipeline, pipeline.default_branch, trigger, context.now)


def _rules_accepted(
    pipeline: PipelineState, message: RulesAccepted, context: PipelineContext
) -> PipelineState:
    """Judge a pull request's commit again, by its own rules."""
    branch = message.branch
    if pipeline.heads.get(branch) != message.commit or branch not in pipeline.pulls:
        return pipeline
    pipeline = with_pull(pipeline, branch, message.pull)
    accepted = Accepted(commit=message.commit, by=message.by)
    pipeline = pipeline.model_copy(update={"accepted": {**pipeline.accepted, branch: accepted}})
    why = f"{message.by} accepted the rules of {message.commit[:12]}"
    trigger = Trigger(kind="manual", why=why, by=message.by)
    # For a merge group, the result of the pull request's run by the same rules counts.
    force = not pipeline.pulls[branch].queued
    return request_run(pipeline, branch, trigger, context.now, force=force)


def _spec_gone(
    pipeline: PipelineState, message: SpecGone, context: PipelineContext
) -> PipelineState:
    """The branch was deleted, or its spec was deleted or renamed."""
    branch, why, out = message.branch, message.why, context.out
    if not concerns(pipeline, message):
        return pipeline
    if branch in pipeline.active:
        id_ = f"gone/{pipeline.heads[branch]}"
        out.messages.append(cancel_message(pipeline.active[branch], why, id_))
    for wanted in queue_of(pipeline, branch):
        out.actions.append(
            report(pipeline, branch, wanted.commit, "cancelled", f"cancelled: {why}")
        )
    keeps = ""
    if branch == pipeline.default_branch:
        keeps = f"; {KEEPS}"
        code = context.observed.code.get(pipeline.heads[branch])
        to = code.spec.notify if code and code.spec else ()
        ended_run.resolve_alerts(
            pipeline.alerts, to, run_incidents.spec_gone(pipeline.name, why), out
        )
        pipeline = pipeline.model_copy(update={"alerts": ()})
    if message.commit is not None:
        title = f"nothing to run: {why}{keeps}"
        out.actions.append(report(pipeline, branch, message.commit, "skipped", title))
    return without_branch(pipeline, message)


def _accept_data(
    pipeline: PipelineState, message: AcceptData, context: PipelineContext
) -> PipelineState:
    return accept(pipeline, message.versions, context.now)


def _revoke_data(
    pipeline: PipelineState, message: RevokeData, context: PipelineContext
) -> PipelineState:
    return revoke(pipeline, message, context.now)


def _cancel_run(
    pipeline: PipelineState, message: CancelRun, context: PipelineContext
) -> PipelineState:
    """Cancel the run in progress on a branch and all requested ones."""
    branch = message.branch
    run = pipeline.active.get(branch)
    if run is not None:
        context.out.messages.append(cancel_message(run, message.reason, "asked"))
    for one in queue_of(pipeline, branch):
        context.out.actions.append(
            report(pipeline, branch, one.commit, "cancelled", message.reason)
        )
    return with_queue(pipeline, branch, ())


def _update_schedule(
    pipeline: PipelineState, observed: ObservedPipeline, now: float
) -> PipelineState:
    """Note when a schedule was first seen, so that even its first due time can be found missed."""
    code = observed.code.get(pipeline.heads.get(pipeline.default_branch, ""))
    if code is None or code.spec is None:
        return pipeline  # the schedule of the last valid spec holds
    since, schedule = None, code.spec.triggers.schedule
    if schedule is not None:
        since = now if pipeline.scheduled is None else pipeline.scheduled
    return pipeline.model_copy(update={"scheduled": since, "schedule": schedule})


def _update_data(
    pipeline: PipelineState, observed: ObservedPipeline, now: float
) -> tuple[PipelineState, float | None]:
    """Note new dataset versions, and request a run for complete ones that trigger one. Also returns
    the seconds until datasets have to be listed again, if they have to."""
    head = pipeline.heads.get(pipeline.default_branch)
    commits = ([head] if head else []) + [wanted.commit for wanted in pipeline.wanted.values()]
    codes = {commit: observed.code[commit] for commit in commits if commit in observed.code}
    bases = {code.source.commit: code for code in observed.rules.values()}
    specs = {commit: code.spec for commit, code in {**bases, **codes}.items() if code.spec}
    data, wait = update_seen(pipeline.data, specs, observed.listings, now)
    spec = specs.get(head or "")
    if head is not None and spec is None:
        data = {**pipeline.data, **data}  # the datasets of the last valid spec are kept
    pipeline = pipeline.model_copy(update={"data": data})
    if head is None or spec is None:
        return pipeline, wait
    pipeline = only_of(pipeline, spec)
    return _request_for_new_data(pipeline, spec, complete_versions(data, spec, head), now), wait


def _request_for_new_data(
    pipeline: PipelineState, spec: Spec, complete: Mapping[str, str], now: float
) -> PipelineState:
    trigger = spec.triggers.data
    if trigger is None:
        return pipeline
    watched = {name: complete[name] for name in trigger.datasets if name in complete}
    if not spec.triggers.commits.enabled:  # the data that is there first triggers nothing
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
    return request_run(pipeline, pipeline.default_branch, Trigger(kind="data", why=why), now)


def _request_after_change(
    pipeline: PipelineState, run: Run, stale: Mapping[str, str], code: Code | None, now: float
) -> PipelineState:
    """Request a run with the data that replaced what a run read, once that is complete."""
    if code is not None and code.spec is not None:
        data = without_replaced(pipeline.data, code.spec, run.commit, stale, now)
        pipeline = pipeline.model_copy(update={"data": data})
    if run.branch in pipeline.wanted:
        return pipeline  # that run will read the new data
    why = f"{', '.join(stale)} changed while {run.id} read it"
    return request_run(pipeline, run.branch, Trigger(kind="data", why=why), now)


def _note_newer_data(pipeline: PipelineState, run: Run, spec: Spec) -> PipelineState:
    """Note the rows that a run took: the database may have changed since the run was started."""
    if not run.releases:
        return pipeline
    older = {one.dataset for one in run.fallbacks}
    read = {n: v for n, v in run.datasets.items() if n not in older}
    newer = {n: v for n, v in read.items() if pipeline.taken.get(n, v) != v}
    data = with_newer(pipeline.data, spec, run.commit, newer)
    return pipeline.model_copy(update={"taken": {**pipeline.taken, **newer}, "data": data})


def _run_ended(
    pipeline: PipelineState, message: RunEnded, context: PipelineContext
) -> PipelineState:
    branch, observed = message.branch, context.observed
    if pipeline.active.get(branch) != message.run:
        return pipeline  # it was handled before
    active = {name: run for name, run in pipeline.active.items() if name != branch}
    pipeline = pipeline.model_copy(update={"active": active})
    last = pipeline.last.get(branch)
    if last and last.run == message.run:
        ended = last.model_copy(update={"outcome": message.outcome, "stale_at": message.stale_at})
        pipeline = pipeline.model_copy(update={"last": {**pipeline.last, branch: ended}})
        if ended.outcome == "passed":
            passed = {**pipeline.passed, branch: ended}
            pipeline = pipeline.model_copy(update={"passed": passed})
    run = observed.ended[message.run]
    code = observed.code.get(run.commit)
    if code is not None and code.spec is not None:
        pipeline = _note_newer_data(pipeline, run, code.spec)
        if run.releases:
            judging = Judging(code.spec, code.source)
            pipeline = note_judged(pipeline, run, judging, message.stale)
            remembered = with_accepted(pipeline.histories, run, origins(code.spec))
            pipeline = pipeline.model_copy(update={"histories": remembered})
    stale = {name: run.datasets[name] for name in message.stale}
    if stale:
        return _request_after_change(pipeline, run, stale, code, context.now)
    if not run.releases or pipeline.gone is not None or code is None or code.spec is None:
        return pipeline
    reports = observed.reports.get(message.run, ())
    replaced = last_good(pipeline, run, Judging(code.spec, code.source))
    alerts = ended_run.update_alerts(
        pipeline.alerts, run, code.spec, reports, context.out, describe(replaced)
    )
    pipeline = pipeline.model_copy(update={"alerts": alerts})
    pipeline = go_on(pipeline, branch, replaced, context.now)
    package = message.package
    if package is None or code.spec.release is None:
        return pipeline
    number = observed.known.get(package)
    if number is None:
        number = max(pipeline.versions, observed.numbered) + 1
        pipeline = pipeline.model_copy(update={"versions": number})
        version = ended_run.version_of(run, code.spec, code.source, message, number, context.now)
        context.out.facts += ended_run.facts_of(version)
    context.out.messages.append(ended_run.request_release(run, number, package))
    return pipeline


def _action_failed(
    pipeline: PipelineState, _message: ActionFailed, _context: PipelineContext
) -> PipelineState:
    """A report or a notification failed for good. It was logged, and changes nothing here."""
    return pipeline


HANDLERS: Mapping[type[Message], Callable[[PipelineState, Any, PipelineContext], PipelineState]] = {
    CommitSeen: _commit_seen,
    SpecGone: _spec_gone,
    RunRequested: _run_requested,
    ScheduleDue: _schedule_due,
    RulesAccepted: _rules_accepted,
    AcceptData: _accept_data,
    RevokeData: _revoke_data,
    CancelRun: _cancel_run,
    RunEnded: _run_ended,
    ActionFailed: _action_failed,
}
"""Every class of messages that a pipeline handles."""
