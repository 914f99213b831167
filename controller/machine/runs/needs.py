"""PURE. What a run needs to be observed before it can be decided: attempts, outputs, cache keys."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.core import InboxMessage
from controller.machine.messages import CancelRun
from controller.machine.runs.attempt import Attempt
from controller.machine.runs.graph import Graph, Node, attempt_of
from controller.machine.runs.node_progress import inputs_of, update_nodes
from controller.machine.runs.run import NEW, ObservedRun, Run


class OpenAttempt(NamedTuple):
    """An attempt to poll; when it has ended, its outputs are needed and, of a gate, its report."""

    id: str
    node: Node
    digests: Mapping[str, str]
    """Of its inputs."""
    run: Run

    @property
    def attempt(self) -> Attempt:
        return attempt_of(self.node, self.id, self.digests, self.run.attempt_facts)

    @property
    def has_report(self) -> bool:
        return self.node.is_gate


def is_cancelled(run: Run, inbox: Sequence[InboxMessage]) -> bool:
    """Whether the run ends now whatever is observed, so that it needs nothing but its graph."""
    return run.cancelled is not None or any(isinstance(x.message, CancelRun) for x in inbox)


def open_attempts(run: Run, graph: Graph) -> Iterator[OpenAttempt]:
    """The attempts that have not ended."""
    for name, progress in run.nodes.items():
        if not progress.attempts or progress.done or progress.open is None:
            continue
        node, digests = inputs_of(run, graph.by_name[name], run.nodes)
        yield OpenAttempt(progress.open.id, node, digests, run)


class CacheKeys(NamedTuple):
    """The cache keys of a run's next nodes."""

    unknown: frozenset[str]
    """Those that were not looked up yet. A hit makes further keys known, so look up these and ask
    again, until there are none."""
    reused: frozenset[str]
    """Those whose results the run would reuse."""
    run: Run
    """The run with these results, to go on from."""


def cache_keys(run: Run, observed: ObservedRun) -> CacheKeys:
    """What the run needs of the cache, as far as that is known by now."""
    updated = update_nodes(run, observed, run.created)
    fresh = [
        progress
        for name, progress in updated.nodes.items()
        if progress.key and not progress.attempts and not run.nodes.get(name, NEW).done
    ]
    return CacheKeys(
        unknown=frozenset(x.key for x in fresh if x.key and not x.done) - observed.cache.keys(),
        reused=frozenset(x.key for x in fresh if x.key and x.outputs is not None),
        run=updated,
    )
