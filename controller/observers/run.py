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
from controller.machine.runs.run import ObservedRun, Run
from controller.store.protocol import Store
from controller.store.remembered import MOST
from controller.store.run_graphs import Graphs
from specs.failures import NeedsHuman


class RunObserver:
    """An `Observer`: polls the open attempts and collects what they wrote."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        artifacts: Artifacts,
        endings: AttemptCollector,
        graphs: Graphs,
    ) -> None:
        self._store = store
        self._executor = executor
        self._artifacts = artifacts
        self._endings = endings
        self._graphs = graphs
        self._seen: OrderedDict[str, Run] = OrderedDict()
        """The states of runs that were observed last, by the run."""

    async def observe(
        self, key: Key, state: Run | None, inbox: Sequence[InboxMessage]
    ) -> ObservedRun:
        run = state or machine.begin(inbox)
        graph = await self._graphs.get(key.name)
        if graph is None:
            raise NeedsHuman(f"the graph of {key.name} is not in the store; start another run")
        if needs.is_cancelled(run, inbox):
            # Ask nothing that may be unreachable: it ends at once, whatever it waits for.
            self._endings.forget(run.id)
            return ObservedRun(graph=graph)
        observed = await self._attempts(run, ObservedRun(graph=graph))
        if self._went_on(run):
            # After a node that had to run, the next ones most often have no cached results. If one
            # has, the decision is not saved, and this state is observed again.
            return observed
        # If nothing changed, it has the keys of the last run, and all are looked up at once.
        likely = () if run.nodes else await keys_of_last_run(self._store, run.pipeline)
        return await with_results(self._store, self._artifacts, run, observed, likely)

    def _went_on(self, run: Run) -> bool:
        """Whether another state of the run was observed last, so that what was decided then is
        saved. False if that is not known any more."""
        before = self._seen.pop(run.id, None)
        self._seen[run.id] = run
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return before is not None and before != run

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
