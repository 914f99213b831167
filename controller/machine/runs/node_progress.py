"""PURE. Brings the nodes of a run up to date: which have ended, are cached, or are skipped."""

from collections.abc import Mapping, Sequence

from controller.machine.error_text import without_traceback
from controller.machine.runs.attempt import AttemptState, Building, Status
from controller.machine.runs.dataset_nodes import with_version_read
from controller.machine.runs.graph import Node, is_of_baseline, key_of, resolve
from controller.machine.runs.node_names import is_evidence
from controller.machine.runs.run import NEW, AttemptRecord, ObservedRun, Progress, Run
from validators.verdict import Verdict

LOST_TRIES = 3
"""How often a node is retried because its attempt was lost; that does not count as a failure."""
LATE = 900.0
"""Seconds after its timeout at which an attempt that is still running counts as lost."""
PATIENCE = 7 * 86_400.0
"""Seconds, after that, for which an attempt may wait for what its executor told, such as a store
that is away, before it fails."""


def update_nodes(run: Run, observed: ObservedRun, now: float) -> Run:
    """The run with every node that has ended, is cached, or has to be skipped; idempotent."""
    nodes = dict(run.nodes)
    datasets = run.datasets
    needs = observed.graph.needs
    for node in observed.graph.nodes:
        progress = nodes.setdefault(node.name, NEW)
        if progress.done:
            continue
        if progress.attempts and progress.open:
            progress = _take_status(node, progress, progress.open, observed, now)
            datasets = with_version_read(node, progress.outputs or {}, datasets)
        if not (_waits(needs[node.name], nodes) or progress.done or progress.open):
            progress = _without_running(run, node, progress, nodes, observed, now)
        nodes[node.name] = progress
    built = _environments(run, observed)
    update: dict[str, object] = {"nodes": nodes, "datasets": datasets, "environments": built}
    if run.fallbacks:  # whose rows may be gone, so that a query has read newer ones
        left = (one for one in run.fallbacks if datasets.get(one.dataset) == one.version)
        update["fallbacks"] = tuple(left)
    return run.model_copy(update=update)


def _waits(needs: Sequence[str], nodes: Mapping[str, Progress]) -> bool:
    """Whether a node only waits for another to end: `_without_running` would say so, too, but of
    most nodes of a long run it is all that is to be said."""
    for need in needs:
        upstream = nodes.get(need, NEW)
        if not upstream.done:
            return True
        if upstream.outputs is None or upstream.verdict is not None:
            return False
    return False


def _environments(run: Run, observed: ObservedRun) -> Mapping[str, Building]:
    """The environments that were built for the run, each once even if many steps wait for it."""
    if not run.environments and not any(each.built for each in observed.statuses.values()):
        return run.environments
    found = {name: _awaited(one) for name, one in run.environments.items()}
    for node, progress in run.nodes.items():
        status = observed.statuses.get(progress.open.id) if progress.open else None
        for building in status.built if status else ():
            known = found.get(building.name)
            # An attempt may still report an older build of the same environment as in progress.
            if known is None or known.seconds is None or building.since > known.since:
                waiting = known.waiting if known else ()
                found[building.name] = _awaited(building, (*waiting, node))
    return found


def _awaited(building: Building, by: tuple[str, ...] = ()) -> Building:
    """The build with the nodes that wait for it: none once it has ended."""
    return building.model_copy(update={"waiting": by if building.seconds is None else ()})


def inputs_of(run: Run, node: Node, nodes: Mapping[str, Progress]) -> tuple[Node, dict[str, str]]:
    """The node as it can run now, and the digests of its inputs by name.

    If an evaluation failed, the model gate runs without that input and is told the reason.
    """
    for name, origin in node.inputs.items():
        upstream = nodes.get(origin.node or "")
        if upstream and upstream.outputs is None and is_evidence(origin.node or ""):
            why = without_traceback(upstream.failed or upstream.skipped or "")
            whose = "baseline" if is_of_baseline(name) else "candidate"
            reason = f"the {whose} could not be evaluated on this data: {why}"
            told: dict[str, object] = {f"no_{name}": reason}
            if whose == "baseline":  # there is one, so checks against it are inconclusive
                told[f"{name}_lost"] = True
            request = {**node.attempt.request, **told}
            node = node.model_copy(
                update={
                    "inputs": {k: v for k, v in node.inputs.items() if k != name},
                    "definition": {**node.definition, **told},
                    "attempt": node.attempt.model_copy(update={"request": request}),
                }
            )

    def output(source: str, name: str) -> str:
        outputs = nodes[source].outputs
        if outputs is None:
            raise KeyError(source)
        return outputs[name]

    return node, resolve(node, output, run.datasets)


