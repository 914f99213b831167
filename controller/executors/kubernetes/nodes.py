"""PURE. What the pods of an attempt mean together: one of a Job, or the nodes of a TrainJob."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from controller.executors.kubernetes.attempts import SeenPod
from controller.executors.kubernetes.interpret import (
    Obj,
    SeenAttempt,
    SeenObjects,
    asked_to_end,
    is_disrupted,
    observe,
)
from controller.machine.runs.attempt import AttemptState
from deployers.kubernetes.profile import ClusterProfile

SETTLED: Final = 5.0
"""Seconds after a node failed for which others are heard: it may have failed because of them."""
TOGETHER: Final = 2.0
"""Seconds between what counts as having happened at once, as nodes tell whole ones."""


class SeenNodes(NamedTuple):
    """The objects of an attempt, as they were seen last."""

    job: Obj | None
    pods: Mapping[int, SeenPod]
    """By the number of the node."""
    nodes: int
    queued: str = ""
    refused: str = ""
    """See `SeenObjects`."""

    def of(self, number: int) -> SeenObjects:
        """Those of one node."""
        pod, gone = self.pods.get(number, (None, False))
        return SeenObjects(self.job, pod, gone, self.queued, self.refused)


class _Node(NamedTuple):
    number: int
    seen: SeenAttempt
    pod: Obj | None


def observe_nodes(seen: SeenNodes, profile: ClusterProfile, now: float) -> SeenAttempt:
    """The state of an attempt whose Job or TrainJob was created; see `observe`."""
    every = [observe(seen.of(number), profile, now) for number in range(seen.nodes)]
    if seen.nodes == 1:
        return every[0]
    named = [_Node(number, one, seen.of(number).pod) for number, one in enumerate(every)]
    failed = [one for one in named if one.seen.state.ended and not _is_good(one.seen)]
    if failed:
        return _failed(failed, seen.nodes, now)
    return _together(every)


def failed_node(seen: SeenNodes, profile: ClusterProfile, now: float) -> int | None:
    """The number of the node that failed first; None if none did, or it has no pod."""
    every = (observe(seen.of(number), profile, now) for number in range(seen.nodes))
    failed = [
        _Node(number, one, seen.of(number).pod)
        for number, one in enumerate(every)
        if one.state.ended and not _is_good(one)
    ]
    first = _first(failed) if failed else None
    return first.number if first is not None and first.pod is not None else None


def _is_good(seen: SeenAttempt) -> bool:
    return seen.state is AttemptState.SUCCEEDED


def _failed(failed: Sequence[_Node], count: int, now: float) -> SeenAttempt:
    """How an attempt fails of which nodes have failed: as the first of them."""
    first = _first(failed)
    if _when(first) <= now < _when(first) + SETTLED:
        return SeenAttempt(AttemptState.ENDING, started=first.seen.started)
    if first.pod is None:  # it says nothing of a node
        return first.seen
    return first.seen._replace(why=f"node {first.number} of {count}: {first.seen.why}")


def _first(failed: Sequence[_Node]) -> _Node:
    """The node whose end is why others ended: where one fails, the rest is deleted, or fails as it
    cannot reach it."""
    begun = min(_when(one) for one in failed)
    at_once = [one for one in failed if _when(one) <= begun + TOGETHER]
    return min(at_once, key=lambda one: (_rank(one), one.number))


def _when(node: _Node) -> float:
    """When it began to end, in seconds since the epoch; never, if that is unknown."""
    asked = asked_to_end(node.pod) if node.pod is not None else None
    if node.seen.state is AttemptState.LOST and asked is not None:
        return asked
    return node.seen.ended or asked or float("inf")


def _rank(node: _Node) -> int:
    """How much it explains: what the cluster did to a node, its failure, its being deleted."""
    if node.seen.state is not AttemptState.LOST:
        return 1
    return 0 if node.pod is not None and is_disrupted(node.pod) else 2


def _together(every: Sequence[SeenAttempt]) -> SeenAttempt:
    """The state of an attempt of which no node has failed."""
    starts = [one.started for one in every if one.started is not None]
    preparing = [
        (number, one) for number, one in enumerate(every) if one.state is AttemptState.PREPARING
    ]
    if preparing:
        number, one = next((each for each in preparing if each[1].waits), preparing[0])
        waits = one.waits and f"node {number} of {len(every)}: {one.waits}"
        # Nodes that run already wait for the others.
        return SeenAttempt(AttemptState.PREPARING, waits=waits)
    started = max(starts, default=None)
    if all(_is_good(one) for one in every):
        ended = max((one.ended for one in every if one.ended is not None), default=None)
        return every[0]._replace(started=started, ended=ended)
    running = any(one.state is AttemptState.RUNNING for one in every)
    state = AttemptState.RUNNING if running else AttemptState.ENDING
    held = next((one.waits for one in every if one.waits), "")
    return SeenAttempt(state, waits=held, started=started)
