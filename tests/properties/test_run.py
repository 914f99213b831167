"""However attempts end, and even if messages come twice, a run runs each node once and in order."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.machine.actions import StartAttempt
from controller.machine.core import Action, Decision
from controller.machine.messages import RunEnded
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from controller.machine.runs.graph import Graph
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import NEW, Progress, Run
from specs.digests import digest
from tests.controller.machine.kit import source, spec
from tests.controller.machine.lab import Lab
from validators.verdict import Verdict

DATASETS = ("left", "right")
ENDINGS = [AttemptState.SUCCEEDED] * 4 + [
    AttemptState.FAILED,
    AttemptState.LOST,
    AttemptState.TIMED_OUT,
    AttemptState.CANCELLED,
]

VERDICTS = st.sampled_from([Verdict.PASS, Verdict.PASS, *Verdict])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to five steps that read datasets and earlier steps; some datasets have gates."""
    gated = draw(st.sets(st.sampled_from(DATASETS)))
    judged = draw(st.booleans())
    count = draw(st.integers(1, 5))
    steps: dict[str, Any] = {}
    for number in range(count):
        before = [f"steps.s{n}.out" for n in range(number)]
        origins = [*before, *(f"datasets.{name}" for name in DATASETS)]
        read = sorted(draw(st.sets(st.sampled_from(origins), max_size=3)))
        steps[f"s{number}"] = {
            "run": f"do {number}",
            "inputs": {f"i{at}": origin for at, origin in enumerate(read)},
            "outputs": {"out": "out.json"},
            "retries": draw(st.integers(0, 2)),
            "backoff": "10s",
        }
    gate = {
        "predictions": f"steps.s{count - 1}.out",
        "columns": {"key": "id", "label": "late", "score": "p"},
        "checks": [{"metric": "roc_auc", "at_least": 0.6}],
    }
    datasets = {
        name: {
            "uri": f"file:///{name}",
            **({"expectations": "numbers.yaml"} if name in gated else {}),
        }
        for name in DATASETS
    }
    changes: list[tuple[str, Any]] = [("triggers", None), ("datasets", datasets), ("steps", steps)]
    changes += [("model", "steps.s0.out"), ("gates", {"model": gate} if judged else {})]
    return build(spec(*changes), source())


