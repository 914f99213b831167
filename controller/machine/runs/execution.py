"""PURE. Decides a run: starts what is ready, retries, ends, and adds results to the cache."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controller.machine.actions import CancelAttempt, ReportCommit, StartAttempt
from controller.machine.core import (
    Action,
    Blocked,
    Decision,
    Envelope,
    Fact,
    InboxMessage,
    Key,
    Message,
)
from controller.machine.messages import ActionFailed, CancelRun, RunEnded, StartRun
from controller.machine.runs.attempt import AttemptState, Status
from controller.machine.runs.end_report import report_end
from controller.machine.runs.graph import Graph, Node, attempt_of, key_of, package_of
from controller.machine.runs.node_names import gate_name
from controller.machine.runs.node_progress import inputs_of, update_nodes
from controller.machine.runs.run import (
    NEW,
    RENEWED,
    AttemptRecord,
    CachedResult,
    ObservedRun,
    Progress,
    Run,
    why_ended,
)
from specs.failures import Ignore
from validators.verdict import Verdict, worst

LONGEST_BACKOFF = 600.0
POLL = 2.0
"""Seconds until the first poll of open attempts, in case the end of one is not announced."""
RAREST_POLL = 60.0
"""Seconds between polls at most. A thousand runs that wait for a slot must not be polled all the
time."""
PROGRESS = 5.0
"""Least seconds between two progress reports to a pull request."""


def decide(
    state: Run | None, observed: ObservedRun, inbox: Sequence[InboxMessage], now: float
) -> Decision[Run]:
    """Bring the nodes up to date, start those that are ready, and end the run with the last."""
    run = state or begin(inbox)
    if not run.live:
        return Decision(state=run)
    begun = () if state else (_report_begin(run),)
    run = _consume(run, inbox)
    before = run
    if run.cancelled is None:
        run = update_nodes(run, observed, now)
    facts = _new_facts(before, run, observed, now)
    absent: tuple[Key, ...] = ()
    if run.cancelled is not None:
        run, actions = _stop_attempts(run)
        run = run.model_copy(update={"finished": now, "waits_for": None})
    else:
        run, actions, wait = _start_ready(run, observed.graph, observed, now)
        absent = _not_looked_up(before, run, observed)
        actions = (*_given_up(before, run, observed), *actions)
        if all(run.nodes.get(n.name, NEW).done for n in observed.graph.nodes):
            run = run.model_copy(update={"finished": now, "waits_for": None})
    if run.finished is not None:
        end = (report_end(run),)
        return Decision(
            state=run,
            actions=(*begun, *actions, *end),
            facts=facts,
            messages=(_tell_pipeline(run, observed.graph),),
        )
    run, progress = _tell_progress(run, observed.graph, now)
    waits = _waits(observed)
    run = run.model_copy(update={"waits_for": waits.reason if waits else None})
    return Decision(
        state=run,
        actions=(*begun, *actions, *progress),
        facts=facts,
        absent=absent,
        requeue_after=min(wait, _poll(run, now)),
        waits=waits,
    )


def begin(inbox: Sequence[InboxMessage]) -> Run:
    """The run that its pipeline asks for. Raises `Ignore` if it has not asked yet."""
    for each in inbox:
        if isinstance(each.message, StartRun):
            return each.message.run
    raise Ignore("its pipeline did not start it yet")


def _consume(run: Run, inbox: Sequence[InboxMessage]) -> Run:
    for each in inbox:
        run = HANDLERS[type(each.message)](run, each.message)
    return run


def _begun(run: Run, _message: StartRun) -> Run:
    """`begin` has read it."""
    return run


def _cancel(run: Run, message: CancelRun) -> Run:
    if run.cancelled is not None:
        return run
    return run.model_copy(update={"cancelled": message.reason})


def _action_failed(run: Run, message: ActionFailed) -> Run:
    """The executor refuses an attempt for good."""
    if not isinstance(message.action, StartAttempt):
        return run
    attempt = message.action.attempt
    progress = run.nodes.get(attempt.node)
    if progress is None or progress.done or progress.open is None:
        return run
    if progress.open.id != attempt.id:
        return run  # that attempt has ended meanwhile
    failed = progress.model_copy(update={"failed": message.reason})
    return run.model_copy(update={"nodes": {**run.nodes, attempt.node: failed}})


HANDLERS: Mapping[type[Message], Callable[[Run, Any], Run]] = {
    StartRun: _begun,
    CancelRun: _cancel,
    ActionFailed: _action_failed,
}
"""Every message class that a run handles."""


def _start_ready(
    run: Run, graph: Graph, observed: ObservedRun, now: float
) -> tuple[Run, tuple[Action, ...], float]:
    """Start the nodes that are ready, and restart attempts that the executor does not know."""
    nodes = dict(run.nodes)
    actions: list[Action] = []
    wait = RAREST_POLL
    for node in graph.nodes:
        progress = nodes.get(node.name, NEW)
        if progress.key is None or progress.done or not _is_ready(graph.needs[node.name], nodes):
            continue
        actual, digests = inputs_of(run, node, nodes)
        record = progress.open
        if record is None:
            due = _retry_at(node, progress, now)
            if due > now:
                wait = min(wait, due - now)
                continue
            number = len(progress.attempts) + 1
            record = AttemptRecord(id=f"{run.id}.{node.name}.{number}", asked=now)
            nodes[node.name] = progress.model_copy(
                update={"attempts": (*progress.attempts, record)}
            )
        elif (
            observed.statuses.get(record.id, Status(state=AttemptState.UNKNOWN)).state
            is not AttemptState.UNKNOWN
        ):
            continue
        attempt = attempt_of(actual, record.id, digests, run.attempt_facts)
        actions.append(StartAttempt(attempt=attempt))
    return run.model_copy(update={"nodes": nodes}), tuple(actions), wait


def _not_looked_up(before: Run, run: Run, observed: ObservedRun) -> tuple[Key, ...]:
    """The results that nodes would have reused which begin now, if there were any."""
    if run.fresh:
        return ()
    return tuple(
        Key("cache", node.key)
        for name, node in run.nodes.items()
        if node.key is not None
        and node.key not in observed.cache
        and len(node.attempts) == 1
        and not before.nodes.get(name, NEW).attempts
    )


def _poll(run: Run, now: float) -> float:
    """The seconds to the next poll: the longer nothing began, the rarer. A pull request is told of
    progress as soon as that is due."""
    asked = (node.open.asked for node in run.nodes.values() if node.open)
    quiet = max(now - max(asked, default=run.created), POLL)
    if run.pull is None:
        return min(quiet, RAREST_POLL)
    due = max(run.created, run.told_at) + PROGRESS - now
    return min(quiet, due if due > 0 else PROGRESS)


def _waits(observed: ObservedRun) -> Blocked | None:
    """What its attempts wait for; first of all, something that only a person can fix."""
    found = [status.waits for status in observed.statuses.values() if status.waits]
    return next((one for one in found if one.human), found[0] if found else None)


def _is_ready(needs: Sequence[str], nodes: Mapping[str, Progress]) -> bool:
    return all(nodes.get(need, NEW).done for need in needs)


def _retry_at(node: Node, progress: Progress, now: float) -> float:
    if not progress.attempts:
        return 0.0
    last = progress.attempts[-1]
    ended = (last.status.ended if last.status else None) or last.asked
    if ended > now or (last.status and last.status.state is AttemptState.LOST):
        return now  # an end in the future: the clock was set back
    return ended + min(node.backoff * 2.0 ** (len(progress.attempts) - 1), LONGEST_BACKOFF)


def _given_up(before: Run, run: Run, observed: ObservedRun) -> tuple[Action, ...]:
    """Cancel attempts that count as lost but may still be running, before they are retried."""
    return tuple(
        CancelAttempt(attempt=node.open.id)
        for name, node in before.nodes.items()
        if run.nodes[name] is not node
        and node.open
        and (run.nodes[name].open is None or run.nodes[name].open != node.open)
        and not observed.statuses.get(node.open.id, Status(state=AttemptState.UNKNOWN)).state.ended
    )


def _stop_attempts(run: Run) -> tuple[Run, tuple[Action, ...]]:
    actions = tuple(CancelAttempt(attempt=node.open.id) for node in run.nodes.values() if node.open)
    nodes = {
        name: node
        if node.done
        else node.model_copy(update={"skipped": f"cancelled: {run.cancelled}"})
        for name, node in run.nodes.items()
    }
    return run.model_copy(update={"nodes": nodes}), actions


def _new_facts(before: Run, run: Run, observed: ObservedRun, now: float) -> tuple[Fact, ...]:
    """The results to cache, and the use of those that were cached. Not those of a gate that could
    not judge, so that it is asked again; and rows that are newer than the run asked for are cached
    under their own version."""
    facts = []
    for name, progress in run.nodes.items():
        was = before.nodes.get(name, NEW)
        if progress is was or was.done or progress.key is None:
            continue
        known = observed.cache.get(progress.key)
        if progress.phase == "cached" and known and now - known.used >= RENEWED:
            used = known.model_copy(update={"used": now})
            facts.append(Fact(key=Key("cache", progress.key), body=used.model_dump(mode="json")))
        if progress.phase != "succeeded" or progress.verdict is Verdict.ERROR:
            continue
        hit = CachedResult(
            run=run.id,
            outputs=progress.outputs or {},
            verdict=progress.verdict,
            seconds=_seconds(progress),
            made=progress.made or 0.0,
            used=now,
        )
        node, key = observed.graph.by_name[name], progress.key
        if node.kind == "data":
            key = key_of(*inputs_of(run, node, run.nodes))
        facts.append(Fact(key=Key("cache", key), body=hit.model_dump(mode="json")))
    return tuple(facts)


def _seconds(progress: Progress) -> float:
    status = progress.attempts[-1].status if progress.attempts else None
    if status is None or status.started is None or status.ended is None:
        return 0.0
    return max(0.0, status.ended - status.started)


def _report_begin(run: Run) -> ReportCommit:
    return ReportCommit(
        repository=run.repository,
        commit=run.commit,
        pipeline=run.pipeline,
        state="running",
        title=f"{run.id} runs: {run.trigger.why}",
        run=run.id,
        pull=run.pull,
        scope=run.scope,
    )


def _tell_progress(run: Run, graph: Graph, now: float) -> tuple[Run, tuple[Action, ...]]:
    """Tell a pull request which step runs now, at most once in `PROGRESS` seconds."""
    since = max(run.created, run.told_at)
    if run.pull is None or now - since < PROGRESS:
        return run, ()
    step = run.step
    if step is None or step == run.told:
        return run, ()
    done = sum(run.nodes.get(node.name, NEW).done for node in graph.nodes)
    title = f"{run.id} runs {step} ({done} of {len(graph.nodes)} done)"
    told = _report_begin(run).model_copy(update={"title": title, "step": step})
    return run.model_copy(update={"told": step, "told_at": now}), (told,)


def _stale(run: Run, graph: Graph) -> list[str]:
    """The datasets of nodes that found objects replaced; none if the run was cancelled."""
    if run.outcome != "failed":
        return []
    nodes = [node for node in graph.nodes if run.nodes.get(node.name, NEW).data_changed]
    origins = [origin for node in nodes for origin in node.inputs.values()]
    return sorted({origin.dataset for origin in origins if origin.dataset is not None})


def _tell_pipeline(run: Run, graph: Graph) -> Envelope:
    """The end of the run, with everything that a version of its model is made of."""
    model = None
    if graph.model is not None and run.outcome == "passed":
        node, output = graph.model.node or "", graph.model.output or ""
        model = (run.nodes[node].outputs or {})[output]
    reports = {
        gate_name(name): (node.outputs or {}).get("report", "")
        for name, node in run.nodes.items()
        if node.verdict is not None and node.outputs
    }
    message = RunEnded(
        run=run.id,
        branch=run.branch,
        outcome=run.outcome,
        why=why_ended(run),
        stale=tuple(_stale(run, graph)),
        model=model,
        package=package_of(graph, model) if model and graph.serve is not None else None,
        verdicts=run.verdicts,
        reports=reports,
        verdict=worst(run.verdicts.values()) if run.verdicts else None,
        stale_at=stale_at(run, graph),
    )
    to = Key("pipeline", run.pipeline)
    return Envelope(to=to, id=f"run_ended/{run.id}", message=message)


def is_repeatable(run: Run, graph: Graph) -> bool:
    """Whether another run of the same would take from the cache all that this one had, as long as
    its results may be reused: nothing failed, and every gate could judge."""
    nodes = [run.nodes.get(node.name, NEW) for node in graph.nodes]
    return run.outcome in ("passed", "stopped") and all(
        node.skipped is not None or (node.outputs is not None and node.verdict is not Verdict.ERROR)
        for node in nodes
    )


def stale_at(run: Run, graph: Graph) -> float | None:
    """When the first of its results may no longer be reused; None if all may be, for ever."""
    ends = [
        (run.nodes.get(node.name, NEW).made or run.created) + node.stands
        for node in graph.nodes
        if node.stands is not None
    ]
    return min(ends, default=None)
