"""PURE. What happened between two states of a run or an environment, for those who count it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from controller.machine.core import Fact, Value, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import EndedRollout, Rollout
from controller.machine.runs.node_names import gate_name
from controller.machine.runs.run import Progress, Run
from specs.model import DATA
from validators.verdict import Verdict


class StepEnded(NamedTuple):
    """An attempt came to its end."""

    kind: str
    """`step`, `gate` or `data`."""
    result: str
    """The attempt's final state."""
    seconds: float


class NodeDone(NamedTuple):
    """A node of a run is done."""

    pipeline: str
    result: str


class GateJudged(NamedTuple):
    """A gate has its verdict."""

    pipeline: str
    gate: str
    """`data`, `model` or `smoke`."""
    verdict: Verdict


class RunFinished(NamedTuple):
    """A run came to its end."""

    pipeline: str
    outcome: str
    seconds: float


class RolloutEnded(NamedTuple):
    """A rollout came to its end."""

    pipeline: str
    environment: str
    outcome: str
    seconds: float


Event = StepEnded | NodeDone | GateJudged | RunFinished | RolloutEnded


def events(before: Value | None, after: Value, facts: Sequence[Fact] = ()) -> Iterator[Event]:
    """What is new in `after`; `facts` are those that were saved with it."""
    if isinstance(after, Run):
        yield from _of_run(before if isinstance(before, Run) else None, after)
    if isinstance(after, EnvironmentState):
        yield from _of_environment(before, after, facts)


def kind_of(node: str) -> str:
    """What a node of a run is: `step`, `gate` or `data`."""
    if gate_name(node) != node:
        return "gate"
    return "data" if node.removeprefix("base.").startswith(DATA) else "step"


def _of_run(before: Run | None, after: Run) -> Iterator[Event]:
    for name, node in after.nodes.items():
        was = before.nodes.get(name) if before is not None else None
        if was is node:
            continue
        was = was or Progress()
        ended = sum(one.status is not None for one in was.attempts)
        for attempt in node.attempts[ended:]:
            status = attempt.status
            if status is not None and status.ended is not None:
                seconds = max(0.0, status.ended - (status.started or attempt.asked))
                yield StepEnded(kind_of(name), str(status.state), seconds)
        if node.done and not was.done:
            yield NodeDone(after.pipeline, node.phase)
        if node.verdict is not None and was.verdict is None:
            yield GateJudged(after.pipeline, _gate(name), node.verdict)
    if after.finished is not None and (before is None or before.finished is None):
        yield RunFinished(after.pipeline, after.outcome, max(0.0, after.finished - after.created))


def _gate(node: str) -> str:
    return "model" if gate_name(node).startswith("model") else "data"


def _of_environment(
    before: Value | None, after: EnvironmentState, facts: Sequence[Fact]
) -> Iterator[Event]:
    ended = [parsed(EndedRollout, fact.body) for fact in facts if fact.key.kind == "rollout"]
    was = before.rollout if isinstance(before, EnvironmentState) else None
    now: list[Rollout] = [one.rollout for one in ended]
    if after.rollout is not None:
        now.append(after.rollout)
    for rollout in now:
        judged = was is not None and was.id == rollout.id and was.smoke is not None
        if rollout.smoke is not None and not judged:
            yield GateJudged(after.pipeline, "smoke", rollout.smoke.verdict)
    for one in ended:
        seconds = max(0.0, one.at - one.rollout.asked)
        yield RolloutEnded(one.pipeline, one.environment, one.outcome, seconds)