class Execution(RuleBasedStateMachine):
    """One run, an executor that loses attempts, and a loop that dies and repeats messages."""

    lab: Lab

    @initialize(graph=graphs(), verdicts=st.tuples(*[VERDICTS] * 3), said_twice=st.booleans())
    def begin(self, graph: Graph, verdicts: tuple[Verdict, ...], said_twice: bool) -> None:
        self.lab = Lab(graph, datasets={name: digest(name) for name in DATASETS})
        gates = ("gate.data.left", "gate.data.right", "gate.model")
        self.lab.verdicts = dict(zip(gates, verdicts, strict=True))
        self.definitions: dict[str, Attempt] = {}
        self.owed: list[Action] = []
        self.ends = 0
        if said_twice:
            self.lab.inbox *= 2
        self.turn(1.0, dies=False)

    # -- what happens --------------------------------------------------------------------------

    @rule(dt=st.sampled_from([0.0, 1.0, 30.0, 700.0, 100_000.0]), dies=st.booleans())
    def turn(self, dt: float, dies: bool) -> None:
        """A turn; what it owes is applied by the next one if the controller dies before."""
        lab, before = self.lab, self.lab.state
        lab.now += dt
        decision = lab.decide()
        assert decision == lab.decide()  # decided again after a conflict
        lab.save(decision)
        self.follows(before, decision)
        self.owed += decision.actions
        if not dies:
            self.apply(times=1)

    @rule(times=st.integers(1, 2))
    def apply(self, times: int) -> None:
        for action in self.owed * times:
            self.lab.apply(action)
        self.owed.clear()

    def going(self) -> list[str]:
        return [id_ for id_, status in self.lab.statuses.items() if not status.state.ended]

    @precondition(lambda self: self.going())
    @rule(data=st.data(), state=st.sampled_from(ENDINGS))
    def end(self, data: st.DataObject, state: AttemptState) -> None:
        id_ = data.draw(st.sampled_from(self.going()))
        self.lab.statuses[id_] = Status(state=state, ended=self.lab.now, message=f"it {state}")

    @precondition(lambda self: self.going())
    @rule()
    def all_succeed(self) -> None:
        self.lab.end_all()

    @precondition(lambda self: self.going())
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """The executor knows nothing of an attempt any more."""
        id_ = data.draw(st.sampled_from(self.going()))
        del self.lab.statuses[id_], self.lab.started[id_]

    @precondition(lambda self: self.definitions)
    @rule(data=st.data(), times=st.integers(1, 2))
    def refuse(self, data: st.DataObject, times: int) -> None:
        """The executor refuses an attempt for good, or says so late."""
        attempt = self.definitions[data.draw(st.sampled_from(sorted(self.definitions)))]
        action = StartAttempt(attempt=attempt).plain()
        for _ in range(times):
            self.lab.send("action_failed", {"action": action, "reason": "no such image"})

    @rule(times=st.integers(1, 2), really=st.integers(0, 9))
    def cancel(self, times: int, really: int) -> None:
        for _ in range(times if really == 0 else 0):
            self.lab.send("cancel_run", {"reason": "by ada"})

    # -- what must be so -----------------------------------------------------------------------

    def follows(self, before: Run | None, decision: Decision[Run]) -> None:
        run, graph = decision.state, self.lab.graph
        starts = [a.attempt for a in decision.actions if isinstance(a, StartAttempt)]
        assert len({a.node for a in starts}) == len(starts)
        for attempt in starts:
            assert self.definitions.setdefault(attempt.id, attempt) == attempt
            progress, node = run.nodes[attempt.node], graph.by_name[attempt.node]
            assert not progress.done
            assert progress.open
            assert progress.open.id == attempt.id
            for need in node.needs:
                assert run.nodes[need].outputs is not None
            for gate in node.after:
                verdict = run.nodes[gate].verdict
                assert verdict
                assert verdict.passes
        for name, was in (before.nodes if before else {}).items():
            self.went_on(was, run.nodes[name])
        for fact in decision.facts:
            made = [n for n in run.nodes.values() if n.key == fact.key.name]
            last = [n.attempts[-1].status for n in made if n.attempts]
            assert any(s and s.state is AttemptState.SUCCEEDED for s in last)
            assert all(n.verdict is not Verdict.ERROR for n in made)
        ended = [m for m in decision.messages if isinstance(m.message, RunEnded)]
        self.ends += len(ended)
        assert self.ends == (run.finished is not None)

    def went_on(self, was: Progress, now: Progress) -> None:
        assert not was.done or now == was
        assert [t.id for t in now.attempts[: len(was.attempts)]] == [t.id for t in was.attempts]

    @invariant()
    def each_attempt_has_its_own_id_and_only_the_last_at_a_node_can_be_open(self) -> None:
        if self.lab.state is None:
            return
        nodes = self.lab.run.nodes.values()
        ids = [tried.id for progress in nodes for tried in progress.attempts]
        assert len(set(ids)) == len(ids)
        for progress in nodes:
            assert all(tried.status is not None for tried in progress.attempts[:-1])

    @invariant()
    def a_run_that_goes_on_wants_to_be_looked_at(self) -> None:
        if self.lab.state is not None:
            decision = self.lab.decide()
            assert (decision.requeue_after is None) is (not decision.state.live)

    def teardown(self) -> None:
        """Once attempts end, the run ends, and each node is done."""
        if not hasattr(self, "lab"):
            return
        for _ in range(60):
            self.turn(700.0, dies=False)
            if not self.lab.run.live:
                break
            self.lab.end_all()
        run = self.lab.run
        assert not run.live
        assert all(run.nodes.get(node.name, NEW).done for node in self.lab.graph.nodes)
        if run.outcome == "passed":
            assert all(verdict.passes for verdict in run.verdicts.values())


TestExecution = Execution.TestCase
TestExecution.settings = settings(max_examples=120, stateful_step_count=20)
