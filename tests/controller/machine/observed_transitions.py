"""Checks every transition that a test of a machine makes against the table of transitions.

A transition that the table lacks fails the test. `SEEN` has those made in this process.
"""

from typing import Any

from controller.machine.core import Decision, parsed
from controller.machine.environments.environment import EnvironmentState, ObservedEnvironment
from controller.machine.runs.run import NEW, Run
from controller.machine.stall import Stall
from controller.machine.transitions import NEW as UNKNOWN
from controller.machine.transitions import Subject, may_follow

SEEN: set[tuple[Subject, str, str]] = set()


def watch_run(before: Run | None, after: Run) -> None:
    """Check what a decision did to a run and its nodes."""
    _saw("run", before.outcome if before else UNKNOWN, after.outcome)
    for name, node in after.nodes.items():
        was = (before.nodes if before else {}).get(name)
        if was is None:
            _saw("node", UNKNOWN, "waiting")
        _saw("node", (was or NEW).phase, node.phase)


def watch_environment(
    before: EnvironmentState | None,
    decision: Decision[EnvironmentState],
    observed: ObservedEnvironment,
) -> None:
    """Check what a decision did to rollouts."""
    phases = _phase(before, observed)
    ended = {
        fact.body["rollout"]["id"]: fact.body["outcome"]
        for fact in decision.facts
        if fact.key.kind == "rollout"
    }
    for id_, outcome in ended.items():
        _saw("rollout", phases.get(id_, UNKNOWN), outcome)
    for id_, phase in _phase(decision.state, observed).items():
        _saw("rollout", phases.get(id_, UNKNOWN), phase)


def watch_stall(before: Stall | None, after: Stall) -> None:
    """Hold what a decision did to a stall to the table."""
    was = UNKNOWN if before is None else _stall_state(before)
    _saw("stall", was, _stall_state(after))


def _stall_state(stall: Stall) -> str:
    return "over" if stall.over else "firing"


def _phase(env: EnvironmentState | None, observed: ObservedEnvironment) -> dict[str, str]:
    rollout = env.rollout if env else None
    version = observed.versions.get(rollout.version.version) if rollout else None
    if env is None or rollout is None or version is None:
        return {}
    return {rollout.id: rollout.phase(version.spec, env.name, has_stable=env.has_server)}


def _saw(subject: Subject, before: str, after: str) -> None:
    assert may_follow(subject, before, after), (
        f"a {subject} went from {before} to {after}, which controller/machine/transitions.py lacks"
    )
    if before != after:
        SEEN.add((subject, before, after))


def assert_unchanged_by_json(decision: Decision[Any]) -> None:
    """A loop goes on from the state that was decided, and applies the actions, as they are: they
    must be what is read from their JSON after a restart."""
    for value in (decision.state, *decision.actions):
        assert parsed(type(value), value.plain()) == value
