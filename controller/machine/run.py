"""PURE. A run: one execution of a pipeline for a commit and its dataset versions.

    node      waiting -> running -> succeeded | failed      (failed tries may be retried)
              waiting -> cached                             (a node of equal key succeeded before)
              waiting -> skipped                            (something it needs did not succeed)
    run       running -> passed | failed | stopped | cancelled

A node's phase and a run's outcome are derived from the facts below, so they cannot disagree.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from controller.machine.actions import CancelAttempt, ReportCommit, StartAttempt
from controller.machine.attempt import State, Status
from controller.machine.core import Action, Decision, Fact, Key, Letter, Message, Value
from controller.machine.graph import (
    Graph,
    Node,
    attempt_of,
    key_of,
    package_of,
    resolve,
)
from validators.report import Report
from validators.verdict import Verdict, worst

LOST_TRIES = 3
"""How often a node is tried again because its attempt was lost; no fault of the step's."""
LATE = 900.0
"""Seconds past its timeout at which an attempt that nobody ended counts as lost."""
LONGEST_BACKOFF = 600.0
POLL = 2.0
"""Seconds between looks at a running attempt, should its end not be announced."""

NodePhase = Literal["waiting", "running", "cached", "succeeded", "failed", "skipped"]
Outcome = Literal["running", "passed", "failed", "stopped", "cancelled"]


class Trigger(Value):
    """Why there is a run."""

    kind: Literal["commit", "data", "schedule", "drift", "manual", "retry"]
    why: str
    """In a sentence: which commit, which dataset went from what to what."""
    by: str = ""


class Tried(Value):
    """One attempt at a node."""

    id: str
    asked: float
    status: Status | None = None
    """Its last state; None until it ended."""


class Progress(Value):
    """What is known of one node."""

    key: str | None = None
    attempts: tuple[Tried, ...] = ()
    outputs: Mapping[str, str] | None = None
    """Digests by output name, once it succeeded or was found in the cache."""
    cached_from: str | None = None
    """The run that this result was made by."""
    verdict: Verdict | None = None
    """Of a gate."""
    failed: str | None = None
    """Why it failed for good."""
    skipped: str | None = None
    ended: float | None = None

    @property
    def done(self) -> bool:
        return self.outputs is not None or self.failed is not None or self.skipped is not None

    @property
    def open(self) -> Tried | None:
        """The attempt that has not ended."""
        last = self.attempts[-1] if self.attempts else None
        return last if last and last.status is None else None

    @property
    def phase(self) -> NodePhase:
        if self.outputs is not None:
            return "cached" if self.cached_from else "succeeded"
        if self.failed is not None:
            return "failed"
        if self.skipped is not None:
            return "skipped"
        return "running" if self.open else "waiting"


_NEW = Progress()
"""Of a node that nothing is known of."""


class Run(Value):
    """The facts of a run."""

    id: str
    number: int
    pipeline: str
    repository: str
    commit: str
    branch: str
    folder: str
    trigger: Trigger
    datasets: Mapping[str, str]
    fingerprint: str
    baseline: int | None = None
    """The version that it is held against."""
    releases: bool = False
    """Whether a passing candidate is released: only from the default branch."""
    created: float
    nodes: Mapping[str, Progress] = {}
    cancelled: str | None = None
    """By whom and why."""
    finished: float | None = None

    @property
    def outcome(self) -> Outcome:
        if self.finished is None:
            return "running"
        if self.cancelled is not None:
            return "cancelled"
        if any(node.verdict and not node.verdict.passes for node in self.nodes.values()):
            return "stopped"
        if any(
            node.failed and not name.startswith("baseline.") for name, node in self.nodes.items()
        ):
            return "failed"
        return "passed"

    @property
    def live(self) -> bool:
        return self.finished is None

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The gates' verdicts, by gate."""
        return {
            name.removeprefix("gate."): node.verdict
            for name, node in self.nodes.items()
            if node.verdict is not None
        }


class Hit(Value):
    """What the cache knows of a key."""

    run: str
    outputs: Mapping[str, str]
    verdict: Verdict | None = None
    seconds: float = 0.0


