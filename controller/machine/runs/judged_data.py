"""PURE. Which versions of which datasets the gates of a run have judged."""

from collections.abc import Iterator
from typing import NamedTuple

from controller.machine.runs.data_exceptions import ACCEPTABLE
from controller.machine.runs.dataset_nodes import DATA_OUTPUT
from controller.machine.runs.node_names import dataset_node, dataset_of_gate, own_data_gates
from controller.machine.runs.run import NEW, Progress, Run
from validators.verdict import Verdict, worst


class StoppedData(NamedTuple):
    """A dataset version that stopped a run, and that a person may accept."""

    dataset: str
    version: str


def version_of(run: Run, dataset: str) -> str | None:
    """The version that a run reads: of fetched data, the digest of what it fetched."""
    made = run.nodes.get(dataset_node(dataset), NEW).outputs or {}
    return run.datasets.get(dataset) or made.get(DATA_OUTPUT)


def judgements(run: Run, dataset: str) -> dict[str, Progress]:
    """The gates of a dataset by its own suite that have given a verdict, or have failed to."""
    gates = {gate: run.nodes.get(gate, NEW) for gate in own_data_gates(dataset)}
    return {gate: node for gate, node in gates.items() if node.done or node.verdict is not None}


def verdict_on(run: Run, dataset: str) -> Verdict | None:
    """The verdict of its gates on a dataset; None unless all that looked at it have given one.
    ERROR if one could not judge, whatever the other found: not all of it is known."""
    found = [node.verdict for node in judgements(run, dataset).values()]
    given = [verdict for verdict in found if verdict is not None]
    if not given or len(given) < len(found):
        return None
    return Verdict.ERROR if Verdict.ERROR in given else worst(given)


def stopped_data(run: Run) -> Iterator[StoppedData]:
    """The versions that stopped a run of the default branch; none if anything else did, or a gate
    could not judge."""
    stops = {name: node for name, node in run.nodes.items() if run.stops(node)}
    datasets = {name: dataset_of_gate(name) for name in stops}
    if not run.releases or not all(datasets.values()):
        return
    for dataset in dict.fromkeys(filter(None, datasets.values())):
        version = version_of(run, dataset)
        if version is not None and verdict_on(run, dataset) in ACCEPTABLE:
            yield StoppedData(dataset, version)
