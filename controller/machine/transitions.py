"""PURE. Which state may follow which, for everything that has states: one table.

States are derived from stored facts (`Progress.phase`, `Run.outcome`, `Rollout.phase`), so nothing
sets them. Tests check that every transition of a machine is in this table, and that each line of it
happens.
The diagrams in `docs/architecture.md` are drawn from it.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

Subject = Literal["node", "run", "rollout", "stall"]

NEW: Final = "new"
"""Before the first decision on it."""


class Transition(NamedTuple):
    """From one state to another, and what makes it happen."""

    before: str
    after: str
    when: str


TRANSITIONS: Final[Mapping[Subject, tuple[Transition, ...]]] = {
    "node": (
        Transition(NEW, "waiting", "the run begins"),
        Transition("waiting", "cached", "a node of the same key succeeded before"),
        Transition("waiting", "running", "what it needs is there"),
        Transition("waiting", "skipped", "what it needs did not succeed, or the run was cancelled"),
        Transition("running", "succeeded", "its attempt succeeded"),
        Transition("running", "waiting", "its attempt failed or was lost, and is retried"),
        Transition("running", "failed", "no retry is left"),
        Transition("running", "skipped", "the run was cancelled"),
    ),
    "run": (
        Transition(NEW, "running", "its pipeline starts it"),
        Transition(NEW, "passed", "all of it is cached"),
        Transition("running", "passed", "every node ended, and every gate passed"),
        Transition("running", "failed", "a node failed"),
        Transition("running", "stopped", "a gate did not pass"),
        Transition("running", "cancelled", "somebody, or a newer commit, cancelled it"),
    ),
    "rollout": (
        Transition(NEW, "approval", "a person has to approve it first"),
        Transition(NEW, "starting", "a version passed, or somebody asked for it"),
        Transition(NEW, "smoke", "there is no server to start, but a command to try"),
        Transition(NEW, "canary", "its server runs still, from before a blue-green switch"),
        Transition(NEW, "promoting", "there is nothing to start or to try"),
        Transition(NEW, "rolled_back", "somebody rolled it back at once"),
        Transition(NEW, "aborted", "somebody aborted it at once"),
        Transition(NEW, "superseded", "a newer version came at the same time"),
        Transition("approval", "starting", "a person approved it"),
        Transition("approval", "aborted", "somebody aborted it, or closed its pull request"),
        Transition("approval", "superseded", "a newer version came"),
        Transition("starting", "smoke", "its server is ready, in staging"),
        Transition("starting", "canary", "its server is ready, beside stable in production"),
        Transition("starting", "promoting", "its server is ready, and nothing judges it"),
        Transition("starting", "failed", "its server was not ready in time"),
        Transition("starting", "rolled_back", "somebody rolled it back"),
        Transition("starting", "aborted", "somebody aborted it"),
        Transition("starting", "superseded", "a newer version came"),
        Transition("smoke", "starting", "its server went away before it was asked"),
        Transition("smoke", "promoting", "the requests were answered"),
        Transition("smoke", "failed", "they failed, or were not answered in time"),
        Transition("smoke", "rolled_back", "somebody rolled it back"),
        Transition("smoke", "aborted", "somebody aborted it"),
        Transition("smoke", "superseded", "a newer version came"),
        Transition("canary", "promoting", "the judge, or a person, promotes it"),
        Transition("canary", "rolled_back", "the judge, or a person, rolls it back"),
        Transition("canary", "aborted", "somebody aborted it"),
        Transition("canary", "superseded", "a newer version came"),
        Transition("promoting", "promoted", "the commit is on the environments branch"),
        Transition("promoting", "rolled_back", "it turned bad before the commit was made"),
        Transition("promoting", "failed", "its server can no longer be deployed"),
        Transition("promoting", "aborted", "somebody aborted it"),
        Transition("promoting", "superseded", "a newer version came"),
    ),
    "stall": (
        Transition(NEW, "firing", "an object has made no progress for a while"),
        Transition("firing", "over", "it makes progress again"),
        Transition("over", "firing", "it has again made no progress for a while"),
    ),
}


def may_follow(subject: Subject, before: str, after: str) -> bool:
    """Whether the table allows it. Staying in a state is always allowed."""
    return before == after or any(
        one.before == before and one.after == after for one in TRANSITIONS[subject]
    )


def diagram(subject: Subject) -> Iterator[str]:
    """The lines of a Mermaid state diagram of one table."""
    befores = {one.before for one in TRANSITIONS[subject]}
    yield "stateDiagram-v2"
    for one in TRANSITIONS[subject]:
        start = "[*]" if one.before == NEW else one.before
        yield f"    {start} --> {one.after}: {one.when}"
    for end in dict.fromkeys(one.after for one in TRANSITIONS[subject]):
        if end not in befores:
            yield f"    {end} --> [*]"