class Observed(Value):
    """What the world says of a run: of its open attempts, and of the cache."""

    graph: Graph
    statuses: Mapping[str, Status] = {}
    outputs: Mapping[str, Mapping[str, str]] = {}
    """Of succeeded attempts, by attempt."""
    uncollected: Mapping[str, str] = {}
    """Why outputs of a succeeded attempt cannot be taken, by attempt."""
    reports: Mapping[str, Report] = {}
    """Gates' reports, by their attempt."""
    cache: Mapping[str, Hit | None] = {}
    """By key; a key that is not in it has not been looked up."""


def decide(
    state: Run | None, observed: Observed, inbox: Sequence[Letter], now: float
) -> Decision[Run]:
    """Move a run: take in what ended, look up what is cached, start what can start."""
    run = state or begin(inbox)
    if not run.live:
        return Decision(state=run)
    begun = () if state else (_report_begin(run),)
    run = _heed(run, inbox)
    before = run
    run = absorb(run, observed, now)
    facts = _new_facts(before, run)
    if run.cancelled is not None:
        run, actions = _stop_attempts(run)
        run = run.model_copy(update={"finished": now})
    else:
        run, actions, wait = _start_ready(run, observed.graph, observed, now)
        actions = (*_given_up(before, run, observed), *actions)
        if all(run.nodes.get(n.name, _NEW).done for n in observed.graph.nodes):
            run = run.model_copy(update={"finished": now})
    if run.finished is not None:
        end = (_report_end(run),)
        return Decision(
            state=run,
            actions=(*begun, *actions, *end),
            facts=facts,
            messages=(_tell_pipeline(run, observed.graph),),
        )
    return Decision(
        state=run, actions=(*begun, *actions), facts=facts, requeue_after=min(wait, POLL)
    )


def begin(inbox: Sequence[Letter]) -> Run:
    """The run that the pipeline asks for."""
    return Run.model_validate(next(x.message.body for x in inbox if x.message.type == "start"))


def absorb(run: Run, observed: Observed, now: float) -> Run:
    """The run with everything taken in that ended, was cached, or can no longer happen.

    Pure and idempotent: the observer calls it to learn which keys to look up next.
    """
    nodes = dict(run.nodes)
    for node in observed.graph.nodes:
        progress = nodes.get(node.name, _NEW)
        if not progress.done and progress.open:
            progress = _take_status(node, progress, progress.open, observed, now)
        if not progress.done and not progress.open:
            progress = _without_running(run, node, progress, nodes, observed, now)
        nodes[node.name] = progress
    return run.model_copy(update={"nodes": nodes})


def wanted_keys(run: Run, observed: Observed) -> set[str]:
    """Cache keys that `absorb` could use and that were not looked up yet."""
    return {
        progress.key
        for progress in run.nodes.values()
        if progress.key and not progress.done and not progress.attempts
    } - observed.cache.keys()


def _heed(run: Run, inbox: Sequence[Letter]) -> Run:
    for letter in inbox:
        if letter.message.type == "cancel" and run.cancelled is None:
            run = run.model_copy(update={"cancelled": letter.message.body["reason"]})
        elif letter.message.type == "action_failed":
            run = _fail_attempt(run, letter.message.body)
    return run


def _fail_attempt(run: Run, body: Mapping[str, Any]) -> Run:
    """An attempt that the executor refuses for good."""
    attempt = body["action"].get("attempt", {})
    if not isinstance(attempt, dict) or attempt.get("node") not in run.nodes:
        return run
    progress = run.nodes[attempt["node"]]
    if progress.done or progress.open is None or progress.open.id != attempt.get("id"):
        return run  # of a try that ended meanwhile
    failed = progress.model_copy(update={"failed": body["reason"]})
    return run.model_copy(update={"nodes": {**run.nodes, attempt["node"]: failed}})


