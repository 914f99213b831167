"""A simulated world for one run: an executor whose attempts end as the test says, and a cache."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.machine.actions import CancelAttempt, StartAttempt
from controller.machine.core import Action, Decision, Envelope, InboxMessage, Key, parsed
from controller.machine.runs import execution as machine
from controller.machine.runs import needs
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from controller.machine.runs.graph import Baseline, Graph
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import CachedResult, ObservedRun, Run, Trigger
from specs.digests import digest
from tests.controller.machine.kit import message, report, sha, source, spec
from tests.controller.machine.observed_transitions import assert_unchanged_by_json, watch_run
from validators.verdict import Verdict

GOOD = Status(state=AttemptState.SUCCEEDED)


@dataclass
class Lab:
    """One run; `endings` says by node how its attempts end in turn; all others succeed."""

    graph: Graph
    endings: dict[str, list[AttemptState]] = field(default_factory=dict)
    end_messages: dict[str, str] = field(default_factory=dict)
    """By node: the message with which its attempts end."""
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    uncollectable: set[str] = field(default_factory=set)
    """Nodes whose outputs cannot be stored."""
    datasets: Mapping[str, str] = field(default_factory=lambda: {"numbers": digest("numbers")})
    cache: dict[str, CachedResult] = field(default_factory=dict)
    contents: Callable[[Attempt, str], str] = lambda a, o: digest(f"{a.node} {o}")
    now: float = 100.0
    state: Run | None = None
    started: dict[str, Attempt] = field(default_factory=dict)
    statuses: dict[str, Status] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    messages: list[Envelope] = field(default_factory=list)
    inbox: list[InboxMessage] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    """Nodes in the order in which their attempts started."""

    def __post_init__(self) -> None:
        run = Run(
            id="mean-1",
            number=1,
            pipeline="mean",
            repository="team",
            commit=sha("c1"),
            branch="main",
            folder="",
            trigger=Trigger(kind="commit", why="a commit"),
            datasets=self.datasets,
            fingerprint="one",
            releases=True,
            created=self.now,
        )
        self.send("start_run", {"run": run.model_dump(mode="json")})

    @property
    def run(self) -> Run:
        assert self.state is not None
        return self.state

    def send(self, type_: str, body: Mapping[str, Any]) -> None:
        self.inbox.append(message(len(self.inbox) + 1, Key("run", "mean-1"), type_, body))

    def phases(self) -> dict[str, str]:
        return {name: node.phase for name, node in self.run.nodes.items()}

    def observe(self) -> ObservedRun:
        run = self.state or machine.begin(self.inbox)
        observed = ObservedRun(graph=self.graph)
        if needs.is_cancelled(run, self.inbox):
            return observed
        for each in needs.open_attempts(run, self.graph):
            observed = self._look(observed, each)
        while keys := needs.cache_keys(run, observed).unknown:
            hits = {key: self.cache.get(key) for key in keys}
            observed = observed.model_copy(update={"cache": {**observed.cache, **hits}})
        return observed

    def _look(self, observed: ObservedRun, of: needs.OpenAttempt) -> ObservedRun:
        status = self.statuses.get(of.id, Status(state=AttemptState.UNKNOWN))
        name = of.node.name
        update: dict[str, Any] = {"statuses": {**observed.statuses, of.id: status}}
        if status.state is AttemptState.SUCCEEDED and name in self.uncollectable:
            update["uncollected"] = {**observed.uncollected, of.id: "model.json was not written"}
        elif status.state is AttemptState.SUCCEEDED:
            outputs = {o: self.contents(of.attempt, o) for o in of.attempt.outputs}
            update["outputs"] = {**observed.outputs, of.id: outputs}
            if of.has_report:
                verdict = self.verdicts.get(name, Verdict.PASS)
                update["reports"] = {**observed.reports, of.id: report(verdict)}
        return observed.model_copy(update=update)

    def decide(self) -> Decision[Run]:
        return machine.decide(self.state, self.observe(), tuple(self.inbox), self.now)

    def save(self, decision: Decision[Run]) -> None:
        self.inbox.clear()
        watch_run(self.state, decision.state)
        self.state = parsed(Run, decision.state.plain())
        assert_unchanged_by_json(decision)
        self.actions += decision.actions
        self.messages += decision.messages
        for fact in decision.facts:
            self.cache[fact.key.name] = parsed(CachedResult, fact.body)

    def reconcile(self, dt: float = 1.0) -> Decision[Run]:
        self.now += dt
        decision = self.decide()
        self.save(decision)
        for action in decision.actions:
            self.apply(action)
        return decision

    def apply(self, action: Action) -> None:
        """As an executor does: an attempt that was started already is not started again."""
        if isinstance(action, StartAttempt):
            attempt = action.attempt
            if attempt.id not in self.started:
                self.started[attempt.id] = attempt
                self.order.append(attempt.node)
                self.statuses[attempt.id] = Status(state=AttemptState.RUNNING, started=self.now)
        elif isinstance(action, CancelAttempt):
            self.cancelled.append(action.attempt)

    def end(self, node: str, state: AttemptState = AttemptState.SUCCEEDED) -> None:
        """End the newest attempt at a node."""
        id_ = [x for x, a in self.started.items() if a.node == node][-1]
        self.statuses[id_] = Status(
            state=state,
            started=self.now,
            ended=self.now,
            message=self.end_messages.get(node, f"it ended {state}"),
        )

    def end_all(self) -> None:
        for id_, status in list(self.statuses.items()):
            if not status.state.ended:
                node = self.started[id_].node
                left = self.endings.get(node, [])
                self.end(node, left.pop(0) if left else AttemptState.SUCCEEDED)

    def finish(self, dt: float = 700.0) -> Run:
        """Reconcile until the run ends, with all attempts ending in between."""
        for _ in range(100):
            self.reconcile(dt)
            if not self.run.live:
                return self.run
            self.end_all()
        raise AssertionError(f"the run does not end: {self.phases()}")


def lab(*changes: tuple[str, Any], baseline: Baseline | None = None, **more: Any) -> Lab:
    """A run of `kit.PLAIN` with changes."""
    return Lab(build(spec(*changes), source(), baseline), **more)