def _take_status(
    node: Node, progress: Progress, attempt: AttemptRecord, observed: ObservedRun, now: float
) -> Progress:
    status = observed.statuses.get(attempt.id, Status(state=AttemptState.UNKNOWN))
    # It may have waited for a free slot; and the clock that its start was read from may be wrong.
    since = max(attempt.asked, min(status.started or 0.0, now))
    if not status.state.ended:
        # In these states nothing of it runs, so no timeout applies.
        waiting = status.state in (AttemptState.PREPARING, AttemptState.ENDING)
        late = now - since - node.attempt.timeout - LATE
        told = status.waits if status.state is AttemptState.UNKNOWN else None
        if waiting or late <= (PATIENCE if told else 0.0):
            return progress
        status = Status(state=AttemptState.LOST, ended=now, message="it did not end by its timeout")
        if told:
            why = f"it could not go on for {(now - since) / 86_400:.0f} days: {told.reason}"
            status = Status(state=AttemptState.FAILED, ended=now, message=why)
    if status.state is AttemptState.SUCCEEDED and attempt.id in observed.uncollected:
        status = status.model_copy(
            update={"state": AttemptState.FAILED, "message": observed.uncollected[attempt.id]}
        )
    attempts = (*progress.attempts[:-1], attempt.model_copy(update={"status": status}))
    progress = progress.model_copy(update={"attempts": attempts})
    ended = status.ended or now
    if status.state is AttemptState.SUCCEEDED:
        report = observed.reports.get(attempt.id)
        return progress.model_copy(
            update={
                "outputs": observed.outputs[attempt.id],
                "verdict": report.verdict if report else None,
                "made": min(ended, now),  # by the clock that runs begin by
                "ended": ended,
            }
        )
    lost = sum(t.status is not None and t.status.state is AttemptState.LOST for t in attempts)
    tries = len(attempts) - lost
    for_good = status.state in (
        AttemptState.CANCELLED,
        AttemptState.DATA_CHANGED,
        AttemptState.NO_ENVIRONMENT,
    )
    if tries > node.retries or lost > LOST_TRIES or for_good:
        return progress.model_copy(
            update={
                "failed": _why(node, status),
                "ended": ended,
                **({"verdict": Verdict.ERROR} if _could_not_judge(node, status) else {}),
            }
        )
    return progress


def _why(node: Node, status: Status) -> str:
    """Why it failed. An environment's error is reported once for the run and not for each step."""
    is_told = status.state is AttemptState.NO_ENVIRONMENT and any(
        one.failed for one in status.built
    )
    if is_told and not node.is_evidence:
        return "its environment could not be built"
    return status.message or status.state.value


def _could_not_judge(node: Node, status: Status) -> bool:
    """Whether a gate failed to judge. If its data changed, it did not try: the run starts over."""
    return node.is_gate and status.state is not AttemptState.DATA_CHANGED


def _without_running(
    run: Run,
    node: Node,
    progress: Progress,
    nodes: Mapping[str, Progress],
    observed: ObservedRun,
    now: float,
) -> Progress:
    """A node that is not running: skipped, taken from the cache, or given its key."""
    for need in node.needs:
        upstream = nodes.get(need, NEW)
        if not upstream.done:
            return progress
        if upstream.outputs is None and not (node.kind == "model_gate" and is_evidence(need)):
            # Whole, as secrets are redacted later; in a chain it is that of the first.
            why = upstream.skipped
            if why is None or upstream.failed:
                why = f"{need} did not succeed: {without_traceback(upstream.failed or '')}"
            return progress.model_copy(update={"skipped": why, "ended": now})
        if need in node.after and run.stops(upstream):
            return progress.model_copy(
                update={"skipped": f"{need}: {upstream.verdict}", "ended": now}
            )
    if progress.attempts:
        return progress
    actual, digests = inputs_of(run, node, nodes)
    key = key_of(actual, digests)
    progress = progress.model_copy(update={"key": key})
    hit = observed.cache.get(key)
    if hit is None or run.fresh or not hit.is_reusable(node.stands, run.created):
        return progress
    return progress.model_copy(
        update={
            "outputs": hit.outputs,
            "cached_from": hit.run,
            "made": hit.made,
            "verdict": hit.verdict,
            "ended": now,
        }
    )