def _take_status(
    node: Node, progress: Progress, tried: Tried, observed: Observed, now: float
) -> Progress:
    status = observed.statuses.get(tried.id, Status(state=State.UNKNOWN))
    since = max(tried.asked, status.started or 0.0)  # it may have waited for a free slot
    if not status.state.ended:
        if status.state is State.PREPARING or now - since <= node.attempt.timeout + LATE:
            return progress
        status = Status(state=State.LOST, ended=now, message="it outlived its timeout unseen")
    if status.state is State.SUCCEEDED and tried.id in observed.uncollected:
        status = status.model_copy(
            update={"state": State.FAILED, "message": observed.uncollected[tried.id]}
        )
    attempts = (*progress.attempts[:-1], tried.model_copy(update={"status": status}))
    progress = progress.model_copy(update={"attempts": attempts})
    ended = status.ended or now
    if status.state is State.SUCCEEDED:
        report = observed.reports.get(tried.id)
        return progress.model_copy(
            update={
                "outputs": observed.outputs[tried.id],
                "verdict": report.verdict if report else None,
                "ended": ended,
            }
        )
    lost = sum(t.status is not None and t.status.state is State.LOST for t in attempts)
    tries = len(attempts) - lost
    if tries > node.retries or lost > LOST_TRIES or status.state is State.CANCELLED:
        return progress.model_copy(
            update={
                "failed": status.message or status.state.value,
                "ended": ended,
                **({"verdict": Verdict.ERROR} if node.kind.endswith("gate") else {}),
            }
        )
    return progress


def _without_running(
    run: Run,
    node: Node,
    progress: Progress,
    nodes: Mapping[str, Progress],
    observed: Observed,
    now: float,
) -> Progress:
    """A node that does not run: skipped, found in the cache, or given its key."""
    for need in node.needs:
        upstream = nodes.get(need, _NEW)
        if not upstream.done:
            return progress
        if upstream.outputs is None and not need.startswith("baseline."):
            why = upstream.failed or upstream.skipped or ""
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
    if hit is None:
        return progress
    return progress.model_copy(
        update={
            "outputs": hit.outputs,
            "cached_from": hit.run,
            "verdict": hit.verdict,
            "ended": now,
        }
    )


def inputs_of(run: Run, node: Node, nodes: Mapping[str, Progress]) -> tuple[Node, dict[str, str]]:
    """The node as it can be run, and its inputs' digests.

    A baseline that could not be evaluated leaves the model gate without that input, and with the
    reason in its request.
    """
    for name, origin in node.inputs.items():
        upstream = nodes.get(origin.node or "")
        if upstream and upstream.outputs is None and (origin.node or "").startswith("baseline."):
            why = (upstream.failed or upstream.skipped or "")[:500]
            reason = f"the baseline could not be evaluated on this data: {why}"
            request = {**node.attempt.request, "no_baseline": reason}
            node = node.model_copy(
                update={
                    "inputs": {k: v for k, v in node.inputs.items() if k != name},
                    "definition": {**node.definition, "no_baseline": reason},
                    "attempt": node.attempt.model_copy(update={"request": request}),
                }
            )

    def output(source: str, name: str) -> str:
        outputs = nodes[source].outputs
        if outputs is None:
            raise KeyError(source)
        return outputs[name]

    return node, resolve(node, output, run.datasets)


def _start_ready(
    run: Run, graph: Graph, observed: Observed, now: float
) -> tuple[Run, tuple[Action, ...], float]:
    """Start what can start, and again what the executor knows nothing of."""
    nodes = dict(run.nodes)
    actions: list[Action] = []
    wait = POLL
    for node in graph.nodes:
        progress = nodes.get(node.name, _NEW)
        if progress.done or progress.key is None or not _is_ready(node, nodes):
            continue
        actual, digests = inputs_of(run, node, nodes)
        tried = progress.open
        if tried is None:
            due = _retry_at(node, progress)
            if due > now:
                wait = min(wait, due - now)
                continue
            number = len(progress.attempts) + 1
            tried = Tried(id=f"{run.id}.{node.name}.{number}", asked=now)
            nodes[node.name] = progress.model_copy(update={"attempts": (*progress.attempts, tried)})
        elif (
            observed.statuses.get(tried.id, Status(state=State.UNKNOWN)).state is not State.UNKNOWN
        ):
            continue
        attempt = attempt_of(actual, tried.id, digests).model_copy(update={"run": run.id})
        actions.append(StartAttempt(attempt=attempt))
    return run.model_copy(update={"nodes": nodes}), tuple(actions), wait


