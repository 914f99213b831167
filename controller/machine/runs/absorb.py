"""PURE. Takes into a run what ended, what is cached, and what can no longer happen."""

from collections.abc import Mapping

from controller.machine.error_text import without_traceback
from controller.machine.runs.attempt import AttemptState, Building, Status
from controller.machine.runs.graph import Node, is_evidence, key_of, resolve
from controller.machine.runs.run import NEW, ObservedRun, Progress, Run, Tried
from controller.machine.runs.taking import moved
from validators.verdict import Verdict

LOST_TRIES = 3
"""How often a node is tried again because its attempt was lost; no fault of the step's."""
LATE = 900.0
"""Seconds past its timeout at which an attempt that nobody ended counts as lost."""


def absorb(run: Run, observed: ObservedRun, now: float) -> Run:
    """The run with everything taken in that ended, was cached, or can no longer happen.

    Pure and idempotent: the observer calls it to learn which keys to look up next.
    """
    nodes = dict(run.nodes)
    datasets = run.datasets
    for node in observed.graph.nodes:
        progress = nodes.get(node.name, NEW)
        if not progress.done and progress.open:
            progress = _take_status(node, progress, progress.open, observed, now)
            datasets = moved(node, progress.outputs or {}, datasets)
        if not progress.done and not progress.open:
            progress = _without_running(run, node, progress, nodes, observed, now)
        nodes[node.name] = progress
    built = _environments(run, observed)
    return run.model_copy(update={"nodes": nodes, "datasets": datasets, "environments": built})


def _environments(run: Run, observed: ObservedRun) -> Mapping[str, Building]:
    """What was built for the run, each once though many steps wait for it."""
    found = {name: _awaited(one) for name, one in run.environments.items()}
    for node, progress in run.nodes.items():
        status = observed.statuses.get(progress.open.id) if progress.open else None
        for building in status.built if status else ():
            known = found.get(building.name)
            # Of one that was built before, an attempt may still say that it waits.
            if known is None or known.seconds is None or building.since > known.since:
                waiting = known.waiting if known else ()
                found[building.name] = _awaited(building, (*waiting, node))
    return found


def _awaited(building: Building, by: tuple[str, ...] = ()) -> Building:
    """With the nodes that wait for it: none once it is over."""
    return building.model_copy(update={"waiting": by if building.seconds is None else ()})


def wanted_keys(run: Run, observed: ObservedRun) -> set[str]:
    """Cache keys that `absorb` could use and that were not looked up yet."""
    return {
        progress.key
        for progress in run.nodes.values()
        if progress.key and not progress.done and not progress.attempts
    } - observed.cache.keys()


def inputs_of(run: Run, node: Node, nodes: Mapping[str, Progress]) -> tuple[Node, dict[str, str]]:
    """The node as it can be run, and its inputs' digests.

    An evaluation that failed leaves the model gate without that input, and with the reason in its
    request.
    """
    for name, origin in node.inputs.items():
        upstream = nodes.get(origin.node or "")
        if upstream and upstream.outputs is None and is_evidence(origin.node or ""):
            why = without_traceback(upstream.failed or upstream.skipped or "")[:500]
            whose = "baseline" if name.startswith("baseline") else "candidate"
            reason = f"the {whose} could not be evaluated on this data: {why}"
            said: dict[str, object] = {f"no_{name}": reason}
            if whose == "baseline":  # there is one, so what compares with it is undecided
                said[f"{name}_lost"] = True
            request = {**node.attempt.request, **said}
            node = node.model_copy(
                update={
                    "inputs": {k: v for k, v in node.inputs.items() if k != name},
                    "definition": {**node.definition, **said},
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
    node: Node, progress: Progress, tried: Tried, observed: ObservedRun, now: float
) -> Progress:
    status = observed.statuses.get(tried.id, Status(state=AttemptState.UNKNOWN))
    # It may have waited for a free slot. When it began is of the machine's clock, which may be set.
    since = max(tried.asked, min(status.started or 0.0, now))
    if not status.state.ended:
        waiting = status.state in (
            AttemptState.PREPARING,
            AttemptState.ENDING,
        )  # nothing of it runs
        if waiting or now - since <= node.attempt.timeout + LATE:
            return progress
        status = Status(
            state=AttemptState.LOST, ended=now, message="it outlived its timeout unseen"
        )
    if status.state is AttemptState.SUCCEEDED and tried.id in observed.uncollected:
        status = status.model_copy(
            update={"state": AttemptState.FAILED, "message": observed.uncollected[tried.id]}
        )
    attempts = (*progress.attempts[:-1], tried.model_copy(update={"status": status}))
    progress = progress.model_copy(update={"attempts": attempts})
    ended = status.ended or now
    if status.state is AttemptState.SUCCEEDED:
        report = observed.reports.get(tried.id)
        return progress.model_copy(
            update={
                "outputs": observed.outputs[tried.id],
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
    """Why it failed. What is wrong with an environment is told once, and not of each step."""
    is_told = status.state is AttemptState.NO_ENVIRONMENT and any(
        one.failed for one in status.built
    )
    if is_told and not is_evidence(node.name):
        return "its environment could not be built"
    return status.message or status.state.value


def _could_not_judge(node: Node, status: Status) -> bool:
    """Whether a gate failed. One whose data changed was not asked: its run begins anew."""
    return node.kind.endswith("gate") and status.state is not AttemptState.DATA_CHANGED


def _without_running(
    run: Run,
    node: Node,
    progress: Progress,
    nodes: Mapping[str, Progress],
    observed: ObservedRun,
    now: float,
) -> Progress:
    """A node that does not run: skipped, found in the cache, or given its key."""
    for need in node.needs:
        upstream = nodes.get(need, NEW)
        if not upstream.done:
            return progress
        if upstream.outputs is None and not (node.kind == "model_gate" and is_evidence(need)):
            why = without_traceback(upstream.failed or upstream.skipped or "")
            return progress.model_copy(
                update={"skipped": f"{need} did not succeed: {why}"[:500], "ended": now}
            )
        if need in node.after and upstream.verdict and not upstream.verdict.passes:
            return progress.model_copy(
                update={"skipped": f"{need}: {upstream.verdict}", "ended": now}
            )
    if progress.attempts:
        return progress
    actual, digests = inputs_of(run, node, nodes)
    key = key_of(actual, digests)
    progress = progress.model_copy(update={"key": key})
    hit = observed.cache.get(key)
    if hit is None or run.fresh or not hit.counts(node.stands, run.created):
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
