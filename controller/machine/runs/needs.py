"""PURE. What a run needs to be observed before it can be decided: attempts, outputs, cache keys."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from controller.machine.core import InboxMessage
from controller.machine.messages import CancelRun
from controller.machine.runs.attempt import Attempt
from controller.machine.runs.graph import Graph, Node, attempt_of
from controller.machine.runs.node_progress import inputs_of, update_nodes
from controller.machine.runs.run import ObservedRun, Run


class OpenAttempt(NamedTuple):
    """An attempt to poll; when it has ended, its outputs are needed and, of a gate, its report."""

    id: str
    node: Node
    attempt: Attempt

    @property
    def has_report(self) -> bool:
        return self.node.is_gate


def is_cancelled(run: Run, inbox: Sequence[InboxMessage]) -> bool:
    """Whether the run ends now whatever is observed, so that it needs nothing but its graph."""
    return run.cancelled is not None or any(isinstance(x.message, CancelRun) for x in inbox)


def open_attempts(run: Run, graph: Graph) -> Iterator[OpenAttempt]:
    """The attempts that have not ended."""
    for name, progress in run.nodes.items():
        if progress.done or progress.open is None:
            continue
        node, digests = inputs_of(run, graph.by_name[name], run.nodes)
        attempt = attempt_of(node, progress.open.id, digests)
        yield OpenAttempt(progress.open.id, node, attempt)


def keys_to_look_up(run: Run, observed: ObservedRun) -> set[str]:
    """The cache keys that the run waits for and that were not looked up yet. A hit makes further
    keys known, so ask again until there are none."""
    updated = update_nodes(run, observed, run.created)
    return {
        progress.key
        for progress in updated.nodes.values()
        if progress.key and not progress.done and not progress.attempts
    } - observed.cache.keys()