def _is_ready(node: Node, nodes: Mapping[str, Progress]) -> bool:
    return all(nodes.get(need, _NEW).done for need in node.needs)


def _retry_at(node: Node, progress: Progress) -> float:
    if not progress.attempts:
        return 0.0
    last = progress.attempts[-1]
    ended = (last.status.ended if last.status else None) or last.asked
    if last.status and last.status.state is State.LOST:
        return ended
    return ended + min(node.backoff * 2.0 ** (len(progress.attempts) - 1), LONGEST_BACKOFF)


def _given_up(before: Run, run: Run, observed: Observed) -> tuple[Action, ...]:
    """End what was given up as lost and may run all the same, before it is tried again."""
    return tuple(
        CancelAttempt(attempt=node.open.id)
        for name, node in before.nodes.items()
        if node.open
        and (run.nodes[name].open is None or run.nodes[name].open != node.open)
        and not observed.statuses.get(node.open.id, Status(state=State.UNKNOWN)).state.ended
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


def _new_facts(before: Run, run: Run) -> tuple[Fact, ...]:
    """What the cache learns. A gate that could not judge is asked again next time."""
    facts = []
    for name, progress in run.nodes.items():
        fresh = not before.nodes.get(name, _NEW).done
        if not fresh or progress.phase != "succeeded" or progress.key is None:
            continue
        if progress.verdict is Verdict.ERROR:
            continue
        hit = Hit(
            run=run.id,
            outputs=progress.outputs or {},
            verdict=progress.verdict,
            seconds=_seconds(progress),
        )
        facts.append(Fact(key=Key("cache", progress.key), body=hit.model_dump(mode="json")))
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
    )


_TITLES: Mapping[str, str] = {
    "passed": "passed",
    "failed": "failed: {why}",
    "stopped": "stopped by {why}",
    "cancelled": "cancelled: {why}",
}


def why_ended(run: Run) -> str:
    """In a few words, what ended a run that did not pass."""
    if run.cancelled is not None:
        return run.cancelled
    for name, node in run.nodes.items():
        if node.verdict and not node.verdict.passes:
            return f"{name} ({node.verdict})"
    for name, node in run.nodes.items():
        if node.failed:
            return f"{name}: {node.failed}"[:300]
    return ""


def _report_end(run: Run) -> ReportCommit:
    outcome = run.outcome
    assert outcome != "running"
    title = _TITLES[outcome].format(why=why_ended(run))
    return ReportCommit(
        repository=run.repository,
        commit=run.commit,
        pipeline=run.pipeline,
        state=outcome,
        title=f"{run.id} {title}",
        run=run.id,
    )


def _tell_pipeline(run: Run, graph: Graph) -> Message:
    """The end of the run, with what is needed to make a version of its model."""
    model = None
    if graph.model is not None and run.outcome == "passed":
        node, output = graph.model.node or "", graph.model.output or ""
        model = (run.nodes[node].outputs or {})[output]
    reports = {
        name.removeprefix("gate."): (node.outputs or {}).get("report", "")
        for name, node in run.nodes.items()
        if node.verdict is not None and node.outputs
    }
    return Message(
        to=Key("pipeline", run.pipeline),
        id=f"run_ended/{run.id}",
        type="run_ended",
        body={
            "run": run.id,
            "branch": run.branch,
            "outcome": run.outcome,
            "why": why_ended(run),
            "model": model,
            "package": package_of(graph, model) if model and graph.serve is not None else None,
            "verdicts": {gate: str(verdict) for gate, verdict in run.verdicts.items()},
            "reports": reports,
            "verdict": str(worst(run.verdicts.values())) if run.verdicts else None,
        },
    )
