"""Observes runs: their attempts, their gates' reports, and the cache."""

from collections import OrderedDict
from collections.abc import Sequence

from controller.artifacts import Artifacts
from controller.artifacts.cached_results import look_up
from controller.executors.collector import AttemptCollector
from controller.executors.protocol import Executor
from controller.machine.core import InboxMessage, Key, parsed
from controller.machine.messages import CancelRun
from controller.machine.runs import execution as machine
from controller.machine.runs.attempt import Status
from controller.machine.runs.graph import Graph, attempt_of
from controller.machine.runs.node_progress import absorb, inputs_of, wanted_keys
from controller.machine.runs.run import ObservedRun, Run
from controller.store.protocol import Store
from specs.failures import NeedsHuman

REMEMBERED = 64
"""Graphs kept in memory; a run's graph never changes."""


class RunObserver:
    """An `Observer`: polls the open attempts and collects what they wrote."""

    def __init__(
        self, store: Store, executor: Executor, artifacts: Artifacts, endings: AttemptCollector
    ) -> None:
        self._store = store
        self._executor = executor
        self._artifacts = artifacts
        self._endings = endings
        self._graphs: OrderedDict[str, Graph] = OrderedDict()

    async def observe(
        self, key: Key, state: Run | None, inbox: Sequence[InboxMessage]
    ) -> ObservedRun:
        run = state or machine.begin(inbox)
        graph = await self.graph(key.name)
        if run.cancelled is not None or any(isinstance(x.message, CancelRun) for x in inbox):
            # Nothing that may be away is asked: it ends at once, whatever it waits for.
            self._endings.forget(run.id)
            return ObservedRun(graph=graph)
        observed = await self._attempts(run, ObservedRun(graph=graph))
        # A hit makes the next keys known, so look until nothing new is asked for.
        moment = run.created
        while keys := wanted_keys(absorb(run, observed, moment), observed):
            hits = {key: await look_up(self._store, self._artifacts, key) for key in keys}
            observed = observed.model_copy(update={"cache": {**observed.cache, **hits}})
        return observed

    async def graph(self, run: str) -> Graph:
        """The run's graph, as it was when the run began."""
        found = self._graphs.get(run)
        if found is None:
            record = await self._store.get(Key("graph", run))
            if record is None:
                raise NeedsHuman(f"the graph of {run} is not in the store; start another run")
            found = parsed(Graph, record.body)
            self._graphs[run] = found
            while len(self._graphs) > REMEMBERED:
                self._graphs.popitem(last=False)
        return found

    async def _attempts(self, run: Run, observed: ObservedRun) -> ObservedRun:
        statuses: dict[str, Status] = {}
        outputs, uncollected, reports = {}, {}, {}
        for name, progress in run.nodes.items():
            tried = progress.open
            if progress.done or tried is None:
                continue
            status = await self._executor.poll(tried.id)
            if status.state.ended:
                node, digests = inputs_of(run, observed.graph.by_name[name], run.nodes)
                attempt = attempt_of(node, tried.id, digests)
                ending = await self._endings.collect(
                    attempt, status, gate=node.kind.endswith("gate")
                )
                status = ending.status
                if ending.outputs is not None:
                    outputs[tried.id] = ending.outputs
                if ending.report is not None:
                    reports[tried.id] = ending.report
                if ending.uncollected is not None:
                    uncollected[tried.id] = ending.uncollected
            statuses[tried.id] = status
        return observed.model_copy(
            update={
                "statuses": statuses,
                "outputs": outputs,
                "uncollected": uncollected,
                "reports": reports,
            }
        )
