"""Observes runs: their attempts, the reports of their gates, and the cache."""

from collections import OrderedDict
from collections.abc import Sequence

from controller.artifacts import Artifacts
from controller.artifacts.cached_results import keys_of_last_run, with_results
from controller.executors.collector import AttemptCollector
from controller.executors.protocol import Executor
from controller.machine.core import InboxMessage, Key
from controller.machine.runs import execution as machine
from controller.machine.runs import needs
from controller.machine.runs.attempt import Status
from controller.machine.runs.graph import Graph
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
        self._seen: OrderedDict[str, Run] = OrderedDict()
        """The runs that were observed last, by id."""

    async def observe(
        self, key: Key, state: Run | None, inbox: Sequence[InboxMessage]
    ) -> ObservedRun:
        run = state or machine.begin(inbox)
        graph = await self.graph(key.name)
        if needs.is_cancelled(run, inbox):
            # Ask nothing that may be unreachable: it ends at once, whatever it waits for.
            self._endings.forget(run.id)
            return ObservedRun(graph=graph)
        observed = await self._attempts(run, ObservedRun(graph=graph))
        if run.nodes and self._is_new(run):
            # After a node that had to run, the next ones most often have no cached results. If one
            # has, the decision is not saved, and this state is observed again.
            return observed
        # If nothing changed, it has the keys of the last run, and all are looked up at once.
        likely = () if run.nodes else await keys_of_last_run(self._store, run.pipeline)
        return await with_results(self._store, self._artifacts, run, observed, likely)

    async def graph(self, run: str) -> Graph:
        """The run's graph, as it was when the run began."""
        found = self._graphs.get(run)
        if found is None:
            record = await self._store.get(Key("graph", run))
            if record is None:
                raise NeedsHuman(f"the graph of {run} is not in the store; start another run")
            found = Graph.model_validate_json(record.text)
            self._graphs[run] = found
            while len(self._graphs) > REMEMBERED:
                self._graphs.popitem(last=False)
        return found

    def _is_new(self, run: Run) -> bool:
        """Whether this state of the run is observed for the first time."""
        new = self._seen.pop(run.id, None) != run
        self._seen[run.id] = run
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return new

    async def _attempts(self, run: Run, observed: ObservedRun) -> ObservedRun:
        statuses: dict[str, Status] = {}
        outputs, uncollected, reports = {}, {}, {}
        for each in needs.open_attempts(run, observed.graph):
            status = await self._executor.poll(each.id)
            if status.state.ended:
                ending = await self._endings.collect(each.attempt, status, gate=each.has_report)
                status = ending.status
                if ending.outputs is not None:
                    outputs[each.id] = ending.outputs
                if ending.report is not None:
                    reports[each.id] = ending.report
                if ending.uncollected is not None:
                    uncollected[each.id] = ending.uncollected
            statuses[each.id] = status
        return observed.model_copy(
            update={
                "statuses": statuses,
                "outputs": outputs,
                "uncollected": uncollected,
                "reports": reports,
            }
        )
