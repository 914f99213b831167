"""The graphs of runs, as the store has them."""

from collections import OrderedDict

from controller.machine.core import Key
from controller.machine.runs.graph import Graph
from controller.store.protocol import StoreReader

MOST_NODES = 4096
"""How many nodes the remembered graphs have: a thousand runs in progress of a few steps each. Those
that were asked for last are remembered."""


class Graphs:
    """Reads the graphs of runs. They never change, so those in use are read once."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._known: OrderedDict[str, Graph] = OrderedDict()
        self._nodes = 0

    async def get(self, run: str) -> Graph | None:
        """The run's graph, as it was when the run began, or None."""
        found = self._known.get(run)
        if found is None:
            record = await self._store.get(Key("graph", run))
            if record is None:
                return None
            found = self._known.get(run)  # somebody else may have read it meanwhile
            if found is None:
                found = Graph.model_validate_json(record.text)
                self._keep(run, found)
        self._known.move_to_end(run)
        return found

    def _keep(self, run: str, graph: Graph) -> None:
        self._known[run] = graph
        self._nodes += len(graph.nodes)
        while self._nodes > MOST_NODES and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._nodes -= len(oldest.nodes)
